//! The standard library as gonda itself compiled it: what a job's GOCACHE starts with.
//!
//! A script can write anything into a GOCACHE that it sees, so what one job compiled is never given to another. The
//! standard library, which takes most of a small program's time, is the exception: gonda compiles the part of it that a
//! job needs before the job's source and script are there, in the job's own environment, and every later job sees it as
//! a read-only layer. Go looks up what is in it by the digest of all that went into it, so a layer that doesn't fit a
//! job costs time, never bytes.
//!
//! `<cache>/gocache/<key>/` holds generations `g1`, `g2`, …, each a whole GOCACHE: a job that needs more than the
//! newest has makes the next, of hard links and what it adds. A generation never changes once it has its name, for it
//! is a lower layer of running jobs. `layer.json` says which one counts and which packages it has; `served/` remembers
//! of which sources it is known to have all they need.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use walkdir::WalkDir;

use super::{PART, link_or_copy, sweep};
use crate::files::{blocking, write_whole};
use crate::{Result, index, zig};

/// Go marks an entry as used by its time, and removes what has not been used for days; both would copy a layer's files
/// into a job's own. Entries from the year 2100 are never marked and never removed.
const NEVER_OLD: Duration = Duration::from_secs(4_102_444_800);

/// The layer for one toolchain and target platform.
#[derive(Debug)]
pub(crate) struct StdLayer {
    place: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    generation: u64,
    packages: BTreeSet<String>,
}

/// What a layer has to offer.
#[derive(Debug)]
pub(crate) enum Offer {
    /// All that was wanted is there: the GOCACHE to lay under the job's own.
    Serves(PathBuf),
    /// More is to be compiled.
    Grows(Growth),
}

/// The next generation of a layer, locked until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Growth {
    place: PathBuf,
    part: TempDir,
    state: State,
    /// The packages that are to be compiled into [`Growth::folder`].
    pub(crate) missing: Vec<String>,
    _lock: File,
}

impl StdLayer {
    /// The layer of this key below gonda's cache root.
    pub(crate) fn new(cache_root: &Path, key: &str) -> Self {
        Self { place: cache_root.join("gocache").join(key) }
    }

    /// The layer, if it is known to have all that a source needs, and what else [`StdLayer::remember`] was told.
    pub(crate) fn serving(&self, source: &str) -> Option<(PathBuf, Vec<u8>)> {
        let known = std::fs::read(self.place.join("served").join(source)).ok()?;
        let folder = self.generation(&self.state())?;
        // Its time says that the layer is in use; whoever prunes the cache goes by it.
        let _ = self.remember(source, &known);
        Some((folder, known))
    }

    /// Notes that the layer has all that a source needs, and what else is known of the source. It may be wrong without
    /// harm: Go compiles what is missing.
    pub(crate) fn remember(&self, source: &str, known: &[u8]) -> Result<()> {
        let served = self.place.join("served");
        fs_err::create_dir_all(&served)?;
        fs_err::write(served.join(source), known)?;
        fs_err::write(self.place.join("used"), "")?;
        Ok(())
    }

    /// Finds out what is to be compiled so that the layer has these packages, waiting for whoever is at it already.
    pub(crate) async fn offer(&self, wanted: &BTreeSet<String>) -> Result<Offer> {
        if let Some(folder) = self.having(wanted) {
            return Ok(Offer::Serves(folder));
        }
        fs_err::create_dir_all(&self.place)?;
        let lock_path = self.place.with_extension("lock");
        let lock = blocking(move || index::lock(&lock_path)).await?;
        if let Some(folder) = self.having(wanted) {
            return Ok(Offer::Serves(folder));
        }
        let mut state = self.state();
        let old = self.generation(&state);
        if old.is_none() {
            state.packages.clear();
        }
        let missing = wanted.difference(&state.packages).cloned().collect();
        let place = self.place.clone();
        let part = blocking(move || {
            sweep(&place);
            let part = tempfile::Builder::new().prefix(PART).tempdir_in(&place)?;
            if let Some(old) = old {
                link_all(&old, part.path())?;
            }
            Ok(part)
        })
        .await?;
        Ok(Offer::Grows(Growth { place: self.place.clone(), part, state, missing, _lock: lock }))
    }

    /// The layer, if it has these packages.
    pub(crate) fn having(&self, wanted: &BTreeSet<String>) -> Option<PathBuf> {
        let state = self.state();
        self.generation(&state).filter(|_| wanted.is_subset(&state.packages))
    }

