//! The interpreters that v1 scripts may name (rattler_build_script, `interpreter/mod.rs`), or mean by a file's extension.

use std::path::Path;

use crate::{Error, Kind, Result};

/// An interpreter of scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// As recipes name it.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: &'static str,
    /// Arguments before the file.
    pub(super) args: &'static [&'static str],
    /// The extension of its files.
    pub(super) extension: &'static str,
    /// It must be in the build environment: a machine's own won't do.
    pub(super) build_only: bool,
}

const fn interpreter(name: &'static str, program: &'static str, extension: &'static str) -> Interpreter {
    Interpreter { name, program, args: &[], extension, build_only: false }
}

const KNOWN: &[Interpreter] = &[
    interpreter("bash", "bash", "sh"),
    interpreter("sh", "sh", "sh"),
    Interpreter { args: &["/d", "/c"], ..interpreter("cmd", "cmd", "bat") },
    Interpreter { build_only: true, ..interpreter("brush", "brush", "sh") },
    interpreter("nushell", "nu", "nu"),
    interpreter("nu", "nu", "nu"),
    interpreter("python", "python", "py"),
    interpreter("perl", "perl", "pl"),
    interpreter("rscript", "Rscript", "R"),
    interpreter("ruby", "ruby", "rb"),
    interpreter("node", "node", "js"),
    interpreter("nodejs", "node", "js"),
    Interpreter {
        args: &["-NoLogo", "-NoProfile"],
        build_only: !cfg!(windows),
        ..interpreter("powershell", "pwsh", "ps1")
    },
];

/// What PowerShell needs in front: errors end the script, also those of programs, and variables of the environment
/// can be used without `$Env:`.
pub(super) const POWERSHELL_START: &str = "\
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $true
foreach ($item in Get-ChildItem Env:) {
    if (-not (Test-Path -Path \"Variable:$($item.Name)\")) { Set-Variable -Name $item.Name -Value $item.Value }
}
";

/// The interpreter of a name.
pub(super) fn named(name: &str) -> Result<Interpreter> {
    KNOWN.iter().copied().find(|known| known.name == name).ok_or_else(|| {
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        Error::new(Kind::Usage, format!("the interpreter `{name}` is not known"))
            .help(format!("write one of {}", names.join(", ")))
    })
}

/// The interpreter of a file.
pub(super) fn of_file(file: &Path) -> Option<&'static str> {
    let extension = file.extension()?.to_str()?.to_lowercase();
    Some(match extension.as_str() {
        "sh" | "bash" => "bash",
        "bat" | "cmd" => "cmd",
        "ps1" => "powershell",
        "nu" => "nu",
        "py" => "python",
        "pl" => "perl",
        "r" => "rscript",
        "rb" => "ruby",
        "js" => "nodejs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_files() {
        let check = |file: &str, expected: &str| {
            let found = of_file(Path::new(file)).map_or("", |name| named(name).unwrap().program);
            assert_eq!(found, expected, "{file}");
        };
        check("build.sh", "bash");
        check("a.BAT", "cmd");
        check("x.nu", "nu");
        check("x.R", "Rscript");
        check("x.js", "node");
        check("build", "");
        check("x.txt", "");
        let error = named("nushel").unwrap_err();
        assert_eq!(error.to_string(), "the interpreter `nushel` is not known");
        assert!(error.help.unwrap().contains("bash, sh, cmd"));
    }
}
