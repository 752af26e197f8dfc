//! Runs the v0 half of a conformance tree: recipes and tables with what conda-build makes of them.
//!
//! The tree is `$GONDA_CONFORMANCE_DIR`, else the workspace's `tests/conformance`; its README says what the files mean.
//! For each group it prints `N of M … equal` and a diff of the first that differ; the test fails if a case that is not
//! listed as a known difference differs, or one that is listed does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use gonda_recipe::{
    ConfigPlatform, DiskWorld, Finalize, GitInfo, Output, RecipeErrors, Request, VariantFiles, World, load, v0,
};
use serde_json::{Map, Value, json};

/// Cases whose result differs from conda-build's on purpose: the case, and why.
const KNOWN: &[(&str, &str)] = &[
    ("bad-outputs-from-loop", "conda-build dies of an IndexError; the outputs that the loop makes are plain to see"),
    ("bad-outputs-loop-then-literal", "conda-build dies of an IndexError; the outputs are plain to see"),
];

/// How many differences are shown for each group.
const SHOWN: usize = 5;

#[derive(Default)]
struct Group {
    equal: usize,
    total: usize,
    differences: Vec<(String, String)>,
}

impl Group {
    fn compare(&mut self, name: String, expected: &Value, actual: &Value) {
        self.total += 1;
        if expected == actual {
            self.equal += 1;
        } else {
            let mut diff = String::new();
            difference(&mut diff, "", expected, actual);
            self.differences.push((name, diff));
        }
    }
}

#[test]
fn v0_is_equal_to_conda_build() {
    let tree = tree();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    cases(&tree.join("v0"), &mut groups);
    groups.insert("selectors".to_owned(), selectors(&tree.join("v0/selectors.tsv")));
    groups.insert("pins".to_owned(), pins(&tree.join("v0/pins.tsv")));
    groups.insert("hashes".to_owned(), hashes(&tree.join("v0/hashes.tsv")));

    let mut failures = Vec::new();
    let (mut equal, mut total) = (0, 0);
    for (name, group) in &groups {
        println!("v0 {name}: {} of {} equal", group.equal, group.total);
        for (case, diff) in group.differences.iter().filter(|(case, _)| !is_known(case)).take(SHOWN) {
            println!("--- {case}\n{diff}");
        }
        equal += group.equal;
        total += group.total;
        failures.extend(group.differences.iter().map(|(case, _)| case.clone()).filter(|case| !is_known(case)));
    }
    println!("v0 total: {equal} of {total} equal");
    let differing: Vec<&str> =
        groups.values().flat_map(|group| group.differences.iter()).map(|(case, _)| case_of(case)).collect();
    let stale: Vec<&str> = KNOWN.iter().map(|(case, _)| *case).filter(|case| !differing.contains(case)).collect();
    assert!(total > 0, "there is no case under {}", tree.display());
    assert!(failures.is_empty(), "{} differ: {}", failures.len(), failures.join(", "));
    assert!(stale.is_empty(), "listed as known differences, but equal: {}", stale.join(", "));
}

fn case_of(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(case, _)| *case == case_of(name))
}

