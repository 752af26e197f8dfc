//! `cargo xtask test`: set up, run everything offline, say what was skipped. And `cargo xtask conformance`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::project::{cargo, run as run_command, scratch};
use crate::setup;

/// `cargo xtask test …`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave out what needs a real Go SDK or Python's packages
    #[arg(long)]
    quick: bool,

    /// Only tests whose names contain this
    filter: Option<String>,
}

/// `cargo xtask conformance …`
#[derive(Debug, clap::Args)]
pub(crate) struct ConformanceOptions {
    /// A tree of the set's shape; else the project's own
    dir: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    setup::crates()?;
    let skips = scratch()?.join("skipped-tests");
    fs_err::write(&skips, "")?;

    let mut command = cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    // Set-up was the only part that may ask a network.
    command.env("CARGO_NET_OFFLINE", "true").env("GOPROXY", "off").env("PIP_NO_INDEX", "1");
    command.env(gonda_testkit::SKIPS, &skips);
    if options.quick {
        command.env(gonda_testkit::QUICK, "1");
    } else {
        let go_root = setup::go_root()?;
        if let Some(python) = setup::optional("Python's packages", setup::clients()) {
            command.env(gonda_testkit::PYTHON, &python.program).env(gonda_testkit::PYTHONPATH, &python.path);
        }
        if let Some(source) = setup::optional("the source of go-licenses", setup::go_licenses(&go_root)) {
            command.env(gonda_testkit::GO_LICENSES, source);
        }
        command.env(gonda_testkit::GO_ROOT, go_root);
    }
    if let Some(filter) = &options.filter {
        command.arg("--").arg(filter);
    }
    let status = command.stdin(Stdio::null()).status()?;

    let skipped = fs_err::read_to_string(&skips)?;
    let skipped: BTreeSet<&str> = skipped.lines().collect();
    if !skipped.is_empty() {
        println!("\nskipped tests:");
        for line in &skipped {
            println!("  {}", line.trim_start_matches("skipped: "));
        }
    }
    let seconds = begin.elapsed().as_secs();
    if !status.success() {
        bail!("tests failed after {seconds} s ({} skipped)", skipped.len());
    }
    println!("\nall tests passed in {seconds} s ({} skipped)", skipped.len());
    Ok(())
}

/// Renders a tree of the conformance set's shape; `tests/conformance` unless another is named.
pub(crate) fn conformance(options: &ConformanceOptions) -> Result<()> {
    let dir = match &options.dir {
        Some(dir) => fs_err::canonicalize(dir)?,
        None => crate::project::root().join("tests/conformance"),
    };
    let mut command =
        cargo(["test", "--package", "gonda-recipe", "--test", "conformance*", "--locked", "--", "--nocapture"]);
    run_command(command.env("GONDA_CONFORMANCE_DIR", dir))
}
