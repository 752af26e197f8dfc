//! Patches.
use crate::{Error, Kind, Result};
use gonda_recipe::RecipeFormat;
use std::path::Path;
pub(super) struct Target<'a> {
    pub(super) folder: &'a Path,
    pub(super) recipe_dir: &'a Path,
    pub(super) work_dir: &'a Path,
    pub(super) format: RecipeFormat,
}
pub(super) fn check_present(patches: &[String], recipe_dir: &Path) -> Result<()> {
    let _ = (patches, recipe_dir);
    Ok(())
}
pub(super) fn apply(text: &str, _target: &Target<'_>, _repository: bool) -> Result<Vec<String>> {
    Err(Error::new(Kind::Usage, format!("the patch `{text}` can't be applied yet")))
}
