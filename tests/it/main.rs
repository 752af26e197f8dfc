//! The command line, end to end: one binary, each test in a world of its own, no network but loopback.
//!
//! A test that needs what the machine lacks says `skipped: NAME: REASON`; `cargo xtask test` sets up what can be had
//! (a Go SDK, Python's packages) and lists the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

mod support;

mod arrows;
mod batch;
mod binaries;
mod build;
mod caches;
mod cgo;
mod crossing;
mod errors;
mod hostile;
mod jobs;
mod kills;
mod matrix;
mod network;
mod offline;
mod packages;
mod reference;
mod render;
mod reproducible;
mod samples;
