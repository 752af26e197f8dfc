//! `cargo xtask demo`: a channel from a Go SDK, and the sample feedstocks built from it for seven targets in one run. Then
//! each package is verified, what is for this machine is installed into a fresh prefix and run, and what is for another
//! Linux machine runs under qemu, where that is installed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gonda_testkit::{ModuleProxy, conda_members};

use crate::project::{build_gonda, native_platform, root, which};
use crate::setup::{self, Python};

/// `cargo xtask demo …`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Use a gonda with all optimisations; compiling it takes minutes longer
    #[arg(long)]
    release: bool,

    /// One sample only, and nothing but a Go SDK set up
    #[arg(long, conflicts_with = "samples")]
    quick: bool,

    /// Samples to build; all by default
    samples: Vec<String>,
}

impl Options {
    fn names(&self, feedstock: &str) -> bool {
        match self.quick {
            true => feedstock == QUICK,
            false => self.samples.is_empty() || self.samples.iter().any(|name| name == feedstock),
        }
    }
}

/// What `--quick` builds.
const QUICK: &str = "slugify";

/// What `gonda build --all-targets` builds for.
const TARGETS: [&str; 7] = ["linux-64", "linux-aarch64", "linux-ppc64le", "osx-64", "osx-arm64", "win-64", "win-arm64"];

/// A package of a sample, and a call of its program that shows that it works.
struct Sample {
    feedstock: &'static str,
    package: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    stdin: &'static str,
    says: &'static str,
}

const SAMPLES: &[Sample] = &[
    sample("tally", "tally", "tally", &["-top", "1"], "to be or not to be\n", "2 be"),
    sample("epochal", "epochal", "epochal", &["0"], "", "1970-01-01T00:00:00Z"),
    sample("hexpair", "hexpair-encode", "tohex", &[], "hi", "6869"),
    sample("hexpair", "hexpair-decode", "fromhex", &[], "6869", "hi"),
    sample("orrery", "orrery", "orrery", &["0"], "", "jupiter"),
    sample("glossary", "glossary", "glossary", &["channel"], "", "A folder of packages"),
    sample("slugify", "slugify", "slugify", &["Hello, World"], "", "hello-world"),
    sample("lumen", "lumen", "lumen", &["luminance", "orange"], "", "0.4817"),
    sample("adlersum", "adlersum", "adlersum", &[], "Wikipedia", "11e60398"),
];

const fn sample(
    feedstock: &'static str,
    package: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    stdin: &'static str,
    says: &'static str,
) -> Sample {
    Sample { feedstock, package, program, arguments, stdin, says }
}

