//! What the caches hold, and making them smaller: `gonda cache size|prune|clean`.
//!
//! Every run that uses the caches holds a lock on them ([`in_use`]), which many can hold; who removes something waits
//! until nobody does ([`alone`]). So nothing is removed under a running job, and no job begins with half of an entry.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use walkdir::WalkDir;

use crate::files::remove_all;
use crate::{Error, Events, Kind, Result};

/// The lock that stands for all caches.
const LOCK: &str = ".gonda-cache.lock";

/// A part of the caches.
struct Part {
    /// Its folder in the cache root.
    name: &'static str,
    what: &'static str,
    /// How deep the entries lie that are removed one by one; 0: the part goes as a whole.
    depth: usize,
}

const PARTS: &[Part] = &[
    Part { name: "pkgs", what: "conda packages", depth: 1 },
    Part { name: "repodata", what: "indexes of channels", depth: 0 },
    Part { name: "envs", what: "build environments", depth: 1 },
    Part { name: "sources", what: "source archives", depth: 1 },
    Part { name: "facts", what: "what is known of sources", depth: 1 },
    Part { name: "git", what: "git repositories", depth: 1 },
    Part { name: "gomod", what: "Go modules, as downloaded", depth: 0 },
    Part { name: "modsets", what: "Go modules, extracted", depth: 1 },
    Part { name: "gocache", what: "Go's compiled packages", depth: 1 },
    Part { name: "gostore", what: "Go's compiled packages, shared", depth: 3 },
    Part { name: "finished", what: "finished packages", depth: 1 },
    Part { name: "work", what: "folders of jobs", depth: 1 },
];

/// What a part of the caches takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The folder in the cache root.
    pub name: String,
    /// What is in it.
    pub what: String,
    /// Files; one with several names counts once.
    pub files: u64,
    /// Bytes, as files' lengths add up.
    pub bytes: u64,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Entries.
    pub entries: u64,
    /// Bytes that nothing else holds.
    pub bytes: u64,
}

/// Held by a run that uses the caches.
#[derive(Debug)]
pub struct InUse {
    _lock: Option<File>,
}

/// Marks the caches as used for as long as the result lives.
///
/// # Errors
/// The cache root can't be written.
pub fn in_use(cache_root: &Path) -> Result<InUse> {
    let file = open_lock(cache_root)?;
    match file.lock_shared() {
        Ok(()) => Ok(InUse { _lock: Some(file) }),
        // File systems without locks: then nobody waits.
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(InUse { _lock: None }),
        Err(error) => Err(not_locked(cache_root, error)),
    }
}

/// Waits until no run uses the caches, and keeps new ones waiting.
fn alone(cache_root: &Path, events: &Events) -> Result<File> {
    let file = open_lock(cache_root)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => events.note("", "waiting for other runs of gonda to end"),
        Err(std::fs::TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(file),
        Err(std::fs::TryLockError::Error(error)) => return Err(not_locked(cache_root, error)),
    }
    file.lock().map_err(|error| not_locked(cache_root, error))?;
    Ok(file)
}

fn open_lock(cache_root: &Path) -> Result<File> {
    fs_err::create_dir_all(cache_root)?;
    let path = cache_root.join(LOCK);
    Ok(fs_err::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?.into_parts().0)
}

fn not_locked(cache_root: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Machine, format!("could not lock the caches in `{}`", cache_root.display())).because(error)
}

/// What each part takes. A file that several parts share counts for the first. Blocks.
///
/// # Errors
/// A folder that can't be read.
pub fn size(cache_root: &Path) -> Result<Vec<Usage>> {
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::new();
    for part in PARTS {
        let mut usage = Usage { name: part.name.to_owned(), what: part.what.to_owned(), files: 0, bytes: 0 };
        for entry in WalkDir::new(cache_root.join(part.name)) {
            // What goes away meanwhile takes nothing.
            let Ok(metadata) = entry.and_then(|entry| entry.metadata()) else { continue };
            if metadata.is_file() && identity(&metadata).is_none_or(|identity| seen.insert(identity)) {
                usage.files += 1;
                usage.bytes += metadata.len();
            }
        }
        all.push(usage);
    }
    Ok(all)
}

/// Removes what has not been used for `age`, and what nothing uses any more: folders of dead jobs, older generations of
/// the standard library. Blocks; waits for running builds.
///
/// # Errors
/// What can't be removed.
pub fn prune(cache_root: &Path, age: Duration, events: &Events) -> Result<Removed> {
    let _alone = alone(cache_root, events)?;
    let mut removed = Removed::default();
    for part in PARTS {
        let folder = cache_root.join(part.name);
        if part.depth == 0 {
            continue;
        }
        for entry in entries_at(&folder, part.depth)? {
            let old = last_use(&entry).and_then(|used| used.elapsed().ok()).is_some_and(|unused| unused > age);
            if old && !is_lock(&entry) {
                remove(&entry, &mut removed)?;
            }
        }
    }
    for layer in entries(&cache_root.join("gocache"))? {
        for generation in super::go_std::outlived(&layer) {
            remove(&generation, &mut removed)?;
        }
    }
    Ok(removed)
}

