//! Work on files that several parts do in the same way: on a thread that may wait, whole or not at all, and whatever their
//! permissions.

mod remove;

use std::io::Write as _;
use std::path::Path;

pub use remove::remove_all;

use crate::{Error, Kind, Result};

/// Runs file work on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Bug, "work on files ended early").because(error)),
    }
}

/// Writes a file whole or not at all, in place of a former one, into a folder that is made if missing. It isn't synced: who
/// reads it must know what a crash of the machine has spoilt.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs_err::create_dir_all(folder)?;
    let mut aside = tempfile::Builder::new().prefix(".part-").tempfile_in(folder)?;
    aside.write_all(content)?;
    aside.persist(path)?;
    Ok(())
}
