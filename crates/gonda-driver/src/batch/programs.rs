//! Real programs, started by a batch file: they get unix paths in their arguments and variables, and their output goes
//! on as it comes.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use gonda_batch::{Call, Keep, Stream, Target, split_arguments, split_arguments_of_msys, translate};

use super::disk;
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

/// Programs that batch files have from MSYS2 (`posix`, `m2-…`), which read their command line as Cygwin does.
const OF_MSYS: &[&str] = &[
    "awk",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dirname",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "gawk",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "install",
    "ln",
    "ls",
    "make",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "patch",
    "printf",
    "pwd",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sort",
    "tail",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "unxz",
    "wc",
    "which",
    "xargs",
    "xz",
];

/// A call's arguments, as this program reads a command line on Windows, with unix paths.
fn arguments(program: &Path, call: &Call<'_>) -> Vec<String> {
    let name = program.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    if !OF_MSYS.contains(&name.as_str()) {
        return split_arguments(call.arguments).iter().map(|word| argument(word, call.folder)).collect();
    }
    let base = disk::find(call.folder);
    let words = split_arguments_of_msys(call.arguments).into_iter().flat_map(|(word, quoted)| {
        let word = argument(&word, call.folder);
        let found = if quoted || !word.contains(['*', '?']) { Vec::new() } else { expanded(&base, &word) };
        if found.is_empty() { vec![word] } else { found }
    });
    // A login shell would set PATH anew, from files that know nothing of the environments.
    let mut own = matches!(name.as_str(), "bash" | "sh");
    let words = words.filter_map(|word| {
        // What follows a command or a file is the script's.
        own &= word.starts_with('-');
        if own { without_login(word) } else { Some(word) }
    });
    words.collect()
}

fn without_login(word: String) -> Option<String> {
    match word.as_str() {
        "-l" | "--login" => None,
        _ if word.starts_with('-') && !word.starts_with("--") && word.len() <= 5 => Some(word.replace('l', "")),
        _ => Some(word),
    }
}

/// What a pattern means below a folder, sorted; nothing where nothing fits.
fn expanded(base: &Path, pattern: &str) -> Vec<String> {
    let pattern = pattern.replace('\\', "/");
    let start = if pattern.starts_with('/') { "/" } else { "" };
    let mut found = vec![start.to_owned()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            let here = base.join(folder);
            let path = |name: &str| match folder.as_str() {
                "" | "/" => format!("{folder}{name}"),
                folder => format!("{folder}/{name}"),
            };
            if !part.contains(['*', '?']) {
                next.extend(here.join(part).symlink_metadata().is_ok().then(|| path(part)));
                continue;
            }
            let names = std::fs::read_dir(&here).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let names = names.filter_map(|name| name.into_string().ok());
            let hidden = part.starts_with('.');
            let mut fitting: Vec<String> =
                names.filter(|name| hidden == name.starts_with('.') && gonda_batch::fits(part, name)).collect();
            fitting.sort();
            next.extend(fitting.iter().map(|name| path(name)));
        }
        found = next;
    }
    found
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
    fn of_msys() {
        let room = tempfile::tempdir().unwrap();
        for name in ["b.go", "a.go", "x.txt"] {
            std::fs::write(room.path().join(name), "").unwrap();
        }
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
        check("/bin/sed", "-i 's/a b/c/' .\\x.txt", &["-i", "s/a b/c/", "./x.txt"]);
        check("/bin/rm", "-f *.go '*.txt' *.none", &["-f", "a.go", "b.go", "*.txt", "*.none"]);
        check("/bin/bash", "-lc \"echo 'a'\"", &["-c", "echo 'a'"]);
        check("/bin/bash", "--login run.sh -l", &["run.sh", "-l"]);
        check("/x/go.exe", "build 'a b' *.go", &["build", "'a", "b'", "*.go"]);
    }
}
