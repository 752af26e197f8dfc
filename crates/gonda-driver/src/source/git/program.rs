//! Runs `git` (and `patch`), with nothing of the caller's repository in its environment.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Error, Kind, Result};

/// Variables that would point git at a repository of the caller's.
const OF_A_REPOSITORY: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "GIT_TEMPLATE_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_DEFAULT_HASH",
];

/// Work on repositories of this machine depends on no configuration but this: any owner is right, files may be
/// fetched from, line ends stay, nothing runs in the background.
const LOCAL_CONFIG: &str = "[safe]\n\tdirectory = *\n[protocol \"file\"]\n\tallow = always\n\
    [uploadpack]\n\tallowAnySHA1InWant = true\n[advice]\n\tdetachedHead = false\n[init]\n\tdefaultBranch = main\n\
    [core]\n\tautocrlf = false\n\tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";

/// How git is run.
pub(super) struct Git {
    /// For local work; `None`: the user's configuration counts, which knows passwords, proxies and other names of
    /// servers.
    config: Option<tempfile::NamedTempFile>,
}

/// What a program that failed wrote.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) what: String,
    pub(super) text: String,
}

impl Failed {
    /// Whether trying again makes sense.
    pub(super) fn is_transient(&self) -> bool {
        const SIGNS: [&str; 12] = [
            "Could not resolve host",
            "Connection refused",
            "Connection reset",
            "Connection timed out",
            "Operation timed out",
            "Failed to connect",
            "early EOF",
            "RPC failed",
            "hung up unexpectedly",
            "unexpected disconnect",
            "returned error: 5",
            "returned error: 429",
        ];
        SIGNS.iter().any(|sign| self.text.contains(sign))
    }

    pub(super) fn error(&self, kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, message).because(format!("{} failed: {}", self.what, self.text.trim()))
    }
}

impl Git {
    /// For work on this machine only.
    pub(super) fn local() -> Result<Self> {
        let mut config = tempfile::Builder::new().prefix("gonda-git-").tempfile()?;
        config.write_all(LOCAL_CONFIG.as_bytes())?;
        config.flush()?;
        Ok(Self { config: Some(config) })
    }

    /// For work over the network.
    pub(super) fn network() -> Self {
        Self { config: None }
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new("git");
        command.current_dir(folder).stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        OF_A_REPOSITORY.iter().for_each(|name| {
            command.env_remove(name);
        });
        if let Some(config) = &self.config {
            command.env("GIT_CONFIG_GLOBAL", config.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        }
        command
    }

    /// Runs git in a folder; what it wrote, or how it failed.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Result<Vec<u8>, Failed>> {
        self.run_with(folder, args, &[])
    }

    /// As [`run`](Self::run), with more variables.
    pub(super) fn run_with<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        args: impl IntoIterator<Item = S>,
        variables: &[(&str, &OsStr)],
    ) -> Result<Result<Vec<u8>, Failed>> {
        let mut command = self.command(folder);
        command.args(args).envs(variables.iter().copied());
        finish(command)
    }

    /// As [`run`](Self::run), again after transient failures.
    pub(super) fn run_patiently(
        &self,
        folder: &Path,
        args: &[&str],
        retry: super::super::Retry,
    ) -> Result<Result<Vec<u8>, Failed>> {
        let mut wait: Duration = retry.wait;
        for _ in 1..retry.attempts.max(1) {
            match self.run(folder, args)? {
                Err(failed) if failed.is_transient() => std::thread::sleep(wait),
                done => return Ok(done),
            }
            wait *= 2;
        }
        self.run(folder, args)
    }

    /// The first line that git wrote, or `None` where it failed.
    pub(super) fn line(&self, folder: &Path, args: &[&str]) -> Result<Option<String>> {
        self.line_with(folder, args, &[])
    }

    /// As [`line`](Self::line), with more variables.
    pub(super) fn line_with(
        &self,
        folder: &Path,
        args: &[&str],
        variables: &[(&str, &OsStr)],
    ) -> Result<Option<String>> {
        let output = self.run_with(folder, args, variables)?.ok();
        Ok(output.map(|output| String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()))
    }
}

/// Runs GNU patch in a folder; `None` where there is none.
pub(super) fn patch(folder: &Path, args: &[&OsStr]) -> Option<Result<(), Failed>> {
    let mut command = Command::new("patch");
    command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C").env_remove("POSIXLY_CORRECT").args(args);
    finish(command).ok().map(|done| done.map(|_| ()))
}

fn finish(mut command: Command) -> Result<Result<Vec<u8>, Failed>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let words = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    let what = std::iter::once(program.clone()).chain(words.map(|word| super::super::shown(&word)));
    let what = what.collect::<Vec<_>>().join(" ");
    let output = command.output().map_err(|error| {
        Error::new(Kind::Machine, format!("the program `{program}` can't be run"))
            .help(format!("install `{program}`, or put it on PATH"))
            .because(error)
    })?;
    if output.status.success() {
        return Ok(Ok(output.stdout));
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    // Progress is written with carriage returns; what matters stands at the end.
    let lines: Vec<&str> = text.lines().filter_map(|line| line.rsplit('\r').next()).collect();
    let text = lines[lines.len().saturating_sub(20)..].join("\n");
    Ok(Err(Failed { what, text }))
}
