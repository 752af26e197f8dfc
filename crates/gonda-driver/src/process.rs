//! The one function that starts processes.
//!
//! A process gets its folder and its whole environment, nothing to read, and a group of its own. Both its outputs go
//! through one pipe, so that their order is kept, line by line to a log file and to a callback. When the future is
//! dropped – Ctrl-C, a failing sibling – the whole group is ended.

mod relay;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::mpsc;

use crate::{Error, Kind, Result, host};

pub(crate) use relay::{Relay, WITH, with};

/// How many lines of output are kept for an error message.
const LAST_LINES: usize = 40;
/// Bytes of a line that are kept for an error message.
const LAST_LINE_LENGTH: usize = 2_000;
/// A line longer than this is cut in pieces, so that a program that writes a binary can't fill the memory.
const LINE_LENGTH: usize = 256 * 1024;
/// How long output is read after the process has ended and its group with it. Only a program that left the group
/// and kept the pipe can use it up.
const GRACE: Duration = Duration::from_secs(2);

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// A path, or a name that is looked up in `env`'s PATH.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The folder it starts in.
    pub cwd: PathBuf,
    /// The whole environment: nothing is inherited.
    pub env: IndexMap<String, String>,
    /// Texts that appear as `********` in log and callback: values of secrets.
    pub hidden: Vec<String>,
    /// The process's standard input. `None`: there is nothing to read.
    pub(crate) stdin: Option<Arc<File>>,
}

impl Command {
    /// A command without arguments, in an empty environment.
    pub fn new(program: impl Into<OsString>, cwd: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), cwd: cwd.into(), ..Self::default() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = A>, A: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds variables.
    #[must_use]
    pub fn env<I: IntoIterator<Item = (K, V)>, K: Into<String>, V: Into<String>>(mut self, env: I) -> Self {
        self.env.extend(env.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The end of its output, at most 40 lines, for an error message.
    pub last_lines: Vec<String>,
}

impl Exit {
    /// Whether the exit code is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// `exit code 2`, `signal 9`: for an error message.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".to_owned(),
        }
    }
}

/// Starts a process and waits for its end. Lines come without their ends; bytes that are no UTF-8 become `U+FFFD`.
/// The log is appended to.
///
/// # Errors
/// When the program can't be started or the log can't be written. A process that fails is no error: see [`Exit`].
pub async fn run(command: Command, on_line: impl FnMut(&str) + Send, log: Option<&Path>) -> Result<Exit> {
    let mut lines = Lines::new(on_line, &command.hidden, log)?;
    let (mut child, output) = spawn(&command)?;
    let group = Group(child.id());
    let mut chunks = read_in_thread(output);
    let status = loop {
        tokio::select! {
            chunk = chunks.recv() => match chunk {
                Some(chunk) => lines.push(&chunk)?,
                None => break child.wait().await?,
            },
            status = child.wait() => break status?,
        }
    };
    // What the process left running in its group goes with it, and then the pipe ends.
    drop(group);
    let deadline = tokio::time::Instant::now() + GRACE;
    while let Ok(Some(chunk)) = tokio::time::timeout_at(deadline, chunks.recv()).await {
        lines.push(&chunk)?;
    }
    lines.finish(status)
}

/// Runs a process to its end and keeps its outputs apart, for programs that answer on one and talk on the other.
///
/// # Errors
/// When the program can't be started. A process that fails is no error.
pub async fn capture(command: Command) -> Result<std::process::Output> {
    let mut process = prepare(&command)?;
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = process.spawn().map_err(|error| not_started(&command, error))?;
    let _group = Group(child.id());
    Ok(child.wait_with_output().await?)
}

fn spawn(command: &Command) -> Result<(tokio::process::Child, std::io::PipeReader)> {
    let failed = |error: std::io::Error| not_started(command, error);
    let (output, writer) = std::io::pipe().map_err(failed)?;
    let mut process = prepare(command)?;
    process.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let child = process.spawn().map_err(failed)?;
    // `process` is dropped here, and with it gonda's copies of the pipe's writing end.
    Ok((child, output))
}

/// What every process has in common: nothing inherited, a group of its own, an end together with gonda's interest in it.
fn prepare(command: &Command) -> Result<tokio::process::Command> {
    let stdin = match &command.stdin {
        Some(file) => file.try_clone().map_err(|error| not_started(command, error))?.into(),
        None => Stdio::null(),
    };
    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(&command.args)
        .current_dir(&command.cwd)
        .env_clear()
        .envs(&command.env)
        .stdin(stdin)
        .kill_on_drop(true);
    host::own_group(&mut process);
    Ok(process)
}

fn not_started(command: &Command, error: std::io::Error) -> Error {
    let program = command.program.to_string_lossy();
    let folder = command.cwd.display();
    Error::new(Kind::Machine, format!("`{program}` can't be started in `{folder}`")).because(error)
}

/// Ends the group when dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            host::end_group(leader);
        }
    }
}

