//! `cargo xtask demo`: a channel from a Go SDK, the sample feedstocks built from it, and each package verified,
//! installed into a fresh prefix and run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gonda_testkit::ModuleProxy;

use crate::project::{build_gonda, native_platform, root};
use crate::setup::{self, Python};

/// `cargo xtask demo …`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Use a gonda with all optimisations; compiling it takes minutes longer
    #[arg(long)]
    release: bool,

    /// Samples to build; all by default
    samples: Vec<String>,
}

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

/// A line of the closing table.
struct Line {
    package: String,
    cells: [Result<String>; 3],
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    let platform = native_platform()?;
    setup::crates()?;
    let gonda = build_gonda(options.release)?;
    let go_root = setup::go_root()?;
    let clients = setup::optional("py-rattler", setup::clients());
    let go_licenses = setup::optional("the source of go-licenses", setup::go_licenses(&go_root));

    // The work folder of a build may not lie below a repository, so the demo's home is a temporary folder.
    let home = tempfile::Builder::new().prefix("gonda-demo-").tempdir()?;
    let stage = Stage::new(home.path(), gonda)?;
    let channel = stage.path("channel");
    let compiler = if cfg!(target_os = "linux") { gonda_testkit::system_cc().ok() } else { None };
    let mut bootstrap: Vec<OsString> = vec!["channel".into(), "bootstrap".into(), "--go-root".into(), go_root.into()];
    bootstrap.extend(["--output".into(), channel.clone().into()]);
    if let Some(source) = &go_licenses {
        bootstrap.extend(["--go-licenses".into(), source.into()]);
    }
    if let Some((compiler, _)) = &compiler {
        bootstrap.extend(["--system-cc".into(), compiler.into()]);
    }
    stage.gonda(&bootstrap)?;

    let mut lines = Vec::new();
    let mut left_out = Vec::new();
    let mut built: Vec<&str> = Vec::new();
    for sample in SAMPLES {
        if !options.samples.is_empty() && !options.samples.iter().any(|name| name == sample.feedstock) {
            continue;
        }
        let lacks = match sample.feedstock {
            "lumen" if go_licenses.is_none() => Some("go-licenses"),
            "adlersum" if compiler.is_none() => Some("a C compiler"),
            _ => None,
        };
        if let Some(lacks) = lacks {
            left_out.push(format!("{}: there is no {lacks} here", sample.package));
            continue;
        }
        if !built.contains(&sample.feedstock) {
            built.push(sample.feedstock);
            let feedstock = root().join("recipes").join(format!("{}-feedstock", sample.feedstock));
            let mut build: Vec<OsString> = vec!["build".into(), feedstock.into(), "-c".into(), channel.clone().into()];
            build.extend(["--target-platform", platform, "--output-dir"].map(OsString::from));
            build.push(stage.path("packages").into());
            if let ("adlersum", Some((_, version))) = (sample.feedstock, &compiler) {
                // The variant pins conda-forge's version of the compiler, the channel has the machine's.
                build.extend(["--variants".into(), format!("{{c_compiler_version: '{version}'}}").into()]);
            }
            stage.gonda(&build)?;
        }
        let package = stage.package(platform, sample.package)?;
        lines.push(Line {
            package: package.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            cells: [
                stage.gonda_quietly(&["verify".into(), package.clone().into()]).map(|()| "yes".to_owned()),
                stage.install(clients.as_ref(), sample, &package, &channel),
                stage.call(clients.is_some(), sample),
            ],
        });
    }

    print_table(platform, &lines);
    for line in left_out {
        println!("left out: {line}");
    }
    let failed = lines.iter().flat_map(|line| &line.cells).filter(|cell| cell.is_err()).count();
    if failed > 0 {
        for line in &lines {
            for error in line.cells.iter().filter_map(|cell| cell.as_ref().err()) {
                eprintln!("{}: {error:#}", line.package);
            }
        }
        bail!("{failed} steps of the demo failed");
    }
    println!("\n{} packages built, verified, installed and run in {} s", lines.len(), begin.elapsed().as_secs());
    Ok(())
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

    /// The newest package of that name.
    fn package(&self, platform: &str, name: &str) -> Result<PathBuf> {
        let folder = self.path("packages").join(platform);
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            if rest.is_some_and(|rest| rest.ends_with(".conda") && rest.starts_with(|c: char| c.is_ascii_digit())) {
                return Ok(path);
            }
        }
        bail!("gonda left no package `{name}` in `{}`", folder.display())
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

    fn call(&self, installed: bool, sample: &Sample) -> Result<String> {
        if !installed {
            return Ok("by gonda test".to_owned());
        }
        let prefix = self.prefix(sample);
        let program = ["bin", "Library/bin"]
            .into_iter()
            .map(|folder| prefix.join(folder).join(format!("{}{}", sample.program, std::env::consts::EXE_SUFFIX)))
            .find(|path| path.is_file())
            .with_context(|| format!("`{}` is not in `{}`", sample.program, prefix.display()))?;
        let input = self.path("stdin");
        fs_err::write(&input, sample.stdin)?;
        let output = Command::new(program)
            .args(sample.arguments)
            .env_clear()
            .stdin(fs_err::File::open(&input)?.into_parts().0)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.contains(sample.says)).map(|line| line.trim().to_owned());
        match line {
            Some(line) if output.status.success() => Ok(format!("{}: {line}", sample.program)),
            _ => bail!("`{}` did not say `{}` but `{}` ({})", sample.program, sample.says, said.trim(), output.status),
        }
    }
}

/// As one would have to type it in a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn print_table(platform: &str, lines: &[Line]) {
    let cell = |cell: &Result<String>| cell.as_ref().map_or_else(|_| "FAILED".to_owned(), Clone::clone);
    let mut rows = vec![[format!("package ({platform})"), "verified".into(), "installed by".into(), "and run".into()]];
    for Line { package, cells: [verified, installed, run] } in lines {
        rows.push([package.clone(), cell(verified), cell(installed), cell(run)]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    println!();
    for (number, row) in rows.iter().enumerate() {
        let padded: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
        if number == 0 {
            println!("{}", widths.map(|width| "-".repeat(width)).join("  "));
        }
    }
}
