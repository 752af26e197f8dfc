//! From a located recipe and what the user selected to renderings: one for each target platform and variant file.

mod derived;
mod targets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use gonda_recipe::{ConfigPlatform, DiskWorld, Finalize, Rendering, Request, VariantFiles};
use rattler_conda_types::Subdir;

pub use targets::Targets;

use crate::locate::{self, Located};
use crate::{Error, Kind, Result, lock};

/// What is to be rendered of one recipe.
#[derive(Debug, Clone)]
pub struct Selected<'a> {
    /// The recipe.
    pub located: &'a Located,
    /// The user's variant files. Without `-m` or `-e` files, a feedstock's own `.ci_support` files are used.
    pub variants: VariantFiles,
    /// Target platforms.
    pub targets: Targets,
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
    /// The feedstock has no such file for the target, and the variant was derived from that of this sibling.
    pub derived_from: Option<Subdir>,
    /// Why none of the outputs is to be built, although the recipe doesn't skip them.
    pub left_out: Option<String>,
    /// The outputs.
    pub rendering: Rendering,
    /// By which a lock knows the outputs.
    pub lock_keys: Vec<String>,
}

impl Selection {
    /// What is to be said of it: that the variant was derived, and what is odd about the recipe and not said with a
    /// selection before this one. A line each.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let odd = self.rendering.warnings.iter().map(|warning| {
            let help = warning.help.iter().map(|help| format!(": {help}")).collect::<String>();
            format!("{warning}{help}")
        });
        let lines: Vec<String> = self.derived().into_iter().chain(odd).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn derived(&self) -> Option<String> {
        let (sibling, file) = (self.derived_from?, self.ci_support.as_ref()?);
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Some(format!(
            "the feedstock has no variant for {}: it is derived from `{name}`, which is for {sibling}",
            self.target
        ))
    }

    /// Rendering takes any name for a platform, as conda-build does; who solves or builds must know it.
    ///
    /// # Errors
    /// [`Kind::Usage`]: an output is for a platform that conda doesn't know.
    pub(crate) fn refuse_unknown_platforms(&self) -> Result<()> {
        let mut outputs = self.rendering.outputs.iter().filter(|output| !output.skip);
        let unknown = outputs.find_map(|output| output.unknown_platform.as_deref());
        unknown.map_or(Ok(()), |platform| {
            Err(Error::new(Kind::Usage, format!("the target platform `{platform}` is not known")).help(
                "`target_platform` is a platform such as `linux-64` or `osx-arm64`; see the recipe's variant files",
            ))
        })
    }
}

/// Renders a recipe for all that was selected.
///
/// # Errors
/// Recipe mistakes; a variant file that can't be read.
pub fn select(selected: &Selected) -> Result<Vec<Selection>> {
    let world = DiskWorld { environ: selected.environment.clone(), ..DiskWorld::default() };
    let mut selections = Vec::new();
    let mut told = Vec::new();
    for target in targets::resolve(selected)? {
        for set in variant_sets(selected, target)? {
            let mut variants = selected.variants.clone();
            let made = match (&set.file, set.derived_from) {
                (Some(file), Some(sibling)) => Some(write_derived(file, sibling, target)?),
                _ => None,
            };
            variants.additional.extend(made.as_ref().map(|(_, file)| file.clone()).or_else(|| set.file.clone()));
            let request = Request {
                recipe: selected.located.recipe.clone(),
                build_platform: selected.build_platform,
                target_platform: target,
                variants,
                config_platform: selected.config_platform,
                finalize: selected.finalize,
                trim_skip: false,
            };
            let mut rendering = gonda_recipe::load(&request, &world)?;
            rendering.warnings.retain(|warning| !told.contains(warning));
            told.extend(rendering.warnings.iter().cloned());
            selections.push(Selection {
                target,
                ci_support: set.file,
                derived_from: set.derived_from,
                left_out: left_out(selected, &rendering, target)?,
                rendering,
                lock_keys: Vec::new(),
            });
        }
    }
    let keys = lock::keys(selections.iter().map(|selection| selection.rendering.outputs.as_slice()));
    for (selection, keys) in selections.iter_mut().zip(keys) {
        selection.lock_keys = keys;
    }
    Ok(selections)
}

/// With all targets asked for, those that the recipe isn't meant for stay out.
fn left_out(selected: &Selected, rendering: &Rendering, target: Subdir) -> Result<Option<String>> {
    if selected.targets != Targets::All {
        return Ok(None);
    }
    for output in &rendering.outputs {
        if targets::of_recipe(output)?.is_some_and(|targets| !targets.contains(&target)) {
            return Ok(Some("not in `extra.gonda.targets`".to_owned()));
        }
    }
    Ok(None)
}

/// One set of variants: a `.ci_support` file, or a derived one; neither where the recipe's own variants are all there
/// is.
#[derive(Default)]
struct VariantSet {
    file: Option<PathBuf>,
    derived_from: Option<Subdir>,
}

/// The variants to use one by one.
fn variant_sets(selected: &Selected, target: Subdir) -> Result<Vec<VariantSet>> {
    if !selected.variants.additional.is_empty() || selected.variants.exclusive.is_some() {
        return Ok(vec![VariantSet::default()]);
    }
    let own = locate::ci_support(selected.located, target)?;
    let known = locate::ci_support_targets(selected.located)?;
    let (files, derived_from) = match (own.is_empty(), derived::nearest(&known, target)) {
        (false, _) => (own, None),
        (true, Some(sibling)) => (locate::ci_support(selected.located, sibling)?, Some(sibling)),
        (true, None) => return Ok(vec![VariantSet::default()]),
    };
    Ok(files.into_iter().map(|file| VariantSet { file: Some(file), derived_from }).collect())
}

/// A derived variant as a file, which lasts as long as its folder's guard.
fn write_derived(file: &std::path::Path, sibling: Subdir, target: Subdir) -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::new(Kind::Machine, "could not make a temporary folder").because(error))?;
    let path = folder.path().join(derived::file_name(file, target));
    fs_err::write(&path, derived::variant(file, sibling, target)?)?;
    Ok((folder, path))
}
