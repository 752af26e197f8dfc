//! Finished packages, by the digest of all that decided their bytes: `<cache>/finished/<key>/` holds the package, and
//! `package.json` with its name and digest. What is taken out is checked, so that nothing that happened to the file
//! meanwhile is ever handed on.

use std::path::{Path, PathBuf};

use gonda_packager::Artifact;
use serde::{Deserialize, Serialize};

use super::{PART, link_or_copy, sweep};
use crate::source::sha256_of_file;
use crate::{Result, index};

/// The store of finished packages.
#[derive(Debug)]
pub(crate) struct Finished {
    root: PathBuf,
}

/// What is known of a package.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    file: String,
    sha256: String,
    /// Whether its tests have passed.
    tested: bool,
}

const LIST: &str = "package.json";

impl Finished {
    pub(crate) fn new(cache_root: &Path) -> Self {
        Self { root: cache_root.join("finished") }
    }

    /// Puts the package of this key into a folder, if it is known, and tested where that is asked for; what is there
    /// already stays if it is the same. Returns its path and whether it was there. Blocks.
    pub(crate) fn take(&self, key: &str, tested: bool, folder: &Path) -> Result<Option<(PathBuf, bool)>> {
        let place = self.root.join(key);
        let Ok(text) = std::fs::read(place.join(LIST)) else { return Ok(None) };
        let Ok(entry) = serde_json::from_slice::<Entry>(&text) else { return Ok(None) };
        if tested && !entry.tested {
            return Ok(None);
        }
        let is_it = |path: &Path| path.is_file() && sha256_of_file(path).is_ok_and(|digest| digest == entry.sha256);
        let target = folder.join(&entry.file);
        // The entry's time says when it was last used; whoever prunes the cache goes by it.
        let _ = fs_err::write(place.join("used"), "");
        if is_it(&target) {
            return Ok(Some((target, true)));
        }
        let kept = place.join(&entry.file);
        if !is_it(&kept) {
            return Ok(None);
        }
        fs_err::create_dir_all(folder)?;
        // A folder aside, so that the name stays the package's own.
        let aside = tempfile::Builder::new().prefix(".").suffix(".part").tempdir_in(folder)?;
        let part = aside.path().join(&entry.file);
        link_or_copy(&kept, &part)?;
        fs_err::rename(&part, &target)?;
        Ok(Some((target, false)))
    }

    /// Keeps a package, in place of one of the same key. Blocks.
    pub(crate) fn keep(&self, key: &str, artifact: &Artifact, tested: bool) -> Result<()> {
        let Some(file) = artifact.path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        fs_err::create_dir_all(&self.root)?;
        let _lock = index::lock(&self.root.join(".lock"))?;
        sweep(&self.root);
        let part = tempfile::Builder::new().prefix(PART).tempdir_in(&self.root)?;
        let new = part.path().join("new");
        fs_err::create_dir(&new)?;
        link_or_copy(&artifact.path, &new.join(file))?;
        let entry = Entry { file: file.to_owned(), sha256: artifact.sha256.clone(), tested };
        fs_err::write(new.join(LIST), serde_json::to_vec(&entry).unwrap_or_default())?;
        let place = self.root.join(key);
        if place.exists() {
            fs_err::rename(&place, part.path().join("old"))?;
        }
        fs_err::rename(&new, &place)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(path: PathBuf, content: &str) -> Artifact {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        let sha256 = sha256_of_file(&path).unwrap();
        Artifact { path, size: 0, sha256, md5: String::new() }
    }

    #[test]
    fn what_is_taken_is_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let finished = Finished::new(&dir.path().join("cache"));
        let out = dir.path().join("out");
        let take = |tested| finished.take("key", tested, &out).unwrap();
        assert_eq!(take(false), None);

        finished.keep("key", &artifact(dir.path().join("made/a-1-0.conda"), "one"), false).unwrap();
        assert_eq!(take(true), None, "it was not tested");
        assert_eq!(take(false), Some((out.join("a-1-0.conda"), false)));
        assert_eq!(take(false), Some((out.join("a-1-0.conda"), true)));

        finished.keep("key", &artifact(dir.path().join("again/a-1-0.conda"), "two"), true).unwrap();
        assert_eq!(take(true), Some((out.join("a-1-0.conda"), false)));
        assert_eq!(std::fs::read_to_string(out.join("a-1-0.conda")).unwrap(), "two");

        // Whatever happens to the file, nothing else than what was kept comes out.
        std::fs::write(out.join("a-1-0.conda"), "spoilt").unwrap();
        assert_eq!(take(true), None, "the output was a link of the cache's own");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    }
}
