//! Host tools while crossing: what a script for another platform must run now, runs on the machine that builds.
//!
//! GOOS and GOARCH are the target's while a script runs, so Go would build everything for the target: generators, tools,
//! tests. In a cross build gonda itself stands at `$GOROOT/bin/go` (where `go generate` looks, past PATH) and decides for
//! each call what it means ([`decide`]). Programs of the target that the script starts – for completions, say – are handed
//! to gonda by the kernel, and run under an emulator or as a *native twin*: the build that made the program, repeated for
//! the build machine ([`foreign`]).
//!
//! [`equip`] says what a room needs for that, [`furnish`] puts it in, and what was done is read from the [`Journal`]. The
//! rest runs inside the job, in processes of their own; they find [`Crossing`] beside gonda's program.

mod builds;
mod decide;
mod emulator;
mod flags;
mod foreign;
mod go_caches;
mod go_call;
mod identity;
mod journal;
mod shim;
mod twin;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rattler_conda_types::Subdir;
use serde::{Deserialize, Serialize};

use crate::golang::go_platform;
use crate::isolation::{Bind, BuildEnv, Format, Link, Mode, Room, RoomSpec, paths};
use crate::{Error, Kind, Result, host};

pub(crate) use emulator::Emulator;
pub(crate) use go_caches::{GoCaches, answer_at, begin_native};
pub use journal::Journal;

/// The name by which gonda knows that it stands for Go.
const GO: &str = "go";
/// The name by which gonda knows that it runs programs of the target.
const FOREIGN: &str = "gonda-foreign";
/// Where the settings are, in the folder of gonda's own.
const SETTINGS: &str = "crossing.json";
/// Where GOPROXY stands that scripts can't change, in the same folder; see [`hold_to_proxy`].
const PROXY: &str = "goproxy";
/// Where the journal is, in the same folder.
const JOURNAL: &str = "journal";

/// A job's crossing, as its processes are told: all paths as the script sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crossing {
    /// The target platform.
    pub(crate) target: Subdir,
    /// The target's GOOS.
    pub(crate) goos: String,
    /// The target's GOARCH.
    pub(crate) goarch: String,
    /// The build machine's GOOS.
    pub(crate) build_goos: String,
    /// The build machine's GOARCH.
    pub(crate) build_goarch: String,
    /// Go.
    pub(crate) go: PathBuf,
    /// Its GOROOT.
    pub(crate) goroot: PathBuf,
    /// The folder of gonda's own.
    pub(crate) own: PathBuf,
    /// The host prefix: what is in it is packed.
    pub(crate) prefix: PathBuf,
    /// What is built for the machine that builds has a GOCACHE of its own.
    pub(crate) go_caches: Option<GoCaches>,
    /// Paths of the source's main modules.
    pub(crate) modules: Vec<String>,
    /// The package's name.
    pub(crate) package: String,
    /// What runs programs of the target.
    pub(crate) emulator: Option<Emulator>,
    /// Why nothing does.
    pub(crate) no_emulator: Option<String>,
}

/// What is known of a job, to equip its room.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    /// The target platform.
    pub(crate) target: Subdir,
    /// The machine that builds.
    pub(crate) build: Subdir,
    /// The package's name.
    pub(crate) package: &'a str,
    /// The build environment has Go.
    pub(crate) go: bool,
    /// Paths of the source's main modules.
    pub(crate) modules: Vec<String>,
    /// Scripts don't reach the network.
    pub(crate) closed: bool,
    /// GOCACHE is the job's own, over what gonda compiled.
    pub(crate) own_go_cache: bool,
}

impl Facts<'_> {
    /// Whether gonda stands for Go: in a cross build, and where a script's own GOPROXY would lead nowhere.
    fn stands_for_go(&self, mode: Mode) -> bool {
        self.crossing().is_some() || (self.closed && self.go && mode.has_fixed_paths())
    }

    /// Whether programs of the target are others than those of the machine.
    fn crossing(&self) -> Option<(Platform, Platform)> {
        let (target, build) = (go_platform(self.target)?, go_platform(self.build)?);
        (target != build).then_some((target, build))
    }
}

type Platform = (&'static str, &'static str);

/// What the room of a cross build has in addition; nothing for a native one.
pub(crate) fn equip(spec: &mut RoomSpec, mode: Mode, facts: &Facts<'_>) {
    if !facts.stands_for_go(mode) {
        return;
    }
    spec.own = true;
    let own = Path::new(paths::ROOT).join(paths::OWN);
    if mode.has_fixed_paths() && facts.crossing().is_some() {
        spec.formats.extend(foreign_to(facts).filter_map(|platform| format(platform, own.join(FOREIGN))));
    }
    if let (BuildEnv::Shared(shared), true) = (&spec.build_env, facts.go) {
        let seen = Path::new(paths::ROOT).join(paths::BUILD_ENV).join("go").join("bin").join(GO);
        let real = shared.join("go").join("bin").join(GO);
        if real.is_file() {
            spec.links.push(Link { seen, target: own.join(GO) });
            spec.binds.push(Bind { disk: real, seen: own.join("real").join(GO), writable: false });
        }
    }
}