/// Removes everything. Blocks; waits for running builds.
///
/// # Errors
/// What can't be removed.
pub fn clean(cache_root: &Path, events: &Events) -> Result<Removed> {
    let _alone = alone(cache_root, events)?;
    let mut removed = Removed::default();
    for part in PARTS {
        let folder = cache_root.join(part.name);
        if folder.symlink_metadata().is_ok() {
            remove(&folder, &mut removed)?;
        }
    }
    Ok(removed)
}

/// What lies so deep below a folder: 1 is what is in it.
fn entries_at(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut found = entries(folder)?;
    for _ in 1..depth {
        found = found.iter().map(|folder| entries(folder)).collect::<Result<Vec<_>>>()?.concat();
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(Error::from(error)),
    }
}

/// When an entry was last used: by its lock's time, or a file in it that is written for that, else its own.
fn last_use(entry: &Path) -> Option<SystemTime> {
    let marks = [entry.with_extension("lock"), entry.join("used"), entry.join("served"), entry.to_path_buf()];
    marks.iter().filter_map(|mark| mark.symlink_metadata().ok()?.modified().ok()).max()
}

fn is_lock(entry: &Path) -> bool {
    entry.extension().is_some_and(|extension| extension == "lock")
}

fn remove(entry: &Path, removed: &mut Removed) -> Result<()> {
    let files = WalkDir::new(entry).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    let bytes: u64 = files.filter(|metadata| metadata.is_file() && names(metadata) <= 1).map(|file| file.len()).sum();
    // Aside first, so that a half-removed entry is never taken for a whole one.
    let aside = entry.with_file_name(format!(
        "part-{}-removed",
        entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    ));
    let failed = |error: std::io::Error| {
        let mut this = Error::from(error);
        this.message = format!("could not remove `{}`: {}", entry.display(), this.message);
        this
    };
    if entry.symlink_metadata().map_err(failed)?.is_dir() {
        remove_all(&aside).map_err(failed)?;
        std::fs::rename(entry, &aside).map_err(failed)?;
        remove_all(&aside).map_err(failed)?;
    } else {
        std::fs::remove_file(entry).map_err(failed)?;
    }
    removed.entries += 1;
    removed.bytes += bytes;
    Ok(())
}

/// What tells a file that has several names.
fn identity(metadata: &std::fs::Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// How many names a file has.
fn names(metadata: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::nlink(metadata)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(path: &Path, days: u64) {
        let then = std::fs::metadata(path).unwrap().modified().unwrap() - Duration::from_secs(days * 24 * 3600);
        File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn what_is_old_goes_and_the_rest_stays() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "12345").unwrap();
            path
        };
        for key in ["envs/old", "envs/new", "envs/used"] {
            file(&format!("{key}/bin/go"));
            file(&format!("{key}.lock"));
        }
        age(&root.path().join("envs/old"), 50);
        age(&root.path().join("envs/old.lock"), 50);
        // Its lock tells that it was used.
        age(&root.path().join("envs/used"), 50);
        age(&file("sources/abc"), 50);
        std::fs::hard_link(root.path().join("sources/abc"), root.path().join("elsewhere")).unwrap();
        file("gomod/a/@v/list");

        let bytes = |name: &str| size(root.path()).unwrap().into_iter().find(|usage| usage.name == name).unwrap().bytes;
        assert_eq!((bytes("envs"), bytes("gomod")), (30, 5));
        let removed = prune(root.path(), Duration::from_secs(30 * 24 * 3600), &Events::silent()).unwrap();
        // The archive has another name, so removing it frees nothing.
        assert_eq!(removed, Removed { entries: 2, bytes: 5 });
        let there = |path: &str| root.path().join(path).exists();
        assert_eq!(
            [there("envs/old"), there("envs/new"), there("envs/used"), there("sources/abc")],
            [false, true, true, false]
        );
        clean(root.path(), &Events::silent()).unwrap();
        assert!(size(root.path()).unwrap().iter().all(|usage| usage.files == 0));
    }

    #[test]
    fn nothing_goes_while_somebody_is_at_it() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (in_use(root.path()).unwrap(), in_use(root.path()).unwrap());
        let alone = || open_lock(root.path()).unwrap().try_lock().is_ok();
        assert!(!alone());
        drop(one);
        assert!(!alone());
        drop(two);
        assert!(alone());
    }
}
