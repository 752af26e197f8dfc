//! What the module proxy answered to a recipe's builds, kept between runs: `gonda lock` writes it down. Only answers that
//! change with time – `@latest`, version lists, branches – are kept, for all others say the same forever.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::write_whole;
use crate::{Error, Kind, Result};

/// Adds the answers that builds of a recipe got to those of its former builds.
///
/// # Errors
/// The cache can't be written.
pub fn remember_answers(cache_root: &Path, recipe: &Path, answers: &BTreeMap<String, String>) -> Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    let path = place(cache_root, recipe);
    let folder = cache_root.join(FOLDER);
    fs_err::create_dir_all(&folder)?;
    // Jobs of one recipe run side by side. The lock goes with its handle.
    let lock = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path.with_extension("lock"))?;
    lock.file().lock()?;
    let mut all = recall_answers(cache_root, recipe);
    all.extend(answers.clone());
    let text = serde_json::to_vec(&all)
        .map_err(|error| Error::new(Kind::Bug, "answers of the module proxy can't be written").because(error))?;
    Ok(write_whole(&path, &text)?)
}

/// The answers that builds of a recipe got so far, by request.
#[must_use]
pub fn recall_answers(cache_root: &Path, recipe: &Path) -> BTreeMap<String, String> {
    // What is damaged is as good as nothing: the next build asks again.
    let text = std::fs::read(place(cache_root, recipe)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Below the module store, whose modules never begin with a dot.
const FOLDER: &str = "gomod/.answers";

fn place(cache_root: &Path, recipe: &Path) -> PathBuf {
    let recipe = recipe.canonicalize().unwrap_or_else(|_| recipe.to_owned());
    cache_root.join(FOLDER).join(format!("{}.json", hex::encode(Sha256::digest(recipe.to_string_lossy().as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_add_up() {
        let cache = tempfile::tempdir().unwrap();
        let recipe = Path::new("/r/meta.yaml");
        let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(recall_answers(cache.path(), recipe), BTreeMap::new());
        remember_answers(cache.path(), recipe, &one("a/@latest", "1")).unwrap();
        remember_answers(cache.path(), recipe, &one("b/@latest", "1")).unwrap();
        remember_answers(cache.path(), recipe, &one("a/@latest", "2")).unwrap();
        let both: Vec<_> = recall_answers(cache.path(), recipe).into_iter().collect();
        assert_eq!(both, [("a/@latest".to_owned(), "2".to_owned()), ("b/@latest".to_owned(), "1".to_owned())]);
        assert_eq!(recall_answers(cache.path(), Path::new("/other")), BTreeMap::new());
    }
}
