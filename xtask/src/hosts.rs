//! `cargo xtask check-hosts`: all of gonda compiles for Windows and macOS too.
//!
//! Where `rustup target add` works, it is used. Else Debian's `cargo-web rustc-web rust-web-src` bring the standard
//! library's source, so that it is compiled along. The C parts of dependencies need a C compiler for the host:
//! mingw for Windows, zig (from PyPI) for macOS.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{cargo, output, root, run as run_command, scratch, which};
use crate::setup;

struct Host {
    name: &'static str,
    target: &'static str,
}

const HOSTS: &[Host] = &[
    Host { name: "Windows", target: "x86_64-pc-windows-gnu" },
    Host { name: "macOS", target: "aarch64-apple-darwin" },
];

pub(crate) fn run() -> Result<()> {
    let mut failed = Vec::new();
    for host in HOSTS {
        println!("== {} ({})", host.name, host.target);
        if let Err(error) = check(host) {
            eprintln!("error: {error:#}");
            failed.push(host.name);
        }
    }
    if !failed.is_empty() {
        bail!("gonda was not seen to compile for {}", failed.join(" and "));
    }
    println!("gonda compiles for Windows and macOS");
    Ok(())
}

fn check(host: &Host) -> Result<()> {
    let mut command = toolchain(host)?;
    let underscored = host.target.replace('-', "_");
    if host.target.contains("windows") {
        let gcc = "x86_64-w64-mingw32-gcc";
        if which(gcc).is_none() {
            bail!("there is no `{gcc}`: install Debian's package mingw-w64");
        }
    } else {
        let tools = zig_tools()?;
        command.env(format!("CC_{underscored}"), &tools.cc).env(format!("AR_{underscored}"), &tools.ar);
    }
    // Its own target folder: another compiler would make cargo build everything anew in the usual one.
    command.args(["check", "--locked", "--package", "gonda", "--target", host.target]);
    command.arg("--target-dir").arg(scratch()?.join("hosts"));
    run_command(&mut command)
}

/// cargo with a standard library for the host.
fn toolchain(host: &Host) -> Result<Command> {
    let mut why = Vec::new();
    if which("rustup").is_some() {
        match output(Command::new("rustup").args(["target", "add", host.target]).current_dir(root())) {
            Ok(_) => return Ok(cargo([])),
            Err(error) => why.push(format!("rustup: {error:#}")),
        }
    }
    match debian_source() {
        Ok(()) => {
            let mut command = Command::new("/usr/bin/cargo");
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders)?).env("RUSTC_BOOTSTRAP", "1").current_dir(root());
            // What the rustup cargo that runs us has set would win over Debian's rustc.
            for name in ["RUSTUP_TOOLCHAIN", "RUSTC", "CARGO"] {
                command.env_remove(name);
            }
            command.arg("-Zbuild-std");
            Ok(command)
        }
        Err(error) => {
            why.push(format!("Debian: {error:#}"));
            bail!(
                "there is no standard library for {}: let rustup add it, or install Debian's packages rustc-web, \
                 cargo-web and rust-web-src\n{}",
                host.target,
                why.join("\n")
            )
        }
    }
}

fn debian_source() -> Result<()> {
    if !Path::new("/usr/bin/cargo").exists() {
        bail!("`/usr/bin/cargo` is missing");
    }
    let sysroot = output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).env_remove("RUSTUP_TOOLCHAIN"))?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
    fs_err::metadata(source).map(drop).context("the standard library's source is missing")
}

struct ZigTools {
    cc: PathBuf,
    ar: PathBuf,
}

/// `zig cc` behind a script that drops what only Apple's clang understands.
fn zig_tools() -> Result<ZigTools> {
    let python = setup::zig().context("zig, the C compiler for macOS, comes from PyPI with pip")?;
    let folder = scratch()?.join("zig-tools");
    fs_err::create_dir_all(&folder)?;
    let (program, path) = (python.program.display(), python.path.display());
    let start = format!("#!/bin/bash\nexport PYTHONPATH='{path}'\n");
    let cc = format!(
        "{start}arguments=()\nwhile [[ $# -gt 0 ]]; do\n  case $1 in\n    --target=*|-mmacosx-version-min=*|-gdwarf-2) ;;\n    \
         -arch) shift ;;\n    *) arguments+=(\"$1\") ;;\n  esac\n  shift\ndone\n\
         exec '{program}' -m ziglang cc -target aarch64-macos \"${{arguments[@]}}\"\n"
    );
    let ar = format!("{start}exec '{program}' -m ziglang ar \"$@\"\n");
    Ok(ZigTools { cc: script(&folder.join("cc"), &cc)?, ar: script(&folder.join("ar"), &ar)? })
}

fn script(path: &Path, text: &str) -> Result<PathBuf> {
    fs_err::write(path, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(path.to_owned())
}
