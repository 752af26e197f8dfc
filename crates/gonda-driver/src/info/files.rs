//! Files of the recipe and work folder that are copied: by path, by folder, by glob.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::stage::Glob;
use crate::{Error, Kind, Result};

/// A regular file to copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Relative to the folder that was searched, with `/`.
    pub(super) path: String,
    /// Where it is.
    pub(super) source: PathBuf,
    /// Whether it has an x bit.
    pub(super) executable: bool,
}

/// Whether a file is there, links followed.
pub(super) fn one(path: impl Into<String>, source: &Path) -> Option<Found> {
    let metadata = source.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(Found {
        path: path.into(),
        source: source.to_owned(),
        executable: gonda_packager::is_executable(source, &metadata),
    })
}

/// All files below a folder whose names are UTF-8, sorted; links to files followed, links to folders not; broken links
/// are no files.
///
/// # Errors
/// A folder that can't be read.
pub(super) fn all(folder: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in WalkDir::new(folder).min_depth(1) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).display().to_string();
            Error::new(Kind::Machine, format!("could not read `{path}`")).because(error)
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let names: Option<Vec<&str>> = relative.iter().map(|name| name.to_str()).collect();
        // Sources hold all kinds of test data: what can't have a name in a package is not looked at.
        let Some(path) = names.map(|names| names.join("/")) else { continue };
        found.extend(one(path, entry.path()));
    }
    found.sort();
    Ok(found)
}

/// Those that a glob means.
pub(super) fn matching<'a>(files: &'a [Found], glob: &'a Glob) -> impl Iterator<Item = &'a Found> {
    files.iter().filter(move |file| glob.matches(&file.path))
}

/// The text of a file; bytes that are not UTF-8 are replaced.
///
/// # Errors
/// A file that can't be read.
pub(super) fn text(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs_err::read(path)?).into_owned())
}
