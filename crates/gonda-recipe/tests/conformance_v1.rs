//! Holds the v1 renderer against rattler-build: every case of the conformance set, on every platform.
//!
//! The set's tree is read from `GONDA_CONFORMANCE_DIR`, else from `tests/conformance` of the workspace. Its README
//! says what a case is. A tree that is not there fails the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gonda_recipe::{ConfigPlatform, DiskWorld, Finalize, Output, Request, VariantFiles, load};
use serde_json::{Map, Value, json};

/// Places that are known to differ, on every platform, and only so:
///
/// The recipe crates' present releases stand on a minijinja that writes booleans as Jinja2 does, `True` and `False`
/// (since its 2.22); the set's rattler-build had an older one that wrote `true` and `false`. rattler-build's own next
/// release does as ours. It shows only where an expression's boolean is written out into text.
const BOOLEANS_IN_TEXT: &[(&str, &str)] = &[
    ("context-references", "ctxref.recipe.about.summary"),
    ("env-functions", "envs.recipe.about.summary"),
    ("filters", "some-tool.recipe.about.description"),
    ("platform-names", "platnames.recipe.about.summary"),
    ("variant-values-are-typed", "typed.recipe.about.summary"),
];

const PLATFORMS: [&str; 5] = ["linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"];

fn tree() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let tree = std::env::var_os("GONDA_CONFORMANCE_DIR").map_or_else(beside, PathBuf::from);
    assert!(
        tree.join("v1").is_dir(),
        "the conformance set is not at `{}`: set GONDA_CONFORMANCE_DIR to the folder that holds `v1`",
        tree.display()
    );
    tree
}

