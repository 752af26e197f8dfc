//! The folder of a running job: made under the cache, locked while in use, swept up when its process is gone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::remove_all;
use crate::{Error, Kind, Result};

/// A job's own folder, `<cache>/work/<id>/`; removed when dropped, unless left or kept.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    lock_path: PathBuf,
    // Held for as long as the folder is in use: whoever can take the lock may sweep the folder away.
    _lock: File,
    after: After,
}

/// What becomes of a folder when its job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It goes.
    Removed,
    /// It stays until the next run sweeps it, for somebody to look at.
    Left,
    /// It stays until the user removes it.
    Kept,
}

impl Workspace {
    /// Makes a new folder below `cache_root`, after sweeping away what dead processes left there.
    ///
    /// # Errors
    /// The cache can't be written.
    pub(crate) fn create(cache_root: &Path) -> Result<Self> {
        let root = cache_root.join("work");
        fs_err::create_dir_all(&root)?;
        sweep(&root);
        for attempt in 0..1000_u32 {
            // Short names: without namespaces they stand inside a 255-character prefix.
            let id = format!("{:x}{}", std::process::id(), base36(attempt));
            let lock_path = root.join(format!("{id}.lock"));
            let lock = match fs_err::OpenOptions::new().write(true).create_new(true).open(&lock_path) {
                Ok(file) => file.into_parts().0,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error.into()),
            };
            lock.lock().map_err(|error| Error::from(error).because_at(&lock_path))?;
            // Between making the file and locking it, another process may have swept it away.
            if !lock_path.exists() {
                continue;
            }
            let path = root.join(&id);
            match fs_err::create_dir(&path) {
                Ok(()) => {}
                // Somebody kept the folder of a former process with this number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let _ = std::fs::remove_file(&lock_path);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            return Ok(Self { path, lock_path, _lock: lock, after: After::Removed });
        }
        Err(Error::new(Kind::Machine, format!("no free name for a work folder in `{}`", root.display())))
    }

    /// The folder.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder until the next run.
    pub(crate) fn leave(&mut self) {
        if self.after == After::Removed {
            self.after = After::Left;
        }
    }

    /// Leaves the folder for good.
    pub(crate) fn keep(&mut self) {
        self.after = After::Kept;
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What has a lock that nobody holds is swept by a later run; without one it is left alone.
        let done = match self.after {
            After::Removed => remove_all(&self.path).is_ok(),
            After::Left => false,
            After::Kept => true,
        };
        if done {
            let _ = std::fs::remove_file(&self.lock_path);
        }
    }
}

impl Error {
    fn because_at(mut self, path: &Path) -> Self {
        self.message = format!("{}: {}", path.display(), self.message);
        self
    }
}

fn base36(mut number: u32) -> String {
    let mut text = String::new();
    loop {
        text.insert(0, char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return text;
        }
    }
}

/// Removes the folders of processes that are gone. Failure to do so is no reason to fail a build.
fn sweep(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let lock_path = entry.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&lock_path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let folder = lock_path.with_extension("");
        if remove_all(&folder).is_ok() {
            let _ = std::fs::remove_file(&lock_path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_folder_is_not_swept_and_a_dead_one_is() {
        let cache = tempfile::tempdir().unwrap();
        let dead = cache.path().join("work/dead");
        std::fs::create_dir_all(&dead).unwrap();
        std::fs::write(cache.path().join("work/dead.lock"), "").unwrap();
        let live = Workspace::create(cache.path()).unwrap();
        let other = Workspace::create(cache.path()).unwrap();
        assert!(!dead.exists());
        assert!(live.path().is_dir() && other.path().is_dir() && live.path() != other.path());
        let path = live.path().to_path_buf();
        drop(live);
        assert!(!path.exists());

        let stays = |end: fn(&mut Workspace), swept: bool| {
            let mut this = Workspace::create(cache.path()).unwrap();
            end(&mut this);
            let path = this.path().to_path_buf();
            drop(this);
            let before = path.exists();
            // A process that another test is just starting holds a copy of the lock until its program runs.
            for _ in 0..100 {
                drop(Workspace::create(cache.path()).unwrap());
                if !swept || !path.exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            (before, path.exists())
        };
        assert_eq!(stays(Workspace::leave, true), (true, false));
        assert_eq!(stays(Workspace::keep, false), (true, true));
    }
}