/// The platforms of the target's system whose programs this machine doesn't run: a script may build for another machine
/// than the target's, which it takes for the one that builds.
fn foreign_to(facts: &Facts<'_>) -> impl Iterator<Item = Subdir> {
    let known: &[Subdir] = match facts.target {
        target if target.is_windows() => &[Subdir::Win64],
        target if target.is_osx() => &[Subdir::Osx64, Subdir::OsxArm64],
        _ => &[Subdir::Linux64, Subdir::LinuxAarch64, Subdir::LinuxPpc64le, Subdir::LinuxS390X, Subdir::LinuxRiscv64],
    };
    let build = facts.build;
    known.iter().copied().filter(move |platform| go_platform(*platform) != go_platform(build))
}

/// Puts into a room, whose environments are installed, what [`equip`] has asked for.
///
/// # Errors
/// When files can't be written.
pub(crate) fn furnish(room: &Room, facts: &Facts<'_>) -> Result<()> {
    let platforms = (go_platform(facts.target), go_platform(facts.build));
    let ((Some(target), Some(build)), Some(own)) = (platforms, &room.paths().own) else { return Ok(()) };
    if !facts.stands_for_go(room.mode()) {
        return Ok(());
    }
    let (disk, seen) = (room.disk(), room.paths());
    let suffix = std::env::consts::EXE_SUFFIX;
    let go_file = format!("{GO}{suffix}");
    let emulator = facts.crossing().map(|_| Emulator::find(facts.target, Some(&disk.build_prefix)));
    let (emulator, no_emulator) = match emulator {
        Some(Ok(emulator)) => (Some(emulator), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, None),
    };
    let crossing = Crossing {
        target: facts.target,
        goos: target.0.to_owned(),
        goarch: target.1.to_owned(),
        build_goos: build.0.to_owned(),
        build_goarch: build.1.to_owned(),
        go: own.join("real").join(&go_file),
        goroot: seen.build_prefix.join("go"),
        own: own.clone(),
        prefix: seen.prefix.clone(),
        go_caches: (facts.own_go_cache && facts.crossing().is_some())
            .then(|| GoCaches { target: seen.go_cache.clone(), native: own.join(paths::GO_CACHE) }),
        modules: facts.modules.clone(),
        package: facts.package.to_owned(),
        emulator,
        no_emulator,
    };
    let on_disk = Crossing { own: disk.own.clone(), ..crossing.clone() };
    for folder in [disk.own.join("real"), on_disk.tools(), on_disk.builds(), on_disk.twins()] {
        fs_err::create_dir_all(folder)?;
    }
    let settings = serde_json::to_vec(&crossing).map_err(std::io::Error::from)?;
    fs_err::write(disk.own.join(SETTINGS), &settings)?;
    let program = disk.own.join(paths::PROGRAM);
    if facts.crossing().is_some() {
        host::name_again(&program, &disk.own.join(format!("{FOREIGN}{suffix}")))?;
        host::name_again(&program, &on_disk.tools().join(format!("go_{}_{}_exec{suffix}", target.0, target.1)))?;
    }
    host::name_again(&program, &disk.own.join(&go_file))?;
    // A shared environment's Go is replaced by a link where the room shows it; the job's own is moved.
    let go = disk.build_prefix.join("go").join("bin").join(&go_file);
    if facts.go && go.is_file() && !shares_build_env(room) {
        fs_err::rename(&go, disk.own.join("real").join(&go_file))?;
        host::name_again(&program, &go)?;
        if cfg!(windows) {
            fs_err::write(go.with_file_name(SETTINGS), &settings)?;
        }
    }
    Ok(())
}

/// Whatever GOPROXY a script sets from now on, its `go` asks this proxy of gonda's ([`crate::golang::correct_go`]), if
/// gonda stands for Go in the room.
///
/// # Errors
/// When that can't be written down.
pub(crate) fn hold_to_proxy(room: &Room, proxy: &str) -> Result<()> {
    match room.paths().own {
        Some(_) => Ok(fs_err::write(room.disk().own.join(PROXY), proxy)?),
        None => Ok(()),
    }
}

