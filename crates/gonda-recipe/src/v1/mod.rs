//! `recipe.yaml` (CEP 13/14), rendered as rattler-build renders it.
//!
//! The format's own crates (`rattler_build_recipe` and its neighbours) parse and evaluate; this module feeds them
//! the text that the [`World`] gives, turns what they return into [`Output`]s and what they reject into
//! [`RecipeError`](crate::RecipeError)s. What rattler-build does only once environments are solved (pins, run
//! exports, the text of test scripts) is done here too, in `dependencies` and `package_tests`.
//!
//! Two things are not asked through the [`World`], for the crates don't allow it: `env.get`/`env.exists` read the
//! process's environment, and `load_from_file` and `git.*` are refused as experimental.

mod convert;
mod dependencies;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod limits;
mod package_tests;
mod rendered_recipe;
mod script;
#[cfg(test)]
mod unit_tests;
mod variants;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::escape_formatter;
use minijinja::value::ValueKind;
use rattler_build_jinja::{Jinja, JinjaConfig, UndefinedBehavior};
use rattler_build_recipe::stage0;
use rattler_build_recipe::variant_render::{RenderConfig, RenderedVariant, render_recipe_with_variant_config};
use rattler_conda_types::Subdir;

use crate::{Env, Output, RecipeErrors, Request, Resolved, World};
use errors::Place;

/// What stays of a rendered recipe for finalising.
pub struct Rendered {
    /// The recipe file and its text, for errors.
    place: Place,
    /// Every rendered variant, skipped ones too: pins may name them.
    all: Vec<RenderedVariant>,
    /// For each output, its index in `all`.
    kept: Vec<usize>,
    /// The machine that builds.
    build_platform: Subdir,
    /// The machine that runs the package, where the variant doesn't say.
    target_platform: Subdir,
}

pub(crate) type Loaded = (Vec<Output>, Option<Vec<String>>, Rendered);

impl Rendered {
    fn recipe_dir(&self) -> &Path {
        self.place.file.parent().unwrap_or(Path::new(""))
    }

    fn variant(&self, index: usize) -> Result<&RenderedVariant, RecipeErrors> {
        self.kept
            .get(index)
            .and_then(|&index| self.all.get(index))
            .ok_or_else(|| self.place.error(format!("the recipe has no output number `{index}`"), None).into())
    }

    /// The platform that the package of a variant runs on; `noarch` packages have one too.
    fn target_platform(&self, variant: &RenderedVariant) -> Subdir {
        let key = "target_platform".into();
        let value = variant.full_combination.get(&key).map(ToString::to_string);
        value.and_then(|text| text.parse().ok()).unwrap_or(self.target_platform)
    }

    /// The Jinja of scripts: the recipe's context, the variant's used keys and the platforms. As in rattler-build,
    /// undefined names render to nothing here, and booleans as shells and CMake like them, `true` and `false`.
    fn script_jinja(&self, variant: &RenderedVariant) -> Jinja {
        let platform = self.target_platform(variant);
        let package =
            if variant.recipe.build.noarch.is_some_and(|noarch| !noarch.is_none()) { Subdir::NoArch } else { platform };
        let mut jinja = Jinja::new(JinjaConfig {
            target_platform: package,
            host_platform: platform,
            build_platform: self.build_platform,
            variant: variant.variant.clone(),
            experimental: false,
            recipe_path: None,
            undefined_behavior: UndefinedBehavior::Lenient,
        })
        .with_context(&variant.recipe.context);
        jinja.env_mut().set_formatter(|out, state, value| match value.kind() {
            ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }).map_err(Into::into),
            _ => escape_formatter(out, state, value),
        });
        jinja
    }
}

