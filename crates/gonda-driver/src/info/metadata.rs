//! `index.json`, `about.json`, `hash_input.json`, `run_exports.json`, `link.json`, `git`, `used_build_tool.json`.

use gonda_recipe::{Noarch, Output, RecipeFormat};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::{Facts, TOOL, Tree, files, json as text};
use crate::{Error, Kind, Result};

pub(super) fn add(facts: &Facts<'_>, tree: &mut Tree) -> Result<()> {
    let output = facts.output;
    let v0 = output.format == RecipeFormat::V0;
    tree.bytes("index.json", text::pretty(index(facts)?));
    tree.bytes("about.json", facts.clean(&String::from_utf8_lossy(&text::pretty(about(facts)))));
    // conda-build's keys hold neither dash nor dot; rattler-build's are hashed without them.
    let spelled = |key: &String| if v0 { key.clone() } else { key.replace(['-', '.'], "_") };
    let hash: Value = output.hash_contents.iter().map(|(key, value)| (spelled(key), value.clone())).collect();
    tree.bytes("hash_input.json", if v0 { text::pretty(hash) } else { text::line(&hash) });
    if !output.run_exports.is_empty() {
        let exports = serde_json::to_value(&output.run_exports)
            .map_err(|error| Error::new(Kind::Bug, "run exports can't be written as JSON").because(error))?;
        tree.bytes("run_exports.json", if v0 { text::line(&exports) } else { text::pretty(exports) });
    }
    if let Some(link) = link(output) {
        tree.bytes("link.json", text::pretty(link));
    }
    if v0 {
        tree.bytes("git", facts.clean(facts.git));
    }
    tree.bytes("used_build_tool.json", text::pretty(json!({ "name": TOOL.0, "version": TOOL.1 })));
    Ok(())
}

/// Schema 1, as conda-build's `info_index` (metadata.py) and rattler-build have it.
fn index(facts: &Facts<'_>) -> Result<Value> {
    let output = facts.output;
    let v0 = output.format == RecipeFormat::V0;
    let mut index = Map::new();
    let mut put = |key: &str, value: Value| index.insert(key.to_owned(), value);
    put("name", json!(output.name));
    put("version", json!(output.version));
    put("build", json!(output.build_string));
    put("build_number", json!(output.build_number));
    put("subdir", json!(output.subdir()));
    put("timestamp", json!(facts.timestamp.max(0).saturating_mul(1000)));
    let (arch, platform) = match output.noarch {
        Some(_) => (None, None),
        None => (
            output.target_platform.arch().map(|arch| arch.to_string()),
            output.target_platform.only_platform().map(str::to_owned),
        ),
    };
    // For noarch packages conda-build writes nulls, rattler-build nothing.
    if v0 || arch.is_some() {
        put("arch", json!(arch));
        put("platform", json!(platform));
    }
    if let Some(noarch) = output.noarch {
        put("noarch", json!(noarch));
    }
    let mut depends: Vec<String> =
        output.depends.iter().map(|spec| spec.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    if v0 {
        depends.sort();
    }
    put("depends", json!(unique(depends)));
    if !output.constrains.is_empty() {
        put("constrains", json!(unique(output.constrains.clone())));
    }
    for (key, value) in [("license", &output.about.license), ("license_family", &output.about.license_family)] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            put(key, json!(value));
        }
    }
    if !output.build.track_features.is_empty() {
        put("track_features", json!(output.build.track_features.join(" ")));
    }
    if v0 {
        let given = |value: &&Value| !value.is_null() && **value != json!("") && **value != json!([]);
        let build = |key: &str| output.sections.build.get(key).filter(given);
        if let Some(features) = build("features").and_then(Value::as_array) {
            let features: Vec<&str> = features.iter().filter_map(Value::as_str).collect();
            put("features", json!(features.join(" ")));
        }
        for key in ["provides_features", "requires_features", "preferred_env", "python_site_packages_path"] {
            if let Some(value) = build(key) {
                put(key, value.clone());
            }
        }
        if let Some(app) = output.sections.app.as_object().filter(|app| !app.is_empty()) {
            put("type", json!("app"));
            if let Some(icon) = app.get("icon").and_then(Value::as_str) {
                let bytes = fs_err::read(facts.recipe_dir.join(icon))?;
                put("icon", json!(format!("{}.png", hex::encode(Md5::digest(bytes)))));
            }
            let keys = [
                ("entry", "app_entry"),
                ("type", "app_type"),
                ("cli_opts", "app_cli_opts"),
                ("summary", "summary"),
                ("own_environment", "app_own_environment"),
            ];
            for (field, key) in keys {
                if let Some(value) = app.get(field).filter(given) {
                    put(key, value.clone());
                }
            }
        }
    } else if let Some(path) = output.sections.build.get("python").and_then(|python| python.get("site_packages_path"))
        && path.is_string()
    {
        put("python_site_packages_path", path.clone());
    }
    Ok(Value::Object(index))
}

