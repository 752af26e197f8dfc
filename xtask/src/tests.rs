//! `cargo xtask test`: set up, run everything offline, say what was skipped.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::project::{cargo, scratch};
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
