//! What a machine may have or lack: a Go SDK, Python's packages, mounts. `cargo xtask test` sets them up and names
//! them in `GONDA_TEST_*` variables; without it, what is found is used, and the rest is skipped by name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use crate::archive::sha256;
use crate::world::World;

/// Variable that names the Go SDK's folder.
pub const GO_ROOT: &str = "GONDA_TEST_GO_ROOT";
/// Variable that names a Python interpreter.
pub const PYTHON: &str = "GONDA_TEST_PYTHON";
/// Variable that names the folder of Python packages for it.
pub const PYTHONPATH: &str = "GONDA_TEST_PYTHONPATH";
/// Variable that names a file to which the names of skipped tests are appended.
pub const SKIPS: &str = "GONDA_TEST_SKIPS";
/// Variable that names the source of go-licenses, its modules in `vendor/`.
pub const GO_LICENSES: &str = "GONDA_TEST_GO_LICENSES";
/// Variable that, when set, leaves out what needs a real Go SDK.
pub const QUICK: &str = "GONDA_TEST_QUICK";
/// Variable that names a ready channel with the Go toolchain.
pub const TOOLCHAIN_CHANNEL: &str = "GONDA_TEST_CHANNEL";

/// Says that a test can't be had here: `skipped: NAME: REASON`.
///
/// It goes straight to the process's stderr, past the capture of the test harness, and to the file in [`SKIPS`].
pub fn skipped(name: &str, reason: impl std::fmt::Display) {
    let line = format!("skipped: {name}: {reason}\n");
    // Nothing can be done where stderr is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os(SKIPS) {
        let opened = fs_err::OpenOptions::new().append(true).create(true).open(PathBuf::from(file));
        opened.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file for skipped tests");
    }
}

/// The Go SDK for tests: [`GO_ROOT`], else the root of the `go` on the path.
///
/// # Errors
/// Why there is none, as the reason of a skipped test.
pub fn go_root() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            if std::env::var_os(QUICK).is_some() {
                return Err("left out by `--quick`".to_owned());
            }
            if let Some(root) = std::env::var_os(GO_ROOT) {
                return Ok(PathBuf::from(root));
            }
            let answer =
                Command::new("go").args(["env", "GOROOT"]).env("GOTOOLCHAIN", "local").stderr(Stdio::null()).output();
            match answer {
                Ok(answer) if answer.status.success() => {
                    Ok(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim().to_owned()))
                }
                _ => Err("no Go SDK: `go` is not on the path, and `cargo xtask test` has not set one up".to_owned()),
            }
        })
        .clone()
}

/// A Python interpreter that has the packages of the set-up.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
    path: PathBuf,
}

/// The Python of the set-up, if it can import all of `modules`.
///
/// # Errors
/// Why there is none, as the reason of a skipped test.
pub fn python(modules: &[&str]) -> Result<Python, String> {
    let (Some(program), Some(path)) = (std::env::var_os(PYTHON), std::env::var_os(PYTHONPATH)) else {
        if std::env::var_os(QUICK).is_some() {
            return Err("left out by `--quick`".to_owned());
        }
        return Err("no Python packages: run `cargo xtask test`, which sets them up".to_owned());
    };
    let python = Python { program: program.into(), path: path.into() };
    static MISSING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    for module in modules {
        if MISSING.lock().expect("no thread panicked").contains(*module) {
            return Err(format!("Python's `{module}` can't be imported"));
        }
        let imported = python.command().args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        if !imported.is_ok_and(|status| status.success()) {
            MISSING.lock().expect("no thread panicked").insert((*module).to_owned());
            return Err(format!("Python's `{module}` can't be imported"));
        }
    }
    Ok(python)
}

