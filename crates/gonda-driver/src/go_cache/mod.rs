//! A Go build cache that several machines share: `--go-cache URL`, and `gonda gocache serve`, which serves one.
//!
//! The job's `go` starts gonda as its GOCACHEPROG ([`helper`], after the protocol of `cmd/go/internal/cacheprog`). That
//! looks in the job's own GOCACHE first and asks gonda, outside, for what isn't there, over the one connection that a
//! script has. gonda looks in a folder of its own cache ([`folder`]) and then in the store ([`store`]), and brings there
//! what the job compiled.
//!
//! A store is never trusted to work: each object carries the digest of its content, which is checked by whoever takes
//! it; a time-out, an error or a false object is a miss, told once, and after a few the store is left aside. What it can't
//! prove is that an object is what its action compiles to. So it is for stores whose writers one trusts, and `gonda
//! rebuild` never uses one.

mod folder;
mod helper;
mod object;
mod server;
mod store;

#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use helper::{ARGUMENT as HELPER, run as help};
pub(crate) use server::{PREFIX, answer};
pub use server::{default_folder, serve};
pub(crate) use store::SharedGoCache;
pub use store::check_url;

/// The value of GOCACHEPROG for a job: gonda's `program` as the job sees it, and where its proxy has the cache. `None`
/// where the path can't be written so that Go reads it (`cmd/internal/quoted`).
pub(crate) fn command(program: &Path, url: &str) -> Option<String> {
    let program = program.to_str()?;
    let quote = ['\'', '"'].into_iter().find(|quote| !program.contains(*quote))?;
    Some(format!("{quote}{program}{quote} {HELPER} {url}"))
}

/// What an object is asked for by: Go's action id, a SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Action(String);

impl Action {
    /// From 64 lower-case hexadecimal digits; `None` for anything else, so that it always is a plain file name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 64 && digits).then(|| Self(text.to_owned()))
    }

    /// Where a store has it, below its root.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", object::VERSION, self.0)
    }
}
