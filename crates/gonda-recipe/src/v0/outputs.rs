//! From variants to packages: the recipe for each variant of its top level, then its outputs for each variant of theirs
//! (render.py `distribute_variants` and `render_metadata_tuples`, metadata.py `get_output_metadata_set`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::error::{Fail, in_file};
use super::finalize::{Plan, finalize_outputs};
use super::meta::{
    CONDA, Meta, Outputs, Parent, UsedVariant, expand_requirements, first_word, is_true, lookup, output_dicts,
};
use super::session::{Session, Solving};
use super::spec::{Spec, complete};
use super::variant::{self, Variant, loop_keys, newest_python, text_of};
use crate::Finalize;

/// A package to be.
pub(crate) type Package = (Map<String, Json>, Rc<RefCell<Meta>>);

type Key = (String, Option<String>, UsedVariant);

/// The recipe for each variant that its top level uses.
pub(crate) fn distribute(
    session: &Session<'_>,
    mut meta: Meta,
    mut variants: Vec<Arc<Variant>>,
    bypass: bool,
) -> Result<Vec<Meta>, Fail> {
    if meta.is_noarch() {
        variants = newest_python(variants);
    }
    let Some(first) = variants.first().cloned() else {
        return Err(Fail::fatal(in_file(
            &session.file,
            "no variant is left",
            Some("check the variant files' selectors"),
        )));
    };
    let all = Rc::new(variants);
    meta.config.variants = all.clone();
    meta.config.input_variants = all.clone();
    meta.set_variant(first);
    let used = meta.used_vars(session, false)?;
    session.forget_used_vars();
    let loops = loop_keys(&all, &used);
    let mut rendered: IndexMap<Key, Meta> = IndexMap::new();
    for variant in variant::reduce(&all, &loops) {
        let mut copy = meta.copied();
        copy.set_variant(variant.clone());
        let mut matching: Vec<Arc<Variant>> = all.to_vec();
        for key in &loops {
            if let Some(value) = variant.get(key) {
                let kept = variant::filter(&matching, key, value);
                if !kept.is_empty() {
                    matching = kept;
                }
            }
        }
        if copy.numpy_xx(session)? {
            let pin = |variant: &Arc<Variant>| {
                let mut pins = variant.get("pin_run_as_build").and_then(Json::as_object).cloned().unwrap_or_default();
                if pins.contains_key("numpy") {
                    return variant.clone();
                }
                pins.insert("numpy".to_owned(), serde_json::json!({"min_pin": "x.x", "max_pin": "x.x"}));
                let mut variant = Variant::clone(variant);
                variant.insert("pin_run_as_build", Json::Object(pins));
                Arc::new(variant)
            };
            copy.set_variant(pin(&variant));
            matching = matching.iter().map(pin).collect();
        }
        copy.config.variants = Rc::new(matching);
        match copy.parse_until_resolved(session, true, bypass) {
            // What can't be rendered strictly stays as it rendered leniently.
            Ok(()) | Err(Fail::User(_)) => {}
            Err(fatal) => return Err(fatal),
        }
        let key = package_key(session, &copy)?;
        rendered.insert(key, copy);
    }
    Ok(rendered.into_values().collect())
}

fn package_key(session: &Session<'_>, meta: &Meta) -> Result<Key, Fail> {
    let platform = meta.config.variant.text("target_platform").map(str::to_owned);
    Ok((meta.dist(session)?, platform, meta.used_variant(session)?))
}

/// All packages, in the order to build them.
pub(crate) fn packages(
    session: &Session<'_>,
    recipes: Vec<Meta>,
    mode: Finalize,
    trim_skip: bool,
    plan: &Plan<'_>,
) -> Result<Vec<Package>, Fail> {
    let mut packages: IndexMap<Key, Package> = IndexMap::new();
    for recipe in recipes {
        if recipe.skip() && trim_skip {
            continue;
        }
        for (output, meta) in outputs_of(session, recipe, mode, plan)? {
            if meta.borrow().skip() && trim_skip {
                continue;
            }
            let key = package_key(session, &meta.borrow())?;
            packages.insert(key, (output, meta));
        }
    }
    Ok(packages.into_values().collect())
}

