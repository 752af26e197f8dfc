//! The variables that a batch file starts with: those of the process in Windows' form, and those that Windows itself sets.

use std::path::Path;

use gonda_batch::translate;

/// Variables of a unix shell's own, which say nothing to a batch file.
const OF_SHELLS: &[&str] = &["PWD", "OLDPWD", "SHLVL", "_", "SHELL"];

/// What Windows sets for every process, or from what of ours its value comes. Programs such as `make` look at `OS` to
/// find out whether files end in `.exe`, and those that a batch file starts must come to the same answer as on Windows.
const OF_WINDOWS: &[(&str, Source)] = &[
    ("OS", Source::Text("Windows_NT")),
    ("PATHEXT", Source::Text(".COM;.EXE;.BAT;.CMD")),
    ("ComSpec", Source::Text("C:\\Windows\\System32\\cmd.exe")),
    ("SystemRoot", Source::Text("C:\\Windows")),
    ("SystemDrive", Source::Text("C:")),
    ("windir", Source::Text("C:\\Windows")),
    ("PROMPT", Source::Text("$P$G")),
    ("TEMP", Source::Of("TMPDIR", "")),
    ("TMP", Source::Of("TMPDIR", "")),
    ("USERPROFILE", Source::Of("HOME", "")),
    ("APPDATA", Source::Of("HOME", "\\AppData\\Roaming")),
    ("LOCALAPPDATA", Source::Of("HOME", "\\AppData\\Local")),
    ("NUMBER_OF_PROCESSORS", Source::Of("CPU_COUNT", "")),
];

enum Source {
    Text(&'static str),
    /// Another variable's value, with this behind it.
    Of(&'static str, &'static str),
}

/// All variables for a script. `translated`: the environment is a unix one, whose paths become Windows paths.
pub(super) fn of_windows(
    environment: impl Iterator<Item = (String, String)>,
    translated: bool,
) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = environment
        .filter(|(name, _)| !translated || !OF_SHELLS.contains(&name.as_str()))
        .map(|(name, value)| if translated { (name, in_windows_form(value)) } else { (name, value) })
        .collect();
    let value_of = |variables: &[(String, String)], wanted: &str| {
        let found = variables.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    for (name, source) in OF_WINDOWS {
        if value_of(&variables, name).is_some() {
            continue;
        }
        let value = match source {
            Source::Text(text) => Some((*text).to_owned()),
            Source::Of(other, behind) => value_of(&variables, other).map(|value| value + behind),
        };
        variables.extend(value.map(|value| ((*name).to_owned(), value)));
    }
    variables
}

/// A path, or a list of paths, that this machine has. `/nologo` and the like stay as they are.
fn in_windows_form(value: String) -> String {
    let is_here = |part: &str| {
        let top = part.trim_start_matches('/').split('/').next().unwrap_or_default();
        Path::new("/").join(top).is_dir()
    };
    if value.split(':').filter(|part| !part.is_empty()).all(is_here) {
        translate::variable_for_script(&value)
    } else {
        value
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_sees() {
        let environment = [
            ("PREFIX", "/usr/x_env"),
            ("PATH", "/usr/bin:/bin"),
            ("CL", "/nologo"),
            ("CYGWIN_PREFIX", "/cygdrive/c/usr/x_env"),
            ("GOFLAGS", "-trimpath"),
            ("TMPDIR", "/tmp"),
            ("PWD", "/tmp"),
            ("Temp", "/usr"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = of_windows(environment.clone().into_iter(), true);
        let check = |name: &str, expected: Option<&str>| {
            let found = variables.iter().find(|(known, _)| known == name);
            assert_eq!(found.map(|(_, value)| value.as_str()), expected, "{name}");
        };
        check("PREFIX", Some("C:\\usr\\x_env"));
        check("PATH", Some("C:\\usr\\bin;C:\\bin"));
        check("CL", Some("/nologo"));
        check("CYGWIN_PREFIX", Some("/cygdrive/c/usr/x_env"));
        check("GOFLAGS", Some("-trimpath"));
        check("TMP", Some("C:\\tmp"));
        check("TEMP", None);
        check("PWD", None);
        check("OS", Some("Windows_NT"));
        let kept = of_windows(environment.into_iter(), false);
        assert!(kept.contains(&("PREFIX".to_owned(), "/usr/x_env".to_owned())));
    }
}
