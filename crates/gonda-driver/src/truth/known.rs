//! What a source came with, which is not held against the package that is built from it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use gonda_packager::binary::could_be;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// No go.sum is larger.
const LARGEST_GO_SUM: u64 = 32 << 20;

/// What the source came with, before any script ran.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Compiled files, by their SHA-256: test fixtures and vendored blobs, which are for whatever they are for.
    compiled: BTreeSet<[u8; 32]>,
    /// Its go.sum files.
    go_sums: Vec<String>,
}

impl Known {
    /// Looks through the source.
    ///
    /// # Errors
    /// A compiled file can't be read.
    pub(crate) fn of(source: &Path) -> Result<Self> {
        let mut known = Self::default();
        for entry in walkdir::WalkDir::new(source).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
            if entry.file_name() == "go.sum" && entry.metadata().is_ok_and(|file| file.len() <= LARGEST_GO_SUM) {
                known.go_sums.extend(std::fs::read_to_string(entry.path()).ok());
            } else if let Some(mut file) = compiled(entry.path())? {
                known.compiled.insert(hash(&mut file, entry.path())?);
            }
        }
        Ok(known)
    }

    /// Whether the source had a compiled file of this content.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn has(&self, file: &mut File, path: &Path) -> Result<bool> {
        Ok(!self.compiled.is_empty() && self.compiled.contains(&hash(file, path)?))
    }

    /// Its go.sum files.
    pub(crate) fn go_sums(&self) -> &[String] {
        &self.go_sums
    }
}

/// A file that looks compiled, at its beginning; all others are not read.
///
/// # Errors
/// It can't be read.
pub(crate) fn compiled(path: &Path) -> Result<Option<File>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // A file that its own author can't read is no program.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head).map_err(|error| unreadable(path, error))?;
    Ok(could_be(&head).then_some(file))
}

fn hash(file: &mut File, path: &Path) -> Result<[u8; 32]> {
    let mut hash = || -> std::io::Result<[u8; 32]> {
        file.rewind()?;
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finalize().into()),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    hash().map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let mut this = Error::from(error);
    this.message = format!("can't read `{}`: {}", path.display(), this.message);
    this
}