fn tree() -> PathBuf {
    std::env::var_os("GONDA_CONFORMANCE_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance"), PathBuf::from)
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The environment that the oracle ran in.
fn environ(build: &str) -> BTreeMap<String, String> {
    [
        ("PATH", "/bin:/usr/bin"),
        ("LANG", "C.UTF-8"),
        ("HOME", "/conformance/home"),
        ("CONDA_SUBDIR", build),
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

fn cases(folder: &Path, groups: &mut BTreeMap<String, Group>) {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("recipe").is_dir())
        .collect();
    names.sort();
    let only = std::env::var("GONDA_CONFORMANCE_ONLY").ok();
    for case in names {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let info = if case.join("case.json").exists() { read_json(&case.join("case.json")) } else { json!({}) };
        let mode = info["mode"].as_str().unwrap_or("nofinal").to_owned();
        let mut expected_files: Vec<PathBuf> =
            std::fs::read_dir(case.join("expected")).unwrap().map(|entry| entry.unwrap().path()).collect();
        expected_files.sort();
        for file in expected_files {
            let platform = file.file_stem().unwrap().to_string_lossy().into_owned();
            let expected = read_json(&file);
            let actual = render(&case, &info, &mode, &platform);
            let group = groups.entry(mode.clone()).or_default();
            let (expected, actual) = comparable(&expected, actual, &mode, &case);
            group.compare(format!("{name} {platform}"), &expected, &actual);
        }
    }
}

fn render(case: &Path, info: &Value, mode: &str, platform: &str) -> Result<Vec<Output>, RecipeErrors> {
    let build = info["build_platform"].as_str().unwrap_or(platform);
    let mut overrides = info["variants"].as_object().cloned().unwrap_or_default();
    if build != platform {
        overrides.insert("target_platform".to_owned(), json!([platform]));
    }
    let variant = case.join("variant.yaml");
    let request = Request {
        recipe: case.join("recipe/meta.yaml"),
        build_platform: build.parse().unwrap(),
        target_platform: platform.parse().unwrap(),
        variants: VariantFiles {
            additional: variant.is_file().then_some(variant).into_iter().collect(),
            overrides: (!overrides.is_empty()).then(|| Value::Object(overrides).to_string()),
            ..VariantFiles::default()
        },
        config_platform: ConfigPlatform::Build,
        finalize: finalize_mode(mode),
        trim_skip: info["trim_skip"].as_bool().unwrap_or(true),
    };
    let world = DiskWorld { environ: environ(build), git: BTreeMap::new() };
    load(&request, &world).map(|rendering| rendering.outputs)
}

fn finalize_mode(mode: &str) -> Finalize {
    match mode {
        "nofinal" => Finalize::No,
        "bypass" => Finalize::Bypass,
        "nosolve" => Finalize::NoSolve,
        other => panic!("unknown mode {other}"),
    }
}

/// Both sides in one form: of a failure only that it is one; lists sorted where their order means nothing.
fn comparable(expected: &Value, actual: Result<Vec<Output>, RecipeErrors>, mode: &str, case: &Path) -> (Value, Value) {
    let recipe = case.join("recipe").to_string_lossy().into_owned();
    let actual = match actual {
        Ok(outputs) => {
            let mut list: Vec<Value> = outputs.iter().map(output_json).collect();
            for output in &mut list {
                replace_paths(output, &recipe);
            }
            json!({"ok": true, "outputs": list})
        }
        Err(errors) => json!({"ok": false, "message": errors.to_string()}),
    };
    if expected["ok"] != json!(true) {
        let actual_ok = actual["ok"] == json!(true);
        let shown = if actual_ok { actual } else { json!({"ok": false}) };
        return (json!({"ok": false}), shown);
    }
    let mut expected = json!({"ok": true, "outputs": expected["outputs"]});
    let mut actual = actual;
    for side in [&mut expected, &mut actual] {
        let Some(outputs) = side.get_mut("outputs").and_then(Value::as_array_mut) else { continue };
        for output in outputs.iter_mut() {
            normalize(output, mode == "nosolve");
        }
        outputs.sort_by_key(|output| {
            (
                output["filename"].to_string(),
                output["subdir"].to_string(),
                output["used_vars"].to_string(),
                output["hash_contents"].to_string(),
                output["requirements"].to_string(),
            )
        });
    }
    // Where conda-build raises, it says no `depends`.
    if let (Some(expected), Some(actual)) =
        (expected["outputs"].as_array_mut(), actual.get_mut("outputs").and_then(Value::as_array_mut))
    {
        for (expected, actual) in expected.iter().zip(actual) {
            if expected.get("depends").is_none() {
                actual.as_object_mut().unwrap().remove("depends");
            }
        }
    }
    (expected, actual)
}

fn normalize(output: &mut Value, sort: bool) {
    if let Some(requirements) = output["requirements"].as_object_mut() {
        for list in requirements.values_mut() {
            // A scalar means a list of one.
            if list.is_string() {
                *list = Value::Array(vec![list.take()]);
            }
            if sort && let Some(list) = list.as_array_mut() {
                list.sort_by_key(Value::to_string);
            }
        }
    }
    if sort && let Some(list) = output.get_mut("depends").and_then(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    sort_keys(output);
}

/// Order inside mappings has no meaning.
fn sort_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let mut items: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
            items.sort_by(|a, b| a.0.cmp(&b.0));
            for (_, value) in &mut items {
                sort_keys(value);
            }
            *map = items.into_iter().collect();
        }
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        _ => {}
    }
}

