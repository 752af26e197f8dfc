//! v0 scripts, as conda-build runs them (`build.py`, `write_build_scripts`; `windows.py`, `write_build_scripts`).
//!
//! `build_env_setup.sh` exports the environment and activates; `conda_build.sh` sources it and holds the script; it runs
//! as `/bin/bash -o errexit conda_build.sh`. An output's script runs by its extension. For a Windows target on unix,
//! `conda_build.sh` hands `bld.bat` to gonda's own interpreter.

use std::path::Path;

use gonda_recipe::{Script, ScriptContent};

use super::{
    Environment, Job, Prepared, activate_bat, activate_sh, batch_command, crlf, for_windows, golang, missing_script,
    read_script, shell_environment,
};
use crate::shell::{bat, bat_set, sh, sh_export};
use crate::{Error, Kind, Result, host};

const SETUP_SH: &str = "build_env_setup.sh";
const SETUP_BAT: &str = "build_env_setup.bat";

pub(super) fn prepare(job: &Job<'_>, environment: &Environment) -> Result<Vec<Prepared>> {
    let mut prepared = Vec::new();
    for script in &job.output.build.scripts {
        prepared.extend(one(job, script, environment.clone())?);
    }
    Ok(prepared)
}

fn one(job: &Job<'_>, script: &Script, environment: Environment) -> Result<Option<Prepared>> {
    let windows = for_windows(job.output);
    let default = if windows { "bld.bat" } else { "build.sh" };
    let (name, text) = match &script.content {
        ScriptContent::Default => match read_script(job.recipe_dir, Path::new(default))? {
            Some(text) => (None, text),
            None => return Ok(None),
        },
        ScriptContent::Lines(lines) => {
            if !windows && job.output.parent.is_none() && job.recipe_dir.join(default).is_file() {
                let message = "the recipe has a `build.sh` and a `build/script` in `meta.yaml`";
                return Err(
                    Error::new(Kind::Usage, message).help("remove one of the two: conda-build refuses such a recipe")
                );
            }
            (None, lines.join("\n"))
        }
        ScriptContent::File(file) => match read_script(job.recipe_dir, file)? {
            Some(text) => (Some(file.as_path()), text),
            None => return Err(missing_script(job.recipe_dir, file)),
        },
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let runner = runner(job, name, script.interpreter.as_deref())?;
    Ok(Some(if job.output.build_platform.is_windows() {
        bat_script(job, &runner, &text, environment)
    } else {
        sh_script(job, &runner, &text, environment)
    }))
}

/// Text for the build machine's own shell.
pub(super) fn shell_script(job: &Job<'_>, text: &str, environment: Environment) -> Prepared {
    if job.output.build_platform.is_windows() {
        bat_script(job, &Runner::Shell, text, environment)
    } else {
        sh_script(job, &Runner::Shell, text, environment)
    }
}

/// What runs the text.
enum Runner {
    /// The generated script itself.
    Shell,
    /// A program that gets the text in a file of this name.
    Program(Vec<String>, String),
}

/// By the extension of an output's script file, or its `script_interpreter`.
fn runner(job: &Job<'_>, file: Option<&Path>, interpreter: Option<&str>) -> Result<Runner> {
    // Whose scripts they are, and what machine runs them.
    let (windows, on_windows) = (for_windows(job.output), job.output.build_platform.is_windows());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let extension = file.and_then(Path::extension).and_then(|extension| extension.to_str()).unwrap_or_default();
    let name = file.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| "output_script".to_owned());
    if let Some(interpreter) = interpreter {
        let words: Vec<String> = interpreter.split_whitespace().map(ToOwned::to_owned).collect();
        return Ok(if words.is_empty() { Runner::Shell } else { Runner::Program(words, name) });
    }
    match (file, extension) {
        (None, _) if windows && !on_windows => Ok(Runner::Program(batch_command(job.settings), "bld.bat".to_owned())),
        (Some(_), "bat") if windows && !on_windows => Ok(Runner::Program(batch_command(job.settings), name)),
        (None, _) => Ok(Runner::Shell),
        (Some(_), "sh") if !on_windows => Ok(Runner::Shell),
        (Some(_), "bat") if windows => Ok(Runner::Shell),
        (Some(_), "sh") => Ok(Runner::Program(words(&["bash.exe", "-el"]), name)),
        (Some(_), "py") => Ok(Runner::Program(words(&["python"]), name)),
        (Some(_), "ps1") => {
            let program = if on_windows { "powershell" } else { "pwsh" };
            Ok(Runner::Program(words(&[program, "-ExecutionPolicy", "ByPass", "-File"]), name))
        }
        (Some(file), _) => Err(Error::new(
            Kind::Usage,
            format!("it is not known how to run the script `{}` on this system", file.display()),
        )
        .help("name its interpreter with `script_interpreter`, or give it one of the extensions `.sh`, `.bat`, `.py`, `.ps1`")),
    }
}

