//! Work trees: clones of the cache's repositories, and what git says of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use gonda_recipe::GitInfo;

use super::super::{FetchedGit, Submodule};
use super::program::{self, Failed, Git};
use crate::{Error, Kind, Result};

/// What git says of a checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitFacts {
    /// For the `GIT_*` variables (conda-build's `environ.get_git_info`).
    pub info: GitInfo,
    /// The committer's time of HEAD, in seconds since 1970.
    pub time: i64,
    /// The folder that holds `.git`.
    pub top: PathBuf,
    /// The url of `origin`, empty without one.
    pub url: String,
}

/// Clones into a folder that is there: work tree, `.git`, submodules. `origin` is the url that the recipe names, and
/// nothing is linked with the cache: a script may do with it what it likes.
pub(in super::super) fn check_out(fetched: &FetchedGit, folder: &Path) -> Result<GitFacts> {
    let git = Git::local()?;
    let failed = |failed: Failed| {
        let message = format!("`{}` can't be checked out", super::shown(&fetched.url));
        failed.error(Kind::Unavailable, message).help("the cache's copy may be damaged: delete it and try again")
    };
    let repository = fetched.repository.as_os_str();
    if fs_err::read_dir(folder)?.next().is_none() {
        let clone = ["clone", "--quiet", "--no-hardlinks", "--no-checkout", "--template=", "--"].map(OsStr::new);
        git.run(folder, clone.into_iter().chain([repository, OsStr::new(".")]))?.map_err(failed)?;
    } else {
        // Another source lies here already.
        git.run(folder, ["init", "--quiet", "--template=", "."])?.map_err(failed)?;
        git.run(folder, [OsStr::new("remote"), OsStr::new("add"), OsStr::new("origin"), repository])?
            .map_err(failed)?;
        git.run(folder, ["fetch", "--quiet", "--tags", "origin"])?.map_err(failed)?;
    }
    let has = git.run(folder, ["cat-file", "-e", &format!("{}^{{commit}}", fetched.commit)])?;
    if has.is_err() {
        let fetch = ["fetch", "--quiet", "--no-tags"].map(OsStr::new).into_iter();
        git.run(folder, fetch.chain([repository, OsStr::new(&fetched.commit)]))?.map_err(failed)?;
    }
    git.run(folder, ["remote", "set-url", "origin", &fetched.url])?.map_err(failed)?;
    if fetched.lfs {
        bring_large_files(fetched, folder)?;
    }
    switch(&git, fetched, folder)?.map_err(failed)?;
    for submodule in &fetched.submodules {
        check_out_submodule(&git, submodule, folder)?;
    }
    describe_git(folder)?.ok_or_else(|| Error::new(Kind::Bug, "a fresh checkout is none"))
}

/// Options that make git write large files themselves rather than what stands for them.
const LARGE: [&str; 6] = [
    "-c",
    "filter.lfs.process=git-lfs filter-process",
    "-c",
    "filter.lfs.smudge=git-lfs smudge -- %f",
    "-c",
    "filter.lfs.required=true",
];

/// Checks the revision out by its name, so that a branch is a branch; by its hash where the name means another commit.
fn switch(git: &Git, fetched: &FetchedGit, folder: &Path) -> Result<Result<(), Failed>> {
    let options = if fetched.lfs { &LARGE[..] } else { &[] };
    let checkout = |args: &[&str]| git.run(folder, options.iter().chain(args));
    if let Some(rev) = fetched.rev.as_deref().filter(|rev| !rev.starts_with('-')) {
        let _ = checkout(&["checkout", "--quiet", "--force", rev, "--"])?;
    } else {
        let _ = checkout(&["checkout", "--quiet", "--force", "HEAD", "--"])?;
    }
    if git.line(folder, &["rev-parse", "HEAD"])?.as_deref() == Some(&fetched.commit)
        && git.run(folder, ["diff-index", "--quiet", "--cached", "HEAD", "--"])?.is_ok()
    {
        return Ok(Ok(()));
    }
    Ok(checkout(&["checkout", "--quiet", "--force", "--detach", &fetched.commit])?.map(|_| ()))
}