fn json_file(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn request(case: &Path, platform: &str, build_platform: &str, trim_skip: bool) -> Request {
    Request {
        recipe: case.join("recipe.yaml"),
        build_platform: build_platform.parse().unwrap(),
        target_platform: platform.parse().unwrap(),
        variants: VariantFiles::default(),
        config_platform: ConfigPlatform::Build,
        finalize: Finalize::No,
        trim_skip,
    }
}

/// What the set tells of an output, told of ours.
fn summary(output: &Output) -> Value {
    let rendered: Value = serde_yaml::from_str(&output.rendered_recipe).unwrap();
    let mut recipe = rendered["recipe"].as_object().unwrap().clone();
    recipe.remove("schema_version");
    json!({
        "name": output.name,
        "version": output.version,
        "build_string": output.build_string,
        "build_number": output.build_number,
        "hash": output.hash,
        "prefix": rendered["build_configuration"]["hash"].get("prefix").cloned().unwrap_or_else(|| json!("")),
        "variant": output.variant.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>(),
        "subpackages": rendered["build_configuration"]["subpackages"],
        "recipe": recipe,
    })
}

/// The set's output in the same words.
fn expected(mut output: Value, ours: &Value) -> Value {
    let map = output.as_object_mut().unwrap();
    if map["build_number"].is_null() {
        map.insert("build_number".to_owned(), json!(0));
    }
    if map["prefix"].is_null() {
        map.insert("prefix".to_owned(), json!(""));
    }
    // The set has exact pins alone; ours tells of all that are pinned, and of the output itself.
    let mut subpackages = ours["subpackages"].clone();
    for (name, pin) in map.remove("pin_subpackages").unwrap().as_object().unwrap() {
        let build = match &pin["build_string"] {
            // A pin on the output itself.
            Value::Null => map["build_string"].clone(),
            build => build.clone(),
        };
        subpackages[name] = json!({"name": name, "version": pin["version"], "build_string": build});
    }
    map.insert("subpackages".to_owned(), subpackages);
    // An output that is pinned exactly is a key of the variant, here by its normalized name.
    let variant = map["variant"].as_object().unwrap().clone();
    map["variant"] = variant.into_iter().map(|(key, value)| (key.replace('-', "_"), value)).collect();
    output
}

/// Where two values differ, one line a place.
fn difference(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<(String, Value, Value)>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let at = format!("{path}.{key}");
                difference(&at, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                difference(&format!("{path}[{index}]"), a, b, out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push((path.to_owned(), ours.clone(), theirs.clone())),
    }
}

/// Whether a difference is one of those that are known.
fn known(case: &str, place: &str, ours: &Value, theirs: &Value) -> bool {
    let lower = |text: &str| text.replace("True", "true").replace("False", "false");
    BOOLEANS_IN_TEXT.contains(&(case, place)) && ours.as_str().map(lower).as_deref() == theirs.as_str()
}

/// Compares one case on one platform; returns what differs.
fn compare(case: &Path, platform: &str) -> (String, usize) {
    let name = case.file_name().unwrap().to_str().unwrap();
    let info = json_file(&case.join("case.json")).unwrap_or_default();
    let build_platform = info["build_platform"].as_str().unwrap_or(platform).to_owned();
    let oracle = json_file(&case.join(format!("expected/{platform}.json"))).expect("an expected result");
    let ours = load(&request(case, platform, &build_platform, false), &DiskWorld::default());
    let mut out = String::new();
    let mut places = Vec::new();
    match (ours, oracle["ok"].as_bool().unwrap()) {
        (Ok(rendering), true) => {
            let theirs = oracle["outputs"].as_array().unwrap();
            if rendering.outputs.len() != theirs.len() {
                writeln!(out, "  {} outputs, theirs {}", rendering.outputs.len(), theirs.len()).unwrap();
            }
            for (ours, theirs) in rendering.outputs.iter().zip(theirs) {
                let ours = summary(ours);
                let theirs = expected(theirs.clone(), &ours);
                difference(theirs["name"].as_str().unwrap(), &ours, &theirs, &mut places);
            }
        }
        (Err(errors), false) => {
            for error in &errors.0 {
                if std::env::var_os("GONDA_SHOW_ERRORS").is_some() && platform == "linux-64" {
                    eprintln!("{error}\n    {:?}\n    help: {:?}", error.text, error.help);
                }
                let fine = !error.message.is_empty()
                    && (!error.message.ends_with('.') || error.message.ends_with(" ."))
                    && error.line != Some(0);
                assert!(fine, "{} {platform}: {error:?}", case.display());
            }
        }
        (Ok(_), false) => writeln!(out, "  renders, theirs fails: {}", oracle["error"]["message"]).unwrap(),
        (Err(errors), true) => writeln!(out, "  fails: {errors}").unwrap(),
    }
    if let Some(kept) = json_file(&case.join("expected/not-skipped.json")) {
        let rendering = load(&request(case, platform, &build_platform, true), &DiskWorld::default()).unwrap();
        let name = |output: &Output| json!([output.name, output.version, output.build_string]);
        let mut ours: Vec<_> = rendering.outputs.iter().map(name).collect();
        ours.sort_by_key(Value::to_string);
        difference("not-skipped", &Value::from(ours), &kept[platform], &mut places);
    }
    let before = places.len();
    places.retain(|(place, ours, theirs)| !known(name, place, ours, theirs));
    for (place, ours, theirs) in &places {
        writeln!(out, "  {place}: ours {ours}, theirs {theirs}").unwrap();
    }
    (out, before - places.len())
}

#[test]
fn renders_as_rattler_build_does() {
    let tree = tree();
    let entries = std::fs::read_dir(tree.join("v1")).unwrap().map(|entry| entry.unwrap().path());
    let cases: BTreeSet<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert!(!cases.is_empty(), "no cases in `{}`", tree.display());
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut known = 0;
    for case in &cases {
        for platform in PLATFORMS {
            let (differs, expected) = compare(case, platform);
            known += expected;
            if !differs.is_empty() {
                found.insert(format!("{} {platform}", case.display()), differs);
            }
        }
    }
    let mut report = String::new();
    for (at, differs) in &found {
        write!(report, "{at}\n{differs}").unwrap();
    }
    assert!(found.is_empty(), "{} of {} results differ:\n{report}", found.len(), cases.len() * PLATFORMS.len());
    let listed = BOOLEANS_IN_TEXT.len() * PLATFORMS.len();
    assert_eq!(known, listed, "some of the {listed} differences that are known are none: strike them off the list");
}
