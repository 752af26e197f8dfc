//! A rendered variant as an [`Output`].

use std::collections::BTreeMap;

use rattler_build_recipe::stage1::build::BuildPlan;
use rattler_build_recipe::stage1::source::{GitRev, Source as RecipeSource};
use rattler_build_recipe::stage1::{AllOrGlobVec, GlobVec, GlobWithSource, Recipe, requirements::Dependency};
use rattler_build_recipe::variant_render::RenderedVariant;
use rattler_conda_types::package::RunExportsJson;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Rendered, dependencies, package_tests, rendered_recipe, script};
use crate::{
    About, Build, FileMatch, Noarch, Output, RecipeErrors, RecipeFormat, Requirements, Resolved, Sections, Source,
    SourceKind, Tests, World,
};

/// The output of a variant as far as it is known without solved environments.
///
/// # Errors
/// A part of the recipe that can't be written as data; a defect of the crates.
pub(super) fn output(state: &Rendered, variant: &RenderedVariant, world: &dyn World) -> Result<Output, RecipeErrors> {
    let recipe = &variant.recipe;
    let known = Resolved::default();
    let requirements = recipe.requirements();
    let (mut keys, mut hash_contents) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &variant.variant {
        let value = json(state, value)?;
        hash_contents.insert(key.0.clone(), value.clone());
        keys.insert(key.normalize(), value);
    }
    let list = |dependencies: &[Dependency]| -> Result<Vec<String>, RecipeErrors> {
        dependencies.iter().map(|dependency| symbolic(state, dependency)).collect()
    };
    // What needs a solved environment (`pin_compatible`) stays symbolic for now.
    let foreseen = |dependencies: &[Dependency]| -> Result<Vec<String>, RecipeErrors> {
        let one = |dependency: &Dependency| match dependencies::resolve(state, variant, dependency, &known, &[]) {
            Ok(info) => Ok(info.spec.to_string()),
            Err(_) => symbolic(state, dependency),
        };
        dependencies.iter().map(one).collect()
    };
    let exports = &requirements.run_exports;
    Ok(Output {
        format: RecipeFormat::V1,
        name: recipe.package.name.as_normalized().to_owned(),
        version: recipe.package.version.to_string(),
        build_string: recipe.build.string.as_resolved().unwrap_or_default().to_owned(),
        build_number: recipe.build.number.unwrap_or(0),
        noarch: recipe.build.noarch.and_then(|noarch| match () {
            () if noarch.is_python() => Some(Noarch::Python),
            () if noarch.is_generic() => Some(Noarch::Generic),
            () => None,
        }),
        skip: recipe.build.skip,
        target_platform: state.target_platform(variant),
        unknown_platform: None,
        build_platform: state.build_platform,
        requirements: Requirements {
            build: list(&requirements.build)?,
            host: list(&requirements.host)?,
            run: list(&requirements.run)?,
            run_constrained: list(&requirements.run_constraints)?,
            other: serde_json::Map::new(),
        },
        depends: foreseen(&requirements.run)?,
        constrains: foreseen(&requirements.run_constraints)?,
        run_exports: RunExportsJson {
            weak: foreseen(&exports.weak)?,
            strong: foreseen(&exports.strong)?,
            noarch: foreseen(&exports.noarch)?,
            weak_constrains: foreseen(&exports.weak_constraints)?,
            strong_constrains: foreseen(&exports.strong_constraints)?,
        },
        sources: recipe.source.iter().map(source).collect(),
        build: build(state, variant, world),
        tests: Tests::List(package_tests::as_rendered(state, variant)?),
        about: about(recipe),
        sections: Sections {
            build: object(json(state, &recipe.build)?),
            about: object(json(state, &recipe.about)?),
            test: json(state, &recipe.tests)?,
            source: json(state, &recipe.source)?,
            extra: json(state, &recipe.extra)?,
            app: Value::Null,
        },
        used_vars: keys.keys().cloned().collect(),
        hash_contents,
        variant: keys.into_iter().collect(),
        hash: variant.hash_info.as_ref().map(|info| info.hash.clone()),
        parent: None,
        rendered_recipe: rendered_recipe::text(state, variant, None)?,
    })
}

/// Refuses what renders but can't be built yet; better than a package that lacks a part.
///
/// # Errors
/// The output uses a staging output.
pub(super) fn refuse_unsupported(state: &Rendered, variant: &RenderedVariant) -> Result<(), RecipeErrors> {
    let recipe = &variant.recipe;
    let name = recipe.package.name.as_normalized();
    if let Some(staging) = recipe.staging_caches.first() {
        let message = format!("output `{name}` builds on the staging output `{}`", staging.name);
        let help = "gonda builds no staging outputs; give each package its own `build.script`";
        return Err(state.place.error_near(&["staging:"], message, Some(help.to_owned())).into());
    }
    Ok(())
}

