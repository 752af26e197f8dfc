//! `info/recipe/rendered_recipe.yaml`: the recipe as rendered, what it was rendered for, and its final requirements.

use rattler_build_recipe::variant_render::RenderedVariant;
use serde_json::{Map, Value, json};

use super::dependencies::{Finalized, Info, Origin};
use super::{Rendered, convert, dependencies};
use crate::{RecipeErrors, Resolved, ResolvedPackage};

/// The text; with `finalized`, requirements and environments too, by the keys that rattler-build uses.
///
/// # Errors
/// None that a recipe can cause.
pub(super) fn text(
    state: &Rendered,
    variant: &RenderedVariant,
    finalized: Option<(&Finalized, &Resolved)>,
) -> Result<String, RecipeErrors> {
    let platform = state.target_platform(variant);
    let recipe = &variant.recipe;
    let noarch = recipe.build.noarch.is_some_and(|noarch| !noarch.is_none());
    let package = if noarch { "noarch".to_owned() } else { platform.to_string() };
    let mut subpackages = Map::new();
    let pinned = recipe.requirements().all_pin_subpackages().map(|pin| &pin.pin_subpackage.name);
    for name in std::iter::once(&recipe.package.name).chain(pinned) {
        if let Some((version, build)) = dependencies::subpackage(state, variant, name, &Resolved::default()) {
            let name = name.as_normalized();
            subpackages.insert(name.to_owned(), json!({"name": name, "version": version, "build_string": build}));
        }
    }
    let mut document = Map::new();
    document.insert("recipe".to_owned(), convert::json(state, recipe)?);
    document.insert(
        "build_configuration".to_owned(),
        json!({
            "target_platform": package,
            "host_platform": {"platform": platform.to_string()},
            "build_platform": {"platform": state.build_platform.to_string()},
            "variant": convert::json(state, &variant.variant)?,
            "hash": convert::json(state, &variant.hash_info)?,
            "subpackages": subpackages,
        }),
    );
    if let Some((finalized, resolved)) = finalized {
        document.insert(
            "finalized_dependencies".to_owned(),
            json!({
                "build": environment(state, &finalized.build, &resolved.build)?,
                "host": environment(state, &finalized.host, &resolved.host)?,
                "run": {
                    "depends": infos(state, &finalized.depends)?,
                    "constraints": infos(state, &finalized.constrains)?,
                    "run_exports": convert::json(state, &finalized.run_exports)?,
                },
            }),
        );
    }
    serde_yaml::to_string(&Value::Object(document)).map_err(|error| {
        state.place.error(format!("the rendered recipe can't be written as YAML: {error}"), None).into()
    })
}

fn environment(state: &Rendered, specs: &[Info], packages: &[ResolvedPackage]) -> Result<Value, RecipeErrors> {
    if specs.is_empty() {
        return Ok(Value::Null);
    }
    let package =
        |package: &ResolvedPackage| json!({"name": package.name, "version": package.version, "build": package.build});
    let packages: Vec<_> = packages.iter().map(package).collect();
    Ok(json!({"specs": infos(state, specs)?, "resolved": packages}))
}

fn infos(state: &Rendered, list: &[Info]) -> Result<Vec<Value>, RecipeErrors> {
    list.iter().map(|one| info(state, one)).collect()
}

fn info(state: &Rendered, info: &Info) -> Result<Value, RecipeErrors> {
    let spec = info.spec.to_string();
    Ok(match &info.origin {
        Origin::Source => json!({"source": spec}),
        Origin::Variant(key) => json!({"variant": key, "spec": spec}),
        Origin::RunExport { from, package } => json!({"run_export": package, "from": from, "spec": spec}),
        Origin::PinSubpackage(pin) => {
            let mut entry = json!({"pin_subpackage": pin.name.as_normalized(), "spec": spec});
            extend(&mut entry, convert::json(state, &pin.args)?);
            entry
        }
        Origin::PinCompatible(pin) => {
            let mut entry = json!({"pin_compatible": pin.name.as_normalized(), "spec": spec});
            extend(&mut entry, convert::json(state, &pin.args)?);
            entry
        }
    })
}

fn extend(entry: &mut Value, more: Value) {
    if let (Value::Object(entry), Value::Object(more)) = (entry, more) {
        entry.extend(more);
    }
}
