//! What goes into a package: payload entries and files of `info/`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::prefix::{Prefix, PrefixMap};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink {
        /// The text of the link.
        target: String,
        /// The regular file below the prefix that it leads to in the end, if it does: relative to the prefix, posix.
        leads_to: Option<String>,
    },
}

/// One file or link of the payload. Folders have no entries: conda makes them as needed and drops empty ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the prefix, with `/`.
    pub path: String,
    /// Where its bytes (or the link) are now.
    pub source: PathBuf,
    /// File or link.
    pub kind: Kind,
    /// Whether any x bit is set: 0755, else 0644.
    pub executable: bool,
    /// Whether clients must copy instead of hard-linking it.
    pub no_link: bool,
    /// The prefix found in it, as it will be in the packed bytes.
    pub prefix: Option<Prefix>,
    /// A replacement that is made in its bytes while packing.
    pub map: Option<Arc<PrefixMap>>,
    /// All paths of the package that are hard links to one file, sorted, this one included; empty if it is alone.
    pub inode_paths: Vec<String>,
}

impl Entry {
    /// A regular file without anything special.
    pub fn file(path: impl Into<String>, source: impl Into<PathBuf>, executable: bool) -> Self {
        Self {
            path: path.into(),
            source: source.into(),
            kind: Kind::File,
            executable,
            no_link: false,
            prefix: None,
            map: None,
            inode_paths: Vec::new(),
        }
    }
}

/// Where the bytes of an `info/` file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// A regular file on disk.
    File(PathBuf),
}

/// A file of `info/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoFile {
    /// Relative to `info/`, with `/`: `index.json`, `licenses/LICENSE` …
    pub path: String,
    /// Its bytes.
    pub content: Content,
    /// 0755, else 0644.
    pub executable: bool,
}

impl InfoFile {
    /// A file made of bytes.
    pub fn bytes(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: Content::Bytes(content.into()), executable: false }
    }

    /// A copy of a file on disk.
    pub fn copy(path: impl Into<String>, source: impl Into<PathBuf>, executable: bool) -> Self {
        Self { path: path.into(), content: Content::File(source.into()), executable }
    }
}
