//! Finalising: outputs take the versions of their environments, run exports enter, exact pins get their build strings
//! (render.py `finalize_metadata` and `add_upstream_pins`, metadata.py `finalize_outputs_pass`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::error::Fail;
use super::meta::{Meta, UsedVariant, expand_requirements, first_word, is_true, merge_top_level};
use super::outputs::{Package, insert_variant_versions, output_meta};
use super::session::{Session, Solving};
use super::spec::{complete, from_requirements_txt};
use super::variant::text_of;
use super::version::apply_pin;
use crate::{Env, PinnedOutput, Resolved, ResolvedPackage};

/// What is to be finalised with solved environments, and what is asked on the way.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    /// The output that the environments are of: its name and used variant.
    pub(crate) target: Option<(String, BTreeMap<String, Json>)>,
    pub(crate) resolved: Option<&'a Resolved>,
    /// The environment whose specs are wanted, of which nothing is known yet.
    pub(crate) wanted: Option<Env>,
    /// The specs, once found.
    pub(crate) specs: RefCell<Option<Vec<String>>>,
}

impl Plan<'_> {
    /// Outputs that are finished already, for exact pins.
    pub(crate) fn pinned(&self) -> &[PinnedOutput] {
        self.resolved.map_or(&[], |resolved| resolved.outputs.as_slice())
    }
}

/// Finalises all outputs of a recipe, in order.
pub(crate) fn finalize_outputs(
    session: &Session<'_>,
    base: &Meta,
    packages: Vec<Package>,
    bypass: bool,
    plan: &Plan<'_>,
) -> Result<Vec<Package>, Fail> {
    let mut finished: IndexMap<(String, UsedVariant), Package> = IndexMap::new();
    for (index, (_, package)) in packages.into_iter().enumerate() {
        let package = package.borrow().clone();
        if package.skip() {
            continue;
        }
        let mut meta = base.copied();
        meta.other_outputs = package.other_outputs.clone();
        meta.config.variant = package.config.variant.clone();
        meta.used = RefCell::default();
        let name = package.name(session)?;
        let is_target = match &plan.target {
            Some((target, used)) => *target == name && *used == *package.used_variant(session)?,
            None => false,
        };
        if is_target {
            meta.resolved = plan.resolved.cloned().map(Rc::new);
        }
        let parent = meta.copied();
        if let Some(outputs) = &meta.other_outputs {
            let mut outputs = outputs.borrow_mut();
            for (key, (_, meta)) in &finished {
                outputs.insert(key.clone(), meta.clone());
            }
        }
        meta.is_final = false;
        let index = package.index.unwrap_or(index);
        let named = |name: &str| -> Map<String, Json> {
            [("name".to_owned(), Json::String(name.to_owned()))].into_iter().collect()
        };
        let output = meta.rendered_output(session, &name, true)?.unwrap_or_else(|| named(&name));
        let meta = output_meta(session, &meta, &output, index)?;
        let mut parent = parent;
        parent.parse_until_resolved(session, false, false)?;
        let done = if bypass { meta } else { finalize(session, meta, &mut parent, index, plan, is_target)? };
        let key = (done.name(session)?, done.used_variant(session)?);
        finished.insert(key, (output, Rc::new(RefCell::new(done))));
    }
    // The used variant may have changed by what was added.
    let mut packages: IndexMap<(String, UsedVariant), Package> = IndexMap::new();
    for (output, meta) in finished.into_values() {
        let key = {
            let meta = meta.borrow();
            (meta.name(session)?, meta.used_variant(session)?)
        };
        packages.insert(key, (output, meta));
    }
    Ok(packages.into_values().collect())
}

/// Names whose requirements are not solved for but passed on.
type Excluded = BTreeSet<String>;

fn is_excluded(excluded: &Excluded, spec: &str) -> bool {
    first_word(spec).is_some_and(|name| excluded.contains(&name))
}