/// The journal of a room's scripts, if they have one.
pub(crate) fn journal(room: &Room) -> Option<Journal> {
    room.paths().own.is_some().then(|| Journal::new(room.disk().own.join(JOURNAL)))
}

/// Whether the build environment is one that other jobs see too.
fn shares_build_env(room: &Room) -> bool {
    !room.disk().build_prefix.starts_with(&room.disk().dir)
}

/// Why an emulator can't run a program of an installed environment: the target's loader is nowhere. `None` if it can.
pub(crate) fn lacking(emulator: &Emulator, prefix: &Path) -> Option<String> {
    let entries = std::fs::read_dir(prefix.join("bin")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).find_map(|path| {
        let loader = emulator::loader(&foreign::start(&path).ok()?)?;
        emulator.arguments(&path, "", Some(&loader)).err()
    })
}

/// Why a script for another platform may have failed, if its last lines tell: it ran a program that can't run here.
pub(crate) fn explain(last_lines: &[String], target: Subdir) -> Option<String> {
    const SIGNS: &[&str] = &["exec format error", "cannot execute binary file", "bad cpu type in executable"];
    let said = last_lines.iter().any(|line| {
        let line = line.to_lowercase();
        SIGNS.iter().any(|sign| line.contains(sign))
    });
    said.then(|| {
        format!(
            "the script runs a program that is not for this machine, most likely one that it has just built for `{target}`; \
             gonda runs such programs as their native twins where it can isolate scripts (Linux 6.7 or later): build \
             there, install an emulator, or leave the step out where `build_platform` is not `target_platform`"
        )
    })
}

/// The program that runs a program of the target, for a gonda of the job that starts programs itself, whether or not the
/// kernel would hand it over: called with the program, the name that it is called by, and its arguments. `None`: the
/// program is started as any other.
pub(crate) fn runner_of(program: &Path) -> Option<PathBuf> {
    let crossing = Crossing::beside_program().ok()?;
    let own = &crossing.own;
    foreign::is_foreign(&crossing, program).then(|| own.join(format!("{FOREIGN}{}", std::env::consts::EXE_SUFFIX)))
}

/// What a process of gonda's is, by the name that it was started by; its exit code when it has ended.
pub(crate) fn started_as(name: &str, args: &[OsString]) -> Option<u8> {
    let handler = name.starts_with("go_") && name.ends_with("_exec");
    if name != GO && name != FOREIGN && !handler {
        return None;
    }
    let crossing = match Crossing::beside_program() {
        Ok(crossing) => crossing,
        Err(error) => {
            complain(&error);
            return Some(Kind::Bug.exit_code());
        }
    };
    Some(match (name, args) {
        (GO, args) => shim::run(&crossing, args),
        (FOREIGN, [program, name, args @ ..]) => foreign::run(&crossing, program, name, args),
        (_, [program, args @ ..]) if handler => foreign::run(&crossing, program, program, args),
        _ => Kind::Usage.exit_code(),
    })
}

impl Crossing {
    /// The settings of the job that this process belongs to.
    fn beside_program() -> Result<Self> {
        let program = std::env::current_exe()?.canonicalize()?;
        Self::read(program.parent().unwrap_or(Path::new("/")))
    }

    fn read(own: &Path) -> Result<Self> {
        let path = own.join(SETTINGS);
        let text = fs_err::read(&path)?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::new(Kind::Bug, format!("`{}` can't be read", path.display())).because(error))
    }

    /// Whether target and machine are the same, and there is nothing to decide.
    fn is_native(&self) -> bool {
        (&self.goos, &self.goarch) == (&self.build_goos, &self.build_goarch)
    }

    /// The GOPROXY that scripts can't change.
    fn proxy(&self) -> Option<String> {
        std::fs::read_to_string(self.own.join(PROXY)).ok()
    }

    fn build_machine(&self) -> String {
        format!("{}/{}", self.build_goos, self.build_goarch)
    }

    /// gonda.
    fn program(&self) -> PathBuf {
        self.own.join(paths::PROGRAM)
    }

    /// Tools for the build machine, on PATH.
    fn tools(&self) -> PathBuf {
        self.own.join(paths::TOOLS)
    }

    fn builds(&self) -> PathBuf {
        self.own.join("builds")
    }

    fn twins(&self) -> PathBuf {
        self.own.join("twins")
    }

    fn journal(&self) -> PathBuf {
        self.own.join(JOURNAL)
    }
}

/// The programs of a platform, to be run by `interpreter`. `None` for platforms whose programs aren't known.
fn format(platform: Subdir, interpreter: PathBuf) -> Option<Format> {
    let (magic, mask) = magic(platform)?;
    Some(Format { name: format!("gonda-{platform}"), magic, mask, interpreter })
}

