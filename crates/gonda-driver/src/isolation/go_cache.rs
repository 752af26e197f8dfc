//! A GOCACHE that begins with another's entries, where they can't be laid under it.

use std::path::Path;

use super::{io_error, make};
use crate::Result;

/// Copies a GOCACHE: folders of files.
///
/// # Errors
/// When the one can't be read or the other can't be written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.map_err(|error| io_error("read", from, error.into()))?;
        let Ok(path) = entry.path().strip_prefix(from) else { continue };
        let place = to.join(path);
        if entry.file_type().is_dir() {
            make(&place)?;
        } else {
            // A reflink, where the file system has them.
            std::fs::copy(entry.path(), &place).map_err(|error| io_error("write", &place, error))?;
        }
    }
    Ok(())
}

/// Says in a GOCACHE that it was looked through just now: Go would do that, for what is old.
///
/// # Errors
/// When it can't be written.
pub(crate) fn stamp(folder: &Path) -> Result<()> {
    let stamp = folder.join("trim.txt");
    std::fs::write(&stamp, now().to_string()).map_err(|error| io_error("write", &stamp, error))
}

/// Seconds since 1970, for Go's own housekeeping.
#[allow(clippy::disallowed_methods, reason = "Go compares it with the clock; it reaches no package")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