/// One output (render.py `finalize_metadata`).
fn finalize(
    session: &Session<'_>,
    mut meta: Meta,
    parent: &mut Meta,
    index: usize,
    plan: &Plan<'_>,
    is_target: bool,
) -> Result<Meta, Fail> {
    if meta.skip() {
        meta.is_final = true;
        return Ok(meta);
    }
    let name = meta.name(session)?;
    let variant = meta.config.variant.clone();
    let mut excluded: Excluded = variant.list("ignore_version").into_iter().collect();
    if let Some(Json::Object(pins)) = variant.get("pin_run_as_build") {
        for key in pins.keys() {
            excluded.remove(key);
        }
    }
    let others: Excluded = meta
        .other_outputs
        .as_ref()
        .map(|outputs| outputs.borrow().keys().map(|(name, _)| name.clone()).collect())
        .unwrap_or_default();
    excluded.extend(others.iter().cloned());

    let mut is_top = true;
    let mut fresh = true;
    if let Some(mut output) = parent.rendered_output(session, &name, true)? {
        if output.contains_key("package") || !output.contains_key("name") {
            output = [("name".to_owned(), Json::String(name.clone()))].into_iter().collect();
        } else {
            is_top = false;
            fresh = false;
        }
        if meta.parent.as_ref().is_none_or(|parent| parent.name == name) {
            merge_top_level(&mut meta, &mut output);
        }
        let requirements = expand_requirements(output.get("requirements").filter(|value| is_true(value)));
        meta.set_section("requirements", Json::Object(requirements));
    }
    let mut requirements = meta.section("requirements").cloned().unwrap_or_default();
    for environment in ["build", "host"] {
        insert_variant_versions(session, &meta, &mut requirements, environment)?;
    }
    if !fresh && parent.plain_name() == name {
        // The top level shares its requirements with the output of its name.
        parent.set_section("requirements", Json::Object(requirements.clone()));
        parent.used = RefCell::default();
    }
    meta.set_section("requirements", Json::Object(requirements));
    let host = meta.requirements(if meta.is_cross() { "host" } else { "build" });
    let host_names: Vec<String> =
        host.iter().map(|spec| spec.split(' ').next().unwrap_or_default().to_owned()).collect();
    let extra =
        if is_top || host_names.is_empty() { Vec::new() } else { needs_of_other_outputs(session, &meta, &host_names)? };

    let rendered = meta.rendered_output(session, &name, true)?;
    let rendered = rendered.unwrap_or_else(|| [("name".to_owned(), Json::String(name.clone()))].into_iter().collect());
    let resolved = meta.resolved.clone();
    let mut meta = output_meta(session, parent, &rendered, index)?;
    meta.resolved = resolved;
    if is_target && plan.wanted == Some(Env::Build) {
        let merged = !meta.is_cross();
        *plan.specs.borrow_mut() = Some(solver_specs(&meta, "build", if merged { &extra } else { &[] }, plan.pinned()));
    }
    add_upstream_pins(session, &mut meta, &excluded, &extra)?;
    if is_target && plan.wanted == Some(Env::Host) {
        *plan.specs.borrow_mut() =
            Some(solver_specs(&meta, "host", if meta.is_cross() { &extra } else { &[] }, plan.pinned()));
    }
    pin_run(session, &mut meta, if others.is_empty() { &excluded } else { &others }, &extra)?;
    // conda-build writes absolute paths; a package that is really made must not depend on where its recipe stands.
    if session.solving.get() == Solving::No {
        absolute_sources(session, &mut meta);
    }
    meta.section_mut("build");
    simplify_exact(session, &mut meta)?;
    meta.is_final = true;
    meta.used = RefCell::default();
    Ok(meta)
}

