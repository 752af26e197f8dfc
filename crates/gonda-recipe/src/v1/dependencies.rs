//! Requirements made concrete: pins, the variant's versions, run exports; the order is rattler-build's.

use rattler_build_recipe::stage1::requirements::{Dependency, IgnoreRunExports};
use rattler_build_recipe::variant_render::RenderedVariant;
use rattler_build_types::Pin;
use rattler_conda_types::package::RunExportsJson;
use rattler_conda_types::{
    MatchSpec, NamelessMatchSpec, PackageName, PackageNameMatcher, ParseMatchSpecOptions, RepodataRevision,
    VersionWithSource,
};

use super::Rendered;
use super::errors::tidy;
use crate::{Env, RecipeErrors, Resolved, ResolvedPackage};

/// A requirement and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Info {
    /// What to ask for.
    pub(super) spec: MatchSpec,
    /// Why.
    pub(super) origin: Origin,
}

/// Where a requirement comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// As written.
    Source,
    /// A bare name, completed with the variant's value of this key.
    Variant(String),
    /// `pin_subpackage`.
    PinSubpackage(Pin),
    /// `pin_compatible`.
    PinCompatible(Pin),
    /// A run export of `package` in the environment `from`.
    RunExport { from: &'static str, package: String },
}

/// All of an output's requirements.
#[derive(Debug, Clone)]
pub(super) struct Finalized {
    /// Of the build environment.
    pub(super) build: Vec<Info>,
    /// Of the host environment.
    pub(super) host: Vec<Info>,
    /// As written, pins resolved.
    pub(super) run: Vec<Info>,
    /// As written, pins resolved.
    pub(super) run_constrained: Vec<Info>,
    /// `run` and what run exports add.
    pub(super) depends: Vec<Info>,
    /// `run_constrained` and what run exports add.
    pub(super) constrains: Vec<Info>,
    /// The output's own.
    pub(super) run_exports: RunExportsJson,
}

