//! gonda: builds conda packages from Go feedstocks.
//!
//! The only crate that prints, reads the environment and exits. Each command is a page under `commands/`: arguments
//! in, a call of the library, a result shown.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod commands;
mod config;
mod report;
mod summary;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use gonda_driver::{Error, Kind, Result};

use crate::args::{ChannelCommand, Cli, Command, GoCacheCommand};
use crate::config::Surroundings;
use crate::report::Reporter;

fn main() -> ExitCode {
    // Inside a job there is one thread and one purpose; nothing else may start before.
    if let Some(code) = gonda_driver::started_inside(std::env::args_os()) {
        return code.into();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are no errors, everything else is wrong use.
            let _ = error.print();
            let fine = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if fine { ExitCode::SUCCESS } else { Kind::Usage.exit_code().into() };
        }
    };
    let surroundings = match Surroundings::read() {
        Ok(surroundings) => surroundings,
        Err(error) => {
            eprintln!("error: {error}");
            return error.kind.exit_code().into();
        }
    };
    let reporter = Reporter::new(&cli.global, &surroundings);
    match run(&cli, &surroundings, &reporter) {
        Ok(code) => code,
        Err(error) => {
            reporter.error(&error);
            error.kind.exit_code().into()
        }
    }
}

fn run(cli: &Cli, surroundings: &Surroundings, reporter: &Reporter) -> Result<ExitCode> {
    let format = cli.global.format;
    match &cli.command {
        Command::Build(args) => block_on(commands::build::run(args, surroundings, reporter, format))?,
        Command::Fetch(args) => block_on(commands::fetch::run(args, surroundings, reporter, format))?,
        Command::Lock(args) => block_on(commands::lock::run(args, surroundings, reporter, format))?,
        Command::Render(args) => commands::render::run(args, surroundings, reporter, format),
        Command::Test(args) => block_on(commands::test::run(args, surroundings, reporter, format))?,
        Command::Inspect(args) => commands::inspect::run(args, reporter, format),
        Command::Verify(args) => commands::verify::run(args, reporter, format),
        Command::Rebuild(args) => block_on(commands::rebuild::run(args, surroundings, reporter, format))?,
        Command::Cache(command) => commands::cache::run(command, surroundings, reporter, format),
        Command::Gocache(GoCacheCommand::Serve(args)) => {
            block_on(commands::gocache::serve(args, surroundings, reporter, format))?
        }
        Command::Channel(ChannelCommand::Bootstrap(args)) => {
            block_on(commands::channel::bootstrap(args, surroundings, reporter, format))?
        }
        Command::Channel(ChannelCommand::Index(args)) => commands::channel::index(args, reporter),
    }
}

/// Runs a command on a thread pool, and ends it when the user interrupts: dropping the future ends its processes.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<Result<T>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Machine, "no threads could be started").because(error))?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = future => result,
            () = interrupted() => Err(Error::new(Kind::Interrupted, "interrupted")),
        }
    });
    // Jobs are tasks: they are dropped here, and with them their processes end. Whatever still runs on blocking threads
    // writes aside and renames; it is not worth waiting for longer.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    Ok(result)
}

/// Completes on Ctrl-C, or where the system has it, on a polite request to end.
async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = ctrl_c => {}
        () = gonda_driver::host::terminated() => {}
    }
}