fn output_json(output: &Output) -> Value {
    let noarch = match (&output.noarch, output.sections.build.get("noarch")) {
        (Some(_), Some(Value::Bool(true))) => json!("True"),
        (Some(noarch), _) => serde_json::to_value(noarch).unwrap(),
        (None, _) => Value::Null,
    };
    json!({
        "filename": output.filename(),
        "name": output.name,
        "version": output.version,
        "build_string": output.build_string,
        "build_number": output.build_number,
        "subdir": output.subdir(),
        "noarch": noarch,
        "skip": output.skip,
        "requirements": serde_json::to_value(&output.requirements).unwrap(),
        "depends": output.depends,
        "build": output.sections.build,
        "about": output.sections.about,
        "test": output.sections.test,
        "source": output.sections.source,
        "extra": output.sections.extra,
        "hash_contents": output.hash_contents,
        "used_vars": output.used_vars,
    })
}

fn replace_paths(value: &mut Value, recipe: &str) {
    match value {
        Value::String(text) => {
            let folders = [
                (recipe.to_owned(), "<RECIPE_DIR>"),
                (v0::paths::prefix(), "<PREFIX>"),
                (v0::paths::WORK.to_owned(), "<SRC_DIR>"),
            ];
            for (folder, placeholder) in folders {
                *text = text.replace(&folder, placeholder);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_paths(item, recipe)),
        Value::Object(items) => items.values_mut().for_each(|item| replace_paths(item, recipe)),
        _ => {}
    }
}

fn difference(out: &mut String, path: &str, expected: &Value, actual: &Value) {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => difference(out, &path, a, b),
                    (Some(a), None) => drop(writeln!(out, "{path}: missing {a}")),
                    (None, Some(b)) => drop(writeln!(out, "{path}: unexpected {b}")),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                difference(out, &format!("{path}/{i}"), a, b);
            }
        }
        (a, b) if a != b => drop(writeln!(out, "{path}:\n  expected {a}\n  actual   {b}")),
        _ => {}
    }
}

/// Files in memory.
struct MemoryWorld {
    files: BTreeMap<PathBuf, Vec<u8>>,
    environ: BTreeMap<String, String>,
}

impl World for MemoryWorld {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn is_dir(&self, _path: &Path) -> bool {
        false
    }

    fn list(&self, _path: &Path) -> Vec<String> {
        Vec::new()
    }

    fn environ(&self) -> &BTreeMap<String, String> {
        &self.environ
    }

    fn git(&self, _path: &Path) -> Option<GitInfo> {
        None
    }
}

fn render_text(
    recipe: &str,
    build: &str,
    target: &str,
    finalize: Finalize,
    variant: &Map<String, Value>,
) -> Result<Vec<Output>, RecipeErrors> {
    let path = PathBuf::from("recipe/meta.yaml");
    let variant_path = PathBuf::from("variant.yaml");
    let mut environ = environ(build);
    for hidden in ["PATH", "HOME", "CONDA_BLD_PATH"] {
        environ.remove(hidden);
    }
    let world = MemoryWorld {
        files: BTreeMap::from([
            (path.clone(), recipe.as_bytes().to_vec()),
            (variant_path.clone(), Value::Object(variant.clone()).to_string().into_bytes()),
        ]),
        environ,
    };
    let request = Request {
        recipe: path,
        build_platform: build.parse().unwrap(),
        target_platform: target.parse().unwrap(),
        variants: VariantFiles { additional: vec![variant_path], ..VariantFiles::default() },
        config_platform: ConfigPlatform::Build,
        finalize,
        trim_skip: false,
    };
    load(&request, &world).map(|rendering| rendering.outputs)
}

/// The rows of a table and its columns' names.
fn rows(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let head = text.lines().find_map(|line| line.strip_prefix("#:")).map(cells).unwrap();
    (head, text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(cells).collect())
}

