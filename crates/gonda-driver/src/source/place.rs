//! Lays fetched sources out in the work folder: unpacked, copied or checked out, then patched, in the recipe's order.

use std::path::{Path, PathBuf};

use gonda_recipe::{RecipeFormat, SourceKind};

use super::archive::{self, Archive};
use super::git::{self, GitFacts};
use super::root::{self, Root};
use super::{Fetched, FetchedGit, Found, patch, tree};
use crate::files::blocking;
use crate::{Error, Kind, Result};

/// What was laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// In seconds since 1970, the newest over the sources: the newest member of an archive, the commit's time for git,
    /// none for paths and files that are no archives. For `SOURCE_DATE_EPOCH`.
    pub newest: Option<i64>,
    /// What git says of the last git source, before its patches.
    pub git: Option<GitFacts>,
    /// `$SRC_DIR`: always the work folder, whatever `folder` says (conda-build's `config.work_dir`).
    pub src_dir: PathBuf,
    /// Where each source lies, in the recipe's order.
    pub folders: Vec<PathBuf>,
    /// What each source is, in the recipe's order, for a lock: `sha256:…` of a file, `git:<commit>`; `path` for a folder
    /// of the recipe's author.
    pub identities: Vec<String>,
    /// Remarks for the log.
    pub remarks: Vec<String>,
}

impl Placed {
    /// The same once the work folder lies elsewhere.
    pub(crate) fn moved(&self, from: &Path, to: &Path) -> Self {
        let moved = |path: &PathBuf| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
            Ok(rest) => to.join(rest),
            Err(_) => path.clone(),
        };
        let git = self.git.clone().map(|facts| GitFacts { top: moved(&facts.top), ..facts });
        let folders = self.folders.iter().map(moved).collect();
        Self { src_dir: moved(&self.src_dir), folders, git, ..self.clone() }
    }
}

/// Lays sources out in a work folder, which is made if it is missing.
///
/// # Errors
/// `Kind::Unavailable` for damaged or hostile archives and repositories; `Kind::Usage` for a patch that doesn't apply
/// or a folder outside the work folder; `Kind::Machine` where files can't be written.
pub async fn place(fetched: &[Fetched], work_dir: &Path) -> Result<Placed> {
    let fetched = fetched.to_vec();
    let work_dir = work_dir.to_path_buf();
    blocking(move || place_all(&fetched, &work_dir)).await
}

/// [`place`], on a thread that may wait.
pub(crate) fn place_all(fetched: &[Fetched], work_dir: &Path) -> Result<Placed> {
    fs_err::create_dir_all(work_dir)?;
    let mut root = Root::new(work_dir);
    let mut placed = Placed { src_dir: work_dir.to_path_buf(), ..Placed::default() };
    for one in fetched {
        placed.identities.push(match &one.found {
            Found::File { sha256, .. } | Found::Path { sha256: Some(sha256), .. } => format!("sha256:{sha256}"),
            Found::Git(git) => format!("git:{}", git.commit),
            Found::Path { .. } => "path".to_owned(),
        });
        let folder = root::folder_path(one.source.folder.as_deref().unwrap_or_default())?;
        let newest = match &one.found {
            Found::File { path, name, .. } => place_file(one, path, name, &folder, &mut root, &mut placed)?,
            Found::Git(repository) => {
                let facts = place_checkout(one, repository, &folder, &mut root)?;
                let time = facts.time;
                // conda-build speaks of the first one alone.
                placed.git.get_or_insert(facts);
                Some(time)
            }
            Found::Path { path, .. } => {
                place_path(one, path, &folder, &mut root, &mut placed)?;
                None
            }
        };
        placed.newest = placed.newest.max(newest);
        let full = root.folder().join(&folder);
        let target = patch::Target { folder: &full, recipe_dir: &one.recipe_dir, work_dir, format: one.format };
        for text in &one.source.patches {
            let repository = matches!(one.found, Found::Git(_)) && one.format == RecipeFormat::V0;
            placed.remarks.extend(patch::apply(text, &target, repository)?);
        }
        root.forget();
        placed.folders.push(full);
    }
    Ok(placed)
}

/// Checks out in the source's folder; what a `filter` leaves of it comes from a folder aside.
fn place_checkout(one: &Fetched, repository: &FetchedGit, folder: &Path, root: &mut Root) -> Result<GitFacts> {
    let full = root.make_folder(folder)?;
    if one.source.filter.takes_all() {
        let facts = git::check_out(repository, &full)?;
        root.forget();
        return Ok(facts);
    }
    let aside = tempfile::Builder::new().prefix(".gonda-").tempdir_in(root.folder())?;
    let facts = git::check_out(repository, aside.path())?;
    tree::prune(aside.path(), &tree::Choice::new(&one.source.filter, false, one.format)?)?;
    for entry in tree::entries(aside.path())? {
        move_into(&aside.path().join(&entry), &folder.join(&entry), one.format, root)?;
    }
    aside.close()?;
    Ok(GitFacts { top: full, ..facts })
}

