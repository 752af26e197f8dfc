//! `gonda-conformance DIR`: runs a conformance tree and prints how much of it is equal; fails if something differs that
//! should not.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(about = "Hold gonda against a conformance tree")]
struct Options {
    /// A tree of the shape of tests/conformance; it may have only some of the parts
    dir: PathBuf,

    /// Only cases whose names contain this
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let report = fs_err::canonicalize(&options.dir)
        .map_err(anyhow::Error::from)
        .and_then(|folder| gonda_conformance::run(&folder, options.only.as_deref()));
    match report {
        Ok(report) => {
            print!("{report}");
            if report.unexcused().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
