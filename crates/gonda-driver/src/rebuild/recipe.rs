//! The recipe folder that a package was built from, out of its `info/recipe/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gonda_packager::Limits;
use serde_json::Value;

use crate::record::{BuildRecord, FILE, FORMAT};
use crate::{Error, Kind, Result};

/// What a package says of itself.
pub(super) struct Carried {
    /// The output's name.
    pub(super) name: String,
    pub(super) record: BuildRecord,
    /// Files of `info/recipe/`, by their path there.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// Files that rendering made, beside those of the recipe folder.
const GENERATED: &[&str] =
    &[FILE, "meta.yaml", "conda_build_config.yaml", "recipe_log.json", "rendered_recipe.yaml", "variant_config.yaml"];

pub(super) fn read(package: &Path) -> Result<Carried> {
    let wanted = |name: &str| name == "index.json" || name.starts_with("recipe/");
    let mut info = gonda_packager::read_info(package, &wanted, &Limits::default())?;
    let shown = package.display();
    let index: Value = info
        .remove("index.json")
        .and_then(|text| serde_json::from_slice(&text).ok())
        .ok_or_else(|| Error::new(Kind::Verification, format!("`{shown}` has no usable `info/index.json`")))?;
    let mut files: BTreeMap<String, Vec<u8>> = info
        .into_iter()
        .filter_map(|(name, content)| Some((name.strip_prefix("recipe/")?.to_owned(), content)))
        .collect();
    let Some(text) = files.remove(FILE) else {
        return Err(Error::new(Kind::Usage, format!("`{shown}` does not say what it was built from"))
            .help(format!("only packages that gonda built have an `info/recipe/{FILE}`")));
    };
    let unusable = || Error::new(Kind::Usage, format!("`info/recipe/{FILE}` of `{shown}` can't be understood"));
    let format = serde_json::from_slice::<Value>(&text).ok().and_then(|value| value["format"].as_u64());
    if format.is_none_or(|format| format != u64::from(FORMAT)) {
        return Err(unusable().help("it was written by another version of gonda"));
    }
    let record = serde_json::from_slice(&text).map_err(|error| unusable().because(error))?;
    Ok(Carried { name: index["name"].as_str().unwrap_or_default().to_owned(), record, files })
}

/// Writes the recipe folder and returns the recipe's path.
pub(super) fn lay_out(files: &BTreeMap<String, Vec<u8>>, record: &BuildRecord, folder: &Path) -> Result<PathBuf> {
    fs_err::create_dir_all(folder)?;
    let parent: BTreeMap<&str, &Vec<u8>> =
        files.iter().filter_map(|(name, content)| Some((name.strip_prefix("parent/")?, content))).collect();
    // One of several outputs has the whole folder below `parent/`.
    let original: BTreeMap<&str, &Vec<u8>> = if parent.is_empty() {
        let own = files.iter().filter(|(name, _)| !GENERATED.contains(&name.as_str()));
        own.map(|(name, content)| match name.as_str() {
            "meta.yaml.template" | "recipe.yaml" => (record.recipe.as_str(), content),
            name => (name, content),
        })
        .collect()
    } else {
        parent
    };
    for (name, content) in original {
        // Names in an archive are anybody's.
        if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(Error::new(Kind::Verification, format!("`info/recipe/` holds a file named `{name}`")));
        }
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(&path, content)?;
    }
    let recipe = folder.join(&record.recipe);
    if !recipe.is_file() {
        return Err(Error::new(Kind::Verification, format!("`info/recipe/` does not hold `{}`", record.recipe)));
    }
    Ok(recipe)
}
