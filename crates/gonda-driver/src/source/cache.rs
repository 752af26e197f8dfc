//! The cache of downloaded files: `sources/<sha256>`, made aside, fsynced, renamed.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::digest::{self, Expected};
use crate::Result;

/// The folder `sources` of gonda's cache.
#[derive(Debug, Clone)]
pub(super) struct Store {
    folder: PathBuf,
}

/// A lock on one entry; released when dropped.
pub(super) struct Locked(#[allow(dead_code)] std::fs::File);

/// Waits until no other process makes what `name` stands for.
pub(super) fn lock(folder: &Path, name: &str) -> Result<Locked> {
    let locks = folder.join(".locks");
    fs_err::create_dir_all(&locks)?;
    let file = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(locks.join(name))?;
    let file = file.into_file();
    file.lock()?;
    Ok(Locked(file))
}

impl Store {
    pub(super) fn new(cache_root: &Path) -> Self {
        Self { folder: cache_root.join("sources") }
    }

    /// Waits until no other process makes this entry.
    pub(super) fn lock(&self, expected: &Expected, url: &str) -> Result<Locked> {
        lock(&self.folder, &key(expected, url))
    }

    /// The entry for what a recipe expects, if it is there and whole; a damaged one is removed.
    /// A file without any digest in the recipe is found by its url.
    pub(super) fn find(&self, expected: &Expected, url: &str) -> Result<Option<(PathBuf, String)>> {
        let sha256 = match &expected.sha256 {
            Some(sha256) => sha256.clone(),
            None => match std::fs::read_to_string(self.folder.join(".index").join(key(expected, url))) {
                Ok(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => text,
                _ => return Ok(None),
            },
        };
        let path = self.folder.join(&sha256);
        if !path.is_file() {
            return Ok(None);
        }
        let more = expected.md5.is_some() || expected.sha1.is_some();
        let whole = if more {
            let digests = digest::of_file(&path)?;
            if digests.sha256 == sha256 && expected.mismatch(&digests).is_some() {
                // The recipe contradicts itself; the entry is what its name says. Fetching again tells which.
                return Ok(None);
            }
            digests.sha256 == sha256
        } else {
            digest::sha256_of_file(&path)? == sha256
        };
        if whole {
            return Ok(Some((path, sha256)));
        }
        fs_err::remove_file(&path)?;
        Ok(None)
    }

    /// A file aside, to be filled and [kept](Self::keep).
    pub(super) fn aside(&self) -> Result<tempfile::NamedTempFile> {
        fs_err::create_dir_all(&self.folder)?;
        Ok(tempfile::Builder::new().prefix(".part-").tempfile_in(&self.folder)?)
    }

    /// Gives a file its place, once it is known to be right.
    pub(super) fn keep(
        &self,
        file: tempfile::NamedTempFile,
        sha256: &str,
        expected: &Expected,
        url: &str,
    ) -> Result<PathBuf> {
        let path = self.folder.join(sha256);
        super::host::set_mode(file.path(), 0o644)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        if expected.sha256.is_none() {
            let index = self.folder.join(".index");
            fs_err::create_dir_all(&index)?;
            let mut entry = tempfile::NamedTempFile::new_in(&index)?;
            entry.write_all(sha256.as_bytes())?;
            entry.as_file().sync_all()?;
            entry.persist(index.join(key(expected, url))).map_err(|error| error.error)?;
        }
        Ok(path)
    }
}

fn key(expected: &Expected, url: &str) -> String {
    match (&expected.sha256, &expected.md5, &expected.sha1) {
        (Some(sha256), _, _) => sha256.clone(),
        (None, Some(md5), _) => format!("md5-{md5}"),
        (None, None, Some(sha1)) => format!("sha1-{sha1}"),
        (None, None, None) => format!("url-{}", digest::sha256_of(url.as_bytes())),
    }
}
