//! Copies a tree that the recipe's author has: `path` sources.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use gonda_recipe::{FileMatch, RecipeFormat};
use ignore::WalkBuilder;

use super::host;
use super::root::Root;
use crate::{Error, Kind, Result};

/// Which files of a tree are meant.
#[derive(Debug)]
pub(super) struct Choice {
    include: Option<globset::GlobSet>,
    exclude: globset::GlobSet,
    gitignore: bool,
    /// rattler-build leaves out what `.condapackageignore` files name.
    packageignore: bool,
    /// A folder that is left out with all that is in it.
    skip: Option<PathBuf>,
}

impl Choice {
    /// Compiles a recipe's `filter`; without one, everything is meant.
    pub(super) fn new(filter: &FileMatch, gitignore: bool, format: RecipeFormat) -> Result<Self> {
        let include = if filter.include.is_empty() || filter.all { None } else { Some(globs(&filter.include)?) };
        let exclude = globs(&filter.exclude)?;
        Ok(Self { include, exclude, gitignore, packageignore: format == RecipeFormat::V1, skip: None })
    }

    fn takes(&self, relative: &Path) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.is_match(relative)) && !self.exclude.is_match(relative)
    }
}

/// Globs as rattler-build reads them: `*` crosses folders, a folder's name means all that is in it.
fn globs(texts: &[String]) -> Result<globset::GlobSet> {
    let mut set = globset::GlobSetBuilder::new();
    for text in texts {
        let whole = text.trim_end_matches('/');
        let folder = format!("{whole}/**");
        let mut add = |glob: &str| match globset::Glob::new(glob) {
            Ok(glob) => {
                set.add(glob);
                Ok(())
            }
            Err(error) => Err(Error::new(Kind::Usage, format!("the source filter `{text}` is no glob")).because(error)),
        };
        if !text.ends_with('/') {
            add(whole)?;
        }
        add(&folder)?;
    }
    set.build().map_err(|error| Error::new(Kind::Usage, "the source filter is too large").because(error))
}

/// Copies all of a folder to another, which must be there; `skip` and what is in it is left out.
///
/// # Errors
/// What can't be read or written.
pub(crate) fn copy_tree(from: &Path, to: &Path, skip: &Path) -> Result<()> {
    let choice = Choice {
        include: None,
        exclude: globset::GlobSet::empty(),
        gitignore: false,
        packageignore: false,
        skip: Some(skip.to_path_buf()),
    };
    copy(from, Path::new(""), &choice, &mut Root::new(to))
}

/// Copies the named files and links of a folder to another, which is made if it is missing.
///
/// # Errors
/// What can't be read or written.
pub(crate) fn copy_files(from: &Path, files: &BTreeSet<String>, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    let mut root = Root::new(to);
    for file in files {
        let (path, source) = (Path::new(file), from.join(file));
        if let Some(folder) = path.parent() {
            root.make_folder(folder)?;
        }
        if fs_err::symlink_metadata(&source)?.is_symlink() {
            let full = clear(path, &mut root)?;
            host::symlink(&fs_err::read_link(&source)?, &full)?;
        } else {
            copy_file(&source, path, &mut root)?;
        }
    }
    Ok(())
}

/// Copies a whole tree to `to`, which is made: links stay links, and files and folders keep their times and modes, so
/// that nobody can tell which of the two was there first. Shares the disk's blocks where the file system can.
///
/// # Errors
/// What can't be read or written.
pub(crate) fn duplicate(from: &Path, to: &Path) -> Result<()> {
    let mut folders = Vec::new();
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.map_err(|error| {
            Error::new(Kind::Machine, format!("the folder `{}` can't be read", from.display())).because(error)
        })?;
        let Ok(relative) = entry.path().strip_prefix(from) else { continue };
        let target = if relative.as_os_str().is_empty() { to.to_path_buf() } else { to.join(relative) };
        let kind = entry.file_type();
        if kind.is_dir() {
            fs_err::create_dir(&target)?;
            folders.push((entry.path().to_path_buf(), target));
        } else if kind.is_symlink() {
            host::symlink(&fs_err::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs_err::copy(entry.path(), &target)?;
            let metadata = fs_err::metadata(entry.path())?;
            host::set_mode(&target, 0o600)?;
            if let Ok(time) = metadata.modified() {
                fs_err::OpenOptions::new().write(true).open(&target)?.file().set_modified(time)?;
            }
            host::set_mode(&target, host::mode(&metadata))?;
        }
    }
    // From within outwards: a folder's time changes with what is put into it, and its mode may forbid that.
    for (folder, target) in folders.iter().rev() {
        let metadata = fs_err::metadata(folder)?;
        // Not every system lets a folder be opened; nothing depends on its time there.
        if let (Ok(time), Ok(opened)) = (metadata.modified(), std::fs::File::open(target)) {
            let _ = opened.set_modified(time);
        }
        host::set_mode(target, host::mode(&metadata))?;
    }
    Ok(())
}