fn bring_large_files(fetched: &FetchedGit, folder: &Path) -> Result<()> {
    let objects = fetched.repository.join("lfs/objects");
    if !objects.is_dir() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(&objects) {
        let entry =
            entry.map_err(|error| Error::new(Kind::Machine, "the cache's large files can't be read").because(error))?;
        let Ok(relative) = entry.path().strip_prefix(&objects) else { continue };
        let to = folder.join(".git/lfs/objects").join(relative);
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(&to)?;
        } else {
            fs_err::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// From the cache, by a file url: a path would make hard links.
fn check_out_submodule(git: &Git, submodule: &Submodule, outer: &Path) -> Result<()> {
    let failed = |failed: Failed| {
        failed.error(Kind::Unavailable, format!("the submodule `{}` can't be checked out", submodule.name))
    };
    let Ok(source) = url::Url::from_file_path(&submodule.git.repository) else {
        return Err(Error::new(Kind::Machine, format!("`{}` has no url", submodule.git.repository.display())));
    };
    let key = format!("submodule.{}.url", submodule.name);
    let options = if submodule.git.lfs { &LARGE[..] } else { &[] };
    git.run(outer, ["config", "--local", &key, source.as_str()])?.map_err(failed)?;
    let update = ["submodule", "--quiet", "update", "--init", "--force", "--", &submodule.path];
    git.run(outer, options.iter().chain(&update))?.map_err(failed)?;
    git.run(outer, ["config", "--local", &key, &submodule.git.url])?.map_err(failed)?;
    let inner = outer.join(&submodule.path);
    git.run(&inner, ["remote", "set-url", "origin", &submodule.git.url])?.map_err(failed)?;
    let commit = git.line(&inner, &["rev-parse", "HEAD"])?;
    if commit.as_deref() != Some(&submodule.git.commit) {
        return Err(Error::new(
            Kind::Unavailable,
            format!("the submodule `{}` is not at the commit `{}`", submodule.name, submodule.git.commit),
        ));
    }
    for deeper in &submodule.git.submodules {
        check_out_submodule(git, deeper, &inner)?;
    }
    Ok(())
}

/// What git says of the checkout whose top is `folder`, whatever repository encloses it; `None` where there is no
/// `.git` in it, or no commit yet.
///
/// # Errors
/// `Kind::Machine` where git can't be run.
pub fn describe_git(folder: &Path) -> Result<Option<GitFacts>> {
    let own = folder.join(".git");
    if own.symlink_metadata().is_err() {
        return Ok(None);
    }
    let git = Git::local()?;
    let repository = [("GIT_DIR", own.as_os_str())];
    let line = |args: &[&str]| git.line_with(folder, args, &repository);
    let Some(full_hash) = line(&["rev-parse", "--verify", "--quiet", "HEAD"])? else { return Ok(None) };
    let split = |text: String| -> Option<[String; 3]> {
        let mut parts = text.rsplitn(3, '-').map(str::to_owned);
        let (hash, number, tag) = (parts.next()?, parts.next()?, parts.next()?);
        Some([tag, number, hash])
    };
    let mut info = GitInfo { full_hash, ..GitInfo::default() };
    if let Some([tag, number, hash]) = line(&["describe", "--tags", "--long", "HEAD"])?.and_then(split) {
        (info.describe_tag, info.describe_number, info.describe_hash) = (tag, number, hash);
    } else if let Some([_, _, hash]) = line(&["describe", "--all", "--long", "HEAD"])?.and_then(split) {
        // No tag above HEAD: a branch's name says nothing, but the hash does.
        info.describe_hash = hash;
    }
    let time = line(&["log", "-n1", "--format=%ct"])?.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    let url = line(&["config", "--get", "remote.origin.url"])?.unwrap_or_default();
    Ok(Some(GitFacts { info, time, top: folder.to_path_buf(), url }))
}

/// The text of `info/git`: log, description and status of the checkout (conda-build's `source.git_info`).
///
/// # Errors
/// `Kind::Machine` where git can't be run.
pub fn git_report(folder: &Path) -> Result<String> {
    let git = Git::local()?;
    let own = folder.join(".git");
    let mut report = String::new();
    for args in [&["log", "-n1"][..], &["describe", "--tags", "--dirty"], &["status"]] {
        let output = git.run_with(folder, args, &[("GIT_DIR", own.as_os_str())])?;
        report.push_str(&format!("==> git {} <==\n", args.join(" ")));
        report.push_str(&String::from_utf8_lossy(&output.unwrap_or_default()));
        report.push('\n');
    }
    Ok(report)
}

/// Makes a commit of a patch that git made, in a checkout; whether that worked. The committer is conda-build's and the
/// time the author's, so that the commit is the same everywhere.
pub(in super::super) fn apply_mail(folder: &Path, patch: &Path) -> bool {
    let Ok(git) = Git::local() else { return false };
    let committer = [
        ("GIT_COMMITTER_NAME", OsStr::new("conda-build")),
        ("GIT_COMMITTER_EMAIL", OsStr::new("conda@conda-build.org")),
    ];
    let args = ["am", "--quiet", "--3way", "--committer-date-is-author-date", "--"].map(OsStr::new);
    let applied = git.run_with(folder, args.into_iter().chain([patch.as_os_str()]), &committer);
    if matches!(applied, Ok(Ok(_))) {
        return true;
    }
    // What is left of it is in the way of the next attempt.
    let _ = git.run(folder, ["am", "--abort"]);
    false
}

/// Applies a patch that isn't made of lines alone; the error is git's text.
pub(in super::super) fn apply_binary(folder: &Path, patch: &Path, strip: usize) -> Result<(), String> {
    let git = Git::local().map_err(|error| error.message)?;
    let folder = fs_err::canonicalize(folder).map_err(|error| error.to_string())?;
    let above = folder.parent().unwrap_or(&folder).to_path_buf();
    let level = format!("-p{strip}");
    let args = ["apply", "--whitespace=nowarn", &level, "--"].map(OsStr::new);
    let done = git.run_with(
        &folder,
        args.into_iter().chain([patch.as_os_str()]),
        &[("GIT_CEILING_DIRECTORIES", above.as_os_str())],
    );
    match done {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(failed)) => Err(failed.text),
        Err(error) => Err(error.message),
    }
}

/// Applies a patch byte by byte with GNU patch, all of it or nothing; `None` where there is no such program.
pub(in super::super) fn apply_with_patch(folder: &Path, patch: &Path, strip: usize) -> Option<Result<(), String>> {
    let level = format!("-Np{strip}");
    let base = ["--batch", "--binary", "--no-backup-if-mismatch", &level, "-i"].map(OsStr::new);
    let mut args = base.to_vec();
    args.push(patch.as_os_str());
    let mut dry = args.clone();
    dry.push(OsStr::new("--dry-run"));
    if let Err(failed) = program::patch(folder, &dry)? {
        return Some(Err(failed.text));
    }
    Some(program::patch(folder, &args)?.map_err(|failed| failed.text))
}
