//! What gonda keeps from one run to the next: finished packages and compiled standard libraries, and the size of it all.
//! Environments, sources and modules are kept by their own modules.

pub(crate) mod finished;
pub(crate) mod go_std;
mod tree;
mod usage;

use std::path::Path;

pub(crate) use tree::of_tree;
pub use usage::{InUse, Removed, Usage, clean, in_use, prune, size};

use crate::Result;

/// What tells this program from another one of the same version, for what a program can't be expected to know of another's
/// work.
pub(crate) fn this_program() -> String {
    let stamp = || {
        let metadata = std::env::current_exe().ok()?.metadata().ok()?;
        Some(format!("{} {} {:?}", env!("CARGO_PKG_VERSION"), metadata.len(), metadata.modified().ok()?))
    };
    stamp().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
}

/// What the names of folders begin with that are still being made.
const PART: &str = "part-";

/// Removes what those who were killed left; the caller holds the lock.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PART) {
            // What stays costs space only.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A second name for a file, or a copy where the disk has no such thing.
fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs_err::hard_link(from, to).is_err() {
        fs_err::copy(from, to)?;
    }
    Ok(())
}
