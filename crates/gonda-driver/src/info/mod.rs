//! The files of `info/` (CEP 34, CEP 40): from a finalized output and what is known of its build.
//!
//! Names, keys and formatting follow the tool that each recipe format comes from: conda-build's `create_info_files`
//! (build.py) for v0, rattler-build's packaging for v1. Nothing of the machine gets in: no folder, user, host or clock.

mod files;
mod json;
mod licenses;
mod metadata;
mod recipe;
#[cfg(test)]
mod tests;
mod testsuite;

use std::collections::BTreeMap;
use std::path::Path;

use gonda_packager::{Entry, InfoFile};
use gonda_recipe::{Output, RecipeFormat};

use crate::Result;

/// What is known of a build, when its package is made.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The output, finalized.
    pub output: &'a Output,
    /// The channels in their order, by name or url. Of a `file://` url or a path, the last folder's name is kept; of
    /// others, credentials and tokens are not.
    pub channels: &'a [String],
    /// The recipe folder as the script left it (its writable copy).
    pub recipe_dir: &'a Path,
    /// Name of the recipe file in that folder.
    pub recipe_file: &'a str,
    /// The work folder.
    pub work_dir: &'a Path,
    /// The host prefix, for licences that stand there.
    pub prefix: &'a Path,
    /// The build prefix, for licences that stand there.
    pub build_prefix: &'a Path,
    /// Paths as the script saw them and where they are on this machine's disk, for absolute paths in recipes:
    /// (`/opt/gonda/b/work`, `<cache>/…/work`) and so on.
    pub places: &'a [(String, std::path::PathBuf)],
    /// Strings that must not get into generated text, and what stands for them: paths of this machine.
    pub hidden: &'a [(String, String)],
    /// Seconds since 1970.
    pub timestamp: i64,
    /// Content of `info/git`: empty unless a source is a git repository.
    pub git: &'a str,
    /// Further files of `info/recipe/`, by name: `gonda.json`.
    pub recipe_files: &'a [(String, Vec<u8>)],
    /// Below the recipe folder, but not part of the recipe: an output folder, relative and posix.
    pub not_recipe: &'a [String],
}

/// What goes into the package beside its payload.
#[derive(Debug, Default)]
pub struct Info {
    /// Files of `info/`.
    pub files: Vec<InfoFile>,
    /// Payload that comes from the tests: v1's test files below `etc/conda/test-files/`.
    pub payload: Vec<Entry>,
}

/// Name and version of this tool, for `used_build_tool.json`.
const TOOL: (&str, &str) = ("gonda", env!("CARGO_PKG_VERSION"));

/// Makes all files of `info/` but those that the packager makes itself.
///
/// # Errors
/// A licence, readme, icon or test file that the recipe names and that is not there; files that can't be read.
pub fn info(facts: &Facts<'_>) -> Result<Info> {
    let mut tree = Tree::default();
    metadata::add(facts, &mut tree)?;
    recipe::add(facts, &mut tree)?;
    licenses::add(facts, &mut tree)?;
    let payload = match facts.output.format {
        RecipeFormat::V0 => testsuite::add_v0(facts, &mut tree).map(|()| Vec::new())?,
        RecipeFormat::V1 => testsuite::add_v1(facts, &mut tree)?,
    };
    Ok(Info { files: tree.0.into_values().collect(), payload })
}

/// Files by path; of two with one path, the later stays.
#[derive(Debug, Default)]
struct Tree(BTreeMap<String, InfoFile>);

impl Tree {
    fn bytes(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let path = path.into();
        self.0.insert(path.clone(), InfoFile::bytes(path, content));
    }

    fn copy(&mut self, path: impl Into<String>, file: &files::Found) {
        let path = path.into();
        self.0.insert(path.clone(), InfoFile::copy(path, &file.source, file.executable));
    }
}

impl Facts<'_> {
    /// Generated text without what belongs to this machine.
    fn clean(&self, text: &str) -> String {
        self.hidden.iter().filter(|(path, _)| path.len() > 1).fold(text.to_owned(), |text, (path, shown)| {
            if text.contains(path) { text.replace(path, shown) } else { text }
        })
    }
}