/// A value of the crates as JSON.
pub(super) fn json(state: &Rendered, value: &impl Serialize) -> Result<Value, RecipeErrors> {
    serde_json::to_value(value).map_err(|error| {
        state.place.error(format!("the rendered recipe can't be written as JSON: {error}"), None).into()
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A requirement as text; pins as the JSON of their symbolic form.
fn symbolic(state: &Rendered, dependency: &Dependency) -> Result<String, RecipeErrors> {
    Ok(match json(state, dependency)? {
        Value::String(text) => text,
        pin => pin.to_string(),
    })
}

fn globs(list: &[GlobWithSource]) -> Vec<String> {
    list.iter().map(|glob| glob.source().to_owned()).collect()
}

/// Globs as this crate has them. In the recipe, excludes without includes take away from everything.
pub(super) fn file_match(list: &GlobVec) -> FileMatch {
    let include = globs(list.include_globs());
    let exclude = globs(list.exclude_globs());
    FileMatch { all: include.is_empty() && !exclude.is_empty(), include, exclude }
}

fn source(source: &RecipeSource) -> Source {
    let patches = source.patches().iter().map(|patch| patch.as_str().to_owned()).collect();
    let folder = source.target_directory().map(|folder| folder.to_string_lossy().into_owned());
    let kind = match source {
        RecipeSource::Url(url) => SourceKind::Url {
            urls: url.url.iter().map(ToString::to_string).collect(),
            sha256: url.sha256.map(hex::encode),
            md5: url.md5.map(hex::encode),
            sha1: None,
            file_name: url.file_name.clone(),
        },
        RecipeSource::Git(git) => SourceKind::Git {
            url: git.url.to_string(),
            rev: match &git.rev {
                GitRev::Branch(name) | GitRev::Tag(name) | GitRev::Commit(name) => Some(name.clone()),
                GitRev::Head => None,
            },
            depth: git.depth.map(i64::from),
            lfs: git.lfs,
            submodules: git.submodules,
            expected_commit: git.expected_commit.clone(),
        },
        RecipeSource::Path(path) => SourceKind::Path {
            path: path.path.clone(),
            sha256: path.sha256.map(hex::encode),
            md5: path.md5.map(hex::encode),
            file_name: path.file_name.as_ref().map(|name| name.to_string_lossy().into_owned()),
            use_gitignore: path.use_gitignore,
        },
    };
    let filter = file_match(match source {
        RecipeSource::Url(url) => &url.filter,
        RecipeSource::Git(git) => &git.filter,
        RecipeSource::Path(path) => &path.filter,
    });
    Source { kind, folder, patches, filter }
}

fn build(state: &Rendered, variant: &RenderedVariant, world: &dyn World) -> Build {
    let build = &variant.recipe.build;
    let platform = state.target_platform(variant);
    let convert = |script: &rattler_build_script::Script| script::script(script, state.recipe_dir(), platform, world);
    let detection = &build.prefix_detection;
    // Each feature counts as one point against the package.
    let penalty = build.variant.down_prioritize_variant.map_or(0, i32::unsigned_abs);
    let name = variant.recipe.package.name.as_normalized();
    Build {
        top_level: None,
        scripts: match &build.plan {
            BuildPlan::Script(script) => vec![convert(script)],
            BuildPlan::Steps(steps) => steps.iter().map(|step| convert(&step.to_script())).collect(),
        },
        script_env: Vec::new(),
        detect_binary_files_with_prefix: detection.ignore_binary_files.then_some(false),
        ignore_prefix_files: match &detection.ignore {
            AllOrGlobVec::All(all) => FileMatch { all: *all, ..FileMatch::default() },
            AllOrGlobVec::SpecificPaths(list) => file_match(list),
        },
        has_prefix_files: globs(detection.force_file_type.text.include_globs()),
        binary_has_prefix_files: globs(detection.force_file_type.binary.include_globs()),
        no_link: file_match(&build.always_copy_files),
        always_include_files: file_match(&build.always_include_files),
        files: build.files.as_ref().map(file_match),
        merge_build_host: build.merge_build_and_host_envs,
        track_features: (0..penalty.min(1000)).map(|point| format!("{name}-p-{point}")).collect(),
        entry_points: build.python.entry_points.iter().map(ToString::to_string).collect(),
        post_process: build
            .post_process
            .iter()
            .map(|step| (file_match(&step.files), step.regex.as_str().to_owned(), step.replacement.clone()))
            .collect(),
    }
}

fn about(recipe: &Recipe) -> About {
    let about = &recipe.about;
    let files = about.license_file.iter().flat_map(|list| {
        let include = list.entries().iter().map(|glob| glob.source().to_owned());
        include.chain(list.exclude().iter().map(|glob| format!("!{glob}")))
    });
    About {
        license: about.license.as_ref().map(ToString::to_string),
        license_family: about.license_family.clone(),
        license_files: files.collect(),
        prelink_messages: Vec::new(),
        readme: None,
    }
}
