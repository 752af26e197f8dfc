//! Starting a program in place of this process, or beside it with its signals passed on: for gonda as a job starts it,
//! which stands for another program and keeps its environment, folder, input and outputs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use crate::{Error, Kind, Result, host};

/// The first argument of a gonda that starts a program with other variables: `NAME=VALUE` and `-NAME` follow, then `--` and
/// the program with its arguments.
pub(crate) const WITH: &str = "__with";

/// A program, and what differs for it from this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Relay {
    /// The program's file.
    pub(crate) program: PathBuf,
    /// What it is told as its own name, where that is not its file.
    pub(crate) arg0: Option<OsString>,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Variables that it has and this process hasn't, or with another value.
    pub(crate) set: Vec<(String, OsString)>,
    /// Variables that it hasn't.
    pub(crate) unset: Vec<String>,
    /// Nothing of this process's environment but `set`.
    pub(crate) clear: bool,
    /// Where it starts, if elsewhere.
    pub(crate) cwd: Option<PathBuf>,
}

impl Relay {
    /// Becomes the program where the system can do that, else waits for its end; the answer is its exit code then.
    ///
    /// # Errors
    /// When it can't be started.
    pub(crate) fn replace(&self) -> Result<u8> {
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            Err(self.not_started(self.command().exec()))
        }
        #[cfg(not(unix))]
        self.wait()
    }

    /// Runs the program to its end, with requests to end passed on to it; its exit code, or 128 and the signal's number
    /// as a shell has it.
    ///
    /// # Errors
    /// When it can't be started.
    pub(crate) fn wait(&self) -> Result<u8> {
        let mut child = self.command().spawn().map_err(|error| self.not_started(error))?;
        host::pass_requests_on(child.id());
        Ok(code(child.wait()?))
    }

    /// Runs the program to its end and returns what it prints, and its exit code.
    ///
    /// # Errors
    /// When it can't be started.
    pub(crate) fn output(&self) -> Result<(Vec<u8>, u8)> {
        let child = self.command().stdout(Stdio::piped()).spawn().map_err(|error| self.not_started(error))?;
        let output = child.wait_with_output()?;
        Ok((output.stdout, code(output.status)))
    }

    /// A variable as the program has it; `None` where it hasn't, or where that is no text.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        if let Some((_, value)) = self.set.iter().rev().find(|(set, _)| set == name) {
            return value.to_str().map(str::to_owned);
        }
        let inherited = !self.clear && !self.unset.iter().any(|unset| unset == name);
        inherited.then(|| std::env::var(name).ok()).flatten()
    }

    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        #[cfg(unix)]
        if let Some(arg0) = &self.arg0 {
            use std::os::unix::process::CommandExt as _;
            command.arg0(arg0);
        }
        command.args(&self.args);
        if self.clear {
            command.env_clear();
        }
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }

    fn not_started(&self, error: std::io::Error) -> Error {
        Error::new(Kind::Machine, format!("`{}` can't be started", self.program.display())).because(error)
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| host::signal(status).map(|signal| 128_i32.saturating_add(signal)));
    u8::try_from(code.unwrap_or(255) & 0xff).unwrap_or(255)
}

/// Becomes a program with other variables.
pub(crate) fn with(args: &[OsString]) -> u8 {
    let mut relay = Relay::default();
    let mut args = args.iter();
    for arg in args.by_ref().take_while(|arg| *arg != "--") {
        let text = arg.to_string_lossy();
        match text.split_once('=') {
            Some((name, value)) => relay.set.push((name.to_owned(), value.into())),
            None => relay.unset.push(text.trim_start_matches('-').to_owned()),
        }
    }
    let Some(program) = args.next() else { return Kind::Usage.exit_code() };
    relay.program = program.into();
    relay.args = args.cloned().collect();
    relay.replace().unwrap_or(Kind::Machine.exit_code())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Relay {
        Relay { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], ..Relay::default() }
    }

    #[test]
    fn codes_and_signals() {
        // Passing signals on blocks them for the thread that waits, and for what it starts later.
        let wait = |script| std::thread::spawn(move || shell(script).wait().unwrap()).join().unwrap();
        assert_eq!(wait("exit 42"), 42);
        assert_eq!(wait("kill -TERM $$"), 128 + 15);
        assert_eq!(
            Relay { program: "/nonexistent".into(), ..Relay::default() }.wait().unwrap_err().kind,
            Kind::Machine
        );
    }

    #[test]
    fn what_differs_is_told() {
        let mut relay = shell("printf '%s %s %s' \"$0\" \"$A\" \"$(pwd)\"");
        relay.args.push("name".into());
        relay.set.push(("A".to_owned(), "b".into()));
        relay.cwd = Some("/".into());
        assert_eq!(relay.output().unwrap(), (b"name b /".to_vec(), 0));
    }
}
