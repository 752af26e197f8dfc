//! From a located recipe and what the user selected to renderings: one for each target platform and variant file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gonda_recipe::{ConfigPlatform, DiskWorld, Finalize, Rendering, Request, VariantFiles};
use rattler_conda_types::Subdir;

use crate::locate::{self, Located};
use crate::{Error, Kind, Result, lock};

/// What is to be rendered of one recipe.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The recipe.
    pub located: &'a Located,
    /// The user's variant files. Without `-m` or `-e` files, a feedstock's own `.ci_support` files are used.
    pub variants: VariantFiles,
    /// Target platforms, in order.
    pub targets: Vec<Subdir>,
    /// The machine that builds.
    pub build_platform: Subdir,
    /// For which platform the recipe's own variant file is read.
    pub config_platform: ConfigPlatform,
    /// How far to render.
    pub finalize: Finalize,
    /// `os.environ`, as recipes see it.
    pub environment: &'a BTreeMap<String, String>,
}

/// A recipe, rendered for one target and one set of variant files.
pub struct Selection {
    /// The target platform.
    pub target: Subdir,
    /// The `.ci_support` file that was used, if any.
    pub ci_support: Option<PathBuf>,
    /// The outputs.
    pub rendering: Rendering,
    /// By which a lock knows the outputs.
    pub lock_keys: Vec<String>,
}

/// Renders a recipe for all that was selected.
///
/// # Errors
/// Recipe mistakes; a feedstock whose `.ci_support` has no file for a target.
pub fn select(selected: &Selected) -> Result<Vec<Selection>> {
    let world = DiskWorld { environ: selected.environment.clone(), ..DiskWorld::default() };
    let mut selections = Vec::new();
    for &target in &selected.targets {
        for ci_support in variant_sets(selected, target)? {
            let mut variants = selected.variants.clone();
            variants.additional.extend(ci_support.clone());
            let request = Request {
                recipe: selected.located.recipe.clone(),
                build_platform: selected.build_platform,
                target_platform: target,
                variants,
                config_platform: selected.config_platform,
                finalize: selected.finalize,
                trim_skip: false,
            };
            let rendering = gonda_recipe::load(&request, &world)?;
            selections.push(Selection { target, ci_support, rendering, lock_keys: Vec::new() });
        }
    }
    let keys = lock::keys(selections.iter().map(|selection| selection.rendering.outputs.as_slice()));
    for (selection, keys) in selections.iter_mut().zip(keys) {
        selection.lock_keys = keys;
    }
    Ok(selections)
}

/// The `.ci_support` files to use one by one; a single `None` where the recipe's own variants are all there is.
fn variant_sets(selected: &Selected, target: Subdir) -> Result<Vec<Option<PathBuf>>> {
    if !selected.variants.additional.is_empty() || selected.variants.exclusive.is_some() {
        return Ok(vec![None]);
    }
    let files = locate::ci_support(selected.located, target)?;
    if !files.is_empty() {
        return Ok(files.into_iter().map(Some).collect());
    }
    let known = locate::ci_support_targets(selected.located)?;
    if known.is_empty() {
        return Ok(vec![None]);
    }
    let names: Vec<&str> = known.iter().map(|target| target.as_str()).collect();
    Err(Error::new(Kind::Usage, format!("the feedstock has no variant for `{target}`")).help(format!(
        "its `.ci_support` names {}; give a variant file with `-m` to build for another platform",
        names.join(", ")
    )))
}
