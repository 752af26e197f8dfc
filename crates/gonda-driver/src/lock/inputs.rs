//! The files that decide what a recipe builds: those beside it, the feedstock's variant files, and the user's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gonda_recipe::VariantFiles;
use walkdir::WalkDir;

use super::FILE_NAME;
use crate::locate::Located;
use crate::{Error, Kind, Result};

/// The folder in which a recipe's lock lies: the feedstock's root, else the recipe's own folder.
#[must_use]
pub fn folder(located: &Located) -> &Path {
    located.feedstock.as_deref().unwrap_or(&located.recipe_dir)
}

/// The files, sorted. What lies below `output_dir` is no input, nor what begins with a dot.
///
/// # Errors
/// When a folder can't be read.
pub fn inputs(located: &Located, variants: &VariantFiles, output_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut add = |folder: &Path| -> Result<()> {
        let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
        let wanted = |entry: &walkdir::DirEntry| {
            entry.depth() == 0 || (!hidden(entry.file_name()) && !entry.path().starts_with(output_dir))
        };
        for entry in WalkDir::new(folder).into_iter().filter_entry(wanted) {
            let entry = entry.map_err(|error| {
                Error::new(Kind::Machine, format!("the recipe's folder `{}` can't be read", folder.display()))
                    .because(error)
            })?;
            if entry.file_type().is_file() && entry.file_name() != FILE_NAME {
                files.insert(entry.into_path());
            }
        }
        Ok(())
    };
    add(&located.recipe_dir)?;
    let ci_support = located.feedstock.as_deref().map(|root| root.join(".ci_support"));
    // With files of the user's own, the feedstock's are not read.
    if let Some(folder) = ci_support.filter(|folder| folder.is_dir() && variants.additional.is_empty()) {
        add(&folder)?;
    }
    files.extend(variants.additional.iter().chain(&variants.exclusive).cloned());
    Ok(files.into_iter().collect())
}