/// Without repetitions, in the order given.
fn unique(list: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    list.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// conda-build's fields of `about`, in the order of its table (metadata.py, FIELDS): name, and whether always a list.
const ABOUT_V0: [(&str, bool); 15] = [
    ("home", false),
    ("dev_url", false),
    ("doc_url", false),
    ("doc_source_url", false),
    ("license_url", false),
    ("license", false),
    ("summary", false),
    ("description", false),
    ("license_family", false),
    ("identifiers", true),
    ("tags", true),
    ("keywords", true),
    ("license_file", false),
    ("prelink_message", false),
    ("readme", false),
];

/// v1's names of `about` and those of `about.json`.
const ABOUT_V1: [(&str, &str); 7] = [
    ("homepage", "home"),
    ("repository", "dev_url"),
    ("documentation", "doc_url"),
    ("license", "license"),
    ("license_family", "license_family"),
    ("summary", "summary"),
    ("description", "description"),
];

fn about(facts: &Facts<'_>) -> Value {
    let sections = &facts.output.sections;
    let is_given = |value: &&Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
    };
    let mut about = Map::new();
    let channels: Vec<String> = facts.channels.iter().map(|channel| public_channel(channel)).collect();
    let mut extra = sections.extra.as_object().cloned().unwrap_or_default();
    match facts.output.format {
        RecipeFormat::V0 => {
            for (key, list) in ABOUT_V0 {
                let value = sections.about.get(key).filter(is_given);
                match (value, list) {
                    (Some(value), true) if !value.is_array() => about.insert(key.to_owned(), json!([value])),
                    (Some(value), _) => about.insert(key.to_owned(), value.clone()),
                    (None, true) => about.insert(key.to_owned(), json!([])),
                    (None, false) => None,
                };
            }
            // What conda-build knows of its own installation has no counterpart here; the keys are expected by readers.
            about.insert("env_vars".to_owned(), json!({ "CIO_TEST": "<not set>" }));
            about.insert("root_pkgs".to_owned(), json!([]));
            extra.remove("parent_recipe");
            extra.insert("final".to_owned(), json!(true));
            extra.insert("copy_test_source_files".to_owned(), json!(true));
            about.insert("channels".to_owned(), json!(channels));
            about.insert("extra".to_owned(), Value::Object(extra));
        }
        RecipeFormat::V1 => {
            for (from, to) in ABOUT_V1 {
                if let Some(value) = sections.about.get(from).filter(is_given) {
                    about.insert(to.to_owned(), value.clone());
                }
            }
            if !channels.is_empty() {
                about.insert("channels".to_owned(), json!(channels));
            }
            if !extra.is_empty() {
                about.insert("extra".to_owned(), Value::Object(extra));
            }
        }
    }
    Value::Object(about)
}

/// A channel as others may see it: a local one by its last folder's name, others without credentials and tokens.
#[must_use]
pub(super) fn public_channel(channel: &str) -> String {
    let last =
        |path: &str| path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    match url::Url::parse(channel) {
        Ok(url) if url.scheme() == "file" => last(url.path()),
        // `C:\channel` parses as a url with scheme `c`.
        Ok(url) if url.scheme().len() == 1 => last(channel),
        Ok(mut url) => {
            // Can't fail for urls with a host; others have no credentials.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            let segments: Vec<&str> = url.path().split('/').collect();
            let path = match segments.iter().position(|segment| *segment == "t") {
                Some(at) if segments.len() > at + 2 => [&segments[..at], &segments[at + 2..]].concat().join("/"),
                _ => url.path().to_owned(),
            };
            url.set_path(&path);
            url.set_query(None);
            url.to_string()
        }
        Err(_) if channel.starts_with(['/', '.', '\\', '~']) => last(channel),
        Err(_) => channel.to_owned(),
    }
}

/// `link.json` (build.py, `write_link_json`); rattler-build writes one for Python alone.
fn link(output: &Output) -> Option<Value> {
    let noarch = match (output.noarch?, output.format) {
        (Noarch::Generic, RecipeFormat::V0) => json!({ "type": "generic" }),
        (Noarch::Generic, RecipeFormat::V1) => return None,
        (Noarch::Python, _) if output.build.entry_points.is_empty() && output.format == RecipeFormat::V0 => {
            json!({ "type": "python" })
        }
        (Noarch::Python, _) => json!({ "entry_points": output.build.entry_points, "type": "python" }),
    };
    Some(json!({ "noarch": noarch, "package_metadata_version": 1 }))
}

/// Readme and icon: files that other parts of the metadata name.
pub(super) fn named_files(facts: &Facts<'_>, tree: &mut Tree) -> Result<()> {
    if let Some(readme) = facts.output.about.readme.as_ref().filter(|readme| !readme.is_empty()) {
        let file = files::one(readme.clone(), &facts.work_dir.join(readme)).ok_or_else(|| {
            Error::new(Kind::Verification, format!("`about/readme`: there is no file `{readme}` in the source"))
                .help("give its path below the source folder, or remove the entry")
        })?;
        tree.copy(readme.trim_start_matches("./"), &file);
    }
    if let Some(icon) = facts.output.sections.app.get("icon").and_then(Value::as_str) {
        let file = files::one("icon.png", &facts.recipe_dir.join(icon)).ok_or_else(|| {
            Error::new(Kind::Verification, format!("`app/icon`: there is no file `{icon}` in the recipe folder"))
        })?;
        tree.copy("icon.png", &file);
    }
    Ok(())
}