fn outputs_of(session: &Session<'_>, mut recipe: Meta, mode: Finalize, plan: &Plan<'_>) -> Result<Vec<Package>, Fail> {
    let lenient = mode == Finalize::No;
    if recipe.is_final {
        let mut outputs = output_dicts(&mut recipe, session, Vec::new())?;
        let package = (outputs.swap_remove(0), Rc::new(RefCell::new(recipe)));
        check_run_constrained(session, std::slice::from_ref(&package))?;
        return Ok(vec![package]);
    }
    let used = recipe.used_vars(session, true)?;
    let loops: BTreeSet<String> = loop_keys(&recipe.config.input_variants, &used);
    let top = variant::reduce(&recipe.config.variants, &loops);
    let known = Rc::new(RefCell::new(Outputs::new()));
    let mut packages: Vec<Package> = Vec::new();
    let mut last = None;
    for variant in top {
        let mut reference = recipe.copied();
        reference.set_variant(variant);
        match reference.parse_until_resolved(session, true, true) {
            Ok(()) | Err(Fail::User(_)) => {}
            Err(fatal) => return Err(fatal),
        }
        match outputs_of_variant(session, &mut reference, &known, &mut packages) {
            Ok(()) => {}
            Err(error @ Fail::User(_)) if lenient && packages.is_empty() => return Err(error),
            Err(Fail::User(_)) if lenient => {}
            Err(error) => return Err(error),
        }
        last = Some(reference);
    }
    let Some(reference) = last else { return Ok(Vec::new()) };
    let ordered = in_build_order(session, packages)?;
    // Outputs with the same name and used variant are one; the last stands.
    let mut conda: IndexMap<(String, UsedVariant), Package> = IndexMap::new();
    for (output, meta) in ordered {
        if is_conda(&output) {
            let key = {
                let meta = meta.borrow();
                (meta.name(session)?, meta.used_variant(session)?)
            };
            conda.insert(key, (output, meta));
        }
    }
    let mut packages: Vec<Package> = conda.into_values().collect();
    if !lenient && !reference.skip() {
        packages = finalize_outputs(session, &reference, packages, mode == Finalize::Bypass, plan)?;
        check_matching_hashes(session, &packages)?;
    }
    for (_, meta) in &packages {
        let mut meta = meta.borrow_mut();
        meta.is_final = true;
    }
    check_run_constrained(session, &packages)?;
    Ok(packages)
}

/// Whether gonda makes such an output: conda packages, of whatever format name.
fn is_conda(output: &Map<String, Json>) -> bool {
    match lookup(output, "type").filter(|kind| is_true(kind)) {
        None => true,
        Some(kind) => matches!(text_of(kind).as_str(), "conda" | "conda_v2" | ".conda" | ".tar.bz2"),
    }
}

fn outputs_of_variant(
    session: &Session<'_>,
    reference: &mut Meta,
    known: &Rc<RefCell<Outputs>>,
    packages: &mut Vec<Package>,
) -> Result<(), Fail> {
    let outputs = output_dicts(reference, session, Vec::new())?;
    let top_name = reference.name(session)?;
    for (index, mut output) in outputs.into_iter().enumerate() {
        if lookup(&output, "requirements").is_some_and(is_true) {
            let mut requirements = expand_requirements(lookup(&output, "requirements"));
            for environment in ["build", "host", "run"] {
                insert_variant_versions(session, reference, &mut requirements, environment)?;
            }
            let requirements = Json::Object(requirements);
            // The top level and the output of its name share their requirements.
            if lookup(&output, "name").map(text_of).as_deref() == Some(top_name.as_str())
                && lookup(&reference.meta, "requirements") != Some(&requirements)
            {
                reference.set_section("requirements", requirements.clone());
            }
            output.insert("requirements".to_owned(), requirements);
        }
        let mut meta = output_meta(session, reference, &output, index)?;
        meta.other_outputs = Some(known.clone());
        let key = (meta.name(session)?, meta.used_variant(session)?);
        let meta = Rc::new(RefCell::new(meta));
        known.borrow_mut().insert(key, meta.clone());
        packages.push((output, meta));
        reference.other_outputs = Some(known.clone());
    }
    Ok(())
}

/// A bare `foo` takes the variant's version: `foo 1.2.*` (utils.py:1946 `insert_variant_versions`).
pub(crate) fn insert_variant_versions(
    session: &Session<'_>,
    meta: &Meta,
    requirements: &mut Map<String, Json>,
    environment: &str,
) -> Result<(), Fail> {
    let Some(Json::Array(mut list)) = lookup(requirements, environment).cloned() else { return Ok(()) };
    let is_built = |name: &str| {
        let built =
            ["build", "host"].into_iter().filter_map(|environment| lookup(requirements, environment)?.as_array());
        built.flatten().any(|other| other.as_str() == Some(name))
    };
    let variant = &meta.config.variant;
    for item in &mut list {
        let Some(spec) = item.as_str() else {
            return Err(Fail::fatal(meta.mistake(
                session,
                &["requirements", environment],
                format!("`requirements/{environment}` holds something that is no text"),
                Some("each requirement is one line of text: a name, and perhaps a version and a build"),
            )));
        };
        let name = spec.trim_end();
        if !name.contains(char::is_whitespace) {
            if environment == "run" && !is_built(name) {
                continue;
            }
            if let Some(value) = bare_value(variant, name) {
                *item = Json::String(complete(&format!("{name} {value}")));
            }
        } else if let Some((name, _)) = split_xx(spec) {
            let value = variant.text(name).unwrap_or_default();
            *item = Json::String(complete(&format!("{name} {value}")));
        }
    }
    requirements.insert(environment.to_owned(), Json::Array(list));
    Ok(())
}

