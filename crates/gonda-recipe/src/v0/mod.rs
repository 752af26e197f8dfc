//! `meta.yaml` recipes, rendered as conda-build 26.7 renders them.
//!
//! The way of a recipe: variant files are merged and exploded into variants ([`variant`]); for each variant that the
//! recipe uses, selectors cut the text, the template renders, selectors cut again and YAML is read (`meta`); outputs are
//! taken out of that, each for the variants it uses (`outputs`); finalising pins them to their environments
//! (`finalize`). Names, build strings and hashes follow from which variant keys the *text* uses ([`used`], [`hash`]).
//!
//! Mistakes of conda-build's that recipes rely on are kept; where it merely crashes, the recipe is rendered as it is
//! plainly meant.

mod context;
mod convert;
mod data;
mod emit;
mod error;
mod expression;
mod extract;
mod finalize;
#[doc(hidden)]
pub mod fuzz;
mod hash;
mod jinja;
mod meta;
mod modules;
mod outputs;
pub mod paths;
mod python;
mod selector;
mod session;
mod setup_py;
mod spec;
mod template_functions;
mod text;
mod used;
mod variant;
mod version;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use self::error::{Fail, at_line, in_file, selector_error, variant_error, yaml_message};
use self::finalize::Plan;
use self::meta::{Config, Contents, Meta};
use self::selector::Evaluator;
use self::session::{SelectorNames, Session, Solving};
use self::variant::{Source, Variant};
use self::yaml::Flavor;
use crate::{ConfigPlatform, Env, Finalize, Output, RecipeError, RecipeErrors, Request, Resolved, World};

pub use self::hash::hash;
pub use self::jinja::render_template;
pub use self::version::apply_pin;

/// What stays of a rendered recipe for finalising: what it was rendered from, for finalising renders anew, with the
/// environments that were solved.
pub struct Rendered {
    request: Request,
    text: String,
    /// The variants of the recipe's own files, and with those of the command line.
    variants: [Arc<Vec<Arc<Variant>>>; 2],
}

/// What came of a recipe.
pub(crate) struct Loaded {
    pub(crate) outputs: Vec<Output>,
    pub(crate) channel_sources: Option<Vec<String>>,
    /// What is odd about it.
    pub(crate) warnings: Vec<RecipeError>,
    pub(crate) rendered: Rendered,
}

pub(crate) fn render(request: &Request, world: &dyn World) -> Result<Loaded, RecipeErrors> {
    let bytes = world
        .read(&request.recipe)
        .map_err(|error| in_file(&request.recipe, format!("the recipe can't be read: {error}"), None))?;
    let text = text::decode(bytes);
    let variants = read_variants(request, world)?;
    let rendered = Rendered { request: request.clone(), text, variants };
    let Ran { outputs, warnings } =
        run(&rendered, world, request.finalize, &Plan::default(), Solving::No).map_err(Fail::into_errors)?;
    let outputs = outputs.into_iter().map(|(output, _)| output).collect();
    let channel_sources = channel_sources(&rendered.variants[1]);
    Ok(Loaded { outputs, channel_sources, warnings, rendered })
}

/// What to ask the solver for.
pub(crate) fn specs(
    state: &Rendered,
    outputs: &[Output],
    index: usize,
    env: Env,
    resolved: &Resolved,
    world: &dyn World,
) -> Result<Vec<String>, RecipeErrors> {
    let plan = Plan { wanted: Some(env), ..plan_for(state, outputs, index, resolved)? };
    run(state, world, Finalize::NoSolve, &plan, Solving::Partly).map_err(Fail::into_errors)?;
    let specs = plan.specs.borrow_mut().take();
    specs.ok_or_else(|| lost(state, &outputs[index]).into())
}

