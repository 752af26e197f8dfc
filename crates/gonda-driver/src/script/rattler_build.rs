//! v1 scripts, as rattler-build runs them (rattler_build_script, `execution.rs` and `shell_dialect/`).
//!
//! `build_env.sh` exports the environment and activates; `conda_build.sh` sources it and runs each section in a scope of
//! its own: inline, or by an interpreter that gets the text in a file. Inline text is rendered against the recipe's
//! context, the variant and the script's environment; files are taken as they are. For a Windows target on unix, the
//! sections are those for Windows, and gonda's own interpreter is their `cmd`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gonda_recipe::{Script, ScriptContent};

use super::conda_build::exports_sh;
use super::interpreter::{self, Interpreter, POWERSHELL_START};
use super::{
    Environment, Job, Prepared, activate_bat, activate_sh, batch_command, crlf, for_windows, golang, missing_script,
    read_script, shell_environment,
};
use crate::shell::{bat, bat_set, sh, sh_export};
use crate::{Result, host};

/// The text of a section: pieces that a shell without `errexit` must check one by one.
struct Text {
    pieces: Vec<String>,
    file: Option<PathBuf>,
}

pub(super) fn prepare(job: &Job<'_>, environment: Environment) -> Result<Vec<Prepared>> {
    // Whose scripts they are, and what machine runs them.
    let (windows, on_windows) = (for_windows(job.output), job.output.build_platform.is_windows());
    let sections = &job.output.build.scripts;
    let mut files = Vec::new();
    let mut bodies = Vec::new();
    for (index, script) in sections.iter().enumerate() {
        let name =
            if sections.len() == 1 { "conda_build_script".to_owned() } else { format!("conda_build_step{index}") };
        let Some(text) = read(job, script, &environment, windows)? else { continue };
        let body = body(job, script, &text, &name, windows, &mut files)?;
        let own_env = if sections.len() == 1 { None } else { Some(&script.env) };
        let cwd = script.cwd.as_ref().map(|cwd| job.paths.prefix.join(cwd));
        let mut section = String::new();
        if sections.len() > 1 {
            section.push_str(&format!("{} step {index}\n", if on_windows { "@rem" } else { "#" }));
        }
        if on_windows {
            scope_bat(&mut section, own_env, cwd.as_deref(), &body);
        } else {
            scope_sh(&mut section, own_env, cwd.as_deref(), &body);
        }
        bodies.push(section);
    }
    if bodies.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![if on_windows {
        bat_wrapper(job, environment, files, &bodies)
    } else {
        sh_wrapper(job, environment, files, &bodies)
    }])
}

/// The text of a script; `None` where there is none.
fn read(job: &Job<'_>, script: &Script, environment: &Environment, windows: bool) -> Result<Option<Text>> {
    let extensions: &[&str] = if windows { &["bat", "ps1"] } else { &["sh"] };
    let find = |name: &Path| -> Result<Option<Text>> {
        let candidates: Vec<PathBuf> = if name.extension().is_some() {
            vec![name.to_owned()]
        } else {
            extensions.iter().map(|extension| name.with_extension(extension)).collect()
        };
        for candidate in candidates {
            if let Some(text) = read_script(job.recipe_dir, &candidate)? {
                return Ok(Some(Text { pieces: vec![text], file: Some(candidate) }));
            }
        }
        Ok(None)
    };
    match &script.content {
        ScriptContent::Default => find(Path::new("build")),
        ScriptContent::File(name) => match find(name)? {
            Some(text) => Ok(Some(text)),
            None => Err(missing_script(job.recipe_dir, name)),
        },
        ScriptContent::Lines(lines) => {
            let mut values: BTreeMap<String, String> =
                environment.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            values.extend(script.env.clone());
            let pieces = lines.iter().map(|line| (job.render)(line, &values)).collect::<Result<Vec<_>>>()?;
            let empty = pieces.iter().all(|piece| piece.trim().is_empty());
            Ok((!empty).then_some(Text { pieces, file: None }))
        }
    }
}

