//! A store in a folder: a file an action, made aside and renamed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Action, object};
use crate::Result;
use crate::files::write_whole;

/// How old the mark of an object's last use may be before it is made anew.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of objects. All of it blocks.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The object of an action, if it is there and whole; what is damaged is removed.
    pub(super) fn read(&self, action: &Action) -> Option<Vec<u8>> {
        let path = self.root.join(action.key());
        if path.metadata().ok()?.len() > object::LARGEST as u64 {
            return None;
        }
        let bytes = std::fs::read(&path).ok()?;
        if object::check(&bytes).is_err() {
            // Another may have put a whole one there meanwhile: then that one is compiled once more.
            let _ = std::fs::remove_file(&path);
            return None;
        }
        self.mark_used(&path);
        Some(bytes)
    }

    /// Keeps an object, in place of a former one.
    pub(super) fn keep(&self, action: &Action, bytes: &[u8]) -> Result<()> {
        // An object that a crash spoils is found out by its digest.
        Ok(write_whole(&self.root.join(action.key()), bytes)?)
    }

    /// Whoever makes the cache smaller goes by a file's time.
    #[allow(clippy::disallowed_methods, reason = "the age of cache entries is the clock's; it reaches no package")]
    fn mark_used(&self, path: &std::path::Path) {
        let now = SystemTime::now();
        let stale = |then: SystemTime| now.duration_since(then).is_ok_and(|age| age > DAY);
        if path.metadata().and_then(|metadata| metadata.modified()).is_ok_and(stale)
            && let Ok(file) = std::fs::File::options().append(true).open(path)
        {
            // An entry that can't be marked goes earlier than others.
            let _ = file.set_modified(now);
        }
    }
}
