//! One module a command.

pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod channel;
pub(crate) mod fetch;
pub(crate) mod gocache;
pub(crate) mod inspect;
pub(crate) mod lock;
pub(crate) mod rebuild;
pub(crate) mod render;
pub(crate) mod test;
pub(crate) mod verify;

use std::path::PathBuf;

use gonda_driver::Result;
use gonda_driver::locate::{self, Located};
use gonda_driver::planning::Targets;
use gonda_recipe::VariantFiles;

use crate::args::Selection;
use crate::config::{Layer, Surroundings, this_machine};

/// The recipes that a selection names, found on disk.
fn located(selection: &Selection) -> Result<Vec<Located>> {
    selection.recipes.iter().map(|path| locate::locate(path)).collect()
}

/// The variant files of a selection.
fn variant_files(selection: &Selection, layer: &Layer, surroundings: &Surroundings) -> VariantFiles {
    let absolute = |file: &PathBuf| surroundings.current_dir.join(file);
    VariantFiles {
        exclusive: selection.exclusive_config_file.as_ref().or(layer.exclusive_config_file.as_ref()).map(absolute),
        defaults: surroundings.default_variant_files(),
        additional: selection.variant_config_files.iter().map(absolute).collect(),
        overrides: selection.variants.clone(),
    }
}

/// The target platforms of a selection: as given, else the build platform.
fn targets(selection: &Selection) -> Result<Targets> {
    if selection.all_targets {
        return Ok(Targets::All);
    }
    if selection.feedstock_targets {
        return Ok(Targets::Feedstock);
    }
    if !selection.target_platform.is_empty() {
        return Ok(Targets::Given(selection.target_platform.clone()));
    }
    Ok(Targets::Given(vec![match selection.build_platform {
        Some(platform) => platform,
        None => this_machine()?,
    }]))
}