/// The texts of requirements, each once.
pub(super) fn unique(list: &[Info]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::with_capacity(list.len());
    for info in list {
        let text = info.spec.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// What to ask the solver for. With `merge_build_and_host_envs` all of it is in the host environment.
///
/// # Errors
/// A pin on something unknown, a variant's value or a run export that is no spec.
pub(super) fn environment(
    state: &Rendered,
    variant: &RenderedVariant,
    env: Env,
    resolved: &Resolved,
) -> Result<Vec<Info>, RecipeErrors> {
    let requirements = variant.recipe.requirements();
    let merged = variant.recipe.build.merge_build_and_host_envs;
    if env == Env::Build {
        if merged {
            return Ok(Vec::new());
        }
        return at_build_time(state, variant, &requirements.build, resolved, &[]);
    }
    let built: &[ResolvedPackage] = if merged { &[] } else { &resolved.build };
    let mut specs = at_build_time(state, variant, &requirements.host, resolved, &[built])?;
    specs.extend(exports(state, variant, &requirements.build, built, "build", |exports| &exports.strong)?);
    if merged {
        specs.extend(at_build_time(state, variant, &requirements.build, resolved, &[])?);
    }
    Ok(specs)
}

/// All requirements, with both environments solved.
///
/// # Errors
/// As [`environment`].
pub(super) fn finalize(
    state: &Rendered,
    variant: &RenderedVariant,
    resolved: &Resolved,
) -> Result<Finalized, RecipeErrors> {
    let recipe = &variant.recipe;
    let requirements = recipe.requirements();
    let merged = recipe.build.merge_build_and_host_envs;
    let built: &[ResolvedPackage] = if merged { &[] } else { &resolved.build };
    let solved = [&resolved.host[..], built];
    let all = |list: &[Dependency]| -> Result<Vec<Info>, RecipeErrors> {
        list.iter().map(|dependency| resolve(state, variant, dependency, resolved, &solved)).collect()
    };
    let texts = |list: &[Dependency]| -> Result<Vec<String>, RecipeErrors> {
        Ok(all(list)?.iter().map(|info| info.spec.to_string()).collect())
    };

    let run = all(&requirements.run)?;
    let run_constrained = all(&requirements.run_constraints)?;
    let mut depends = run.clone();
    let mut constrains = run_constrained.clone();
    let from_build =
        |pick: fn(&RunExportsJson) -> &Vec<String>| exports(state, variant, &requirements.build, built, "build", pick);
    let from_host = |pick: fn(&RunExportsJson) -> &Vec<String>| {
        exports(state, variant, &requirements.host, &resolved.host, "host", pick)
    };
    if recipe.build.noarch.is_some_and(|noarch| !noarch.is_none()) {
        depends.extend(from_host(|exports| &exports.noarch)?);
    } else {
        depends.extend(from_build(|exports| &exports.strong)?);
        depends.extend(from_host(|exports| &exports.strong)?);
        depends.extend(from_host(|exports| &exports.weak)?);
        constrains.extend(from_build(|exports| &exports.strong_constrains)?);
        constrains.extend(from_host(|exports| &exports.strong_constrains)?);
        constrains.extend(from_host(|exports| &exports.weak_constrains)?);
    }
    let own = &requirements.run_exports;
    Ok(Finalized {
        build: environment(state, variant, Env::Build, resolved)?,
        host: environment(state, variant, Env::Host, resolved)?,
        run,
        run_constrained,
        depends,
        constrains,
        run_exports: RunExportsJson {
            weak: texts(&own.weak)?,
            strong: texts(&own.strong)?,
            noarch: texts(&own.noarch)?,
            weak_constrains: texts(&own.weak_constraints)?,
            strong_constrains: texts(&own.strong_constraints)?,
        },
    })
}

/// A list for an environment that is installed while building: bare names get the variant's version.
fn at_build_time(
    state: &Rendered,
    variant: &RenderedVariant,
    list: &[Dependency],
    resolved: &Resolved,
    solved: &[&[ResolvedPackage]],
) -> Result<Vec<Info>, RecipeErrors> {
    let one = |dependency: &Dependency| {
        if let Dependency::Spec(spec) = dependency
            && spec.version.is_none()
            && spec.build.is_none()
            && let Some(name) = spec.name.as_exact()
            && let Some(value) = variant.variant.get(&name.as_normalized().into())
        {
            let text = value.to_string();
            // A plain version means that version and all below it.
            let plain = text.chars().all(|char| char.is_alphanumeric() || char == '.');
            let nameless: NamelessMatchSpec =
                if plain { format!("={text}").parse() } else { text.parse() }.map_err(|error| {
                    let name = name.as_normalized();
                    let message = format!("`{text}`, the variant's value for `{name}`, is no version: {error}");
                    state.place.error_near(&[name], message, None)
                })?;
            let spec = MatchSpec::from_nameless(nameless, PackageNameMatcher::Exact(name.clone()));
            return Ok(Info { spec, origin: Origin::Variant(name.as_normalized().to_owned()) });
        }
        resolve(state, variant, dependency, resolved, solved)
    };
    list.iter().map(one).collect()
}

/// A requirement with its pin resolved: `pin_subpackage` against the recipe's own outputs, those of the same variant
/// first, `pin_compatible` against the solved environments, the first that has the package.
///
/// # Errors
/// The pinned package is unknown, or its version can't be pinned so.
pub(super) fn resolve(
    state: &Rendered,
    variant: &RenderedVariant,
    dependency: &Dependency,
    resolved: &Resolved,
    solved: &[&[ResolvedPackage]],
) -> Result<Info, RecipeErrors> {
    match dependency {
        Dependency::Spec(spec) => Ok(Info { spec: (**spec).clone(), origin: Origin::Source }),
        Dependency::PinSubpackage(pin) => {
            let pin = &pin.pin_subpackage;
            let (version, build) = subpackage(state, variant, &pin.name, resolved).ok_or_else(|| {
                let name = pin.name.as_normalized();
                let message = format!("`pin_subpackage` names `{name}`, which is no output of this recipe");
                let help = "use `pin_compatible` for packages of other recipes";
                state.place.error_near(&["pin_subpackage", name], message, Some(help.to_owned()))
            })?;
            let spec = apply(state, "pin_subpackage", pin, &version, &build)?;
            Ok(Info { spec, origin: Origin::PinSubpackage(pin.clone()) })
        }
        Dependency::PinCompatible(pin) => {
            let pin = &pin.pin_compatible;
            let name = pin.name.as_normalized();
            let found = solved.iter().find_map(|packages| packages.iter().find(|package| package.name == name));
            let found = found.ok_or_else(|| {
                let message = format!("`pin_compatible` names `{name}`, which is not in the build or host environment");
                let help = format!("add `{name}` to the host requirements");
                state.place.error_near(&["pin_compatible", name], message, Some(help))
            })?;
            let spec = apply(state, "pin_compatible", pin, &found.version, &found.build)?;
            Ok(Info { spec, origin: Origin::PinCompatible(pin.clone()) })
        }
    }
}

/// Version and build string of another output: as this recipe rendered it (the variant that shares most values),
/// else as the caller knows it.
pub(super) fn subpackage(
    state: &Rendered,
    variant: &RenderedVariant,
    name: &PackageName,
    resolved: &Resolved,
) -> Option<(String, String)> {
    let shared = |other: &RenderedVariant| {
        variant.full_combination.iter().filter(|(key, value)| other.full_combination.get(*key) == Some(*value)).count()
    };
    // The output itself, then the best match; among equals the first rendered, as its build comes first.
    let own = (&variant.recipe.package.name == name).then_some(variant);
    let others = || state.all.iter().filter(|other| &other.recipe.package.name == name);
    let best = own.or_else(|| others().rev().max_by_key(|other| (!other.recipe.build.skip, shared(other))));
    if let Some(found) = best {
        let build = found.recipe.build.string.as_resolved().unwrap_or_default();
        return Some((found.recipe.package.version.to_string(), build.to_owned()));
    }
    let known = resolved.outputs.iter().find(|output| output.name == name.as_normalized())?;
    Some((known.version.clone(), known.build_string.clone()))
}

fn apply(state: &Rendered, function: &str, pin: &Pin, version: &str, build: &str) -> Result<MatchSpec, RecipeErrors> {
    let name = pin.name.as_normalized();
    let failed = |reason: String| -> RecipeErrors {
        let message = format!("`{function}` can't pin `{name}` at version `{version}`: {}", tidy(&reason));
        state.place.error_near(&[function, name], message, None).into()
    };
    let parsed: VersionWithSource = version.parse().map_err(|error| failed(format!("{error}")))?;
    pin.apply(&parsed, build).map_err(|error| failed(error.to_string()))
}

/// The run exports of those packages of an environment that `asked` names, sorted by package.
fn exports(
    state: &Rendered,
    variant: &RenderedVariant,
    asked: &[Dependency],
    packages: &[ResolvedPackage],
    from: &'static str,
    pick: fn(&RunExportsJson) -> &Vec<String>,
) -> Result<Vec<Info>, RecipeErrors> {
    let ignore = ignored(variant);
    let named = |package: &ResolvedPackage| {
        asked.iter().any(|dependency| dependency.name().is_some_and(|name| name.as_normalized() == package.name))
            && !ignore.from_package.iter().any(|name| name.as_normalized() == package.name)
    };
    let mut exporting: Vec<_> = packages.iter().filter(|package| named(package)).collect();
    exporting.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = Vec::new();
    for package in exporting {
        for text in pick(&package.run_exports) {
            let options = ParseMatchSpecOptions::lenient().with_repodata_revision(RepodataRevision::V3);
            let spec = MatchSpec::from_str(text, options).map_err(|error| {
                let help = format!("the package is at fault; `ignore_run_exports` can name `{}`", package.name);
                let message = format!("`{text}`, a run export of `{}`, is no spec: {error}", package.name);
                state.place.error(message, Some(help))
            })?;
            if spec.name.as_exact().is_some_and(|name| ignore.by_name.contains(name)) {
                continue;
            }
            found.push(Info { spec, origin: Origin::RunExport { from, package: package.name.clone() } });
        }
    }
    Ok(found)
}

/// What the recipe ignores. A package that serves every Python version takes none of Python's own (CEP 20).
fn ignored(variant: &RenderedVariant) -> IgnoreRunExports {
    let mut ignore = variant.recipe.requirements().ignore_run_exports.clone();
    if variant.recipe.build.python.version_independent {
        let python = PackageName::new_unchecked("python");
        ignore.from_package.push(python.clone());
        ignore.by_name.push(python);
    }
    ignore
}