/// The variant's value for a name, whose `-` stands for `_` of the key.
fn bare_value(variant: &Variant, name: &str) -> Option<String> {
    let value = variant.get(name).or_else(|| variant.get(&name.replace('-', "_")))?;
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Array(items) => items.first().map(text_of),
        _ => None,
    }
}

/// `numpy x.x`.
fn split_xx(spec: &str) -> Option<(&str, &str)> {
    let (name, rest) = spec.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    rest.starts_with("x.x").then_some((name, rest))
}

/// The metadata of an output (metadata.py `get_output_metadata`). What the top level says holds for an output of its
/// name; others take version, source, number, about and extra.
pub(crate) fn output_meta(
    session: &Session<'_>,
    reference: &Meta,
    output: &Map<String, Json>,
    index: usize,
) -> Result<Meta, Fail> {
    let mut meta = reference.copied();
    meta.kind = Some(lookup(output, "type").map_or_else(|| CONDA.to_owned(), text_of));
    let top_name = reference.name(session)?;
    let name = lookup(output, "name").map(text_of);
    if name.as_deref() == Some(top_name.as_str()) {
        return Ok(meta);
    }
    meta.index = Some(index);
    meta.top_script = Some(reference.list("build", "script"));
    // Only the top level's own build needs these: where they can't be read, its outputs may do without.
    let needs = |environment| reference.solver_specs(session, environment).unwrap_or_default();
    meta.top_requirements = Some(([needs("build"), needs("host")], reference.build_is_host(session)));
    let mut requirements = expand_requirements(output.get("requirements"));
    let set = |map: &mut Map<String, Json>, key: &str, value: Json| {
        map.insert(key.to_owned(), value);
    };
    set(meta.section_mut("package"), "name", Json::String(name.clone().unwrap_or_else(|| top_name.clone())));
    if meta.section("test").is_some() {
        let test = meta.section_mut("test");
        test.shift_remove("commands");
        test.shift_remove("imports");
    }
    {
        let build = meta.section_mut("build");
        for key in ["entry_points", "run_exports", "script"] {
            match output.get(key) {
                Some(value) => set(build, key, value.clone()),
                None => {
                    build.shift_remove(key);
                }
            }
        }
    }
    meta.has_path = false;
    // An output does not depend on itself, though the top level it takes requirements from may.
    if let Some(name) = &name {
        for environment in ["build", "host", "run"] {
            if let Some(Json::Array(items)) = requirements.get_mut(environment) {
                items
                    .retain(|item| item.as_str().is_none_or(|spec| first_word(spec).as_deref() != Some(name.as_str())));
            }
        }
    }
    requirements
        .retain(|key, value| !matches!(key.as_str(), "build" | "host" | "run" | "run_constrained") || is_true(value));
    meta.set_section("requirements", Json::Object(requirements));
    let version = match output.get("version").filter(|version| is_true(version)) {
        Some(version) => text_of(version),
        None => reference.version(session)?,
    };
    set(meta.section_mut("package"), "version", Json::String(version));
    meta.is_final = false;
    let noarch = output.get("noarch").cloned().unwrap_or(Json::Bool(false));
    let noarch_python = output.get("noarch_python").cloned().unwrap_or(Json::Bool(false));
    meta.config.noarch = meta.config.noarch || is_true(&noarch) || is_true(&noarch_python);
    let independent = output.get("python_version_independent").is_some_and(is_true)
        || noarch.as_str() == Some("python")
        || is_true(&noarch_python);
    {
        let build = meta.section_mut("build");
        set(build, "noarch", noarch);
        set(build, "noarch_python", noarch_python);
        set(build, "python_version_independent", Json::Bool(independent));
        for key in ["number", "string"] {
            if let Some(value) = output.get(key) {
                set(build, key, value.clone());
            }
        }
        for key in ["run_exports", "track_features", "features"] {
            if let Some(value) = output.get(key).filter(|value| is_true(value)) {
                set(build, key, value.clone());
            }
        }
    }
    if let Some(build) = output.get("build") {
        let mut build = build.as_object().cloned().unwrap_or_default();
        if !build.contains_key("number") {
            let number = match output.get("number") {
                Some(number) => number.clone(),
                None => meta.build_number(session)?.into(),
            };
            set(&mut build, "number", number);
        }
        meta.set_section("build", Json::Object(build));
    }
    for section in ["test", "about"] {
        if let Some(value) = output.get(section) {
            meta.set_section(section, value.clone());
        }
    }
    meta.parent = Some(Parent { name: top_name, version: reference.version(session)? });
    meta.used = RefCell::default();
    Ok(meta)
}

