//! Target platforms: all that gonda builds for, and those that a feedstock asks for itself.

use gonda_recipe::{Finalize, Output};
use rattler_conda_types::Subdir;

use super::Selected;
use crate::golang::TARGETS;
use crate::{Error, Kind, Result, locate};

/// Which platforms to build for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// These.
    Given(Vec<Subdir>),
    /// [`TARGETS`]; a recipe's `extra.gonda.targets` leaves out others.
    All,
    /// Those that the feedstock names: `extra.gonda.targets` of its recipe, else its `.ci_support`; the build platform
    /// where neither does.
    Feedstock,
}

/// The platforms of a selection.
///
/// # Errors
/// A recipe that can't be rendered for the build platform, or whose `extra.gonda.targets` is no list of platforms.
pub(super) fn resolve(selected: &Selected) -> Result<Vec<Subdir>> {
    match &selected.targets {
        Targets::Given(targets) => Ok(targets.clone()),
        Targets::All => Ok(TARGETS.to_vec()),
        Targets::Feedstock => {
            let known = locate::ci_support_targets(selected.located)?;
            let first = super::derived::nearest(&known, selected.build_platform).unwrap_or(selected.build_platform);
            let plain = Selected { targets: Targets::Given(vec![first]), finalize: Finalize::No, ..selected.clone() };
            for selection in super::select(&plain)? {
                for output in &selection.rendering.outputs {
                    if let Some(targets) = of_recipe(output)? {
                        return Ok(targets);
                    }
                }
            }
            let in_order = |known: &[Subdir]| {
                let mut known = known.to_vec();
                known.sort_by_key(|target| TARGETS.iter().position(|other| other == target).unwrap_or(usize::MAX));
                known
            };
            Ok(if known.is_empty() { vec![selected.build_platform] } else { in_order(&known) })
        }
    }
}

/// `extra.gonda.targets` of a recipe, a list of platforms: those that it is meant for. In `meta.yaml` it must be written
/// over several lines, for brackets at the end of a line are a selector there.
pub(super) fn of_recipe(output: &Output) -> Result<Option<Vec<Subdir>>> {
    let targets = &output.sections.extra["gonda"]["targets"];
    if targets.is_null() {
        return Ok(None);
    }
    let wrong = || {
        Error::new(Kind::Usage, format!("`extra.gonda.targets` of `{}` is `{targets}`", output.name))
            .help("write a list of platforms, each on a line of its own: `- linux-64`")
    };
    let list = targets.as_array().ok_or_else(wrong)?;
    let platforms = list.iter().map(|item| item.as_str().and_then(|text| text.parse().ok()).ok_or_else(wrong));
    platforms.collect::<Result<Vec<Subdir>>>().map(Some)
}