/// What the outputs need at run time that are in this output's host environment.
fn needs_of_other_outputs(session: &Session<'_>, meta: &Meta, host_names: &[String]) -> Result<Vec<String>, Fail> {
    let Some(outputs) = &meta.other_outputs else { return Ok(Vec::new()) };
    let outputs = outputs.borrow();
    let name = meta.plain_name();
    let own = meta.used_variant(session)?;
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for ((other_name, _), entry) in outputs.iter() {
        if *other_name == name {
            continue;
        }
        let Ok(other) = entry.try_borrow() else { continue };
        let other_used = other.used_variant(session)?;
        let extended = meta.config.variant.list("extend_keys");
        let matches = own.iter().all(|(key, value)| {
            extended.contains(key) || key == "extend_keys" || other_used.get(key).is_none_or(|other| other == value)
        });
        if matches {
            needs.insert(other_name.clone(), other.requirements("run").into_iter().collect());
        }
    }
    let is_output = |name: &str| outputs.keys().any(|(other, _)| other == name);
    let mut extra = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<String> =
        outputs.keys().map(|(other, _)| other.clone()).filter(|other| host_names.contains(other)).collect();
    while let Some(other) = waiting.pop() {
        if other == name || !seen.insert(other.clone()) {
            continue;
        }
        for spec in needs.get(&other).into_iter().flatten() {
            let needed = spec.split(' ').next().unwrap_or_default();
            if is_output(needed) {
                waiting.push(needed.to_owned());
            } else if !extra.contains(spec) {
                extra.push(spec.clone());
            }
        }
    }
    Ok(extra)
}

/// The requirements of an environment, completed with the variant's versions (render.py `_categorize_deps`): outputs of
/// this recipe, what is solved for, and what is passed on.
fn categorize(meta: &Meta, environment: &str, excluded: Option<&Excluded>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let variant = &meta.config.variant;
    let bare = |text: &str| text.replace(['-', '_'], "");
    let outputs: Vec<String> =
        meta.list_section("outputs").iter().filter_map(|output| output.get("name").map(text_of)).collect();
    let keys: Vec<(String, &str)> = variant.keys().iter().map(|key| (bare(key), &**key)).collect();
    let (mut own, mut solved, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    for spec in meta.requirements_with_output(environment) {
        let Some(name) = first_word(&spec) else { continue };
        let spec =
            if spec.contains(" x.x") { format!("{name} {}", variant.text(&name).unwrap_or_default()) } else { spec };
        if excluded.is_some_and(|excluded| is_excluded(excluded, &spec)) {
            passed.push(spec);
            continue;
        }
        if outputs.contains(&name) {
            own.push(format!("{name} {}", meta.plain_version()));
        } else {
            solved.push(spec.clone());
        }
        let plain = bare(&name);
        let versioned = spec.strip_prefix(&name).is_some_and(|rest| {
            let version = rest.trim_start();
            version.len() < rest.len()
                && version.starts_with(|c: char| c.is_ascii_alphanumeric() || "_.<>=*".contains(c))
        });
        if !versioned {
            for (key, original) in &keys {
                if *key == plain
                    && let Some(value) = variant.text(original)
                {
                    solved.push(format!("{name} {value}"));
                }
            }
        }
    }
    (own, solved, passed)
}

/// An environment's packages as finalising sees them: name, version and build where it is solved, else the requirements
/// themselves; outputs of this recipe behind.
pub(crate) fn environment(
    meta: &Meta,
    _session: &Session<'_>,
    environment: &str,
    excluded: Option<&Excluded>,
    extra: &[String],
) -> Result<Vec<String>, Fail> {
    let (own, solved, passed) = categorize(meta, environment, excluded);
    let mut all: Vec<String> = match meta.resolved.as_deref() {
        Some(resolved) => packages_of(resolved, environment)
            .iter()
            .map(|package| format!("{} {} {}", package.name, package.version, package.build))
            .collect(),
        None => {
            let unique: BTreeSet<String> =
                solved.iter().map(|spec| spec.trim().to_owned()).chain(extra.iter().cloned()).collect();
            unique.into_iter().collect()
        }
    };
    let known: BTreeSet<String> = all.iter().filter_map(|spec| first_word(spec)).collect();
    let solved_for_real = meta.resolved.is_some();
    // A solved environment holds the outputs that were installed; they are not said twice.
    let missing = |spec: &String| !solved_for_real || first_word(spec).is_none_or(|name| !known.contains(&name));
    all.extend(own.into_iter().filter(missing));
    all.extend(passed.into_iter().filter(missing));
    if all.is_empty() {
        all = meta.list("requirements", environment);
    }
    Ok(all)
}

/// What the solver is asked for: the requirements as they stand, bare names with the variant's version, and a bare name
/// of another output with what was made of it.
fn solver_specs(meta: &Meta, environment: &str, extra: &[String], made: &[PinnedOutput]) -> Vec<String> {
    let (_, solved, _) = categorize(meta, environment, None);
    let outputs: BTreeSet<String> =
        meta.list_section("outputs").iter().filter_map(|output| output.get("name").map(text_of)).collect();
    let own = meta.requirements_with_output(environment).into_iter().filter_map(|spec| {
        let name = first_word(&spec)?;
        if !outputs.contains(&name) {
            return None;
        }
        let mut of_name = made.iter().filter(|output| output.name == name);
        match (of_name.next(), of_name.next()) {
            (Some(only), None) if spec.trim() == name => Some(format!("{name} {} {}", only.version, only.build_string)),
            _ => Some(spec),
        }
    });
    let mut specs: Vec<String> = Vec::new();
    for spec in solved.into_iter().chain(own).chain(extra.iter().cloned()) {
        let spec = complete(spec.trim());
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    // A bare name says nothing beside the same name with a version.
    let versioned: BTreeSet<String> =
        specs.iter().filter(|spec| spec.contains(' ')).filter_map(|spec| first_word(spec)).collect();
    specs.retain(|spec| spec.contains(' ') || !versioned.contains(spec));
    specs
}

fn packages_of<'r>(resolved: &'r Resolved, environment: &str) -> &'r [ResolvedPackage] {
    if environment == "build" { &resolved.build } else { &resolved.host }
}