/// What stands in the wrapper for a section: its text, or the interpreter's command.
fn body(
    job: &Job<'_>,
    script: &Script,
    text: &Text,
    name: &str,
    windows: bool,
    files: &mut Vec<(String, String)>,
) -> Result<String> {
    let on_windows = job.output.build_platform.is_windows();
    let native = if windows { "cmd" } else { "bash" };
    let wanted = script.interpreter.as_deref().or_else(|| text.file.as_deref().and_then(interpreter::of_file));
    let interpreter = interpreter::named(wanted.unwrap_or(native))?;
    let joined = if interpreter.name == "cmd" {
        let guard = |piece: &String| format!("{piece}\nif %errorlevel% neq 0 exit /b %errorlevel%");
        // A file is one piece and guards itself.
        if text.file.is_some() {
            text.pieces.join("\n")
        } else {
            text.pieces.iter().map(guard).collect::<Vec<_>>().join("\n")
        }
    } else {
        text.pieces.join("\n")
    };
    if interpreter.name == "bash" && !windows {
        return Ok(joined);
    }
    let file_name = format!("{name}.{}", interpreter.extension);
    let path = job.paths.src_dir.join(&file_name).display().to_string();
    let joined = match interpreter.name {
        "powershell" => format!("{POWERSHELL_START}{joined}"),
        "cmd" => format!("{}\r\n", crlf(&joined)),
        _ => joined,
    };
    files.push((file_name, joined));
    Ok(if on_windows { call_bat(interpreter, &path) } else { call_sh(job, interpreter, &path) })
}

fn call_sh(job: &Job<'_>, interpreter: Interpreter, path: &str) -> String {
    if interpreter.name == "cmd" && for_windows(job.output) {
        let words: Vec<String> = batch_command(job.settings).iter().map(String::as_str).chain([path]).map(sh).collect();
        return words.join(" ");
    }
    let program = if interpreter.build_only {
        job.paths.build_prefix.join("bin").join(interpreter.program).display().to_string()
    } else {
        interpreter.program.to_owned()
    };
    let words: Vec<String> =
        [program.as_str()].into_iter().chain(interpreter.args.iter().copied()).chain([path]).map(sh).collect();
    format!(
        "command -v {program} > /dev/null || {{ echo 'gonda: the interpreter `{name}` is not in the build environment; add \
         it to the build requirements' >&2; exit 127; }}\n{call}",
        program = sh(&program),
        name = interpreter.name,
        call = words.join(" ")
    )
}

/// cmd gets its section in a file of its own, so that `exit /b` ends the section and not the wrapper.
fn call_bat(interpreter: Interpreter, path: &str) -> String {
    if interpreter.name == "cmd" {
        return format!("\"%ComSpec%\" /d /c call {}\r\n", bat(path));
    }
    let words: Vec<String> =
        [interpreter.program].into_iter().chain(interpreter.args.iter().copied()).map(ToOwned::to_owned).collect();
    format!("call {} {}\r\n", words.join(" "), bat(path))
}

type Variables = indexmap::IndexMap<String, String>;

/// A subshell: what a section sets stays in it, and its failure ends the wrapper, which has `errexit`.
fn scope_sh(out: &mut String, env: Option<&Variables>, cwd: Option<&Path>, body: &str) {
    out.push_str("(\n");
    for (name, value) in env.into_iter().flatten() {
        out.push_str(&sh_export(name, value));
    }
    if let Some(cwd) = cwd {
        out.push_str(&format!("cd {}\n", sh(&cwd.display().to_string())));
    }
    out.push_str(body);
    out.push_str(if body.ends_with('\n') { ")\n" } else { "\n)\n" });
}

