//! The work folder of a group.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::facts::Facts;
use crate::source::Placed;
use crate::truth::Known;
use crate::workspace::Workspace;

/// The source as the outputs of a group work in it.
pub(super) struct Checkout {
    pub(super) workspace: Workspace,
    /// The work folder between two outputs; a job's room takes it and gives it back.
    pub(super) work: PathBuf,
    pub(super) placed: Placed,
    /// Compiled files that the source came with.
    pub(super) known: Arc<Known>,
    /// What is known of it from before any script has run.
    pub(super) facts: Arc<Facts>,
    /// What the recipe's top level installed, once it has run: a folder laid out as the prefix.
    pub(super) top: Option<PathBuf>,
}

impl Checkout {
    /// A path in the work folder, relative to it, for the folder is elsewhere while a job has it.
    pub(super) fn within<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.work).unwrap_or(path)
    }
}
