//! From what a user names – a recipe folder, a recipe file or a feedstock root – to the recipe and its variant files.

use std::path::{Path, PathBuf};

use rattler_conda_types::Subdir;

use crate::{Error, Kind, Result};

/// The file names of recipes, in the order they are looked for in a folder. `recipe.yml` is no name that rattler-build
/// looks for, so a `meta.yaml` beside it is what is meant.
const RECIPE_FILES: [&str; 4] = ["recipe.yaml", "meta.yaml", "meta.yml", "recipe.yml"];

/// A recipe found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// `meta.yaml` or `recipe.yaml`, absolute.
    pub recipe: PathBuf,
    /// The folder that holds it.
    pub recipe_dir: PathBuf,
    /// The feedstock's root, when that is what was named or when the recipe lies in one.
    pub feedstock: Option<PathBuf>,
}

/// Finds the recipe that `path` names.
///
/// # Errors
/// Nothing there, no recipe in the folder, or a `meta.yaml` and a `meta.yml` side by side without one being named.
pub fn locate(path: &Path) -> Result<Located> {
    let path = std::path::absolute(path)?;
    if path.is_file() {
        return Ok(located(path));
    }
    if !path.is_dir() {
        return Err(Error::new(Kind::Usage, format!("no recipe at `{}`", path.display()))
            .help("name a recipe folder, a recipe file or the root of a feedstock"));
    }
    let mut folders = vec![path.clone()];
    if let Some(dir) = configured_recipe_dir(&path) {
        folders.push(path.join(dir));
    }
    folders.push(path.join("recipe"));
    for folder in &folders {
        if let Some(file) = RECIPE_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file()) {
            if file.ends_with("meta.yaml") && folder.join("meta.yml").is_file() {
                let message = format!("`{}` holds both a `meta.yaml` and a `meta.yml`", folder.display());
                return Err(Error::new(Kind::Usage, message).help("name the one that is meant, or delete the other"));
            }
            return Ok(located(file));
        }
    }
    Err(Error::new(Kind::Usage, format!("no recipe in `{}`", path.display()))
        .help(format!("looked for {} there and in its folder `recipe`", RECIPE_FILES.join(", "))))
}

fn located(recipe: PathBuf) -> Located {
    let recipe_dir = recipe.parent().map(Path::to_path_buf).unwrap_or_default();
    let feedstock = recipe_dir
        .ancestors()
        .take(2)
        .find(|dir| dir.join(".ci_support").is_dir() || dir.join("conda-forge.yml").is_file())
        .map(Path::to_path_buf);
    Located { recipe, recipe_dir, feedstock }
}

/// `recipe_dir` of `conda-forge.yml`, for feedstocks that keep their recipe elsewhere than in `recipe/`.
fn configured_recipe_dir(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("conda-forge.yml")).ok()?;
    let config: serde_yaml::Value = serde_yaml::from_str(&text).ok()?;
    Some(config.get("recipe_dir")?.as_str()?.to_owned())
}

/// The feedstock's `.ci_support/*.yaml` files for a target platform, sorted by name: each is the `-m` file of one
/// build, as conda-forge's CI runs them. Empty when there are none (then the recipe's own variants apply).
///
/// # Errors
/// A variant file that can't be read or is no YAML mapping.
pub fn ci_support(located: &Located, target: Subdir) -> Result<Vec<PathBuf>> {
    let Some(root) = &located.feedstock else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for file in yaml_files(&root.join(".ci_support"))? {
        if target_of(&file)?.as_deref() == Some(target.as_str()) {
            files.push(file);
        }
    }
    Ok(files)
}

