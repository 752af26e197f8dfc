//! Sources: found or downloaded into the cache by hash, then laid out in the work folder as conda-build
//! (`conda_build/source.py`) or rattler-build lay them out, patches applied.
//!
//! Two steps, so that the second needs no network: [`fetch`] brings every source into the cache and verifies it,
//! [`place`] unpacks, copies or checks out what was fetched. Archives, patches and repositories are hostile input:
//! nothing outside the work folder is written, whatever they hold, and their size is limited.
//!
//! In the cache, `sources/<sha256>` holds a downloaded file, `sources/.index/` says which sha256 a file known by md5,
//! sha1 or url alone has, and `git/` holds one bare repository for each url. Entries are made aside, renamed, locked
//! while made; all may be deleted at any time.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod archive;
mod cache;
mod digest;
mod download;
mod git;
mod host;
mod patch;
mod place;
mod root;
mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

use gonda_recipe::{GitInfo, RecipeFormat, Source, SourceKind};

pub use archive::{Archive, Limits, Unpacked, check_archive};
pub(crate) use digest::sha256_of_file;
pub use git::{GitFacts, describe_git, git_report};
pub(crate) use place::place_all;
pub use place::{Placed, place};
pub(crate) use tree::{copy_files, copy_tree, duplicate};

use crate::files::blocking;
use crate::{Error, Events, Kind, Result};

/// Where sources come from and how they are understood.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// gonda's cache root; sources lie below `sources/` and `git/`.
    pub cache_root: PathBuf,
    /// Folders or urls asked first, in order: for `<sha256>`, then the file's name; for `git/<owner>+<repo>`.
    pub mirrors: Vec<String>,
    /// Ask no network.
    pub offline: bool,
    /// What relative paths and patches are relative to.
    pub recipe_dir: PathBuf,
    /// Whose rules hold where conda-build and rattler-build differ.
    pub format: RecipeFormat,
    /// How large a source may be.
    pub limits: Limits,
    /// How often a transient network error is tried again.
    pub retry: Retry,
}

impl SourceSettings {
    /// Settings without mirrors, with the network and the default limits.
    #[must_use]
    pub fn new(cache_root: impl Into<PathBuf>, recipe_dir: impl Into<PathBuf>, format: RecipeFormat) -> Self {
        Self {
            cache_root: cache_root.into(),
            mirrors: Vec::new(),
            offline: false,
            recipe_dir: recipe_dir.into(),
            format,
            limits: Limits::default(),
            retry: Retry::default(),
        }
    }
}

/// How often a transient network error is tried again; the wait doubles each time.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Requests made at most, at least one.
    pub attempts: u32,
    /// The wait before the second one.
    pub wait: Duration,
    /// How long a server may be silent.
    pub silence: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, wait: Duration::from_millis(500), silence: Duration::from_secs(60) }
    }
}

/// A source that lies on this machine and is what the recipe means.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The source as the recipe has it.
    pub source: Source,
    /// What was found.
    pub found: Found,
    /// What patches are relative to.
    pub recipe_dir: PathBuf,
    /// Whose rules hold.
    pub format: RecipeFormat,
    /// How large it may be unpacked.
    pub limits: Limits,
}

/// What was found for a source.
#[derive(Debug, Clone)]
pub enum Found {
    /// A downloaded file.
    File {
        /// Where it lies, in the cache.
        path: PathBuf,
        /// Its digest, in lower-case hex.
        sha256: String,
        /// The name it has for the recipe; its ending says whether it is unpacked.
        name: String,
    },
    /// A git repository.
    Git(FetchedGit),
    /// A file or folder of the recipe's author.
    Path {
        /// Absolute.
        path: PathBuf,
        /// The digest of a file, in lower-case hex.
        sha256: Option<String>,
    },
}

/// A repository on this machine that holds a wanted commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedGit {
    /// The bare repository.
    pub repository: PathBuf,
    /// The url or path that the recipe means, absolute.
    pub url: String,
    /// What was asked for; `None` is HEAD.
    pub rev: Option<String>,
    /// The full hash of the commit.
    pub commit: String,
    /// Repositories within it.
    pub submodules: Vec<Submodule>,
    /// Whether git's large files are checked out.
    pub lfs: bool,
}

/// A repository within another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submodule {
    /// Its name in `.gitmodules`.
    pub name: String,
    /// Its folder below the outer work tree.
    pub path: String,
    /// The repository and the commit that the outer one wants.
    pub git: FetchedGit,
}

/// Brings all sources into the cache and verifies them, in the recipe's order.
///
/// # Errors
/// `Kind::Unavailable` for a source that can't be had or has another hash than the recipe says; `Kind::Usage` for a
/// path or patch that isn't there; `Kind::Machine` where the cache can't be written.
pub async fn fetch(sources: &[Source], settings: &SourceSettings, events: &Events, job: &str) -> Result<Vec<Fetched>> {
    let mut all = Vec::with_capacity(sources.len());
    for source in sources {
        let found = match &source.kind {
            SourceKind::Url { .. } => download::fetch_file(source, settings, events, job).await?,
            SourceKind::Git { .. } => Found::Git(git::fetch(source, settings, events, job).await?),
            SourceKind::Path { path, sha256, md5, .. } => {
                find_path(path, sha256.as_deref(), md5.as_deref(), settings).await?
            }
        };
        patch::check_present(&source.patches, &settings.recipe_dir)?;
        all.push(Fetched {
            source: source.clone(),
            found,
            recipe_dir: settings.recipe_dir.clone(),
            format: settings.format,
            limits: settings.limits,
        });
    }
    Ok(all)
}

async fn find_path(path: &Path, sha256: Option<&str>, md5: Option<&str>, settings: &SourceSettings) -> Result<Found> {
    let absolute = settings.recipe_dir.join(host::expand_home(path));
    let absolute = fs_err::canonicalize(&absolute).map_err(|error| {
        Error::new(Kind::Usage, format!("the recipe's source path `{}` can't be read", path.display()))
            .help(format!("paths are relative to the recipe folder `{}`", settings.recipe_dir.display()))
            .because(error)
    })?;
    let expected = digest::Expected::new(sha256, md5, None)?;
    let file = absolute.clone();
    let digests = blocking(move || if file.is_file() { digest::of_file(&file).map(Some) } else { Ok(None) }).await?;
    if let (Some(digests), Some(wrong)) = (&digests, digests.as_ref().and_then(|digests| expected.mismatch(digests))) {
        return Err(wrong.error(&format!("the file `{}`", absolute.display()), &digests.sha256));
    }
    Ok(Found::Path { path: absolute, sha256: digests.map(|digests| digests.sha256) })
}

/// A url as it may be shown: without password.
fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // A url that holds a password can hold another.
            let _ = parsed.set_password(Some("***"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// What git says of a checkout, as the recipe's renderer asks for it; `None` where there is none.
#[must_use]
pub fn git_world(folder: &Path) -> Option<GitInfo> {
    describe_git(folder).ok().flatten().map(|facts| facts.info)
}

#[cfg(test)]
mod tests;