/// How programs of a platform begin, and which bits of it count: ELF (elf.h: class, byte order, type, machine), Mach-O
/// (mach/machine.h: magic, CPU type), PE (`MZ` alone, for its machine stands further down).
fn magic(platform: Subdir) -> Option<(Vec<u8>, Vec<u8>)> {
    if platform.is_windows() {
        return Some((b"MZ".to_vec(), vec![0xff, 0xff]));
    }
    let (_, arch) = go_platform(platform)?;
    if platform.is_osx() {
        let cpu = if arch == "arm64" { 0x0c } else { 0x07 };
        return Some((vec![0xcf, 0xfa, 0xed, 0xfe, cpu, 0, 0, 1], vec![0xff; 8]));
    }
    let (class, order, machine) = match arch {
        "amd64" => (2, 1, 0x3e),
        "arm64" => (2, 1, 0xb7),
        "ppc64le" => (2, 1, 0x15),
        "riscv64" => (2, 1, 0xf3),
        "s390x" => (2, 2, 0x16),
        _ => return None,
    };
    let mut magic = vec![0x7f, b'E', b'L', b'F', class, order, 1];
    magic.resize(16, 0);
    let mut mask = vec![0xff; 7];
    mask.resize(16, 0);
    // An executable file is of type 2 or, position-independent, 3.
    let tail = if order == 1 {
        ([2, 0, machine, 0], [0xfe, 0xff, 0xff, 0xff])
    } else {
        ([0, 2, 0, machine], [0xff, 0xfe, 0xff, 0xff])
    };
    magic.extend(tail.0);
    mask.extend(tail.1);
    Some((magic, mask))
}

/// Whether a file's first bytes are those of a platform's programs.
fn begins_as(platform: Subdir, start: &[u8]) -> bool {
    magic(platform).is_some_and(|(magic, mask)| {
        start.len() >= magic.len()
            && start.iter().zip(&magic).zip(&mask).all(|((byte, magic), mask)| byte & mask == magic & mask)
    })
}

/// Tells whoever runs the script: this process is one of the script's.
fn complain(error: &Error) {
    let mut text = format!("gonda: {error}\n");
    if let Some(cause) = std::error::Error::source(error) {
        text.push_str(&format!("gonda: {cause}\n"));
    }
    if let Some(help) = &error.help {
        text.push_str(&format!("gonda: help: {help}\n"));
    }
    // Where stderr is closed nobody wants to know.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn linux_aarch64() -> Crossing {
        Crossing {
            target: Subdir::LinuxAarch64,
            goos: "linux".to_owned(),
            goarch: "arm64".to_owned(),
            build_goos: "linux".to_owned(),
            build_goarch: "amd64".to_owned(),
            go: "/o/real/go".into(),
            goroot: "/b/go".into(),
            own: "/o".into(),
            prefix: "/p".into(),
            go_caches: None,
            modules: Vec::new(),
            package: String::new(),
            emulator: None,
            no_emulator: None,
        }
    }

    #[test]
    fn programs_by_their_first_bytes() {
        let check = |platform: Subdir, start: &[u8], expected: bool| {
            let mut bytes = start.to_vec();
            bytes.resize(64, 0);
            assert_eq!(begins_as(platform, &bytes), expected, "{platform}: {start:?}");
        };
        let elf = |machine: u8, kind: u8| {
            let mut bytes = b"\x7fELF\x02\x01\x01\x03".to_vec();
            bytes.resize(16, 0);
            bytes.extend([kind, 0, machine, 0]);
            bytes
        };
        check(Subdir::LinuxAarch64, &elf(0xb7, 2), true);
        check(Subdir::LinuxAarch64, &elf(0xb7, 3), true);
        check(Subdir::LinuxAarch64, &elf(0x3e, 3), false);
        check(Subdir::LinuxPpc64le, &elf(0x15, 3), true);
        check(Subdir::OsxArm64, b"\xcf\xfa\xed\xfe\x0c\0\0\x01", true);
        check(Subdir::Osx64, b"\xcf\xfa\xed\xfe\x0c\0\0\x01", false);
        check(Subdir::Win64, b"MZ\x90", true);
        check(Subdir::Win64, b"#!/bin/sh", false);
        assert!(!begins_as(Subdir::Win64, b"M"));
    }

    #[test]
    fn what_a_failed_script_said() {
        let said = |line: &str| explain(&["x".to_owned(), line.to_owned()], Subdir::OsxArm64).is_some();
        assert!(said("./tool: cannot execute binary file: Exec format error"));
        assert!(said("zsh: bad CPU type in executable: ./tool"));
        assert!(!said("exec: tool: not found"));
    }
}