impl Python {
    /// A command that starts it with its packages; only PATH of the environment is kept.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PYTHONPATH", &self.path).env("PYTHONDONTWRITEBYTECODE", "1").env("LANG", "C.UTF-8");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script text with arguments and returns its stdout.
    ///
    /// # Panics
    /// With its stderr where it fails.
    #[must_use]
    pub fn run(&self, script: &str, arguments: &[&Path]) -> String {
        let output = self.command().arg("-c").arg(script).args(arguments).output().expect("Python starts");
        assert!(
            output.status.success(),
            "Python failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Whether a process may make its own mounts in a user namespace, as gonda's isolation does.
#[must_use]
pub fn private_mounts() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        cfg!(target_os = "linux")
            && Command::new("unshare")
                .args(["--user", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    })
}

/// The machine's C compiler and its major version, for `gonda channel bootstrap --system-cc` and the variant that asks
/// for it.
///
/// # Errors
/// Why there is none, as the reason of a skipped test.
pub fn system_cc() -> Result<(PathBuf, String), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let gcc = std::env::split_paths(&path).map(|folder| folder.join("gcc")).find(|path| path.is_file());
    let gcc = gcc.ok_or("the machine has no gcc to package")?;
    let version =
        Command::new(&gcc).arg("-dumpversion").output().map_err(|error| format!("gcc can't be run: {error}"))?;
    let version = String::from_utf8_lossy(&version.stdout).trim().split('.').next().unwrap_or_default().to_owned();
    if version.is_empty() { Err("gcc doesn't tell its version".to_owned()) } else { Ok((gcc, version)) }
}

/// The folder of a zig distribution, for `gonda channel bootstrap --zig`: the one that `ZIG` names – it, or the program in
/// it – else that of the `zig` on PATH.
///
/// # Errors
/// Why there is none, as the reason of a skipped test.
pub fn zig() -> Result<PathBuf, String> {
    let named = std::env::var_os("ZIG").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| {
        let mut programs = std::env::split_paths(&path).map(|folder| folder.join("zig"));
        programs.find(|program| program.is_file())
    });
    let found =
        found.and_then(|found| found.canonicalize().ok()).ok_or("the machine has no zig, nor names `ZIG` one")?;
    let folders = found.ancestors().take(3);
    let distribution = folders
        .into_iter()
        .find(|folder| folder.join("lib/std/std.zig").is_file() || folder.join("lib/zig/std/std.zig").is_file());
    distribution.map(Path::to_path_buf).ok_or_else(|| format!("`{}` belongs to no zig distribution", found.display()))
}

/// A channel with the real Go toolchain, and with go-licenses and the machine's C compiler where they can be had; made
/// once by `gonda channel bootstrap` and kept below `folder` for as long as the binary and the SDK stay the same.
///
/// # Errors
/// Why there is none, as the reason of a skipped test.
///
/// # Panics
/// Where gonda can't make it.
pub fn toolchain_channel(gonda: &Path, folder: &Path) -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if let Some(channel) = std::env::var_os(TOOLCHAIN_CHANNEL) {
        return Ok(PathBuf::from(channel));
    }
    let go_root = go_root()?;
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut key = fs_err::read(gonda).expect("the gonda binary");
    key.extend(fs_err::read(go_root.join("VERSION")).expect("the SDK's VERSION"));
    let go_licenses = std::env::var_os(GO_LICENSES);
    key.extend(format!("{go_licenses:?}").into_bytes());
    let key = sha256(&key);
    let channels = folder.join("toolchain-channel");
    let channel = channels.join(&key[..16]);
    if !channel.is_dir() {
        // Channels of former binaries are of no use any more.
        let _ = fs_err::remove_dir_all(&channels);
        let mut world = World::new(gonda);
        world.env("GONDA_GOPROXY", "off").env("GONDA_GOSUMDB", "off");
        let made = world.path("channel");
        let mut arguments: Vec<OsString> =
            vec!["channel".into(), "bootstrap".into(), "--go-root".into(), go_root.into()];
        arguments.extend(["--output".into(), made.clone().into()]);
        if let Some(source) = &go_licenses {
            arguments.extend(["--go-licenses".into(), source.clone()]);
        }
        if let Ok((compiler, _)) = system_cc() {
            arguments.extend(["--system-cc".into(), compiler.into()]);
        }
        world.gonda(arguments).succeeds();
        fs_err::create_dir_all(&channels).expect("the folder of channels");
        let aside = channels.join(format!("{}.{}", &key[..16], std::process::id()));
        crate::feedstock::copy_tree(&made, &aside);
        // Another test process may have been first; its channel is the same.
        if fs_err::rename(&aside, &channel).is_err() {
            let _ = fs_err::remove_dir_all(&aside);
        }
    }
    Ok(channel)
}
