//! What `conda activate` does, as text: no process is started to find out.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::shell::{bat, bat_set, sh, sh_export};

/// An environment that a script has activated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivatedEnv {
    /// As the script sees it.
    pub prefix: PathBuf,
    /// What its packages export (`etc/conda/env_vars.d/*.json`, `conda-meta/state`).
    pub variables: IndexMap<String, String>,
    /// Its `etc/conda/activate.d` scripts for the shell at hand, in order; paths as seen, or relative to the prefix.
    pub scripts: Vec<String>,
}

/// Activates environments one upon the other, for a POSIX shell: the host environment, then the build environment,
/// whose programs come first. PATH is left alone, for a script's environment has the folders already.
#[must_use]
pub fn activate_sh(envs: &[ActivatedEnv]) -> String {
    let mut text = String::new();
    for (index, env) in envs.iter().enumerate() {
        let prefix = env.prefix.display().to_string();
        text.push_str(&format!("# activate {prefix}\n"));
        for (name, value) in conda_variables(envs, index) {
            text.push_str(&sh_export(&name, &value));
        }
        for (name, value) in &env.variables {
            text.push_str(&sh_export(name, value));
        }
        for script in &env.scripts {
            text.push_str(&format!(". {}\n", sh(&path_in(&env.prefix, script))));
        }
    }
    text
}

/// The same for cmd.exe.
#[must_use]
pub fn activate_bat(envs: &[ActivatedEnv]) -> String {
    let mut text = String::new();
    for (index, env) in envs.iter().enumerate() {
        text.push_str(&format!("@rem activate {}\r\n", env.prefix.display()));
        for (name, value) in conda_variables(envs, index) {
            text.push_str(&bat_set(&name, &value));
        }
        for (name, value) in &env.variables {
            text.push_str(&bat_set(name, value));
        }
        for script in &env.scripts {
            text.push_str(&format!("call {}\r\n", bat(&path_in(&env.prefix, script))));
            text.push_str("if %errorlevel% neq 0 exit /b %errorlevel%\r\n");
        }
    }
    text
}

/// What conda itself sets (`activate.py`, `build_activate` and `build_stack`).
fn conda_variables(envs: &[ActivatedEnv], index: usize) -> Vec<(String, String)> {
    let level = index + 1;
    let prefix = |env: &ActivatedEnv| env.prefix.display().to_string();
    let mut variables = Vec::new();
    if let Some(below) = index.checked_sub(1).and_then(|below| envs.get(below)) {
        variables.push((format!("CONDA_PREFIX_{index}"), prefix(below)));
        variables.push((format!("CONDA_STACKED_{level}"), "true".to_owned()));
    }
    if let Some(env) = envs.get(index) {
        variables.push(("CONDA_PREFIX".to_owned(), prefix(env)));
        variables.push(("CONDA_SHLVL".to_owned(), level.to_string()));
        variables.push(("CONDA_DEFAULT_ENV".to_owned(), prefix(env)));
    }
    variables
}

fn path_in(prefix: &Path, script: &str) -> String {
    prefix.join(script).display().to_string()
}

/// The folders of an environment that go on PATH, in conda's order.
#[must_use]
pub fn path_entries(prefix: &Path, windows: bool) -> Vec<PathBuf> {
    if !windows {
        return vec![prefix.join("bin")];
    }
    let library = prefix.join("Library");
    vec![
        prefix.to_owned(),
        library.join("mingw-w64").join("bin"),
        library.join("usr").join("bin"),
        library.join("bin"),
        prefix.join("Scripts"),
        prefix.join("bin"),
    ]
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn envs() -> Vec<ActivatedEnv> {
        vec![
            ActivatedEnv {
                prefix: "/h".into(),
                variables: [("LIB_A".to_owned(), "it's".to_owned())].into_iter().collect(),
                scripts: vec!["etc/conda/activate.d/a.sh".to_owned()],
            },
            ActivatedEnv {
                prefix: "/b".into(),
                variables: [("GOOS".to_owned(), "linux".to_owned()), ("bad-name".to_owned(), "x".to_owned())]
                    .into_iter()
                    .collect(),
                scripts: vec!["/b/etc/conda/activate.d/z 1.sh".to_owned()],
            },
        ]
    }

    #[test]
    fn posix() {
        let expected = "\
# activate /h
export CONDA_PREFIX=/h
export CONDA_SHLVL=1
export CONDA_DEFAULT_ENV=/h
export LIB_A='it'\\''s'
. /h/etc/conda/activate.d/a.sh
# activate /b
export CONDA_PREFIX_1=/h
export CONDA_STACKED_2=true
export CONDA_PREFIX=/b
export CONDA_SHLVL=2
export CONDA_DEFAULT_ENV=/b
export GOOS=linux
. '/b/etc/conda/activate.d/z 1.sh'
";
        assert_eq!(activate_sh(&envs()), expected);
    }

    #[test]
    fn cmd() {
        let text = activate_bat(&envs()[..1]);
        let expected = "\
@rem activate /h\r
set \"CONDA_PREFIX=/h\"\r
set \"CONDA_SHLVL=1\"\r
set \"CONDA_DEFAULT_ENV=/h\"\r
set \"LIB_A=it's\"\r
call \"/h/etc/conda/activate.d/a.sh\"\r
if %errorlevel% neq 0 exit /b %errorlevel%\r
";
        assert_eq!(text, expected);
    }
}