/// What run exports add, by kind.
#[derive(Default)]
struct Exports {
    weak: Vec<String>,
    strong: Vec<String>,
    noarch: Vec<String>,
    weak_constrains: Vec<String>,
    strong_constrains: Vec<String>,
}

/// The run exports of an environment's packages that are asked for by name (render.py `get_upstream_pins`).
fn exports(meta: &Meta, environment: &str) -> Exports {
    let Some(resolved) = meta.resolved.as_deref() else { return Exports::default() };
    let asked: BTreeSet<String> = meta.requirements(environment).iter().filter_map(|spec| first_word(spec)).collect();
    let mut ignored_from: Vec<String> = meta.list("build", "ignore_run_exports_from");
    let mut ignored: Vec<String> = meta.list("build", "ignore_run_exports");
    if meta.python_version_independent() && meta.noarch().is_none() {
        ignored_from.push("python".to_owned());
        ignored.push("python".to_owned());
    }
    let ignored_from: BTreeSet<String> = ignored_from.iter().filter_map(|spec| first_word(spec)).collect();
    let keep = |specs: &[String]| -> Vec<String> {
        specs
            .iter()
            .filter(|spec| {
                !ignored.iter().any(|ignored| {
                    ignored == "*"
                        || *spec == ignored
                        || spec.strip_prefix(ignored.as_str()).is_some_and(|rest| rest.starts_with(' '))
                })
            })
            .cloned()
            .collect()
    };
    let mut all = Exports::default();
    for package in packages_of(resolved, environment) {
        if !asked.contains(&package.name) || ignored_from.contains(&package.name) {
            continue;
        }
        let exports = &package.run_exports;
        all.weak.extend(keep(&exports.weak));
        all.strong.extend(keep(&exports.strong));
        all.noarch.extend(keep(&exports.noarch));
        all.weak_constrains.extend(keep(&exports.weak_constrains));
        all.strong_constrains.extend(keep(&exports.strong_constrains));
    }
    all
}