fn sh_script(job: &Job<'_>, runner: &Runner, text: &str, environment: Environment) -> Prepared {
    let mut setup = exports_sh(&environment);
    setup.push_str("umask 022\n");
    setup.push_str(&activate_sh(job.activated));
    setup.push_str(&golang::after_activation(job.settings, job.output.target_platform));
    if environment.variables.contains_key("LIBRARY_INC") {
        setup.push_str("export INCLUDE=\"$LIBRARY_INC\" LIB=\"$LIBRARY_LIB\"\n");
    }
    let setup_path = job.paths.src_dir.join(SETUP_SH).display().to_string();
    let mut main = format!("if [ -z ${{CONDA_BUILD+x}} ]; then\n    source {}\nfi\n", sh(&setup_path));
    let mut files = vec![(SETUP_SH.to_owned(), setup)];
    match runner {
        Runner::Shell => {
            main.push_str(text);
            main.push('\n');
        }
        Runner::Program(words, name) => {
            let file = job.paths.src_dir.join(name).display().to_string();
            let words: Vec<String> = words.iter().map(String::as_str).chain([file.as_str()]).map(sh).collect();
            main.push_str(&words.join(" "));
            main.push('\n');
            let is_batch = words.get(1).is_some_and(|word| word == crate::batch::INTERPRETER);
            files.push((name.clone(), if is_batch { crlf(text) } else { text.to_owned() }));
        }
    }
    files.push(("conda_build.sh".to_owned(), main));
    let main_path = job.paths.src_dir.join("conda_build.sh").display().to_string();
    Prepared {
        files,
        program: host::shell(),
        args: vec!["-o".to_owned(), "errexit".to_owned(), main_path],
        env: shell_environment(&environment),
        environment,
    }
}

fn bat_script(job: &Job<'_>, runner: &Runner, text: &str, environment: Environment) -> Prepared {
    let mut setup = "@echo on\r\n".to_owned();
    for (name, value) in &environment.variables {
        setup.push_str(&bat_set(name, value));
    }
    if environment.variables.contains_key("LIBRARY_INC") {
        setup.push_str("set \"INCLUDE=%LIBRARY_INC%;%INCLUDE%\"\r\nset \"LIB=%LIBRARY_LIB%;%LIB%\"\r\n");
    }
    setup.push_str(&activate_bat(job.activated));
    setup.push_str(&golang::after_activation_bat(job.settings, job.output.target_platform));
    setup.push_str("@echo on\r\n");
    let path = |name: &str| job.paths.src_dir.join(name).display().to_string();
    let mut main = format!("IF \"%CONDA_BUILD%\" == \"\" (\r\n    call {}\r\n)\r\n", bat(&path(SETUP_BAT)));
    main.push_str("IF %ERRORLEVEL% NEQ 0 exit /B 1\r\n");
    let mut files = vec![(SETUP_BAT.to_owned(), setup)];
    match runner {
        Runner::Shell => main.push_str(&crlf(text)),
        Runner::Program(words, name) => {
            let words: Vec<String> = words.iter().map(|word| bat(word)).chain([bat(&path(name))]).collect();
            main.push_str(&words.join(" "));
            files.push((name.clone(), text.to_owned()));
        }
    }
    main.push_str("\r\n");
    files.push(("conda_build.bat".to_owned(), main));
    Prepared {
        files,
        program: host::shell(),
        args: vec!["/d".to_owned(), "/c".to_owned(), path("conda_build.bat")],
        env: shell_environment(&environment),
        environment,
    }
}

/// The environment as `export` lines.
pub(super) fn exports_sh(environment: &Environment) -> String {
    environment.variables.iter().map(|(name, value)| sh_export(name, value)).collect()
}
