//! Generated pages of the book are what the binary says today. `GONDA_UPDATE=1 cargo test -p gonda --test it reference`
//! writes them anew.

use std::fmt::Write;
use std::path::Path;

use gonda_testkit::World;

use crate::support::GONDA;

/// Every command, in the order of the page.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["build"],
    &["render"],
    &["test"],
    &["inspect"],
    &["verify"],
    &["channel", "bootstrap"],
    &["channel", "index"],
];

/// Compares a committed page with what it should be, or writes it.
fn check(page: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference").join(page);
    if std::env::var_os("GONDA_UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(is == wanted, "`{page}` is stale; run GONDA_UPDATE=1 cargo test -p gonda --test it reference\n{wanted}");
}

#[test]
fn command_line() {
    let mut world = World::new(GONDA);
    // The width of lines must not depend on a terminal.
    world.env("COLUMNS", "100").env("NO_COLOR", "1");
    let mut text = String::from("# The command line\n\nWhat `gonda … --help` says. This page is generated.\n");
    for command in COMMANDS {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let run = world.gonda(&arguments).succeeds();
        let title = std::iter::once("gonda").chain(command.iter().copied()).collect::<Vec<_>>().join(" ");
        let lines: Vec<&str> = run.stdout.lines().map(str::trim_end).collect();
        write!(text, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim()).unwrap();
    }
    check("command-line.md", &text);
}