/// A line of the closing table: what became of a sample's packages.
struct Line {
    package: String,
    /// How many targets it was built for.
    targets: usize,
    installed: Result<String>,
    /// Where its program ran, and what it said.
    ran: Result<(Vec<&'static str>, String)>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    let native = native_platform()?;
    if let Some(unknown) = options.samples.iter().find(|name| SAMPLES.iter().all(|sample| sample.feedstock != **name)) {
        bail!("there is no sample `{unknown}`: see `recipes/`");
    }
    setup::crates()?;
    let gonda = build_gonda(options.release)?;
    let go_root = setup::go_root()?;
    let clients = if options.quick { None } else { setup::optional("py-rattler", setup::clients()) };
    let go_licenses = match options.names("lumen") {
        true => setup::optional("the source of go-licenses", setup::go_licenses(&go_root)),
        false => None,
    };
    let compiler = match options.names("adlersum") && cfg!(target_os = "linux") {
        true => gonda_testkit::system_cc().ok(),
        false => None,
    };

    // The work folder of a build may not lie below a repository, so the demo's home is a temporary folder.
    let home = tempfile::Builder::new().prefix("gonda-demo-").tempdir()?;
    let stage = Stage::new(home.path(), gonda)?;
    let channel = stage.path("channel");
    let mut bootstrap: Vec<OsString> = vec!["channel".into(), "bootstrap".into(), "--go-root".into(), go_root.into()];
    bootstrap.extend(["--output".into(), channel.clone().into()]);
    if let Some(source) = &go_licenses {
        bootstrap.extend(["--go-licenses".into(), source.into()]);
    }
    if let Some((compiler, _)) = &compiler {
        bootstrap.extend(["--system-cc".into(), compiler.into()]);
    }
    stage.gonda(&bootstrap)?;

    let mut left_out = Vec::new();
    let mut samples = Vec::new();
    for sample in SAMPLES.iter().filter(|sample| options.names(sample.feedstock)) {
        let lacks = match sample.feedstock {
            "lumen" if go_licenses.is_none() => Some("go-licenses"),
            "adlersum" if compiler.is_none() => Some("a C compiler"),
            _ => None,
        };
        match lacks {
            Some(lacks) => left_out.push(format!("{}: there is no {lacks} here", sample.package)),
            None => samples.push(sample),
        }
    }
    let mut feedstocks: Vec<&str> = samples.iter().map(|sample| sample.feedstock).collect();
    feedstocks.dedup();
    let mut build: Vec<OsString> = vec!["build".into()];
    build.extend(feedstocks.iter().map(|name| root().join(format!("recipes/{name}-feedstock")).into_os_string()));
    build.extend(["-c".into(), channel.clone().into(), "--output-dir".into(), stage.path("packages").into()]);
    build.extend(["--all-targets", "--test", "native-and-emulated"].map(OsString::from));
    if let Some((_, version)) = compiler.as_ref().filter(|_| feedstocks.contains(&"adlersum")) {
        // The variant pins conda-forge's version of the compiler, the channel has the machine's.
        build.extend(["--variants".into(), format!("{{c_compiler_version: '{version}'}}").into()]);
    }
    let built = Instant::now();
    stage.gonda(&build)?;
    let built = built.elapsed();

    let mut lines = Vec::new();
    let mut verify: Vec<OsString> = vec!["verify".into()];
    for sample in &samples {
        let packages = stage.packages(sample.package)?;
        verify.extend(packages.iter().map(|(_, path)| path.clone().into_os_string()));
        let of_this_machine = packages.iter().find(|(target, _)| *target == native).map(|(_, path)| path);
        let installed = match of_this_machine {
            Some(package) => stage.install(clients.as_ref(), sample, package, &channel),
            None => Ok(String::new()),
        };
        lines.push(Line {
            package: sample.package.to_owned(),
            targets: packages.len(),
            ran: stage.run_everywhere(native, clients.is_some() && installed.is_ok(), sample, &packages),
            installed,
        });
    }
    println!("\n$ gonda verify packages/*/*.conda");
    stage.gonda_quietly(&verify)?;

    print_table(native, &lines);
    for line in left_out {
        println!("left out: {line}");
    }
    let mut failed = 0;
    for line in &lines {
        for error in line.installed.as_ref().err().into_iter().chain(line.ran.as_ref().err()) {
            failed += 1;
            eprintln!("{}: {error:#}", line.package);
        }
    }
    if failed > 0 {
        bail!("{failed} steps of the demo failed");
    }
    println!(
        "\n{} packages built and tested in {} s, all of them verified; the demo took {} s",
        verify.len() - 1,
        built.as_secs(),
        begin.elapsed().as_secs()
    );
    Ok(())
}

/// What runs a Linux target's programs on a Linux machine: the first of these programs that is installed, with the folder
/// that has the target's C library, for Go's position-independent programs name a loader.
const EMULATORS: [(&str, [&str; 2], &str); 2] = [
    ("linux-aarch64", ["qemu-aarch64-static", "qemu-aarch64"], "/usr/aarch64-linux-gnu"),
    ("linux-ppc64le", ["qemu-ppc64le-static", "qemu-ppc64le"], "/usr/powerpc64le-linux-gnu"),
];

/// The command that runs a target's programs here, without the program.
fn emulator(target: &str) -> Option<Command> {
    let (_, programs, libraries) = EMULATORS.iter().find(|(name, ..)| *name == target)?;
    let program = programs.iter().find_map(|program| which(program)).filter(|_| cfg!(target_os = "linux"))?;
    let mut command = Command::new(program);
    if Path::new(libraries).is_dir() {
        command.args(["-L", libraries]);
    }
    Some(command)
}

/// The demo's folder and environment.
struct Stage {
    folder: PathBuf,
    gonda: PathBuf,
    goproxy: String,
}

impl Stage {
    fn new(folder: &Path, gonda: PathBuf) -> Result<Self> {
        let folder = fs_err::canonicalize(folder)?;
        let goproxy = ModuleProxy::of_modules(folder.join("module-proxy"), &root().join("recipes/modules")).url();
        fs_err::create_dir_all(folder.join("packages"))?;
        Ok(Self { folder, gonda, goproxy })
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.gonda);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
            .env("GONDA_CACHE_DIR", self.path("cache"))
            .env("GONDA_GOPROXY", &self.goproxy)
            .env("GONDA_GOSUMDB", "off");
        command
    }

    /// Shows the command as one would type it, and runs it.
    fn gonda(&self, arguments: &[OsString]) -> Result<()> {
        let folder = format!("{}/", self.folder.display());
        let project = format!("{}/", root().display());
        let shown: Vec<String> = arguments
            .iter()
            .map(|argument| quoted(&argument.to_string_lossy().replace(&folder, "").replace(&project, "")))
            .collect();
        println!("\n$ gonda {}", shown.join(" "));
        crate::project::run(&mut self.command(arguments)).with_context(|| format!("gonda {}", shown.join(" ")))
    }

    fn gonda_quietly(&self, arguments: &[OsString]) -> Result<()> {
        crate::project::output(&mut self.command(arguments)).map(drop)
    }

