//! `info/recipe/`: what was built, as written and as rendered.

use gonda_recipe::{RecipeFormat, ScriptContent, Variant};
use serde_json::Value;

use super::files::{self, Found};
use super::{Facts, Tree, metadata};
use crate::{Error, Kind, Result};

pub(super) fn add(facts: &Facts<'_>, tree: &mut Tree) -> Result<()> {
    metadata::named_files(facts, tree)?;
    let folder: Vec<Found> = files::all(facts.recipe_dir)?
        .into_iter()
        .filter(|file| !gonda_packager::is_excluded(&file.path) && !below(&file.path, facts.not_recipe))
        .collect();
    match facts.output.format {
        RecipeFormat::V0 => v0(facts, tree, &folder)?,
        RecipeFormat::V1 => v1(facts, tree, &folder)?,
    }
    for (name, content) in facts.recipe_files {
        tree.bytes(format!("recipe/{name}"), content.clone());
    }
    Ok(())
}

fn below(path: &str, folders: &[String]) -> bool {
    folders.iter().any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
}

/// build.py, `copy_recipe`: one of several outputs has the recipe below `parent/`, others beside the rendered one.
fn v0(facts: &Facts<'_>, tree: &mut Tree, folder: &[Found]) -> Result<()> {
    let output = facts.output;
    if output.parent.is_some() {
        for file in folder {
            tree.copy(format!("recipe/parent/{}", file.path), file);
        }
        for script in &output.build.scripts {
            if let ScriptContent::File(path) = &script.content
                && let Some(name) = path.to_str()
                && let Some(file) = folder.iter().find(|file| file.path == name)
            {
                tree.copy(format!("recipe/{name}"), file);
            }
        }
    } else {
        for file in folder {
            match file.path.as_str() {
                "conda_build_config.yaml" => {}
                path if path == facts.recipe_file => tree.copy("recipe/meta.yaml.template", file),
                path => tree.copy(format!("recipe/{path}"), file),
            }
        }
    }
    tree.bytes("recipe/meta.yaml", facts.clean(&output.rendered_recipe));
    tree.bytes("recipe/conda_build_config.yaml", facts.clean(&yaml(&output.variant)?));
    let log = output.sections.about.get("recipe_log_file").and_then(Value::as_str).unwrap_or("recipe_log.json");
    let log = [facts.recipe_dir, facts.work_dir].iter().find_map(|folder| files::one(log, &folder.join(log)));
    if let Some(log) = log {
        tree.copy("recipe_log.json", &log);
    }
    Ok(())
}

/// CEP 40: the folder without hidden files, the recipe as `recipe.yaml`.
fn v1(facts: &Facts<'_>, tree: &mut Tree, folder: &[Found]) -> Result<()> {
    for file in folder.iter().filter(|file| !file.path.split('/').any(|name| name.starts_with('.'))) {
        let path = if file.path == facts.recipe_file { "recipe.yaml" } else { &file.path };
        tree.copy(format!("recipe/{path}"), file);
    }
    tree.bytes("recipe/rendered_recipe.yaml", facts.clean(&facts.output.rendered_recipe));
    tree.bytes("recipe/variant_config.yaml", facts.clean(&yaml(&facts.output.variant)?));
    Ok(())
}

fn yaml(variant: &Variant) -> Result<String> {
    serde_yaml::to_string(variant)
        .map_err(|error| Error::new(Kind::Bug, "the variant can't be written as YAML").because(error))
}
