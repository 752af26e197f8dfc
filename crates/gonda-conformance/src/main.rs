//! `gonda-conformance DIR`: runs a conformance tree and prints how much of it is equal; fails if something differs that
//! should not.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use gonda_conformance::Report;
use gonda_conformance::batch::{Programs, tool};

#[derive(Debug, Parser)]
#[command(about = "Hold gonda against a conformance tree")]
struct Options {
    /// A tree of the shape of tests/conformance; it may have only some of the parts
    dir: PathBuf,

    /// Only cases whose names contain this
    #[arg(long)]
    only: Option<String>,

    /// The gonda that runs the tree's batch files; without it they are left out
    #[arg(long)]
    gonda: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    if arguments.next().is_some_and(|program| tool::is_meant(Path::new(&program))) {
        return tool::run(&arguments.collect::<Vec<_>>()).into();
    }
    match report(&Options::parse()) {
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

fn report(options: &Options) -> Result<Report> {
    let folder = fs_err::canonicalize(&options.dir)?;
    let programs = match &options.gonda {
        Some(gonda) => Some(Programs { gonda: fs_err::canonicalize(gonda)?, tool: std::env::current_exe()? }),
        None => None,
    };
    gonda_conformance::run(&folder, options.only.as_deref(), programs.as_ref())
}