/// Applies run exports (render.py `add_upstream_pins`): strong ones of the build environment to host and run, those of
/// the host environment to run; a noarch package takes `noarch` ones alone.
fn add_upstream_pins(
    session: &Session<'_>,
    meta: &mut Meta,
    excluded: &Excluded,
    extra: &[String],
) -> Result<(), Fail> {
    let cross = meta.is_cross();
    let noarch = meta.is_noarch();
    let merged = meta.build_is_host(session);
    let of_build = exports(meta, "build");
    let unique = |specs: Vec<String>| -> Vec<String> {
        let set: BTreeSet<String> = specs.into_iter().collect();
        set.into_iter().collect()
    };
    let mut build: Option<Vec<String>> =
        Some(unique(environment(meta, session, "build", Some(excluded), if cross { &[] } else { extra })?));
    let mut host: Vec<String> = Vec::new();
    let (mut run, mut constrains): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    if cross {
        let mut host_requirements = meta.requirements("host");
        if host_requirements.is_empty() {
            host_requirements = meta.requirements_with_output("host");
        }
        host_requirements.extend(of_build.strong.iter().cloned());
        meta.section_mut("requirements").insert("host".to_owned(), json_list(host_requirements));
        host = unique(environment(meta, session, "host", Some(excluded), extra)?);
        let of_host = exports(meta, "host");
        if noarch {
            run.extend(of_host.noarch);
        } else {
            run.extend(of_host.strong.into_iter().chain(of_host.weak).chain(of_build.strong));
            constrains.extend(of_host.strong_constrains.into_iter().chain(of_host.weak_constrains));
            constrains.extend(of_build.strong_constrains);
        }
    } else if noarch {
        if merged {
            run.extend(of_build.noarch);
            // conda-build loses the list here (`set.update` returns nothing), and the requirements stay as written.
            build = None;
        }
    } else {
        run.extend(of_build.strong.iter().cloned());
        constrains.extend(of_build.strong_constrains);
        if merged {
            run.extend(of_build.weak);
            constrains.extend(of_build.weak_constrains);
            build = None;
        } else {
            host = unique(of_build.strong);
        }
    }
    let mut all_run: BTreeSet<String> = run.into_iter().collect();
    all_run.extend(meta.list("requirements", "run"));
    let mut all_constrained: BTreeSet<String> = constrains.into_iter().collect();
    all_constrained.extend(meta.list("requirements", "run_constrained"));
    let requirements = meta.section_mut("requirements");
    for (key, list) in [
        ("build", build.unwrap_or_default()),
        ("host", host),
        ("run", all_run.into_iter().collect()),
        ("run_constrained", all_constrained.into_iter().collect()),
    ] {
        if !list.is_empty() {
            let mut list = list;
            list.sort();
            requirements.insert(key.to_owned(), json_list(list));
        }
    }
    Ok(())
}

fn json_list(items: Vec<String>) -> Json {
    Json::Array(items.into_iter().map(Json::String).collect())
}