    /// The packages of that name, by target.
    fn packages(&self, name: &str) -> Result<Vec<(&'static str, PathBuf)>> {
        let mut found = Vec::new();
        for target in TARGETS {
            let folder = self.path("packages").join(target);
            for entry in fs_err::read_dir(folder).into_iter().flatten() {
                let path = entry?.path();
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
                if rest.is_some_and(|rest| rest.ends_with(".conda") && rest.starts_with(|c: char| c.is_ascii_digit())) {
                    found.push((target, path));
                }
            }
        }
        if found.is_empty() {
            bail!("gonda left no package `{name}`");
        }
        Ok(found)
    }

    fn prefix(&self, sample: &Sample) -> PathBuf {
        self.path("prefixes").join(sample.package)
    }

    /// With py-rattler where it can be had; else gonda's own test of the finished package stands for it.
    fn install(&self, clients: Option<&Python>, sample: &Sample, package: &Path, channel: &Path) -> Result<String> {
        let Some(python) = clients else {
            self.gonda_quietly(&["test".into(), package.into(), "-c".into(), channel.into()])?;
            return Ok("gonda test".to_owned());
        };
        let file = package.file_name().unwrap_or_default().to_string_lossy();
        let version =
            file.strip_prefix(sample.package).and_then(|rest| rest[1..].split('-').next()).unwrap_or_default();
        let mut command = python.command();
        command.arg("-c").arg(include_str!("../../tests/it/python/install.py"));
        let folders = [self.path("packages"), self.prefix(sample), self.path("client-cache")];
        command.args(folders.iter().map(|path| path.as_os_str()));
        crate::project::output(command.args([OsStr::new(sample.package), OsStr::new(version)]))?;
        Ok("py-rattler".to_owned())
    }

    /// Runs a sample's program for each target that this machine can run, and returns which these were and what it said.
    fn run_everywhere(
        &self,
        native: &str,
        installed: bool,
        sample: &Sample,
        packages: &[(&'static str, PathBuf)],
    ) -> Result<(Vec<&'static str>, String)> {
        let mut ran = Vec::new();
        let mut said = String::new();
        for (target, package) in packages {
            let command = if *target == native {
                match self.prefix(sample).join("bin").join(sample.program) {
                    program if installed && program.is_file() => Command::new(program),
                    _ => Command::new(self.unpack(target, sample, package)?),
                }
            } else if let Some(mut command) = emulator(target) {
                command.arg(self.unpack(target, sample, package)?);
                command
            } else {
                continue;
            };
            said = self.call(command, sample).with_context(|| format!("the program for {target}"))?;
            ran.push(*target);
        }
        Ok((ran, said))
    }

    /// A package's program, taken out of the archive without gonda's help.
    fn unpack(&self, target: &str, sample: &Sample, package: &Path) -> Result<PathBuf> {
        let folder = self.path("programs").join(target);
        fs_err::create_dir_all(&folder)?;
        let names = [format!("bin/{}", sample.program), format!("Library/bin/{}.exe", sample.program)];
        let members = conda_members(&fs_err::read(package)?);
        let member = members.into_iter().find(|member| names.contains(&member.path));
        let member = member.with_context(|| format!("`{}` is not in `{}`", sample.program, package.display()))?;
        let program = folder.join(Path::new(&member.path).file_name().unwrap_or_default());
        fs_err::write(&program, member.content)?;
        #[cfg(unix)]
        fs_err::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(program)
    }

    fn call(&self, mut command: Command, sample: &Sample) -> Result<String> {
        let input = self.path("stdin");
        fs_err::write(&input, sample.stdin)?;
        let output =
            command.args(sample.arguments).env_clear().stdin(fs_err::File::open(&input)?.into_parts().0).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.contains(sample.says)).map(|line| line.trim().to_owned());
        match line {
            Some(line) if output.status.success() => Ok(line),
            _ => bail!("`{}` did not say `{}` but `{}` ({})", sample.program, sample.says, said.trim(), output.status),
        }
    }
}

/// As one would have to type it in a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn print_table(native: &str, lines: &[Line]) {
    let failed = || "FAILED".to_owned();
    let mut rows = vec![["package", "targets", "installed by", "ran on", "and said"].map(str::to_owned)];
    for line in lines {
        let (ran, said) = match &line.ran {
            Ok((ran, said)) => (ran.join(", "), said.clone()),
            Err(_) => (failed(), String::new()),
        };
        let installed = line.installed.as_ref().map_or_else(|_| failed(), Clone::clone);
        rows.push([line.package.clone(), line.targets.to_string(), installed, ran, said]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    println!();
    for (number, row) in rows.iter().enumerate() {
        let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
        if number == 0 {
            println!("{}", widths.map(|width| "-".repeat(width)).join("  "));
        }
    }
    for (target, programs, _) in EMULATORS.iter().filter(|(target, ..)| *target != native) {
        if emulator(target).is_none() {
            println!("programs for {target} did not run: `{}` is not installed", programs[0]);
        }
    }
}
