//! The language of cmd.exe, as `bld.bat` and `build.bat` of recipes are written in it: parsed, then run against a
//! [`Host`] that has the files, the programs and the streams. Knows nothing of conda.
//!
//! A line goes through cmd's phases, in their order: `%` is expanded, operators, quotes and carets are read, then, when
//! a command is reached, `for` variables and `!` are put in, streams redirected, the command run. Each sees what the one
//! before it made, once. What the language has and gonda doesn't is an [`Error`] with its place, never passed over.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arithmetic;
mod command;
mod copying;
mod expand;
mod files;
mod host;
mod listing;
mod loops;
mod paths;
mod run;
mod search;
mod streams;
mod syntax;
pub mod translate;
mod trees;

pub use host::{Call, Entry, Host, Keep, Link, Stream, Target, split_arguments, split_arguments_of_msys};

use run::{Flow, Machine};

/// A script that can't be run, with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Error {
    /// The script, as a Windows path.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters: where the line's command begins.
    pub column: usize,
    /// The line itself.
    pub text: String,
    /// What is wrong: lower case, no full stop, the construct in backticks.
    pub message: String,
    /// Whether it is a mistake at which cmd itself ends, with 255; else gonda lacks something.
    pub mistake: bool,
}

/// A script to run.
#[derive(Debug, Clone)]
pub struct Script<'a> {
    /// Its file, as an absolute Windows path.
    pub path: &'a str,
    /// What it was called by: `%0`.
    pub name: &'a str,
    /// The rest of the command line as typed.
    pub arguments: &'a str,
    /// The current folder, as an absolute Windows path.
    pub folder: &'a str,
    /// All variables.
    pub variables: &'a [(String, String)],
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the parent of `cmd /d /c SCRIPT` sees.
    pub exit_code: i32,
    /// The variables at the end, by name.
    pub variables: Vec<(String, String)>,
}

/// Runs a script to its end.
///
/// # Errors
/// For a mistake in the script, or a construct that gonda doesn't know.
pub fn run(script: &Script<'_>, host: &mut dyn Host) -> Result<Outcome, Error> {
    let mut machine = Machine::new(host, script.folder, script.variables);
    let streams = machine.streams();
    let frame = machine.script_frame(script.path, script.name, script.arguments)?;
    match machine.frame(frame, &streams)? {
        Flow::Next(_) | Flow::Exit => {}
        _ => return Err(machine.error("the script ended in an odd way")),
    }
    let variables = machine.variables.values().cloned().collect();
    Ok(Outcome { exit_code: machine.level, variables })
}

/// Whether a name fits a pattern of `*` and `?`, whatever its case; `*.*` fits all.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    paths::fits(pattern, name)
}

#[cfg(test)]
mod tests;
