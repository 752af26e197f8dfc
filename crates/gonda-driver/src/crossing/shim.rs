//! The `go` of a cross build: gonda, started in place of Go, which starts Go.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::id;

use super::builds::{Build, Builds, Outputs, is_program};
use super::decide::{Changes, Decision, How, Surroundings, decide};
use super::go_call::GoCall;
use super::{Crossing, go_caches, journal};
use crate::golang::correct_go;
use crate::process::Relay;
use crate::{Error, Kind, Result};

/// Does what a call of `go` means; its exit code.
pub(super) fn run(crossing: &Crossing, args: &[OsString]) -> u8 {
    match go(crossing, args) {
        Ok(code) => code,
        Err(error) => {
            super::complain(&error);
            1
        }
    }
}

fn go(crossing: &Crossing, args: &[OsString]) -> Result<u8> {
    let mut relay =
        Relay { program: crossing.go.clone(), arg0: Some("go".into()), args: args.to_vec(), ..Relay::default() };
    // Beside its own files Go finds its root by itself; it isn't there now.
    if std::env::var_os("GOROOT").is_none_or(|root| root.is_empty()) {
        relay.set.push(("GOROOT".to_owned(), crossing.goroot.clone().into()));
    }
    if let Some(proxy) = crossing.proxy() {
        let correction = correct_go(&proxy, |name| std::env::var(name).ok());
        relay.set.extend(correction.set.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        if let Some(note) = correction.note {
            journal::say(crossing, &note);
        }
    }
    if crossing.is_native() {
        return relay.replace();
    }
    let words: Option<Vec<String>> = args.iter().map(|arg| arg.to_str().map(str::to_owned)).collect();
    let scratch = crossing.own.join("install").join(id().to_string());
    let around = Surroundings {
        env: &|name| std::env::var(name).ok(),
        is_tool_of_go: &|name| is_tool_of_go(crossing, name),
        scratch: &scratch,
    };
    let verb = words.as_ref().and_then(|words| words.first()).cloned().unwrap_or_default();
    let decision = words.and_then(|words| decide(crossing, &words, &around));
    if let Some(decision) = &decision {
        if let Some(said) = &decision.said {
            journal::say(crossing, said);
        }
        relay.args = decision.args.iter().map(OsString::from).collect();
        apply(&mut relay, &decision.env);
    }
    go_caches::give(crossing, &verb, &mut relay);
    let Some(decision) = decision else { return relay.replace() };
    match &decision.how {
        How::Replace => relay.replace(),
        How::Record => record(crossing, &relay, &decision, None),
        How::Move { from, to } => {
            fs_err::create_dir_all(&scratch)?;
            let code = record(crossing, &relay, &decision, Some((from, to)));
            // What is left there is Go's own, read-only at worst, and goes with the job.
            let _ = crate::files::remove_all(&scratch);
            code
        }
        How::RunPrinted { args } => run_printed(&relay, args),
    }
}

fn apply(relay: &mut Relay, changes: &Changes) {
    for (name, value) in changes {
        match value {
            Some(value) => relay.set.push((name.clone(), value.into())),
            None => relay.unset.push(name.clone()),
        }
    }
}

/// Go's own tools are programs of its distribution, or are made from its source.
fn is_tool_of_go(crossing: &Crossing, name: &str) -> bool {
    let host = format!("{}_{}", crossing.build_goos, crossing.build_goarch);
    let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let plain = !name.contains(['/', '\\', '.']);
    plain
        && (crossing.goroot.join("pkg").join("tool").join(host).join(program).exists()
            || crossing.goroot.join("src").join("cmd").join(name).is_dir())
}

/// Runs Go and records the programs that it makes; with `moved`, they go from the one folder to the other.
fn record(crossing: &Crossing, relay: &Relay, decision: &Decision, moved: Option<(&PathBuf, &PathBuf)>) -> Result<u8> {
    let builds = Builds::new(crossing.builds());
    let since = builds.now()?;
    let code = relay.wait()?;
    if code != 0 {
        return Ok(code);
    }
    let cwd = std::env::current_dir()?;
    let call = GoCall::parse(&decision.args);
    let folder = call.as_ref().and_then(|call| call.folder);
    let mut programs = match moved {
        None if decision.args.first().is_some_and(|verb| verb == "install") => {
            let path = std::env::var("GOPATH").unwrap_or_default();
            let first = path.split(crate::host::PATH_SEPARATOR).next().unwrap_or_default();
            let platform = format!("{}_{}", crossing.goos, crossing.goarch);
            Outputs::of(&PathBuf::from(first).join("bin").join(platform), None, None).programs(since)?
        }
        None => {
            let output = call.as_ref().and_then(|call| call.value("o"));
            Outputs::of(&cwd, folder, output).programs(since)?
        }
        Some((from, _)) => Outputs::of(from, None, None).programs(since)?,
    };
    if let Some((from, to)) = moved {
        move_programs(from, to)?;
        for program in &mut programs {
            program.path = to.join(program.path.file_name().unwrap_or_default());
        }
    }
    if programs.is_empty() {
        return Ok(code);
    }
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    builds.add(&Build { args: decision.args.clone(), cwd, env: env.collect(), programs })?;
    Ok(code)
}

/// Moves what `go install` has put into a folder of its own to GOBIN.
fn move_programs(from: &PathBuf, to: &PathBuf) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| is_program(&path)) else { continue };
        let place = to.join(name);
        if std::fs::rename(&path, &place).is_err() {
            // Another file system: aside first, so that it is there whole.
            let aside = to.join(format!(".{}.{}", name.to_string_lossy(), id()));
            fs_err::copy(&path, &aside)?;
            fs_err::rename(&aside, &place)?;
        }
    }
    Ok(())
}

/// Has Go make a program and print its path, then becomes it.
fn run_printed(relay: &Relay, args: &[String]) -> Result<u8> {
    let mut path = String::new();
    // Go keeps the program for the next time; the first time it may name the place where it was, and is no more.
    for _ in 0..2 {
        let (printed, code) = relay.output()?;
        if code != 0 {
            return Ok(code);
        }
        path = String::from_utf8_lossy(&printed).trim().to_owned();
        if PathBuf::from(&path).is_file() {
            break;
        }
    }
    if !PathBuf::from(&path).is_file() {
        let message = format!("`go tool` names `{path}` as the program to run, which is not there");
        return Err(Error::new(Kind::Build, message).help("build the tool with `go build` for the build machine"));
    }
    Relay { program: path.into(), args: args.iter().map(OsString::from).collect(), ..Relay::default() }.replace()
}