/// Renders the recipe. The variant files are, the later wins: `-e`, the recipe folder's `conda_build_config.yaml`
/// and `variants.yaml`, `-m` files, `--variants`; all are read for the target platform. The user's own
/// `conda_build_config.yaml` files are conda-build's and play no part.
pub(crate) fn render(request: &Request, world: &dyn World) -> Result<Loaded, RecipeErrors> {
    let place = Place::read(&request.recipe, world)?;
    limits::shape(&place)?;
    let recipe = errors::guarded(&place, || {
        stage0::parse_recipe_or_multi_from_source(&place.text).map_err(|error| place.parse_error(&error))
    })?;
    let variants = variants::load(request, world)?;
    limits::variants(&place, &variants.config)?;
    let config = RenderConfig::new()
        .with_target_platform(variants.target_platform)
        .with_build_platform(request.build_platform)
        .with_recipe_path(&request.recipe)
        .with_os_env_var_keys(variants::environment_keys(variants.target_platform, request.build_platform));
    let all = errors::guarded(&place, || {
        render_recipe_with_variant_config(&recipe, &variants.config, config)
            .map_err(|error| place.render_error(&error, variants.zip_keys.as_ref()))
    })?;
    let kept = (0..all.len()).filter(|&index| !(request.trim_skip && all[index].recipe.build.skip)).collect();
    let state = Rendered {
        place,
        all,
        kept,
        build_platform: request.build_platform,
        target_platform: variants.target_platform,
    };
    let outputs =
        state.kept.iter().map(|&index| convert::output(&state, &state.all[index], world)).collect::<Result<_, _>>()?;
    Ok((outputs, variants.channel_sources, state))
}

/// See [`Rendering::specs`](crate::Rendering::specs).
pub(crate) fn specs(
    state: &Rendered,
    _outputs: &[Output],
    index: usize,
    env: Env,
    resolved: &Resolved,
    _world: &dyn World,
) -> Result<Vec<String>, RecipeErrors> {
    let variant = state.variant(index)?;
    convert::refuse_unsupported(state, variant)?;
    Ok(dependencies::environment(state, variant, env, resolved)?.iter().map(|info| info.spec.to_string()).collect())
}

/// See [`Rendering::finalize`](crate::Rendering::finalize).
pub(crate) fn finalize(
    state: &Rendered,
    _outputs: &[Output],
    index: usize,
    resolved: &Resolved,
    world: &dyn World,
) -> Result<Output, RecipeErrors> {
    let variant = state.variant(index)?;
    convert::refuse_unsupported(state, variant)?;
    let mut output = convert::output(state, variant, world)?;
    let finalized = dependencies::finalize(state, variant, resolved)?;
    let texts = |list: &[dependencies::Info]| list.iter().map(|info| info.spec.to_string()).collect::<Vec<_>>();
    output.requirements.build = texts(&finalized.build);
    output.requirements.host = texts(&finalized.host);
    output.requirements.run = texts(&finalized.run);
    output.requirements.run_constrained = texts(&finalized.run_constrained);
    output.depends = dependencies::unique(&finalized.depends);
    output.constrains = dependencies::unique(&finalized.constrains);
    output.run_exports = finalized.run_exports.clone();
    output.tests = crate::Tests::List(package_tests::resolved(state, variant, resolved, world)?);
    output.rendered_recipe = rendered_recipe::text(state, variant, Some((&finalized, resolved)))?;
    Ok(output)
}

/// Renders a piece of a script, `${{ … }}` against the recipe's context, the variant and the script's environment.
pub(crate) fn render_script(
    state: &Rendered,
    index: usize,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<String, RecipeErrors> {
    let variant = state.variant(index)?;
    let mut jinja = state.script_jinja(variant);
    for (name, value) in environment {
        jinja.context_mut().insert(name.clone(), minijinja::Value::from_safe_string(value.clone()));
    }
    jinja.render_str(text).map_err(|error| {
        let message = format!("the build script can't be rendered: {}", errors::tidy(&error.to_string()));
        state.place.error(message, None).into()
    })
}

/// Files with one of these extensions stand for a script that is named without one, the first one first.
fn script_extensions(platform: Subdir) -> &'static [&'static str] {
    if platform.is_windows() { &["bat", "ps1"] } else { &["sh"] }
}

/// The file that a script's name means, below the recipe folder: with an extension exactly that file, without one
/// the first that is there with one of the platform's.
fn find_script(recipe_dir: &Path, name: &Path, platform: Subdir, world: &dyn World) -> Option<PathBuf> {
    if name.as_os_str().is_empty() {
        return None;
    }
    if name.extension().is_some() {
        return world.is_file(&recipe_dir.join(name)).then(|| name.to_owned());
    }
    let mut candidates = script_extensions(platform).iter().map(|extension| name.with_extension(extension));
    candidates.find(|candidate| world.is_file(&recipe_dir.join(candidate)))
}
