//! `cargo xtask conformance`: how much of a conformance tree is equal. What does the work is the crate
//! `gonda-conformance`, built apart so that the other chores start without compiling a renderer.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::project;

/// `cargo xtask conformance …`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A tree of the shape of tests/conformance, which is run if none is named
    dir: Option<PathBuf>,

    /// Only cases whose names contain this
    #[arg(long)]
    only: Option<String>,
}

/// Runs the tree; the exit code tells whether something differs that should not.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = match &options.dir {
        Some(dir) => fs_err::canonicalize(dir)?,
        None => project::root().join("tests/conformance"),
    };
    let mut command = Command::new(project::build("gonda-conformance", false)?);
    // Batch files are run by gonda as in a build; on Windows they are cmd.exe's.
    if cfg!(unix) && dir.join("batch").is_dir() {
        command.arg("--gonda").arg(project::build_gonda(false)?);
    }
    command.arg(dir);
    if let Some(only) = &options.only {
        command.arg("--only").arg(only);
    }
    let status = command.stdin(Stdio::null()).status().context("gonda-conformance can't be started")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
