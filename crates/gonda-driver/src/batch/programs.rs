//! Real programs, started by a batch file: they get unix paths in their arguments and variables, and their output goes
//! on as it comes.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use gonda_batch::{Call, Keep, Stream, Target, split_arguments, translate};

use super::{disk, msys};
use crate::{crossing, host};

/// Runs a program to its end; its exit code, or 128 and the number of the signal that ended it.
pub(super) fn run(call: &Call<'_>, translated: bool, keep: &mut Keep<'_>) -> io::Result<i32> {
    let program = disk::find(call.program);
    let folder = disk::find(call.folder);
    let mut command = match crossing::runner_of(&program) {
        None => Command::new(&program),
        Some(runner) => {
            let mut command = Command::new(runner);
            command.args([&program, &program]);
            command
        }
    };
    command.current_dir(&folder).env_clear();
    if translated {
        command.args(arguments(&program, call));
        command.envs(call.variables.iter().flat_map(|(name, value)| variable(name, value)));
        // What a shell would say, for whoever asks there first.
        command.env("PWD", &folder);
    } else {
        command.args(split_arguments(call.arguments));
        command.envs(call.variables.iter().map(|(name, value)| (name, value)).filter(|(name, _)| fits(name)));
    }
    command.stdin(if call.input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let pipes = connect(&mut command, call)?;
    let mut child = command.spawn().map_err(not_started)?;
    // gonda's copies of the pipes' writing ends go with it.
    drop(command);
    let input = child.stdin.take().map(|mut stdin| {
        let bytes = call.input.clone();
        // A program that doesn't read to the end leaves a broken pipe, which is its own affair.
        std::thread::spawn(move || drop(stdin.write_all(&bytes)))
    });
    let enough = pipes.drain(keep)?;
    if !enough {
        // It may have ended already.
        let _ = child.kill();
    }
    let status = child.wait()?;
    if let Some(input) = input.filter(|_| enough) {
        let _ = input.join();
    }
    Ok(code(status))
}

/// The reading ends of what the interpreter keeps.
struct Pipes {
    output: Option<io::PipeReader>,
    error: Option<io::PipeReader>,
}

fn connect(command: &mut Command, call: &Call<'_>) -> io::Result<Pipes> {
    let mut pipes = Pipes { output: None, error: None };
    let stdio = |target: Target<'_>, pipe: &mut Option<io::PipeReader>| -> io::Result<(Stdio, Option<Stdio>)> {
        let both = |handle: io::Result<Stdio>, other: io::Result<Stdio>| Ok((handle?, Some(other?)));
        match target {
            Target::Script(Stream::Output) => Ok((io::stdout().into(), Some(io::stdout().into()))),
            Target::Script(Stream::Error) => Ok((io::stderr().into(), Some(io::stderr().into()))),
            Target::Null => Ok((Stdio::null(), Some(Stdio::null()))),
            Target::File(path) => {
                let file = disk::open(path, true)?;
                both(file.try_clone().map(Stdio::from), Ok(Stdio::from(file)))
            }
            Target::Kept => {
                let (reader, writer) = io::pipe()?;
                *pipe = Some(reader);
                both(writer.try_clone().map(Stdio::from), Ok(Stdio::from(writer)))
            }
        }
    };
    let (output, again) = stdio(call.output, &mut pipes.output)?;
    command.stdout(output);
    let error = match again.filter(|_| call.joined) {
        Some(again) => again,
        None => stdio(call.error, &mut pipes.error)?.0,
    };
    command.stderr(error);
    Ok(pipes)
}

impl Pipes {
    /// Hands on what comes, to the end; `false` where that was too much.
    fn drain(self, keep: &mut Keep<'_>) -> io::Result<bool> {
        let Self { output, error } = self;
        let Some(error) = error else {
            return output.map_or(Ok(true), |output| hand_on(output, Stream::Output, keep));
        };
        let Some(output) = output else { return hand_on(error, Stream::Error, keep) };
        // Both at once, or the program would wait for one to be read. What goes to standard error is short.
        let other = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut error = error;
            error.read_to_end(&mut bytes).map(|_| bytes)
        });
        let enough = hand_on(output, Stream::Output, keep)?;
        if !enough {
            return Ok(false);
        }
        let bytes = other.join().map_err(|_| io::Error::other("a pipe can't be read"))??;
        Ok(keep(Stream::Error, &bytes))
    }
}

