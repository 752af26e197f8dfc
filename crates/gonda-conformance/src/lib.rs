//! Holds gonda against a conformance tree: inputs, and what the reference tools make of them.
//!
//! The tree's shape is told in `tests/conformance/README.md`. Each part of it – v0 recipes, v0 tables, v1 recipes, batch
//! files – is a module here with one function, `groups`, and a row in [`PARTS`]; a tree may have only some of the parts. A part
//! compares its cases on all cores and gives [`Group`]s of results; the suite and `cargo xtask conformance` both read
//! the same [`Report`].

pub mod batch;
mod case;
mod compare;
mod report;
mod tables;
mod v0;
mod v1;

use std::path::Path;

use anyhow::{Result, bail};

pub use self::report::{Difference, Group, Report};

/// Runs a part of a tree; no groups where the tree lacks the part.
type Part = fn(&Tree<'_>) -> Result<Vec<Group>>;

/// All parts.
const PARTS: &[Part] = &[v0::groups, tables::groups, v1::groups, batch::groups];

/// A tree, and which of its cases are asked for.
pub(crate) struct Tree<'a> {
    folder: &'a Path,
    only: Option<&'a str>,
    /// For batch files; without them that part is left out.
    programs: Option<&'a batch::Programs>,
}

impl Tree<'_> {
    /// Whether the case of this name is asked for.
    fn wants(&self, name: &str) -> bool {
        self.only.is_none_or(|only| name.contains(only))
    }
}

/// Runs all cases below `folder` whose names contain `only`; batch files only where there are `programs` for them.
///
/// # Errors
/// A tree without any case, or a file of it that can't be read.
pub fn run(folder: &Path, only: Option<&str>, programs: Option<&batch::Programs>) -> Result<Report> {
    let tree = Tree { folder, only, programs };
    let mut groups = Vec::new();
    for part in PARTS {
        groups.extend(part(&tree)?);
    }
    if groups.iter().all(|group| group.total == 0) {
        bail!("`{}` holds no conformance cases", folder.display());
    }
    Ok(Report { groups })
}