/// Run requirements take the versions they were built with (render.py `get_pin_from_build`).
fn pin_run(session: &Session<'_>, meta: &mut Meta, others: &Excluded, extra: &[String]) -> Result<(), Fail> {
    let pinning = if meta.is_cross() { "host" } else { "build" };
    let mut built = meta.requirements(pinning);
    if built.iter().any(|spec| spec == "python") {
        built.push(format!("python {}", meta.config.variant.text("python").unwrap_or_default()));
        meta.section_mut("requirements").insert(pinning.to_owned(), json_list(built));
    }
    let excluded = (!others.is_empty()).then_some(others);
    let mut full = environment(meta, session, pinning, excluded, extra)?;
    full.retain(|spec| !spec.is_empty());
    let versions: BTreeMap<String, String> = full
        .iter()
        .filter_map(|spec| {
            let mut words = spec.split_whitespace();
            Some((words.next()?.to_owned(), words.collect::<Vec<_>>().join(" ")))
        })
        .collect();
    let pinned = |meta: &Meta, key: (&str, &str)| -> Result<Vec<String>, Fail> {
        let mut specs = Vec::new();
        for spec in meta.list(key.0, key.1).into_iter().filter(|spec| !spec.is_empty()) {
            let spec = pin_from_build(session, meta, &spec, &versions, key)?;
            specs.push(complete(&spec));
        }
        Ok(specs)
    };
    if meta.has_path && meta.list("requirements", "run").is_empty() {
        let listed = requirements_txt(session, meta)?;
        meta.section_mut("requirements").insert("run".to_owned(), json_list(listed));
    }
    let mut run = pinned(meta, ("requirements", "run"))?;
    run.sort();
    full.sort();
    let test = pinned(meta, ("test", "requires"))?;
    let osx_app = meta.flag("build", "osx_is_app") && session.build_platform.starts_with("osx");
    if osx_app && !run.iter().any(|spec| spec == "python.app") {
        run.push("python.app".to_owned());
    }
    let requirements = meta.section_mut("requirements");
    requirements.insert(pinning.to_owned(), json_list(full));
    requirements.insert("run".to_owned(), json_list(run));
    if !test.is_empty() {
        let mut unique: Vec<String> = Vec::new();
        for spec in test {
            if !unique.contains(&spec) {
                unique.push(spec);
            }
        }
        meta.section_mut("test").insert("requires".to_owned(), json_list(unique));
    }
    Ok(())
}

/// The run requirements of a recipe that lists none, but has a `requirements.txt`.
fn requirements_txt(session: &Session<'_>, meta: &Meta) -> Result<Vec<String>, Fail> {
    let Some(text) = session.read(&session.folder.join("requirements.txt")) else { return Ok(Vec::new()) };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            from_requirements_txt(line).ok_or_else(|| {
                Fail::fatal(meta.mistake(
                    session,
                    &["requirements", "run"],
                    format!("`{line}` of `requirements.txt` is no requirement"),
                    Some("write `name`, `name=1.2` or `name>=1.2`, or list the run requirements in the recipe"),
                ))
            })
        })
        .collect()
}

fn pin_from_build(
    session: &Session<'_>,
    meta: &Meta,
    spec: &str,
    versions: &BTreeMap<String, String>,
    key: (&str, &str),
) -> Result<String, Fail> {
    let words: Vec<&str> = spec.split_whitespace().collect();
    let Some(name) = words.first().copied() else { return Ok(spec.to_owned()) };
    let build = words.get(2).copied().unwrap_or_default();
    let variant = &meta.config.variant;
    let version = versions.get(name).filter(|version| !version.is_empty()).cloned();
    let version = version.or_else(|| variant.text(name).map(str::to_owned)).unwrap_or_default();
    let first = version.split_whitespace().next().unwrap_or_default().to_owned();
    let fail = |reason: String, help: &str| {
        Fail::fatal(meta.mistake(
            session,
            &[key.0, key.1],
            format!("`{name}` can't be pinned as built: {reason}"),
            Some(help),
        ))
    };
    let configured = variant.get("pin_run_as_build").and_then(|pins| pins.get(name));
    let pin = match configured {
        Some(config)
            if !version.is_empty()
                && versions.contains_key(name)
                && !(name == "python" && meta.python_version_independent()) =>
        {
            let (min_pin, max_pin) = match config {
                Json::Object(config) => {
                    let pin = |key: &str, default: &str| match config.get(key) {
                        Some(Json::Null) => None,
                        Some(value) => Some(text_of(value)),
                        None => Some(default.to_owned()),
                    };
                    (pin("min_pin", "x.x.x.x.x.x.x"), pin("max_pin", "x"))
                }
                other => (Some(text_of(other)), Some(text_of(other))),
            };
            apply_pin(&first, min_pin.as_deref(), max_pin.as_deref())
                .map_err(|reason| fail(reason, "see `pin_run_as_build` in the variant files"))?
        }
        _ if spec.starts_with("numpy") && spec.contains("x.x") => {
            if !versions.contains_key(name) {
                return Err(fail(
                    "`numpy x.x` is given, but numpy is not among the host requirements".to_owned(),
                    "add numpy to the host requirements",
                ));
            }
            apply_pin(&first, Some("x.x"), Some("x.x")).map_err(|reason| fail(reason, "give a plain version"))?
        }
        _ => String::new(),
    };
    if pin.is_empty() {
        return Ok(spec.to_owned());
    }
    Ok(format!("{name} {pin} {build}").trim().to_owned())
}

