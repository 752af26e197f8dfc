//! Batch files of Windows targets, run on this machine: `gonda __batch FILE` is to a script what `cmd /d /c FILE` is on
//! Windows.
//!
//! It runs where the script must run, inside the job's room, as the child of the shell that has set and activated the
//! environment; so the build machine's own activation scripts work, and a batch file is one more interpreter's. The
//! script sees Windows paths – the drive `C:` is the root folder ([`gonda_batch::translate`]) –, real programs see unix
//! paths ([`programs`]), and files are found whatever their case ([`disk`]).

mod disk;
mod msys;
mod programs;
mod variables;

use std::ffi::OsString;
use std::io::Write as _;

use gonda_batch::{Script, translate};

use crate::Kind;

/// The first argument by which gonda knows that it was started to run a batch file.
pub const INTERPRETER: &str = "__batch";
/// Before the file: the environment is as Windows has it, what follows the file is the rest of the command line as typed,
/// and programs get arguments and variables as the script wrote them. For programs that are written for Windows, such as those of the conformance set.
pub const UNTRANSLATED: &str = "--untranslated";

/// Runs the batch file that the arguments after [`INTERPRETER`] name, with the arguments after it, and returns its exit
/// code.
#[must_use]
pub fn interpret(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> u8 {
    match run(args, environment) {
        // Eight bits are all that the system hands on, and none of them may be left of a failure.
        Ok(code) => match u8::try_from(code & 0xff).unwrap_or(1) {
            0 if code != 0 => 1,
            code => code,
        },
        Err((message, code)) => {
            // A process of gonda's own, whose output is the script's.
            let _ = writeln!(std::io::stderr(), "{message}");
            code
        }
    }
}

/// Its exit code; or what is wrong, and the exit code for that.
fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<i32, (String, u8)> {
    let usage = |message: String| (message, Kind::Usage.exit_code());
    let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).peekable();
    let translated = args.next_if(|arg| arg == UNTRANSLATED).is_none();
    let file = args.next().ok_or_else(|| usage("no batch file is named".to_owned()))?;
    let arguments: Vec<String> = args.map(|argument| if translated { quoted(argument) } else { argument }).collect();
    let folder = std::env::current_dir();
    let folder = folder.map_err(|error| usage(format!("the current folder can't be found: {error}")))?;
    let path = std::path::absolute(&file).map_err(|error| usage(format!("`{file}` can't be found: {error}")))?;
    let windows = |path: &std::path::Path| translate::to_windows(&path.to_string_lossy());
    let environment = environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let variables = variables::of_windows(environment, translated);
    let script = Script {
        path: &windows(&path),
        name: &if translated { windows(&path) } else { file.clone() },
        arguments: &arguments.join(" "),
        folder: &windows(&folder),
        variables: &variables,
    };
    gonda_batch::run(&script, &mut disk::Disk { translated }).map(|outcome| outcome.exit_code).map_err(|error| {
        let code = if error.mistake { u8::MAX } else { Kind::Usage.exit_code() };
        (format!("error: {error}\n  {} | {}", error.line, error.text), code)
    })
}

/// An argument as it was typed, as far as that can be known: cmd gets a line, not words.
fn quoted(argument: String) -> String {
    if argument.is_empty() || argument.contains([' ', '\t']) && !argument.contains('"') {
        return format!("\"{argument}\"");
    }
    argument
}