/// An output as it is packed.
pub(crate) fn finalize(
    state: &Rendered,
    outputs: &[Output],
    index: usize,
    resolved: &Resolved,
    world: &dyn World,
) -> Result<Output, RecipeErrors> {
    let plan = plan_for(state, outputs, index, resolved)?;
    let ran = run(state, world, Finalize::NoSolve, &plan, Solving::Done).map_err(Fail::into_errors)?;
    let found = ran.outputs.into_iter().find(|(_, is_target)| *is_target);
    found.map(|(output, _)| output).ok_or_else(|| lost(state, &outputs[index]).into())
}

fn plan_for<'r>(
    state: &Rendered,
    outputs: &[Output],
    index: usize,
    resolved: &'r Resolved,
) -> Result<Plan<'r>, RecipeErrors> {
    let Some(output) = outputs.get(index) else {
        return Err(in_file(&state.request.recipe, format!("there is no output number {index}"), None).into());
    };
    let used: BTreeMap<String, Json> = output
        .used_vars
        .iter()
        .filter_map(|key| output.variant.get(key).map(|value| (key.clone(), value.clone())))
        .collect();
    Ok(Plan { target: Some((output.name.clone(), used)), resolved: Some(resolved), ..Plan::default() })
}

fn lost(state: &Rendered, output: &Output) -> RecipeError {
    in_file(
        &state.request.recipe,
        format!("the output `{}` renders differently once its environments are known", output.name),
        Some("a template that looks at its environments may not change which outputs there are"),
    )
}

/// What one rendering gave.
struct Ran {
    /// With each output, whether it is the plan's target.
    outputs: Vec<(Output, bool)>,
    /// What is odd about the recipe.
    warnings: Vec<RecipeError>,
}

/// Renders everything.
fn run(state: &Rendered, world: &dyn World, mode: Finalize, plan: &Plan<'_>, solving: Solving) -> Result<Ran, Fail> {
    let request = &state.request;
    let session = Session::new(world, &request.recipe, &state.text, &request.build_platform.to_string());
    session.solving.set(solving);
    *session.pinned.borrow_mut() = plan.pinned().to_vec();
    let [own, all] = &state.variants;
    let Some(first) = own.first() else {
        return Err(Fail::fatal(in_file(
            &session.file,
            "no variant is left",
            Some("check the variant files' selectors"),
        )));
    };
    // The first reading tells what kind of recipe it is; it is lenient.
    let list = Rc::new(own.to_vec());
    let config = Config { variant: first.clone(), variants: list.clone(), input_variants: list, noarch: false };
    let mut recipe = Meta::new(config);
    let lenient = Contents { allow_no_other_outputs: true, ..Contents::default() };
    recipe.parse_again(&session, &lenient)?;
    recipe.check_source_for_rendering(&session)?;
    let bypass = mode != Finalize::NoSolve;
    let recipes = outputs::distribute(&session, recipe, all.to_vec(), bypass)?;
    let packages = outputs::packages(&session, recipes, mode, request.trim_skip, plan)?;
    let mut outputs = Vec::with_capacity(packages.len());
    for (entry, meta) in packages {
        let meta = meta.borrow();
        let is_target = meta.resolved.is_some();
        outputs.push((convert::output(&session, &entry, &meta, request.build_platform)?, is_target));
    }
    Ok(Ran { outputs, warnings: session.warnings.take() })
}

