//! Git.
use super::{FetchedGit, SourceSettings};
use crate::{Error, Events, Kind, Result};
use gonda_recipe::{GitInfo, Source};
use std::path::{Path, PathBuf};
/// What git says of a checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitFacts {
    /// facts
    pub info: GitInfo,
    /// time
    pub time: i64,
    /// top
    pub top: PathBuf,
}
pub(super) async fn fetch(
    _source: &Source,
    _settings: &SourceSettings,
    _events: &Events,
    _job: &str,
) -> Result<FetchedGit> {
    Err(Error::new(Kind::Usage, "git sources can't be fetched yet"))
}
pub(super) fn check_out(_git: &FetchedGit, _folder: &Path) -> Result<GitFacts> {
    Err(Error::new(Kind::Usage, "git sources can't be fetched yet"))
}
/// describe
pub fn describe_git(_folder: &Path) -> Result<Option<GitFacts>> {
    Ok(None)
}
/// report
pub fn git_report(_folder: &Path) -> Result<String> {
    Ok(String::new())
}
