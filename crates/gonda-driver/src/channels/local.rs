//! The output folder as a channel that goes before all others, as conda-build's own does.
//!
//! Jobs of one run put packages into it at moments that depend on the machine. What an environment is made of must not:
//! of the packages that a run makes, a job sees those of the jobs that it waited for, and no others, nor what an earlier
//! run left under the same names. All else in the folder is there for everybody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rattler_conda_types::RepoDataRecord;
use url::Url;

/// A folder of packages, as one job sees it.
#[derive(Debug, Clone, Default)]
pub struct LocalChannel {
    pub(super) folder: PathBuf,
    /// How the urls of its packages begin.
    base: Option<Url>,
    /// What the run makes: subdir and package name.
    made: Arc<BTreeSet<(String, String)>>,
    /// Those of its packages that are seen: subdir and file name.
    seen: BTreeSet<(String, String)>,
}

impl LocalChannel {
    /// A folder with nothing hidden. It may be missing or empty.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { base: folder_url(&folder), folder, ..Self::default() }
    }

    /// Hides what a run makes, by subdir and package name, until it is [shown](Self::show).
    #[must_use]
    pub(crate) fn hiding(mut self, made: Arc<BTreeSet<(String, String)>>) -> Self {
        self.made = made;
        self
    }

    /// Shows a package of the folder.
    pub(crate) fn show(&mut self, package: &Path) {
        let name = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        if let (Some(subdir), Some(file)) = (name(package.parent()), name(Some(package))) {
            self.seen.insert((subdir, file));
        }
    }

    /// Whether a record is seen: those of other channels always are.
    pub(super) fn shows(&self, record: &RepoDataRecord) -> bool {
        if !self.holds(record) {
            return true;
        }
        let package = &record.package_record;
        let subdir = &package.subdir;
        let made = self.made.contains(&(subdir.clone(), package.name.as_normalized().to_owned()));
        !made || self.seen.contains(&(subdir.clone(), record.identifier.to_file_name()))
    }

    /// Whether a record is of this folder.
    pub(crate) fn holds(&self, record: &RepoDataRecord) -> bool {
        self.base.as_ref().is_some_and(|base| record.url.as_str().starts_with(base.as_str()))
    }

    /// The first of the hidden packages that a text names.
    pub(super) fn hidden_in(&self, text: &str) -> Option<&str> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let words: BTreeSet<&str> = text.split(|c| !is_word(c)).collect();
        self.made.iter().map(|(_, name)| name.as_str()).find(|name| words.contains(name))
    }
}

/// A folder as the url of a channel; none where its absolute path can't be had, or can't be written so.
pub(super) fn folder_url(folder: &Path) -> Option<Url> {
    Url::from_directory_path(std::path::absolute(folder).ok()?).ok()
}