/// Relative sources are made absolute: an output's recipe does not stand beside them.
fn absolute_sources(session: &Session<'_>, meta: &mut Meta) {
    let fix = |source: &mut Map<String, Json>| {
        let relative = |value: Option<&Json>| {
            value.and_then(Json::as_str).filter(|path| !path.is_empty() && !path.starts_with('/')).map(str::to_owned)
        };
        if let Some(path) = relative(source.get("path")) {
            source.insert("path".to_owned(), Json::String(normal_path(&session.folder_text, &path)));
        } else if let Some(url) = relative(source.get("git_url")).filter(|url| !url.contains(':')) {
            source.insert("git_url".to_owned(), Json::String(normal_path(&session.folder_text, &url)));
        }
    };
    match Rc::make_mut(&mut meta.meta).get_mut("source") {
        Some(Json::Object(source)) => fix(source),
        Some(Json::Array(sources)) => sources.iter_mut().filter_map(Json::as_object_mut).for_each(fix),
        _ => {}
    }
}

/// Python's `normpath(join(folder, path))`, with `/`.
fn normal_path(folder: &str, path: &str) -> String {
    let joined = format!("{folder}/{path}");
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if joined.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// Where a name is pinned exactly, its other requirements fall away (render.py `_simplify_to_exact_constraints`).
fn simplify_exact(session: &Session<'_>, meta: &mut Meta) -> Result<(), Fail> {
    for section in ["build", "host", "run"] {
        let mut by_name: IndexMap<String, Vec<Vec<String>>> = IndexMap::new();
        for spec in meta.list("requirements", section) {
            let spec = complete(&spec);
            let mut words = spec.split_whitespace().map(str::to_owned);
            if let Some(name) = words.next() {
                by_name.entry(name).or_default().push(words.collect());
            }
        }
        let mut list = Vec::new();
        for (name, specs) in by_name {
            let exact: Vec<&Vec<String>> = specs
                .iter()
                .filter(|spec| match spec.as_slice() {
                    [version, build, ..] => !version.contains(['>', '<', '*']) && !build.contains('*'),
                    _ => false,
                })
                .collect();
            if specs.len() == 1 && specs[0].is_empty() {
                list.push(name);
            } else if let Some(first) = exact.first() {
                if exact.iter().any(|other| other != first) {
                    return Err(Fail::fatal(meta.mistake(
                        session,
                        &["requirements", section],
                        format!("`{name}` is pinned exactly to different builds"),
                        Some("keep one of the exact pins"),
                    )));
                }
                list.push(format!("{name} {}", first.join(" ")));
            } else {
                for spec in specs.iter().filter(|spec| !spec.is_empty()) {
                    list.push(format!("{name} {}", spec.join(" ")));
                }
            }
        }
        if !list.is_empty()
            && meta.section("requirements").is_some_and(|requirements| requirements.contains_key(section))
        {
            meta.section_mut("requirements").insert(section.to_owned(), json_list(list));
        }
    }
    Ok(())
}
