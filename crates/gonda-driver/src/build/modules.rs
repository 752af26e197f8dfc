//! Go's part of a job: the floor of the toolchain, the module proxy, the modules that are there before the script runs.

use std::path::Path;

use super::job::{Group, Job, Solved};
use crate::Result;
use crate::isolation::Modules;

impl Job<'_> {
    /// What the job's module cache starts with.
    pub(super) async fn modules(&self, _group: &Group, _solved: &Solved) -> Result<Modules> {
        Ok(Modules::Empty)
    }

    /// The url of gonda's module proxy.
    pub(super) async fn module_proxy(&self, _solved: &Solved, _build_prefix: &Path) -> Result<Option<String>> {
        Ok(None)
    }

    pub(super) fn toolchain_floor(&self, _work: &Path) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