/// The same with what cmd has. The section's code is kept over `popd`, which would reset it, and ends the wrapper.
fn scope_bat(out: &mut String, env: Option<&Variables>, cwd: Option<&Path>, body: &str) {
    out.push_str("setlocal\r\n");
    for (name, value) in env.into_iter().flatten() {
        out.push_str(&bat_set(name, value));
    }
    let cwd = cwd.map_or_else(|| ".".to_owned(), |cwd| cwd.display().to_string());
    out.push_str(&format!("pushd {} || exit /b 1\r\n", bat(&cwd)));
    out.push_str(body);
    out.push_str("set \"GONDA_SECTION=%errorlevel%\"\r\npopd\r\n");
    out.push_str("endlocal & if %GONDA_SECTION% neq 0 exit /b %GONDA_SECTION%\r\n");
}

fn sh_wrapper(
    job: &Job<'_>,
    environment: Environment,
    mut files: Vec<(String, String)>,
    bodies: &[String],
) -> Prepared {
    let path = |name: &str| job.paths.src_dir.join(name).display().to_string();
    let (mut secrets, mut setup) = (Vec::new(), String::new());
    let mut open = environment.clone();
    // Secrets are not written to disk: the shell starts with them.
    open.variables.retain(|name, value| {
        let secret = environment.hidden.contains(value);
        if secret {
            secrets.push((name.clone(), value.clone()));
        }
        !secret
    });
    setup.push_str(&exports_sh(&open));
    setup.push_str("umask 022\n");
    setup.push_str(&activate_sh(job.activated));
    setup.push_str(&golang::after_activation(job.settings, job.output.target_platform));
    if environment.variables.contains_key("LIBRARY_INC") {
        setup.push_str("export INCLUDE=\"$LIBRARY_INC\" LIB=\"$LIBRARY_LIB\"\n");
    }
    let mut main = "set -e\n".to_owned();
    main.push_str(&format!("if [ -z ${{CONDA_BUILD+x}} ]; then\n    source {}\nfi\n", sh(&path("build_env.sh"))));
    // From here on each command is shown, so that the log tells which one failed.
    main.push_str("set -x\n");
    main.push_str(&bodies.concat());
    files.push(("build_env.sh".to_owned(), setup));
    files.push(("conda_build.sh".to_owned(), main));
    let mut env = shell_environment(&environment);
    env.extend(secrets);
    Prepared { files, program: host::shell(), args: vec![path("conda_build.sh")], env, environment }
}

fn bat_wrapper(
    job: &Job<'_>,
    environment: Environment,
    mut files: Vec<(String, String)>,
    bodies: &[String],
) -> Prepared {
    let path = |name: &str| job.paths.src_dir.join(name).display().to_string();
    let mut env = shell_environment(&environment);
    let mut setup = String::new();
    for (name, value) in &environment.variables {
        if environment.hidden.contains(value) {
            env.insert(name.clone(), value.clone());
        } else {
            setup.push_str(&bat_set(name, value));
        }
    }
    setup.push_str("set \"INCLUDE=%LIBRARY_INC%;%INCLUDE%\"\r\nset \"LIB=%LIBRARY_LIB%;%LIB%\"\r\n");
    setup.push_str(&activate_bat(job.activated));
    setup.push_str(&golang::after_activation_bat(job.settings, job.output.target_platform));
    let mut main = "@chcp 65001 > nul\r\n@echo on\r\n".to_owned();
    main.push_str(&format!("if \"%CONDA_BUILD%\" == \"\" call {}\r\n", bat(&path("build_env.bat"))));
    main.push_str("if %errorlevel% neq 0 exit /b %errorlevel%\r\n@echo on\r\n");
    main.push_str(&crlf(&bodies.concat()));
    files.push(("build_env.bat".to_owned(), setup));
    files.push(("conda_build.bat".to_owned(), main));
    Prepared {
        files,
        program: host::shell(),
        args: vec!["/d".to_owned(), "/c".to_owned(), path("conda_build.bat")],
        env,
        environment,
    }
}
