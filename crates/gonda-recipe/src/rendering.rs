//! The entry: from a request to outputs, whichever format the recipe is in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rattler_conda_types::Subdir;

use crate::{Env, Output, RecipeError, RecipeErrors, Resolved, World, v0, v1};

/// For which platform a recipe's own variant file is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfigPlatform {
    /// The target, as conda-smithy does: where gonda plans targets.
    #[default]
    Target,
    /// The build platform, as conda-build does.
    Build,
}

/// How far v0 rendering goes without a solver. The names are the conformance set's modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finalize {
    /// `finalize=False`: undefined names are empty, pins mostly just the name.
    #[default]
    No,
    /// `finalize=True, bypass_env_check=True`: strict, exact pins without hash.
    Bypass,
    /// `finalize=True` with the environments replaced by the specs as written.
    NoSolve,
}

/// The variant files of a request, in order of precedence; the later wins.
#[derive(Debug, Clone, Default)]
pub struct VariantFiles {
    /// `-e`: instead of the user's own (`~/conda_build_config.yaml`, `./conda_build_config.yaml`).
    pub exclusive: Option<PathBuf>,
    /// The user's own, if there and `exclusive` is not given.
    pub defaults: Vec<PathBuf>,
    /// `-m`, after the recipe's own.
    pub additional: Vec<PathBuf>,
    /// `--variants`: YAML or JSON text of a mapping.
    pub overrides: Option<String>,
}

/// What to render.
#[derive(Debug, Clone)]
pub struct Request {
    /// The recipe file: `meta.yaml` or `recipe.yaml`.
    pub recipe: PathBuf,
    /// The machine that builds.
    pub build_platform: Subdir,
    /// The machine that runs the package, unless a variant file names another `target_platform`.
    pub target_platform: Subdir,
    /// Variant files.
    pub variants: VariantFiles,
    /// For which platform the recipe's own variant file is read.
    pub config_platform: ConfigPlatform,
    /// How far to go.
    pub finalize: Finalize,
    /// Whether skipped outputs are left out (conda-build's `trim_skip`).
    pub trim_skip: bool,
}

/// A recipe, rendered.
pub struct Rendering {
    /// In the order they are to be built.
    pub outputs: Vec<Output>,
    /// `channel_sources` of the variant files, if they have them: a list of comma-separated channels, first one used.
    pub channel_sources: Option<Vec<String>>,
    /// What is odd about the recipe and no mistake: names that nobody reads.
    pub warnings: Vec<RecipeError>,
    /// What stays of the recipe for finalising.
    state: State,
}

enum State {
    V0(v0::Rendered),
    V1(v1::Rendered),
}

/// Renders a recipe with all its variants.
///
/// # Errors
/// All mistakes that were found, with their places.
pub fn load(request: &Request, world: &dyn World) -> Result<Rendering, RecipeErrors> {
    let v1 = request.recipe.file_name().is_some_and(|name| name == "recipe.yaml" || name == "recipe.yml");
    if v1 {
        let (outputs, channel_sources, rendered) = v1::render(request, world)?;
        Ok(Rendering { outputs, channel_sources, warnings: Vec::new(), state: State::V1(rendered) })
    } else {
        let v0::Loaded { outputs, channel_sources, warnings, rendered } = v0::render(request, world)?;
        Ok(Rendering { outputs, channel_sources, warnings, state: State::V0(rendered) })
    }
}

impl Rendering {
    /// What to ask the solver for, for one environment of output `index`: match specs as text, completed with the
    /// variant's versions, pins resolved, and (host) with the strong run exports of `resolved.build`.
    ///
    /// # Errors
    /// A pin on an output or package that `resolved` does not know.
    pub fn specs(
        &self,
        index: usize,
        env: Env,
        resolved: &Resolved,
        world: &dyn World,
    ) -> Result<Vec<String>, RecipeErrors> {
        match &self.state {
            State::V0(state) => v0::specs(state, &self.outputs, index, env, resolved, world),
            State::V1(state) => v1::specs(state, &self.outputs, index, env, resolved, world),
        }
    }

    /// Output `index` as it is packed, its environments solved.
    ///
    /// # Errors
    /// As rendering; besides, pins that can't be resolved.
    pub fn finalize(&self, index: usize, resolved: &Resolved, world: &dyn World) -> Result<Output, RecipeErrors> {
        match &self.state {
            State::V0(state) => v0::finalize(state, &self.outputs, index, resolved, world),
            State::V1(state) => v1::finalize(state, &self.outputs, index, resolved, world),
        }
    }

    /// A piece of a script of output `index` as it runs: v1 renders `${{ … }}` against the recipe's context, the
    /// variant and the script's environment (names that none of them has render to nothing, as in rattler-build);
    /// v0 text is what it is. Script *files* are never rendered.
    ///
    /// # Errors
    /// An expression that can't be rendered.
    pub fn render_script(
        &self,
        index: usize,
        text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<String, RecipeErrors> {
        match &self.state {
            State::V0(_) => Ok(text.to_owned()),
            State::V1(state) => v1::render_script(state, index, text, environment),
        }
    }
}