/// What others depend on comes first; among equals, by name.
fn in_build_order(session: &Session<'_>, packages: Vec<Package>) -> Result<Vec<Package>, Fail> {
    let mut by_name: BTreeMap<String, Vec<Package>> = BTreeMap::new();
    for (output, meta) in packages {
        if !is_conda(&output) {
            continue;
        }
        let Some(name) = lookup(&output, "name").map(text_of) else {
            return Err(Fail::fatal(meta.borrow().mistake(
                session,
                &[],
                "an output has no name",
                Some("each output is a mapping that begins with `- name: …`"),
            )));
        };
        by_name.entry(name).or_default().push((output, meta));
    }
    let mut waiting: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, packages) in &by_name {
        let needs = waiting.entry(name.clone()).or_default();
        for (_, meta) in packages {
            let meta = meta.borrow();
            let mut environments = vec!["run", "host"];
            if !meta.is_cross() {
                environments.push("build");
            }
            for environment in environments {
                for spec in meta.requirements(environment) {
                    let other = spec.split(' ').next().unwrap_or_default();
                    if other != name && by_name.contains_key(other) {
                        needs.insert(other.to_owned());
                    }
                }
            }
        }
    }
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<String> =
            waiting.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| name.clone()).collect();
        if ready.is_empty() {
            let names: Vec<String> = waiting.keys().map(|name| format!("`{name}`")).collect();
            return Err(Fail::fatal(in_file(
                &session.file,
                format!("the outputs {} need each other", names.join(", ")),
                Some("take one of the requirements away, or make the outputs one"),
            )));
        }
        for name in &ready {
            waiting.remove(name);
            ordered.extend(by_name.remove(name).unwrap_or_default());
        }
        for needs in waiting.values_mut() {
            needs.retain(|name| !ready.contains(name));
        }
    }
    Ok(ordered)
}

fn check_run_constrained(session: &Session<'_>, packages: &[Package]) -> Result<(), Fail> {
    let mut failures = Vec::new();
    for (_, meta) in packages {
        let meta = meta.borrow();
        for (position, spec) in meta.requirements("run_constrained").iter().enumerate() {
            if spec.contains("{{") {
                continue;
            }
            if let Err(reason) = Spec::parse(spec) {
                failures.push(Fail::fatal(meta.mistake(
                    session,
                    &["requirements", "run_constrained", &position.to_string()],
                    reason,
                    Some("write `name 1.2.*` or `name >=1.2,<2`"),
                )));
            }
        }
    }
    Fail::all(failures)
}

/// Exact pins between outputs must name what is really made (metadata.py `ensure_matching_hashes`).
fn check_matching_hashes(session: &Session<'_>, packages: &[Package]) -> Result<(), Fail> {
    // With one output's environments known and the others' not, build strings can't agree yet.
    if session.solving.get() != Solving::No {
        return Ok(());
    }
    for (position, (_, meta)) in packages.iter().enumerate() {
        let meta = meta.borrow();
        let (name, build) = (meta.plain_name(), meta.build_id(session)?);
        for (other_position, (_, other)) in packages.iter().enumerate() {
            if position == other_position {
                continue;
            }
            let other = other.borrow();
            let mut specs: Vec<String> =
                ["host", "build", "run"].iter().flat_map(|environment| other.requirements(environment)).collect();
            specs.extend(run_export_list(&other));
            for spec in specs {
                let words: Vec<&str> = spec.split(' ').collect();
                let [spec_name, _, spec_build] = words.as_slice() else { continue };
                let variants_equal = meta
                    .config
                    .variant
                    .iter()
                    .all(|(key, value)| other.config.variant.get(key).is_none_or(|other| other == value));
                if *spec_name == name && *spec_build != build && !spec_build.contains('*') && variants_equal {
                    return Err(Fail::fatal(in_file(
                        &session.file,
                        format!(
                            "`{}` requires `{spec}`, but that output's build string is `{build}`",
                            other.plain_name()
                        ),
                        Some("an exact pin that enters the hash of what it pins can't hold; bound the version instead"),
                    )));
                }
            }
        }
    }
    Ok(())
}

fn run_export_list(meta: &Meta) -> Vec<String> {
    match meta.value("build", "run_exports").as_deref() {
        Some(Json::Object(kinds)) => kinds.values().flat_map(variant::list_of_text).collect(),
        Some(other) => variant::list_of_text(other),
        None => Vec::new(),
    }
}
