//! What there is to know of a source before any script has changed it: all that is asked of it to decide what is to be
//! built, and with what.
//!
//! Of a source whose bytes the recipe names, the facts are kept from one run to the next, in `<cache>/facts/<key>/`. So
//! an output that has not changed is answered without its source being fetched or unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gonda_recipe::{GitInfo, Output, SourceKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Request;
use crate::cache::{of_tree, this_program};
use crate::files::write_whole;
use crate::modules::{self, Floor};
use crate::source::{Placed, sha256_of_file};
use crate::{Result, lock};

/// Part of every key: another one whenever the same source would have other facts.
const FORMAT: &str = "gonda source 1";

/// The file in an entry of the cache.
const FILE: &str = "facts.json";

/// The facts of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// A digest of the source.
    pub(super) source: String,
    /// As [`Placed::newest`].
    pub(super) newest: Option<i64>,
    /// As [`Placed::identities`].
    pub(super) identities: Vec<String>,
    /// What git says of a git source, whose facts are never kept.
    #[serde(skip)]
    pub(super) git: Option<GitInfo>,
    /// What go.mod and go.work ask of the toolchain.
    pub(super) floor: Option<Floor>,
    /// The digests of the main modules' go.sum and go.work.sum, by their path in the work folder, as a lock has them.
    pub(super) go_sums: BTreeMap<String, String>,
    /// The modules that these name, as `path@version`.
    pub(super) summed: BTreeSet<String>,
}

impl Facts {
    /// Looks at a source that has just been laid out in the folder `work`.
    ///
    /// # Errors
    /// What can't be read.
    pub(super) fn of(work: &Path, placed: &Placed, output: &Output) -> Result<Self> {
        let found = modules::find_main_modules(work, work, &placed.folders)?;
        let mut this = Self {
            source: digest(work, placed, output)?,
            newest: placed.newest,
            identities: placed.identities.clone(),
            git: placed.git.as_ref().map(|git| git.info.clone()),
            floor: found.toolchain_floor(work),
            ..Self::default()
        };
        let mains = found.modules.iter().flat_map(|found| &found.mains).map(|(folder, _)| folder.join("go.sum"));
        let workspaces = found.modules.iter().map(|found| found.folder.join("go.work.sum"));
        let files: BTreeSet<PathBuf> = mains.chain(workspaces).filter(|file| file.is_file()).collect();
        for file in files {
            let name = file.strip_prefix(work).unwrap_or(&file).components();
            let name: Vec<_> = name.map(|part| part.as_os_str().to_string_lossy()).collect();
            let text = fs_err::read(&file)?;
            this.go_sums.insert(name.join("/"), lock::digest_of(&text));
            for line in String::from_utf8_lossy(&text).lines() {
                let mut words = line.split_whitespace();
                if let (Some(path), Some(version)) = (words.next(), words.next()) {
                    this.summed.insert(format!("{path}@{}", version.trim_end_matches("/go.mod")));
                }
            }
        }
        Ok(this)
    }
}

/// Archives whose digest the recipe gives are known by that, and patches lie in the recipe's folder; all else is looked
/// at as it lies there.
fn digest(work: &Path, placed: &Placed, output: &Output) -> Result<String> {
    if is_pinned(output) {
        return Ok("as the recipe says".to_owned());
    }
    // A repository's own files differ from one checkout to the next; what matters of them is in what git says.
    let of_git = output.sources.iter().any(|source| matches!(source.kind, SourceKind::Git { .. }));
    let repository = placed.git.as_ref().filter(|_| of_git).map(|git| git.top.join(".git"));
    of_tree(work, repository.as_deref())
}

/// Whether recipe and recipe folder say every byte of an output's source.
fn is_pinned(output: &Output) -> bool {
    let inside = |patch: &String| !patch.starts_with(['/', '\\', '~']) && !patch.contains("..");
    output.sources.iter().all(|source| {
        matches!(&source.kind, SourceKind::Url { sha256: Some(_), .. }) && source.patches.iter().all(inside)
    })
}

/// What another run has found out about an output's source.
pub(super) fn recall(request: &Request, output: &Output) -> Option<Facts> {
    let place = place(request, output)?;
    let facts = serde_json::from_slice(&std::fs::read(place.join(FILE)).ok()?).ok()?;
    // Whoever prunes the cache goes by this file's time. What can't be marked is forgotten sooner.
    let _ = std::fs::write(place.join("used"), "");
    Some(facts)
}

/// Keeps facts for other runs.
///
/// # Errors
/// The cache can't be written.
pub(super) fn keep(request: &Request, output: &Output, facts: &Facts) -> Result<()> {
    match place(request, output) {
        Some(place) => Ok(write_whole(&place.join(FILE), &serde_json::to_vec(facts).unwrap_or_default())?),
        None => Ok(()),
    }
}

/// The folder where the facts of an output's source are kept; `None` where nobody but the source itself can tell whether it is the
/// same.
fn place(request: &Request, output: &Output) -> Option<PathBuf> {
    if !is_pinned(output) {
        return None;
    }
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    part(FORMAT);
    part(&this_program());
    part(&format!("{:?} {:?}", output.sources, output.format));
    for patch in output.sources.iter().flat_map(|source| &source.patches) {
        part(&sha256_of_file(&request.located.recipe_dir.join(patch)).ok()?);
    }
    Some(request.settings.cache_root.join("facts").join(hex::encode(hash.finalize())))
}