/// The variants of the files alone, and with those of the command line.
fn read_variants(request: &Request, world: &dyn World) -> Result<[Arc<Vec<Arc<Variant>>>; 2], RecipeErrors> {
    let platform = match request.config_platform {
        ConfigPlatform::Target => request.target_platform,
        ConfigPlatform::Build => request.build_platform,
    };
    let mut defaults = variant::defaults(&platform.to_string());
    let target = Json::String(request.target_platform.to_string());
    defaults.spec.insert("target_platform".to_owned(), target);
    let mut sources = vec![defaults];
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let own = request.recipe.parent().map(|folder| folder.join("conda_build_config.yaml"));
    let files = request
        .variants
        .exclusive
        .iter()
        .chain(request.variants.defaults.iter().filter(|_| request.variants.exclusive.is_none()))
        .cloned()
        .chain(own.into_iter().filter(|path| world.is_file(path)))
        .chain(request.variants.additional.iter().cloned());
    for path in files {
        let (source, text) = read_variant_file(&path, request, &platform.to_string(), world)?;
        texts.insert(source.name.clone(), text);
        sources.push(source);
    }
    let of_files = sources.len();
    if let Some(overrides) = &request.variants.overrides {
        sources.push(read_overrides(overrides)?);
    }
    let errors: Vec<RecipeError> = sources
        .iter()
        .flat_map(variant::validate)
        .map(|error| variant_error(&error, texts.get(&error.source).map(String::as_str), &request.recipe))
        .collect();
    if !errors.is_empty() {
        return Err(RecipeErrors(errors));
    }
    let explode = |sources: &[Source]| {
        variant::variants_of(sources).map(Arc::new).map_err(|error| {
            RecipeErrors::from(variant_error(&error, texts.get(&error.source).map(String::as_str), &request.recipe))
        })
    };
    let own = explode(&sources[..of_files])?;
    let all = if sources.len() == of_files { own.clone() } else { explode(&sources)? };
    Ok([own, all])
}

fn read_variant_file(
    path: &Path,
    request: &Request,
    platform: &str,
    world: &dyn World,
) -> Result<(Source, String), RecipeErrors> {
    let bytes =
        world.read(path).map_err(|error| in_file(path, format!("the variant file can't be read: {error}"), None))?;
    let text = text::decode(bytes);
    let environ = world.environ().iter();
    let environ = python::Value::from(
        environ
            .map(|(key, value)| (python::Key::text(key), python::Value::from(value.as_str())))
            .collect::<python::Dict>(),
    );
    let build = match request.config_platform {
        ConfigPlatform::Target => request.build_platform.to_string(),
        ConfigPlatform::Build => platform.to_owned(),
    };
    let names = SelectorNames::new(platform.to_owned(), build, environ, Arc::default());
    let selected =
        selector::select(&text, &Evaluator::new(names)).map_err(|error| selector_error(path, &text, 0, &error))?;
    let value = yaml::load(&selected.text, Flavor::Text).map_err(|error| {
        let line = selected.origin.get(error.line).copied().unwrap_or(error.line);
        let (message, help) = yaml_message(&error, text.split('\n').nth(line));
        at_line(path, &text, line, Some(error.column), message, help)
    })?;
    let spec = match value {
        Json::Object(map) => variant::trim(map),
        Json::Null => variant::Spec::default(),
        Json::String(text) if text.is_empty() => variant::Spec::default(),
        _ => {
            return Err(in_file(
                path,
                "the variant file is no mapping",
                Some("it maps keys to lists of values: `python:`, and below it `  - 3.11`"),
            )
            .into());
        }
    };
    Ok((Source { name: path.to_string_lossy().into_owned(), spec }, text))
}

fn read_overrides(text: &str) -> Result<Source, RecipeErrors> {
    let path = PathBuf::from("--variants");
    let wrong = |message: String| {
        RecipeErrors::from(in_file(&path, message, Some("write a mapping of keys to lists: `{python: [\"3.11\"]}`")))
    };
    let value =
        yaml::load(text, Flavor::Text).map_err(|error| wrong(format!("the YAML can't be read: {}", error.message)))?;
    match value {
        Json::Object(map) => Ok(Source { name: "--variants".to_owned(), spec: map.into_iter().collect() }),
        Json::Null => Ok(Source { name: "--variants".to_owned(), spec: variant::Spec::default() }),
        _ => Err(wrong("the variants are no mapping".to_owned())),
    }
}

/// `channel_sources` of the variants, each value once.
fn channel_sources(variants: &[Arc<Variant>]) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let sources: Vec<String> = variants
        .iter()
        .filter_map(|variant| variant.text("channel_sources"))
        .filter(|source| seen.insert((*source).to_owned()))
        .map(str::to_owned)
        .collect();
    (!sources.is_empty()).then_some(sources)
}