/// The target platforms that a feedstock's `.ci_support` names, sorted; empty when there is none.
///
/// # Errors
/// As [`ci_support`].
pub fn ci_support_targets(located: &Located) -> Result<Vec<Subdir>> {
    let Some(root) = &located.feedstock else { return Ok(Vec::new()) };
    let mut targets = Vec::new();
    for file in yaml_files(&root.join(".ci_support"))? {
        if let Some(target) = target_of(&file)?.and_then(|text| text.parse().ok())
            && !targets.contains(&target)
        {
            targets.push(target);
        }
    }
    Ok(targets)
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The first `target_platform` of a variant file, else the platform that its name begins with: where the recipe does not
/// use the key, conda-smithy leaves it out. It writes the files without selectors or Jinja.
fn target_of(file: &Path) -> Result<Option<String>> {
    let text = fs_err::read_to_string(file)?;
    let config: serde_yaml::Value = serde_yaml::from_str(&text).map_err(|error| {
        Error::new(Kind::Usage, format!("`{}` is not a variant file", file.display())).because(error)
    })?;
    let value = config.get("target_platform");
    let first = match value {
        Some(serde_yaml::Value::Sequence(items)) => items.first(),
        other => other,
    };
    let named = || file.file_stem().and_then(|name| platform_named(&name.to_string_lossy()));
    Ok(first.and_then(serde_yaml::Value::as_str).map(str::to_owned).or_else(named))
}

/// The platform in a variant file's name: `linux_64_python3.12`, and `linux_` of old.
fn platform_named(name: &str) -> Option<String> {
    let mut words = name.split('_');
    let os = words.next().filter(|os| matches!(*os, "linux" | "osx" | "win"))?;
    let named = words.next().map(|arch| format!("{os}-{arch}")).filter(|platform| platform.parse::<Subdir>().is_ok());
    Some(named.unwrap_or_else(|| format!("{os}-64")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_recipes_by_folder_file_and_feedstock() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("recipe")).unwrap();
        std::fs::create_dir_all(root.join(".ci_support")).unwrap();
        std::fs::write(root.join("recipe/meta.yaml"), "").unwrap();
        std::fs::write(root.join(".ci_support/linux_64_.yaml"), "target_platform:\n- linux-64\n").unwrap();
        std::fs::write(root.join(".ci_support/win_64_.yaml"), "target_platform:\n- win-64\n").unwrap();
        for named in [root.to_path_buf(), root.join("recipe"), root.join("recipe/meta.yaml")] {
            let found = locate(&named).unwrap();
            assert_eq!(found.recipe, root.join("recipe/meta.yaml"), "{}", named.display());
            assert_eq!(found.feedstock.as_deref(), Some(root));
            assert_eq!(ci_support(&found, Subdir::Win64).unwrap(), [root.join(".ci_support/win_64_.yaml")]);
            assert_eq!(ci_support_targets(&found).unwrap(), [Subdir::Linux64, Subdir::Win64]);
        }
        std::fs::write(root.join(".ci_support/osx_arm64_.yaml"), "channel_targets:\n- conda-forge main\n").unwrap();
        std::fs::write(root.join(".ci_support/osx_.yaml"), "channel_targets:\n- conda-forge main\n").unwrap();
        let found = locate(root).unwrap();
        assert_eq!(ci_support(&found, Subdir::OsxArm64).unwrap(), [root.join(".ci_support/osx_arm64_.yaml")]);
        assert_eq!(ci_support(&found, Subdir::Osx64).unwrap(), [root.join(".ci_support/osx_.yaml")]);
        std::fs::write(root.join("recipe/recipe.yml"), "").unwrap();
        assert_eq!(locate(root).unwrap().recipe, root.join("recipe/meta.yaml"));
        std::fs::write(root.join("recipe/meta.yml"), "").unwrap();
        assert_eq!(locate(root).unwrap_err().kind, Kind::Usage);
        assert_eq!(locate(&root.join("recipe/meta.yml")).unwrap().recipe, root.join("recipe/meta.yml"));
        assert_eq!(locate(&root.join("nothing")).unwrap_err().kind, Kind::Usage);
        assert_eq!(locate(&root.join(".ci_support")).unwrap_err().kind, Kind::Usage);
    }
}