fn hand_on(mut pipe: io::PipeReader, stream: Stream, keep: &mut Keep<'_>) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(length) if !keep(stream, &buffer[..length]) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + host::signal(status).unwrap_or(0))
}

fn not_started(error: io::Error) -> io::Error {
    if host::is_foreign_program(&error) {
        let message = "a program for another platform, and nothing here runs such programs";
        return io::Error::new(io::ErrorKind::Unsupported, message);
    }
    error
}

/// A call's arguments, as this program reads a command line on Windows, with unix paths.
fn arguments(program: &Path, call: &Call<'_>) -> Vec<String> {
    let unix = |word: &str| argument(word, call.folder);
    match msys::program(program) {
        Some(name) => msys::arguments(&name, call.arguments, &disk::find(call.folder), &unix),
        None => split_arguments(call.arguments).iter().map(|word| unix(word)).collect(),
    }
}

/// An argument with unix paths. A path that is all of it, or all that follows a flag's `=`, gets the case that the files
/// have.
fn argument(word: &str, folder: &str) -> String {
    let base = disk::find(folder);
    let text = translate::argument(word, &|path| disk::as_is(&base, &path.replace('\\', "/")).exists());
    let (flag, path) = match text.split_once('=') {
        Some((flag, path)) if flag.starts_with('-') => (&text[..=flag.len()], path),
        _ => ("", text.as_str()),
    };
    if text == word || !path.contains('/') || base.join(path).exists() {
        return text;
    }
    let found = disk::as_is(&base, path);
    // What was relative stays so.
    let found = if path.starts_with('/') { &found } else { found.strip_prefix(&base).unwrap_or(&found) };
    let dot = if path.starts_with("./") { "./" } else { "" };
    format!("{flag}{dot}{}", found.display())
}

/// A variable for a unix program: none for a name that no process can have.
fn variable(name: &str, value: &str) -> Vec<(String, String)> {
    if !fits(name) {
        return Vec::new();
    }
    let value = if name.eq_ignore_ascii_case("PATH") { path_list(value) } else { translate::variable(value) };
    let upper = name.to_ascii_uppercase();
    // Windows doesn't tell `GoFlags` from `GOFLAGS`, Go elsewhere does.
    let also =
        (upper != name && (upper.starts_with("GO") || upper.starts_with("CGO_"))).then(|| (upper, value.clone()));
    std::iter::once((name.to_owned(), value)).chain(also).collect()
}

fn fits(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// PATH for a unix program: its folders, each with the case that it has.
fn path_list(value: &str) -> String {
    let folders = value.split(';').map(|folder| folder.trim().trim_matches('"')).filter(|folder| !folder.is_empty());
    let folders: Vec<String> = folders
        .map(|folder| match folder.as_bytes() {
            [_, b':', b'\\' | b'/', ..] => disk::find(folder).to_string_lossy().into_owned(),
            _ => folder.replace('\\', "/"),
        })
        .collect();
    folders.join(":")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn each_program_reads_its_line_in_its_own_way() {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("a.go"), "").unwrap();
        let folder = translate::to_windows(&room.path().to_string_lossy());
        let check = |program: &str, line: &str, expected: &[&str]| {
            let call = Call {
                program,
                arguments: line,
                folder: &folder,
                variables: &[],
                input: Vec::new(),
                output: Target::Null,
                error: Target::Null,
                joined: false,
            };
            assert_eq!(arguments(Path::new(program), &call), expected, "{program} {line}");
        };
        check("/bin/rm", "-f '.\\a.go' *.go", &["-f", "./a.go", "a.go"]);
        check("/x/go.exe", "build 'a b' *.go", &["build", "'a", "b'", "*.go"]);
    }
}
