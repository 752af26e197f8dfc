//! Plans a build, then does it: channels, environments, sources, scripts, isolation, tests.
//!
//! The only crate with network and processes. It never prints: it tells what happens through [`Event`]s and returns
//! [`Error`]s, classified by who must act.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
mod event;

pub use error::{Error, Kind, Result, Where};
pub use event::{Event, Events, Job, Phase};
pub use inside::started_inside;

pub mod batch;
pub mod bootstrap;
pub mod building;
pub mod cache;
pub mod channels;
pub mod crossing;
pub mod environment;
pub mod files;
pub mod go_cache;
pub mod golang;
pub mod host;
pub mod index;
pub mod info;
mod inside;
pub mod isolation;
pub mod locate;
pub mod lock;
pub mod modules;
pub mod planning;
pub mod process;
pub mod rebuild;
pub mod record;
pub mod script;
pub mod settings;
mod shell;
pub mod solving;
pub mod source;
pub mod stage;
pub mod testbed;
pub mod testing;
pub mod truth;
mod workspace;
mod zig;

// Outputs for tests, shared with `tests/rooms.rs`.
#[cfg(test)]
#[path = "../tests/support/output.rs"]
mod sample_outputs;
