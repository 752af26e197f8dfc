//! `meta.yaml` recipes, held against conda-build, in the modes that need no solver.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use gonda_recipe::{DiskWorld, Finalize, Output, RecipeErrors, load, v0};
use serde_json::{Value, json};

use crate::Tree;
use crate::case::{Case, cases, on_all_cores};
use crate::compare::{in_common, places, tell};
use crate::report::{Difference, Group, Verdict};

/// Cases in which conda-build dies of a bug of its own and gonda renders what the recipe plainly means.
const BETTER: &[(&str, &str)] = &[
    ("bad-outputs-from-loop", "conda-build dies of an IndexError; the outputs that the loop makes are plain to see"),
    ("bad-outputs-loop-then-literal", "conda-build dies of an IndexError; the outputs are plain to see"),
];

/// One group for each mode.
pub(crate) fn groups(tree: &Tree<'_>) -> Result<Vec<Group>> {
    let mut modes: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases(tree, "v0")? {
        let mode = case.info["mode"].as_str().unwrap_or("nofinal").to_owned();
        modes.entry(mode).or_default().push(case);
    }
    Ok(modes
        .into_iter()
        .map(|(mode, cases)| {
            Group::new(format!("v0 {mode}"), on_all_cores(&cases, Case::title, |case| verdict(case, &mode)))
        })
        .collect())
}

/// What the tool's process had in its environment when it ran for `build_platform`.
pub(crate) fn environ(build_platform: &str) -> BTreeMap<String, String> {
    [
        ("PATH", "/bin:/usr/bin"),
        ("LANG", "C.UTF-8"),
        ("HOME", "/conformance/home"),
        ("CONDA_SUBDIR", build_platform),
        ("CONDA_BLD_PATH", "/conformance/croot"),
        ("CONDA_OFFLINE", "1"),
        ("CONDA_SOLVER", "classic"),
        ("CONDA_QUIET", "1"),
        ("CONDA_OVERRIDE_CUDA", ""),
        ("PYTHONHASHSEED", "0"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn finalize(mode: &str) -> Result<Finalize> {
    Ok(match mode {
        "nofinal" => Finalize::No,
        "bypass" => Finalize::Bypass,
        "nosolve" => Finalize::NoSolve,
        other => bail!("`{other}` is no mode"),
    })
}

fn verdict(case: &Case, mode: &str) -> Result<Verdict> {
    let trim_skip = case.info["trim_skip"].as_bool().unwrap_or(true);
    let request = case.request("recipe/meta.yaml", finalize(mode)?, trim_skip)?;
    let world = DiskWorld { environ: environ(case.build_platform()), git: BTreeMap::new() };
    let rendered = load(&request, &world).map(|rendering| rendering.outputs);
    let excuse = BETTER.iter().find(|(name, _)| *name == case.name).map(|(_, why)| *why);
    let differs = |text: String| Some(Difference { case: case.title(), text, excuse });
    match (case.expected["outputs"].as_array(), rendered) {
        (None, Err(_)) => Ok(Verdict { equal: 1, total: 1, difference: None }),
        (None, Ok(outputs)) => {
            let names: Vec<String> = outputs.iter().map(Output::filename).collect();
            let text = format!("renders to {names:?}, expected {}", case.expected["error"]);
            Ok(Verdict { equal: 0, total: 1, difference: differs(text) })
        }
        (Some(expected), Err(errors)) => {
            Ok(Verdict { equal: 0, total: expected.len().max(1), difference: differs(failure(&errors)) })
        }
        (Some(expected), Ok(outputs)) => {
            let (expected, actual) = comparable(expected, &outputs, mode, case)?;
            let (equal, missed, unmet) = in_common(&expected, &actual);
            let mut text = String::new();
            for (expected, actual) in missed.iter().zip(&unmet) {
                text.push_str(&tell(&places(expected, actual)));
            }
            for output in missed.iter().skip(unmet.len()) {
                text.push_str(&format!("missing output {}\n", output["filename"]));
            }
            for output in unmet.iter().skip(missed.len()) {
                text.push_str(&format!("unexpected output {}\n", output["filename"]));
            }
            // Rendering to nothing, as expected, is a result too.
            let total = expected.len().max(actual.len()).max(1);
            let equal = if expected.is_empty() && actual.is_empty() { 1 } else { equal };
            Ok(Verdict { equal, total, difference: (equal < total).then(|| differs(text)).flatten() })
        }
    }
}

fn failure(errors: &RecipeErrors) -> String {
    format!("fails: {errors}")
}

/// Both sides in one form and order; lists sorted where their order means nothing.
fn comparable(expected: &[Value], outputs: &[Output], mode: &str, case: &Case) -> Result<(Vec<Value>, Vec<Value>)> {
    let recipe = case.folder.join("recipe");
    let mut expected = expected.to_vec();
    let mut actual = outputs.iter().map(|output| output_json(output, &recipe)).collect::<Result<Vec<Value>>>()?;
    for side in [&mut expected, &mut actual] {
        for output in side.iter_mut() {
            sort_lists(output, mode == "nosolve");
        }
        side.sort_by_cached_key(|output| {
            ["filename", "subdir", "used_vars", "hash_contents", "requirements"].map(|key| output[key].to_string())
        });
    }
    // Where conda-build raises, it says no `depends`.
    for (expected, actual) in expected.iter().zip(&mut actual) {
        if expected.get("depends").is_none()
            && let Some(actual) = actual.as_object_mut()
        {
            actual.shift_remove("depends");
        }
    }
    Ok((expected, actual))
}

fn sort_lists(output: &mut Value, sort: bool) {
    if let Some(requirements) = output["requirements"].as_object_mut() {
        for list in requirements.values_mut() {
            // A scalar means a list of one.
            if list.is_string() {
                *list = Value::Array(vec![list.take()]);
            }
            if sort && let Some(list) = list.as_array_mut() {
                list.sort_by_key(Value::to_string);
            }
            // Order inside mappings has no meaning; the sort key above must not see it.
            list.sort_all_objects();
        }
    }
    if sort && let Some(list) = output.get_mut("depends").and_then(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    output.sort_all_objects();
}

/// An output in the words of the set.
fn output_json(output: &Output, recipe: &Path) -> Result<Value> {
    let noarch = match (&output.noarch, output.sections.build.get("noarch")) {
        (Some(_), Some(Value::Bool(true))) => json!("True"),
        (Some(noarch), _) => serde_json::to_value(noarch)?,
        (None, _) => Value::Null,
    };
    let mut value = output.to_json();
    if let Some(map) = value.as_object_mut() {
        // The set has no such keys; it names the platforms of a case, and the hash is in the build string.
        map.retain(|key, _| !matches!(key.as_str(), "target_platform" | "build_platform" | "hash"));
        map.insert("noarch".to_owned(), noarch);
    }
    let folders = [
        (recipe.to_string_lossy().into_owned(), "<RECIPE_DIR>"),
        (v0::paths::prefix().to_owned(), "<PREFIX>"),
        (v0::paths::WORK.to_owned(), "<SRC_DIR>"),
    ];
    replace_paths(&mut value, &folders);
    Ok(value)
}

fn replace_paths(value: &mut Value, folders: &[(String, &str)]) {
    match value {
        Value::String(text) => {
            for (folder, placeholder) in folders {
                if text.contains(folder.as_str()) {
                    *text = text.replace(folder.as_str(), placeholder);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_paths(item, folders)),
        Value::Object(items) => items.values_mut().for_each(|item| replace_paths(item, folders)),
        _ => {}
    }
}