    /// What can't be read counts for nothing and is made anew.
    fn state(&self) -> State {
        let text = std::fs::read(self.place.join(STATE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn generation(&self, state: &State) -> Option<PathBuf> {
        let folder = generation(&self.place, state.generation);
        (state.generation > 0 && folder.is_dir()).then_some(folder)
    }
}

impl Growth {
    /// The GOCACHE to compile into.
    pub(crate) fn folder(&self) -> &Path {
        self.part.path()
    }

    /// Makes what was compiled the layer's newest generation.
    pub(crate) async fn finish(self) -> Result<PathBuf> {
        blocking(move || {
            let Self { place, part, mut state, missing, _lock } = self;
            make_ageless(part.path())?;
            state.packages.extend(missing);
            let folder = loop {
                state.generation += 1;
                let folder = generation(&place, state.generation);
                // One without a place in the list was left by who was killed before he could enter it.
                if !folder.exists() {
                    break folder;
                }
            };
            fs_err::rename(part.keep(), &folder)?;
            write_whole(&place.join(STATE), &serde_json::to_vec(&state).unwrap_or_default())?;
            Ok(folder)
        })
        .await
    }
}

/// Which generation counts, in a layer's folder.
const STATE: &str = "layer.json";

fn generation(place: &Path, number: u64) -> PathBuf {
    place.join(format!("g{number}"))
}

/// Generations of a layer that newer ones have replaced; nobody may use the caches meanwhile.
pub(super) fn outlived(place: &Path) -> Vec<PathBuf> {
    let layer = StdLayer { place: place.to_owned() };
    let current = layer.generation(&layer.state());
    let Some(current) = current else { return Vec::new() };
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_generation = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('g'));
        name.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    entries.filter(|path| is_generation(path) && *path != current).collect()
}

/// Fills a folder with hard links to another's files. Go replaces no entry of a cache that is as it should be.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from).min_depth(1) {
        let entry = entry.map_err(std::io::Error::from)?;
        let Ok(path) = entry.path().strip_prefix(from) else { continue };
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(to.join(path))?;
        } else if path.starts_with(zig::PACKAGE) {
            // Zig writes into some of its files.
            fs_err::copy(entry.path(), to.join(path))?;
        } else {
            link_or_copy(entry.path(), &to.join(path))?;
        }
    }
    Ok(())
}

/// Gives all entries a time that is never old, and drops what a job is to write for itself.
fn make_ageless(folder: &Path) -> Result<()> {
    let ageless = SystemTime::UNIX_EPOCH + NEVER_OLD;
    for entry in WalkDir::new(folder).min_depth(1) {
        let entry = entry.map_err(std::io::Error::from)?;
        if !entry.file_type().is_file() {
            continue;
        }
        if entry.depth() == 1 {
            // `trim.txt` says when Go last looked for what is old.
            fs_err::remove_file(entry.path())?;
        } else if entry.metadata().map_err(std::io::Error::from)?.modified()? != ageless {
            fs_err::OpenOptions::new().write(true).open(entry.path())?.file().set_modified(ageless)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Asks for packages and compiles what is missing: a file for each. Returns what was compiled and what is there.
    async fn check(cache: &Path, names: &[&str]) -> (Vec<String>, Vec<String>) {
        let layer = StdLayer::new(cache, "key");
        let (compiled, folder) = match layer.offer(&wanted(names)).await.unwrap() {
            Offer::Serves(folder) => (Vec::new(), folder),
            Offer::Grows(growth) => {
                std::fs::create_dir_all(growth.folder().join("ab")).unwrap();
                for name in &growth.missing {
                    std::fs::write(growth.folder().join("ab").join(name), name).unwrap();
                }
                std::fs::write(growth.folder().join("trim.txt"), "1").unwrap();
                (growth.missing.clone(), growth.finish().await.unwrap())
            }
        };
        assert!(!folder.join("trim.txt").exists());
        let mut there: Vec<String> = std::fs::read_dir(folder.join("ab"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        (compiled, there)
    }

    fn lists(compiled: &[&str], there: &[&str]) -> (Vec<String>, Vec<String>) {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        (list(compiled), list(there))
    }

    #[tokio::test]
    async fn a_layer_grows_and_is_kept() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(check(cache.path(), &["fmt", "os"]).await, lists(&["fmt", "os"], &["fmt", "os"]));
        assert_eq!(check(cache.path(), &["os"]).await, lists(&[], &["fmt", "os"]));
        assert_eq!(check(cache.path(), &["net", "os"]).await, lists(&["net"], &["fmt", "net", "os"]));
        let place = cache.path().join("gocache/key");
        assert_eq!(std::fs::read_dir(place.join("g1/ab")).unwrap().count(), 2, "a generation never changes");
        let time = place.join("g2/ab/net").metadata().unwrap().modified().unwrap();
        assert_eq!(time, SystemTime::UNIX_EPOCH + NEVER_OLD);

        let layer = StdLayer::new(cache.path(), "key");
        assert_eq!(layer.serving("source"), None);
        layer.remember("source", b"known").unwrap();
        assert_eq!(layer.serving("source"), Some((place.join("g2"), b"known".to_vec())));
        std::fs::remove_dir_all(place.join("g2")).unwrap();
        assert_eq!(layer.serving("source"), None);
        assert_eq!(check(cache.path(), &["os"]).await, lists(&["os"], &["os"]));
    }

    #[tokio::test]
    async fn what_was_not_finished_counts_for_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let layer = StdLayer::new(cache.path(), "key");
        let Offer::Grows(growth) = layer.offer(&wanted(&["fmt"])).await.unwrap() else { panic!("it is empty") };
        std::fs::write(growth.folder().join("rubbish"), "").unwrap();
        // Killed: the folder stays, the lock goes.
        let _ = growth.part.keep();
        drop(growth._lock);
        std::fs::create_dir_all(cache.path().join("gocache/key/g1")).unwrap();
        assert_eq!(check(cache.path(), &["fmt"]).await, lists(&["fmt"], &["fmt"]));
        let left: BTreeSet<String> = std::fs::read_dir(cache.path().join("gocache/key"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, wanted(&["g1", "g2", "layer.json"]));
        assert_eq!(outlived(&cache.path().join("gocache/key")), [cache.path().join("gocache/key/g1")]);
    }
}
