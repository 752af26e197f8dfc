//! What the toolchain itself says it builds for, asked before the script starts: `go env` answers from the variables that
//! activation has set and from the toolchain's own files, so that what the script will get is known, not supposed.
//!
//! The question stands at the end of the script's own setup, so that it costs one `go env` and no other process. Where Go
//! gives no answer, the script finds out why by itself.

use std::path::Path;

use rattler_conda_types::{PrefixRecord, Subdir};

use super::Settings;
use crate::golang::go_platform;
use crate::{Error, Kind};

/// How the line begins by which a script's setup tells that the answer is another one.
const MARK: &str = "gonda: the Go toolchain answers";
/// What is asked, in this order; the last only where the plan says what it should be.
const NAMES: [&str; 3] = ["GOOS", "GOARCH", "CGO_ENABLED"];

/// What the toolchain should answer, a value for each of the first [`NAMES`].
fn expected(settings: &Settings, target: Subdir) -> Vec<&'static str> {
    let Some((os, arch)) = go_platform(target) else { return Vec::new() };
    let cgo = settings.cgo.map(|cgo| if cgo { "1" } else { "0" });
    [os, arch].into_iter().chain(cgo).collect()
}

/// The question and the comparison, for a POSIX shell. Nothing without Go in the build environment.
pub(super) fn ask_sh(settings: &Settings, target: Subdir) -> String {
    let expected = expected(settings, target);
    if settings.go_version.is_none() || expected.is_empty() {
        return String::new();
    }
    let names = NAMES[..expected.len()].join(" ");
    format!(
        "gonda_answer=$(go env {names} 2>/dev/null) || gonda_answer=\n\
         case $gonda_answer in\n    '' | '{}') unset gonda_answer ;;\n    \
         *) echo '{MARK}' $gonda_answer >&2; exit 1 ;;\nesac\n",
        expected.join("\n")
    )
}

/// The same for cmd.exe.
pub(super) fn ask_bat(settings: &Settings, target: Subdir) -> String {
    let expected = expected(settings, target);
    if settings.go_version.is_none() || expected.is_empty() {
        return String::new();
    }
    let names = NAMES[..expected.len()].join(" ");
    let lines = [
        "set \"GONDA_ANSWER=\"".to_owned(),
        format!(
            "for /f \"delims=\" %%a in ('go env {names} 2^>nul') do call set \"GONDA_ANSWER=%%GONDA_ANSWER%% %%a\""
        ),
        format!("if not \"%GONDA_ANSWER%\" == \"\" if not \"%GONDA_ANSWER%\" == \" {}\" (", expected.join(" ")),
        format!("    echo {MARK}%GONDA_ANSWER% 1>&2"),
        "    exit 1".to_owned(),
        ")".to_owned(),
        "set \"GONDA_ANSWER=\"".to_owned(),
    ];
    lines.map(|line| line + "\r\n").concat()
}

/// What a shell says when the activation contradicts the target before any toolchain is asked; `values` are the shell's
/// for GOOS and GOARCH.
pub(super) fn complaint(values: &str) -> String {
    format!("{MARK} {values}")
}

/// Why a script ended before it began, if its last lines tell that the toolchain builds for something else: which value is
/// another one, and which package of the build environment sets it.
#[must_use]
pub fn contradiction(last_lines: &[String], settings: &Settings, target: Subdir, build_prefix: &Path) -> Option<Error> {
    let said = last_lines.iter().rev().find_map(|line| line.strip_prefix(MARK))?;
    let (expected, said): (Vec<_>, Vec<_>) = (expected(settings, target), said.split_whitespace().collect());
    let triples = NAMES.iter().zip(&expected).zip(&said).map(|((name, wanted), said)| (*name, *wanted, *said));
    let (name, wanted, said) = triples.into_iter().find(|(_, wanted, said)| wanted != said)?;
    let (meant, advice) = if name == "CGO_ENABLED" {
        let flavour = if wanted == "1" { "cgo" } else { "nocgo" };
        (
            format!("the build environment has the toolchain `go-{flavour}_{target}`, which is for `{name}={wanted}`"),
            "ask for `{{ compiler('go') }}` to build without cgo, for `{{ compiler('cgo') }}` to build with it, and leave \
             `CGO_ENABLED` alone elsewhere",
        )
    } else {
        (
            format!("target platform `{target}` is `{name}={wanted}`"),
            "the build requirements must hold a Go toolchain for the target, which `{{ compiler('go') }}` asks for, and no \
             package that sets it otherwise",
        )
    };
    let who = match setters(name, said, build_prefix).as_slice() {
        [] => format!("no package of the build environment sets `{name}={said}`: it is the toolchain's own answer"),
        packages => format!("`{name}={said}` is what {} says", packages.join(", ")),
    };
    let message = format!("the Go toolchain answers `{name}={said}`, but {meant}");
    Some(Error::new(Kind::Usage, message).help(format!("{who}; {advice}")))
}

