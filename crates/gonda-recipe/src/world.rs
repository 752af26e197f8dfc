//! What a recipe may ask of the machine, behind a trait: tests and the driver decide what it gets to see.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What git says of a checkout; feeds the `GIT_*` variables of conda-build's Jinja.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitInfo {
    /// `git describe --tags --long`, split: the last tag.
    pub describe_tag: String,
    /// Commits since that tag.
    pub describe_number: String,
    /// `g` + abbreviated hash.
    pub describe_hash: String,
    /// The full hash of HEAD.
    pub full_hash: String,
}

impl GitInfo {
    /// The `GIT_…` variables of templates and scripts (conda-build's `environ.get_git_info`), as far as they have values.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let described = !self.describe_number.is_empty();
        [
            ("GIT_DESCRIBE_TAG", self.describe_tag.clone()),
            ("GIT_DESCRIBE_TAG_PEP440", self.pep440()),
            ("GIT_DESCRIBE_NUMBER", self.describe_number.clone()),
            ("GIT_DESCRIBE_HASH", self.describe_hash.clone()),
            ("GIT_FULL_HASH", self.full_hash.clone()),
            (
                "GIT_BUILD_STR",
                if described { format!("{}_{}", self.describe_number, self.describe_hash) } else { String::new() },
            ),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    }

    /// The tag as a version, with what came after it.
    fn pep440(&self) -> String {
        let version = self.describe_tag.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '-');
        let hash = self.describe_hash.trim_start_matches('g');
        match self.describe_number.as_str() {
            _ if self.describe_tag.is_empty() => String::new(),
            "0" => version.to_owned(),
            number => format!("{version}.post{number}+{hash}"),
        }
    }
}

/// All input of rendering that is not an argument.
pub trait World {
    /// The bytes of a file.
    ///
    /// # Errors
    /// As `std::fs::read`.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether a regular file (or a link to one) is there.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether a folder is there.
    fn is_dir(&self, path: &Path) -> bool;

    /// The names in a folder, sorted; empty if there is none.
    fn list(&self, path: &Path) -> Vec<String>;

    /// `os.environ` as the recipe sees it.
    fn environ(&self) -> &BTreeMap<String, String>;

    /// Facts of the git checkout at `path`; `None` if there is none. Only asked when a recipe uses `GIT_*`.
    fn git(&self, path: &Path) -> Option<GitInfo>;
}

/// The real file system with a given environment, and no git.
#[derive(Debug, Clone, Default)]
pub struct DiskWorld {
    /// What `os.environ` holds.
    pub environ: BTreeMap<String, String>,
    /// Answers for [`World::git`], by folder.
    pub git: BTreeMap<PathBuf, GitInfo>,
}

impl World for DiskWorld {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, path: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn environ(&self) -> &BTreeMap<String, String> {
        &self.environ
    }

    fn git(&self, path: &Path) -> Option<GitInfo> {
        self.git.get(path).cloned()
    }
}

/// Files and an environment in memory; no git.
#[derive(Debug, Clone, Default)]
pub struct MemoryWorld {
    /// The files, by the path that they are asked for with.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// What `os.environ` holds.
    pub environ: BTreeMap<String, String>,
}

impl World for MemoryWorld {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.files.keys().any(|file| file != path && file.starts_with(path))
    }

    fn list(&self, path: &Path) -> Vec<String> {
        let below = self.files.keys().filter_map(|file| file.strip_prefix(path).ok());
        let names = below.filter_map(|file| file.iter().next()).map(|name| name.to_string_lossy().into_owned());
        // The keys are in order, and so what lies in one folder stands together.
        let mut names: Vec<String> = names.collect();
        names.dedup();
        names
    }

    fn environ(&self) -> &BTreeMap<String, String> {
        &self.environ
    }

    fn git(&self, _path: &Path) -> Option<GitInfo> {
        None
    }
}