/// Copies a folder's content to `to`, below the root. Links stay links; files keep their times and execute bits.
/// What is there already is overwritten, as conda-build does.
pub(super) fn copy(from: &Path, to: &Path, choice: &Choice, root: &mut Root) -> Result<()> {
    let mut walk = WalkBuilder::new(from);
    walk.standard_filters(false).git_ignore(choice.gitignore).require_git(false).sort_by_file_name(Ord::cmp);
    if let Some(skip) = choice.skip.clone() {
        walk.filter_entry(move |entry| entry.path() != skip);
    }
    if choice.packageignore {
        walk.add_custom_ignore_filename(".condapackageignore");
    }
    for entry in walk.build() {
        let entry = entry.map_err(|error| {
            Error::new(Kind::Usage, format!("the source path `{}` can't be read", from.display())).because(error)
        })?;
        let Ok(relative) = entry.path().strip_prefix(from) else { continue };
        let Some(kind) = entry.file_type() else { continue };
        if relative.as_os_str().is_empty() {
            continue;
        }
        let target = to.join(relative);
        if kind.is_dir() {
            if choice.include.is_none() && choice.takes(relative) {
                root.make_folder(&target)?;
            }
        } else if !choice.takes(relative) {
        } else if kind.is_symlink() {
            let full = clear(&target, root)?;
            host::symlink(&fs_err::read_link(entry.path())?, &full)?;
        } else if kind.is_file() {
            copy_file(entry.path(), &target, root)?;
        }
    }
    Ok(())
}

/// Takes away from a folder what isn't meant: files and links, and folders that are empty then. A folder that was empty
/// stays where no files are named.
pub(super) fn prune(folder: &Path, choice: &Choice) -> Result<()> {
    let mut emptied = BTreeSet::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(1).contents_first(true) {
        let entry = entry.map_err(|error| {
            Error::new(Kind::Machine, format!("the folder `{}` can't be read", folder.display())).because(error)
        })?;
        let Ok(relative) = entry.path().strip_prefix(folder) else { continue };
        let gone = if entry.file_type().is_dir() {
            let unwanted = choice.include.is_some() || emptied.contains(relative) || !choice.takes(relative);
            unwanted && fs_err::read_dir(entry.path())?.next().is_none()
        } else {
            !choice.takes(relative)
        };
        if !gone {
            continue;
        }
        if entry.file_type().is_dir() {
            fs_err::remove_dir(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
        emptied.extend(relative.parent().map(Path::to_path_buf));
    }
    Ok(())
}

/// Copies one file to `to`, below the root, with its time and execute bits.
pub(super) fn copy_file(from: &Path, to: &Path, root: &mut Root) -> Result<()> {
    let full = clear(to, root)?;
    fs_err::copy(from, &full)?;
    let metadata = fs_err::metadata(from)?;
    host::set_mode(&full, 0o600)?;
    if let Ok(time) = metadata.modified() {
        fs_err::OpenOptions::new().write(true).open(&full)?.file().set_modified(time)?;
    }
    host::set_mode(&full, host::mode(&metadata) | 0o600)?;
    Ok(())
}

/// Makes way for a file or link, whose place it returns.
fn clear(to: &Path, root: &mut Root) -> Result<PathBuf> {
    if to.as_os_str().is_empty() {
        return Err(Error::new(Kind::Bug, "a file was to take the place of the work folder"));
    }
    let full = root.place(to)?;
    match full.symlink_metadata() {
        Ok(there) if there.is_dir() => Err(Error::new(
            Kind::Usage,
            format!("a file of a source would take the place of the folder `{}`", to.display()),
        )
        .help("give the source a folder of its own")),
        Ok(_) => {
            fs_err::remove_file(&full)?;
            Ok(full)
        }
        Err(_) => Ok(full),
    }
}

/// The names in a folder, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}
