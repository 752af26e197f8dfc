//! `info/licenses/` and `info/prelink_messages/`. What a recipe names must be there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gonda_recipe::RecipeFormat;

use super::files::{self, Found};
use super::{Facts, Tree};
use crate::stage::{Glob, Language};
use crate::{Error, Kind, Result};

pub(super) fn add(facts: &Facts<'_>, tree: &mut Tree) -> Result<()> {
    let about = &facts.output.about;
    match facts.output.format {
        RecipeFormat::V0 => {
            by_path(facts, tree, "license", "license_file", &about.license_files)?;
            by_path(facts, tree, "prelink_message", "prelink_message", &about.prelink_messages)
        }
        RecipeFormat::V1 => by_glob(facts, tree),
    }
}

/// build.py, `generic_copy`: paths in the source, else in the recipe folder; folders end with `/`.
fn by_path(facts: &Facts<'_>, tree: &mut Tree, name: &str, field: &str, paths: &[String]) -> Result<()> {
    let mut count = 0;
    for path in paths.iter().filter(|path| !path.is_empty()) {
        let absolute = located(facts, path);
        let candidates = match absolute {
            Some(place) => vec![place],
            None => vec![facts.work_dir.join(path), facts.recipe_dir.join(path)],
        };
        let Some(source) = candidates.iter().find(|path| path.is_file() || path.is_dir()) else {
            return Err(missing(facts, field, path));
        };
        if source.is_dir() && !path.ends_with('/') {
            return Err(Error::new(Kind::Usage, format!("`about/{field}`: `{path}` is a folder"))
                .help(format!("write `{path}/` to pack all that is in it")));
        }
        // Paths from elsewhere would lead out of the folder: they are numbered.
        let elsewhere = path.starts_with('.') || Path::new(path).is_absolute() || path.starts_with('/');
        let target = if elsewhere {
            count += 1;
            let extension = if source.is_file() { ".txt" } else { "" };
            format!("{}{}{extension}", name.to_uppercase(), count - 1)
        } else {
            tidy(path)
        };
        if source.is_file() {
            if let Some(file) = files::one(target.clone(), source) {
                tree.copy(format!("{name}s/{target}"), &file);
            }
        } else {
            for file in files::all(source)? {
                tree.copy(format!("{name}s/{target}/{}", file.path), &file);
            }
        }
    }
    Ok(())
}

/// Without `//`, `/./` and a `/` at the end; `a/../b` is `b`.
fn tidy(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

/// Where an absolute path of the recipe is on this machine: below one of the places that the script saw.
fn located(facts: &Facts<'_>, path: &str) -> Option<PathBuf> {
    if !path.starts_with('/') && !Path::new(path).is_absolute() {
        return None;
    }
    let inside = facts.places.iter().find_map(|(seen, real)| {
        let rest = path.strip_prefix(seen.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| real.join(rest.trim_start_matches('/')))
    });
    Some(inside.unwrap_or_else(|| PathBuf::from(path)))
}

fn missing(facts: &Facts<'_>, field: &str, path: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("`about/{field}` of `{}`: `{path}` is neither in the source nor in the recipe folder", facts.output.name),
    )
    .help("correct the path, or let the build script put the file there")
}

/// rattler-build's `copy_license_files`: globs over source and recipe folder, of which the latter wins; `!` excludes;
/// `${{ PREFIX }}` and its like name the folders of the build.
fn by_glob(facts: &Facts<'_>, tree: &mut Tree) -> Result<()> {
    let (exclude, include): (Vec<&String>, Vec<&String>) =
        facts.output.about.license_files.iter().partition(|glob| glob.starts_with('!'));
    if include.is_empty() {
        return Ok(());
    }
    let exclude: Vec<Glob> = exclude.iter().map(|glob| Glob::new(&glob[1..], Language::V1)).collect::<Result<_>>()?;
    let mut licenses: BTreeMap<String, Found> = BTreeMap::new();
    let mut folders: Option<(Vec<Found>, Vec<Found>)> = None;
    for text in include {
        let before = licenses.len();
        let mut any = false;
        if let Some((base, pattern)) = in_build_folder(facts, text)? {
            for file in late_bound(&base, &pattern)? {
                any = true;
                licenses.insert(file.path.clone(), file);
            }
        } else {
            let (work, recipe) = match &mut folders {
                Some(folders) => folders,
                none => none.insert((files::all(facts.work_dir)?, files::all(facts.recipe_dir)?)),
            };
            let glob = Glob::new(text, Language::V1)?;
            for file in files::matching(work, &glob).chain(files::matching(recipe, &glob)) {
                any = true;
                if !exclude.iter().any(|glob| glob.matches(&file.path)) {
                    licenses.insert(file.path.clone(), file.clone());
                }
            }
        }
        if !any && licenses.len() == before {
            return Err(missing(facts, "license_file", text));
        }
    }
    for (path, file) in licenses {
        tree.copy(format!("licenses/{path}"), &file);
    }
    Ok(())
}

/// `${{ PREFIX }}/share/x` as the folder it names and the rest; `None` for other text.
fn in_build_folder(facts: &Facts<'_>, text: &str) -> Result<Option<(PathBuf, String)>> {
    let Some((name, rest)) = text.strip_prefix("${{").and_then(|text| text.split_once("}}")) else {
        return Ok(None);
    };
    let base = match name.trim() {
        "PREFIX" => facts.prefix,
        "BUILD_PREFIX" => facts.build_prefix,
        "SRC_DIR" => facts.work_dir,
        "RECIPE_DIR" => facts.recipe_dir,
        other => {
            return Err(Error::new(Kind::Usage, format!("`about/license_file`: `{other}` is no folder of the build"))
                .help("PREFIX, BUILD_PREFIX, SRC_DIR and RECIPE_DIR are"));
        }
    };
    let rest = rest.trim_start_matches(['/', '\\']).replace('\\', "/");
    if rest.split('/').any(|name| name == "..") {
        let message = format!("`about/license_file`: `{text}` leads out of the folders of the build");
        return Err(Error::new(Kind::Usage, message));
    }
    Ok(Some((base.to_owned(), rest)))
}

/// A plain path gives the file by its name; a glob what it means, relative to the part before the first wildcard.
fn late_bound(base: &Path, pattern: &str) -> Result<Vec<Found>> {
    let names: Vec<&str> = pattern.split('/').collect();
    let plain = names.iter().take_while(|name| !name.contains(['*', '?', '[', '{'])).count();
    if plain == names.len() {
        let source = base.join(pattern);
        let name = names.last().copied().unwrap_or_default();
        return Ok(files::one(name, &source).into_iter().collect());
    }
    let folder = base.join(names[..plain].join("/"));
    let glob = Glob::new(&names[plain..].join("/"), Language::V1)?;
    let all = files::all(&folder)?;
    Ok(files::matching(&all, &glob).cloned().collect())
}