/// Reads a pipe in a thread, for not every host system can wait for a pipe without one.
fn read_in_thread(mut pipe: std::io::PipeReader) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    if sender.blocking_send(buffer[..length].to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// Cuts bytes into lines and hands them on.
struct Lines<'a, F> {
    on_line: F,
    hidden: Vec<&'a str>,
    log: Option<(std::io::BufWriter<File>, PathBuf)>,
    pending: Vec<u8>,
    last: VecDeque<String>,
}

impl<'a, F: FnMut(&str)> Lines<'a, F> {
    fn new(on_line: F, hidden: &'a [String], log: Option<&Path>) -> Result<Self> {
        let log = match log {
            None => None,
            Some(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| log_error(path, error))?;
                }
                let file = File::options().create(true).append(true).open(path);
                let file = file.map_err(|error| log_error(path, error))?;
                Some((std::io::BufWriter::new(file), path.to_owned()))
            }
        };
        let mut hidden: Vec<&str> = hidden.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        // A secret that contains another one goes first, else its remainder would show.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Self { on_line, hidden, log, pending: Vec::new(), last: VecDeque::new() })
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.pending.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(line);
                self.line(&whole)?;
            }
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= LINE_LENGTH {
            let piece = std::mem::take(&mut self.pending);
            self.line(&piece)?;
        }
        if let Some((log, path)) = &mut self.log {
            log.flush().map_err(|error| log_error(path, error))?;
        }
        Ok(())
    }

    fn line(&mut self, bytes: &[u8]) -> Result<()> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let mut text = String::from_utf8_lossy(bytes);
        for secret in &self.hidden {
            if text.contains(secret) {
                text = text.replace(secret, "********").into();
            }
        }
        if let Some((log, path)) = &mut self.log {
            let written = log.write_all(text.as_bytes()).and_then(|()| log.write_all(b"\n"));
            written.map_err(|error| log_error(path, error))?;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        let end = text.floor_char_boundary(LAST_LINE_LENGTH);
        self.last.push_back(text[..end].to_owned());
        (self.on_line)(&text);
        Ok(())
    }

    fn finish(mut self, status: ExitStatus) -> Result<Exit> {
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.line(&rest)?;
        }
        if let Some((mut log, path)) = self.log {
            log.flush().map_err(|error| log_error(&path, error))?;
        }
        Ok(Exit { code: status.code(), signal: host::signal(status), last_lines: self.last.into() })
    }
}

fn log_error(path: &Path, error: std::io::Error) -> Error {
    let mut this = Error::from(error);
    this.message = format!("log file `{}` can't be written: {}", path.display(), this.message);
    this
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Runs a shell line; gives its lines, then how it ended.
    fn check(script: &str, hidden: &[&str], expected: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/x.log");
        let mut command = Command::new("/bin/sh", folder.path()).args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
        command.hidden = hidden.iter().map(|text| (*text).to_owned()).collect();
        let mut seen = String::new();
        let exit = runtime.block_on(run(
            command,
            |line| {
                seen.push_str(line);
                seen.push('\n');
            },
            Some(&log),
        ));
        let exit = exit.unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), seen);
        assert_eq!(format!("{seen}{}", exit.describe()), expected);
    }

    #[test]
    fn both_outputs_in_their_order() {
        check("echo a; echo b >&2; echo c; exit 3", &[], "a\nb\nc\nexit code 3");
    }

    #[test]
    fn bytes_carriage_returns_and_a_last_line_without_end() {
        check(r"printf 'x\377y\r\nz'", &[], "x\u{fffd}y\nz\nexit code 0");
    }

    #[test]
    fn signals_and_nothing_to_read() {
        check("cat; kill -TERM $$", &[], "signal 15");
    }

    #[test]
    fn the_environment_is_what_was_given() {
        check("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=", &[], "PATH=/usr/bin:/bin\nexit code 0");
    }

    #[test]
    fn secrets_are_hidden() {
        check("echo token=abcd abc", &["abc", "abcd", ""], "token=******** ********\nexit code 0");
    }

    #[test]
    fn what_is_left_running_does_not_keep_us_waiting() {
        let start = std::time::Instant::now();
        check("sleep 60 & echo done", &[], "done\nexit code 0");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn many_lines_are_remembered_boundedly() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let command =
            Command::new("/bin/sh", "/").args(["-c", "i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done"]);
        let exit = runtime.block_on(run(command, |_| {}, None)).unwrap();
        assert_eq!(exit.last_lines.len(), LAST_LINES);
        assert_eq!(exit.last_lines.last().unwrap(), "499");
    }

    #[test]
    fn a_dropped_future_ends_the_group() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("alive");
        let script = format!("(sleep 1; touch '{}') & wait", mark.display());
        let command = Command::new("/bin/sh", "/").args(["-c".to_owned(), script]).env([("PATH", "/usr/bin:/bin")]);
        runtime.block_on(async {
            let _ = tokio::time::timeout(Duration::from_millis(300), run(command, |_| {}, None)).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
        });
        assert!(!mark.exists());
    }

    #[test]
    fn a_missing_program_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(run(Command::new("/nonexistent/x", "/"), |_| {}, None)).unwrap_err();
        assert_eq!(error.to_string(), "`/nonexistent/x` can't be started in `/`");
    }
}
