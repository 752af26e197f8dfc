//! Where things are, and how programs are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The project's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// `<target folder>/xtask`, made.
pub(crate) fn scratch() -> Result<PathBuf> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    let target = match TARGET.get() {
        Some(target) => target.clone(),
        None => {
            let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?;
            TARGET.get_or_init(|| metadata.target_directory.into_std_path_buf()).clone()
        }
    };
    let folder = target.join("xtask");
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}

/// The cargo that runs us, in the project's root.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Builds the gonda binary and returns its path.
pub(crate) fn build_gonda(release: bool) -> Result<PathBuf> {
    build("gonda", release)
}

/// Builds the binary of a package that bears the package's name, and returns its path.
pub(crate) fn build(package: &str, release: bool) -> Result<PathBuf> {
    let mut command = cargo(["build", "--package", package, "--bin", package, "--locked"]);
    if release {
        command.arg("--release");
    }
    executable(command, package)
}

/// Builds the program that a bench of packing starts, for release. gonda is named beside it, so that both are made of the
/// same crates.
pub(crate) fn build_packer() -> Result<PathBuf> {
    let arguments = ["build", "--release", "--package", "gonda", "--package", "gonda-packager", "--bin", "pack"];
    let mut command = cargo(arguments);
    command.arg("--locked");
    executable(command, "pack")
}

/// Runs cargo, and returns the program of that name that it has built.
fn executable(mut command: Command, name: &str) -> Result<PathBuf> {
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).stdin(Stdio::null()).output().context("cargo can't be started")?;
    if !output.status.success() {
        bail!("{name} could not be built");
    }
    for message in cargo_metadata::Message::parse_stream(&*output.stdout) {
        if let cargo_metadata::Message::CompilerArtifact(artifact) = message?
            && let Some(executable) = artifact.executable
            && artifact.target.name == name
        {
            return Ok(executable.into_std_path_buf());
        }
    }
    bail!("cargo built no program {name}");
}

/// Runs a command to its end with our stdout and stderr.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("{} can't be started", name(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", name(command));
    }
    Ok(())
}

/// Runs a command and returns its stdout; its stderr belongs to the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{} can't be started", name(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.trim().lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{} failed: {}\n{}", name(command), output.status, last.join("\n"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command's program and arguments, for people.
pub(crate) fn name(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Finds a program on the path.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

/// conda's name for the machine that we run on.
pub(crate) fn native_platform() -> Result<&'static str> {
    Ok(match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-64",
        ("linux", "aarch64") => "linux-aarch64",
        ("linux", "powerpc64") => "linux-ppc64le",
        ("macos", "x86_64") => "osx-64",
        ("macos", "aarch64") => "osx-arm64",
        ("windows", "x86_64") => "win-64",
        ("windows", "aarch64") => "win-arm64",
        (os, arch) => bail!("`{os}`/`{arch}` is no platform that gonda builds on"),
    })
}
