//! The project's chores. `cargo xtask demo` and `cargo xtask test` need nothing but Rust and one of Go or Python's pip.
//!
//! What a chore sets up stands below `target/xtask/`; only set-up uses the network.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod conformance;
mod demo;
mod docs;
mod hosts;
mod project;
mod setup;
mod tests;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Make a channel from a Go SDK, build the sample feedstocks, and show that the packages install and run
    Demo(demo::Options),
    /// Set up what tests need, then run all of them
    Test(tests::Options),
    /// Run a conformance tree and say how much of it is equal
    Conformance(conformance::Options),
    /// Measure, side by side with Go alone and a peer
    Bench {
        #[command(subcommand)]
        what: Option<bench::What>,
    },
    /// Compile all of gonda for Windows and macOS
    CheckHosts,
    /// Build the documentation and check its links
    Docs,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test(options) => tests::run(&options),
        Chore::Conformance(options) => match conformance::run(&options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Chore::Bench { what } => bench::run(&what.unwrap_or_default()),
        Chore::CheckHosts => hosts::run(),
        Chore::Docs => docs::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