fn selectors(path: &Path) -> Group {
    let variant = json!({
        "foo": ["1.10"], "num": ["3"], "zero": ["0"], "flag": ["true"], "flagno": ["False"], "word": ["cuda"],
        "empty": [""], "go_compiler": ["go-nocgo"], "go_compiler_version": ["1.25"], "cuda_compiler_version": ["None"],
        "c_stdlib_version": ["2.17"], "channel_targets": ["example main"],
    });
    let variant = variant.as_object().unwrap();
    let (head, rows) = rows(path);
    let mut group = Group::default();
    for row in rows {
        let selector = &row[0];
        let recipe = format!(
            "package:\n  name: x\n  version: \"1\"\nabout:\n  summary: drop\n  summary: keep  # [{selector}]\n"
        );
        for (platform, expected) in head.iter().zip(&row).skip(2) {
            let build = if row[1] == "native" { platform.as_str() } else { row[1].as_str() };
            let actual = match render_text(&recipe, build, platform, Finalize::No, variant) {
                Ok(outputs) => {
                    let kept = outputs[0].sections.about.get("summary") == Some(&json!("keep"));
                    if kept { "True".to_owned() } else { "False".to_owned() }
                }
                Err(errors) => format!("ERROR {}", exception(&errors)),
            };
            group.compare(format!("selector `{selector}` {platform}"), &json!(expected), &json!(actual));
        }
    }
    group
}

/// Which of conda-build's exceptions an error about a selector stands for.
fn exception(errors: &RecipeErrors) -> String {
    let message = &errors.0[0].message;
    if message.contains("is no expression") {
        "CompilationException".to_owned()
    } else if message.contains("can't be used") {
        "ValidationException".to_owned()
    } else {
        message.rsplit_once('(').map_or(message.as_str(), |(_, name)| name.trim_end_matches(')')).to_owned()
    }
}

fn pins(path: &Path) -> Group {
    let (_, rows) = rows(path);
    let mut group = Group::default();
    for row in rows {
        let [version, min_pin, max_pin, lower, upper, expected] = row.as_slice() else { panic!("{row:?}") };
        let name = format!("pin {version} {min_pin} {max_pin} {lower} {upper}");
        let failed = expected.starts_with("ERROR");
        let actual = if lower.is_empty() && upper.is_empty() {
            let pin = |text: &str, default: &'static str| match text {
                "-" => Some(default.to_owned()),
                "None" => None,
                text => Some(text.to_owned()),
            };
            let (min_pin, max_pin) = (pin(min_pin, "x.x.x.x.x.x.x"), pin(max_pin, "x"));
            v0::apply_pin(version, min_pin.as_deref(), max_pin.as_deref()).map_err(drop)
        } else {
            let mut args = String::from("\"pkg\"");
            for (key, value) in
                [("lower_bound", lower), ("upper_bound", upper), ("min_pin", min_pin), ("max_pin", max_pin)]
            {
                match value.as_str() {
                    "-" | "" => {}
                    "None" => drop(write!(args, ", {key}=None")),
                    value => drop(write!(args, ", {key}=\"{value}\"")),
                }
            }
            let recipe = format!(
                "package:\n  name: x\n  version: \"1\"\nrequirements:\n  host:\n    - pkg {version} build\n  run:\n    - {{{{ pin_compatible({args}) }}}}\n"
            );
            render_text(&recipe, "linux-64", "linux-64", Finalize::NoSolve, &Map::new())
                .map(|outputs| outputs[0].requirements.run[0].trim_start_matches("pkg").trim().to_owned())
                .map_err(drop)
        };
        let actual = match actual {
            Err(()) if failed => json!(expected),
            Err(()) => json!("ERROR"),
            Ok(pin) => json!(pin),
        };
        group.compare(name, &json!(expected), &actual);
    }
    group
}

fn hashes(path: &Path) -> Group {
    let (_, rows) = rows(path);
    let mut group = Group::default();
    for row in rows {
        let contents: BTreeMap<String, Value> = serde_json::from_str(&row[0]).unwrap();
        let expected = row.get(1).cloned().unwrap_or_default();
        let actual = v0::hash(&contents).unwrap_or_default();
        group.compare(format!("hash {}", row[0]), &json!(expected), &json!(actual));
    }
    group
}