/// The packages of an environment whose activation sets a variable to a value.
fn setters(name: &str, value: &str, prefix: &Path) -> Vec<String> {
    let records: Vec<PrefixRecord> = PrefixRecord::collect_from_prefix(prefix).unwrap_or_default();
    let sets = |text: &str| {
        // A line of a shell script, or a member of a JSON object.
        let plain: String = text.chars().filter(|c| !c.is_whitespace() && !"\"'".contains(*c)).collect();
        plain.contains(&format!("{name}={value}")) || plain.contains(&format!("{name}:{value}"))
    };
    let mut found = Vec::new();
    for record in &records {
        let package = record.repodata_record.package_record.name.as_normalized();
        for file in &record.files {
            let of_activation = file.starts_with("etc/conda/env_vars.d") || file.starts_with("etc/conda/activate.d");
            if of_activation && std::fs::read_to_string(prefix.join(file)).is_ok_and(|text| sets(&text)) {
                found.push(format!("package `{package}` in `{}`", file.display()));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cgo: Option<bool>) -> Settings {
        Settings { go_version: Some((1, 26)), cgo, ..Settings::default() }
    }

    #[test]
    fn questions() {
        let text = ask_sh(&settings(Some(false)), Subdir::Win64);
        let expected = "\
gonda_answer=$(go env GOOS GOARCH CGO_ENABLED 2>/dev/null) || gonda_answer=
case $gonda_answer in
    '' | 'windows
amd64
0') unset gonda_answer ;;
    *) echo 'gonda: the Go toolchain answers' $gonda_answer >&2; exit 1 ;;
esac
";
        assert_eq!(text, expected);
        assert!(ask_sh(&settings(None), Subdir::Win64).contains("go env GOOS GOARCH 2>"));
        assert_eq!(ask_sh(&settings(None), Subdir::NoArch), "");
        assert_eq!(ask_sh(&Settings::default(), Subdir::Linux64), "");
        assert!(ask_bat(&settings(Some(true)), Subdir::WinArm64).contains("== \" windows arm64 1\" (\r\n"));
    }

    /// What follows from a script's last line.
    fn check(line: &str, cgo: Option<bool>, expected: &str) {
        let prefix = tempfile::tempdir().unwrap();
        let lines = ["+ true".to_owned(), line.to_owned()];
        let error = contradiction(&lines, &settings(cgo), Subdir::LinuxAarch64, prefix.path());
        let text =
            error.map(|error| format!("{error}\n{}", error.help.as_deref().unwrap_or_default())).unwrap_or_default();
        assert!(text.starts_with(expected) && text.is_empty() == expected.is_empty(), "{text}");
    }

    #[test]
    fn contradictions() {
        check("make: *** [all] Error 1", None, "");
        check("gonda: the Go toolchain answers linux arm64 0", Some(false), "");
        check(
            "gonda: the Go toolchain answers linux amd64 0",
            Some(false),
            "the Go toolchain answers `GOARCH=amd64`, but target platform `linux-aarch64` is `GOARCH=arm64`\n\
             no package of the build environment sets `GOARCH=amd64`",
        );
        check(
            "gonda: the Go toolchain answers linux arm64 1",
            Some(false),
            "the Go toolchain answers `CGO_ENABLED=1`, but the build environment has the toolchain \
             `go-nocgo_linux-aarch64`, which is for `CGO_ENABLED=0`",
        );
        check("gonda: the Go toolchain answers plan9", None, "the Go toolchain answers `GOOS=plan9`, but target");
    }
}