fn place_file(
    one: &Fetched,
    path: &Path,
    name: &str,
    folder: &Path,
    root: &mut Root,
    placed: &mut Placed,
) -> Result<Option<i64>> {
    let named = matches!(&one.source.kind, SourceKind::Url { file_name: Some(_), .. });
    place_download(one, path, name, Archive::of_name(name, one.format, named), folder, root, placed)
}

/// Unpacks into a folder aside, then moves what came into its place: the only top folder is left out.
fn place_download(
    one: &Fetched,
    path: &Path,
    name: &str,
    archive: Archive,
    folder: &Path,
    root: &mut Root,
    placed: &mut Placed,
) -> Result<Option<i64>> {
    root.make_folder(folder)?;
    let aside = tempfile::Builder::new().prefix(".gonda-").tempdir_in(root.folder())?;
    let mut newest = None;
    if archive != Archive::No {
        let unpacked = archive::unpack(path, name, aside.path(), &one.limits)?;
        newest = unpacked.newest;
        placed.remarks.extend(unpacked.remarks.into_iter().map(|remark| format!("{name}: {remark}")));
        if unpacked.members == 0 {
            placed.remarks.push(format!("the archive `{name}` is empty"));
            return Ok(newest);
        }
    }
    if archive != Archive::Yes {
        let copy = aside.path().join(name);
        fs_err::copy(path, &copy)?;
        super::host::set_mode(&copy, 0o644)?;
    }
    let mut top = tree::entries(aside.path())?;
    let mut from = aside.path().to_path_buf();
    if let [only] = top.as_slice()
        && from.join(only).symlink_metadata()?.is_dir()
    {
        from = from.join(only);
        top = tree::entries(&from)?;
    }
    if archive != Archive::No && !one.source.filter.takes_all() {
        tree::prune(&from, &tree::Choice::new(&one.source.filter, false, one.format)?)?;
        top = tree::entries(&from)?;
    }
    for entry in top {
        move_into(&from.join(&entry), &folder.join(&entry), one.format, root)?;
    }
    aside.close()?;
    Ok(newest)
}

/// Moves a file or folder to its place. Where a folder has that name already, conda-build (`shutil.move`) moves into
/// it, rattler-build merges.
fn move_into(from: &Path, to: &Path, format: RecipeFormat, root: &mut Root) -> Result<()> {
    let full = root.place(to)?;
    let is_folder = from.symlink_metadata()?.is_dir();
    match full.symlink_metadata() {
        Err(_) => Ok(fs_err::rename(from, &full)?),
        Ok(there) if there.is_dir() && is_folder && format == RecipeFormat::V1 => {
            for entry in tree::entries(from)? {
                move_into(&from.join(&entry), &to.join(&entry), format, root)?;
            }
            Ok(())
        }
        Ok(there) if there.is_dir() && format == RecipeFormat::V0 => {
            let within = to.join(from.file_name().unwrap_or_default());
            let full = root.place(&within)?;
            if full.symlink_metadata().is_ok() {
                return Err(in_the_way(&within));
            }
            Ok(fs_err::rename(from, &full)?)
        }
        Ok(there) if !there.is_dir() && !is_folder => Ok(fs_err::rename(from, &full)?),
        Ok(_) => Err(in_the_way(to)),
    }
}

fn in_the_way(path: &Path) -> Error {
    Error::new(Kind::Usage, format!("two sources bring `{}`", path.display()))
        .help("give one of them a folder of its own with `folder` (meta.yaml) or `target_directory` (recipe.yaml)")
}

fn place_path(one: &Fetched, path: &Path, folder: &Path, root: &mut Root, placed: &mut Placed) -> Result<()> {
    let SourceKind::Path { file_name, use_gitignore, .. } = &one.source.kind else {
        return Err(Error::new(Kind::Bug, "a path was found for a source that is none"));
    };
    if path.is_dir() {
        let work = fs_err::canonicalize(root.folder())?;
        if work.starts_with(path) {
            return Err(Error::new(
                Kind::Usage,
                format!("the source path `{}` contains the work folder `{}`", path.display(), work.display()),
            )
            .help("put gonda's cache and output folders outside the source"));
        }
        root.make_folder(folder)?;
        let choice = tree::Choice::new(&one.source.filter, *use_gitignore, one.format)?;
        return tree::copy(path, folder, &choice, root);
    }
    let own_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if one.format == RecipeFormat::V1 && Archive::of_name(own_name, one.format, file_name.is_some()) != Archive::No {
        place_download(one, path, own_name, Archive::Yes, folder, root, placed)?;
        return Ok(());
    }
    // conda-build's copy_into: into a folder that is there, else the folder's name becomes the file's.
    let is_there = root.folder().join(folder).is_dir();
    let to = match (one.format, file_name) {
        (RecipeFormat::V0, None) if !is_there => folder.to_path_buf(),
        (_, Some(name)) => folder.join(root::folder_path(name)?),
        (_, None) => folder.join(own_name),
    };
    tree::copy_file(path, &to, root)
}
