//! Git sources: a bare repository in the cache for each url, from which the work folder is cloned, work tree and
//! `.git` both, as conda-build does.
//!
//! All that needs the network happens while fetching, submodules included. The `git` program does the work; what a
//! repository holds never becomes an option or a command.

mod checkout;
mod program;

use std::path::{Path, PathBuf};

use gonda_recipe::{RecipeFormat, Source, SourceKind};

pub use checkout::{GitFacts, describe_git, git_report};
pub(super) use checkout::{apply_binary, apply_mail, apply_with_patch, check_out};

use self::program::{Failed, Git};
use super::download::{Place, mirror_place};
use super::{FetchedGit, SourceSettings, Submodule, cache, digest, host, shown};
use crate::files::blocking;
use crate::{Error, Events, Kind, Result};

/// Repositories within repositories go at most this deep.
const DEEPEST: usize = 8;
/// A repository has at most this many others within.
const MOST: usize = 1000;

/// What is wanted of a repository.
#[derive(Debug, Clone)]
struct Wanted {
    url: String,
    rev: Option<String>,
    depth: Option<i64>,
    lfs: bool,
    submodules: bool,
}

/// Brings a repository into the cache and finds the commit that the recipe means.
pub(super) async fn fetch(
    source: &Source,
    settings: &SourceSettings,
    events: &Events,
    job: &str,
) -> Result<FetchedGit> {
    let SourceKind::Git { url, rev, depth, lfs, submodules, expected_commit } = &source.kind else {
        return Err(Error::new(Kind::Bug, "a repository was asked of a source that is none"));
    };
    let wanted = Wanted {
        url: absolute(url, &settings.recipe_dir),
        rev: rev.clone().filter(|rev| !rev.is_empty()),
        depth: *depth,
        lfs: *lfs,
        submodules: *submodules || settings.format == RecipeFormat::V0,
    };
    let expected = expected_commit.clone();
    let (settings, events, job) = (settings.clone(), events.clone(), job.to_owned());
    blocking(move || {
        let fetcher = Fetcher { settings: &settings, events: &events, job: &job, local: Git::local()? };
        let fetched = fetcher.fetch(&wanted, 0)?;
        if let Some(expected) = expected.filter(|expected| !expected.eq_ignore_ascii_case(&fetched.commit)) {
            let rev = fetched.rev.as_deref().unwrap_or("HEAD");
            return Err(Error::new(
                Kind::Unavailable,
                format!(
                    "`{rev}` of `{}` is the commit `{}`, but the recipe expects `{expected}`",
                    shown(&fetched.url),
                    fetched.commit
                ),
            )
            .help(
                "the tag or branch was moved after the recipe was written; look at what changed before you trust it",
            ));
        }
        Ok(fetched)
    })
    .await
}

struct Fetcher<'a> {
    settings: &'a SourceSettings,
    events: &'a Events,
    job: &'a str,
    local: Git,
}

impl Fetcher<'_> {
    fn fetch(&self, wanted: &Wanted, level: usize) -> Result<FetchedGit> {
        for text in [Some(&wanted.url), wanted.rev.as_ref()].into_iter().flatten() {
            if text.starts_with('-') || text.contains(['\n', '\0']) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("`{}` is neither a repository nor a revision", text.escape_debug()),
                ));
            }
        }
        let (repository, commit) = self.find(wanted)?;
        let lfs = self.large_files(wanted, &repository, &commit)?;
        let mut fetched = FetchedGit {
            repository,
            url: wanted.url.clone(),
            rev: wanted.rev.clone(),
            commit,
            submodules: Vec::new(),
            lfs,
        };
        if wanted.submodules {
            fetched.submodules = self.submodules(&fetched, level)?;
        }
        Ok(fetched)
    }

    /// A repository that has the commit: of a mirror, else the cache's own.
    fn find(&self, wanted: &Wanted) -> Result<(PathBuf, String)> {
        let name = mirror_name(&wanted.url);
        let places =
            name.iter().flat_map(|name| self.settings.mirrors.iter().filter_map(|mirror| mirror_place(mirror, name)));
        for place in places {
            match place {
                Place::File(path) if path.join("HEAD").is_file() || path.join(".git").exists() => {
                    let path = fs_err::canonicalize(path)?;
                    if let Some(commit) = self.resolve(&path, wanted)? {
                        return Ok((path, commit));
                    }
                    let rev = wanted.rev.as_deref().unwrap_or("HEAD");
                    self.events
                        .warn(self.job, format!("the source mirror's `{}` doesn't have `{rev}`", path.display()));
                }
                Place::Http(url) if !self.settings.offline => {
                    let at_mirror = Wanted { url: url.to_string(), ..wanted.clone() };
                    match self.cached(&at_mirror) {
                        Ok(found) => return Ok(found),
                        Err(error) if error.kind == Kind::Unavailable => {}
                        Err(error) => return Err(error),
                    }
                }
                _ => {}
            }
        }
        self.cached(wanted)
    }

    /// The cache's repository for a url, brought up to date where that is needed.
    fn cached(&self, wanted: &Wanted) -> Result<(PathBuf, String)> {
        let folder = self.settings.cache_root.join("git");
        fs_err::create_dir_all(&folder)?;
        let entry = entry_name(wanted);
        let _locked = cache::lock(&folder, &entry)?;
        let repository = folder.join(&entry);
        let is_there = repository.join("HEAD").is_file();
        let may_ask = !self.settings.offline || is_local(&wanted.url);
        let rev = wanted.rev.as_deref().unwrap_or("HEAD");
        if is_there && (!may_ask || is_commit(rev)) {
            // A commit never changes; offline, what is here must do.
            if let Some(commit) = self.resolve(&repository, wanted)? {
                return Ok((repository, commit));
            }
        }
        if !may_ask {
            return Err(Error::new(
                Kind::Unavailable,
                format!("`{rev}` of `{}` is not in the cache, and gonda is offline", shown(&wanted.url)),
            )
            .help("run `gonda fetch` with the network first, or name a folder that has git/<owner>+<repo> with --source-mirror"));
        }
        self.events.note(self.job, format!("fetching {}", shown(&wanted.url)));
        let network = if is_local(&wanted.url) { Git::local()? } else { Git::network() };
        let updated = if is_there { self.update(&network, &repository, wanted)? } else { Err(nothing()) };
        if updated.is_err() {
            // New, or damaged: made aside.
            let aside = tempfile::Builder::new().prefix(".part-").tempdir_in(&folder)?;
            let fresh = aside.path().join("repository");
            fs_err::create_dir(&fresh)?;
            self.create(&network, &fresh, wanted)?;
            if is_there {
                fs_err::rename(&repository, aside.path().join("old"))?;
            }
            fs_err::rename(&fresh, &repository)?;
        }
        match self.resolve(&repository, wanted)? {
            Some(commit) => Ok((repository, commit)),
            None => Err(Error::new(Kind::Unavailable, format!("`{}` has no `{rev}`", shown(&wanted.url)))
                .help("correct `git_rev`/`git_tag` (meta.yaml) or `rev`/`tag`/`branch` (recipe.yaml)")),
        }
    }

    fn create(&self, network: &Git, repository: &Path, wanted: &Wanted) -> Result<()> {
        let failed = |failed: Failed| {
            failed
                .error(Kind::Unavailable, format!("the repository `{}` could not be fetched", shown(&wanted.url)))
                .help(
                    "check the url and the network, or name a folder that has git/<owner>+<repo> with --source-mirror",
                )
        };
        self.local.run(repository, ["init", "--quiet", "--bare", "--template=", "."])?.map_err(failed)?;
        self.local.run(repository, ["remote", "add", "origin", &wanted.url])?.map_err(failed)?;
        self.update(network, repository, wanted)?.map_err(failed)
    }

    fn update(&self, network: &Git, repository: &Path, wanted: &Wanted) -> Result<Result<(), Failed>> {
        let retry = self.settings.retry;
        let depth = wanted.depth.filter(|depth| *depth > 0).map(|depth| format!("--depth={depth}"));
        let mut fetch =
            vec!["fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-recurse-submodules", "--update-head-ok"];
        fetch.extend(depth.as_deref());
        let mut all = fetch.clone();
        all.extend(["origin", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        if let Err(failed) = network.run_patiently(repository, &all, retry)? {
            return Ok(Err(failed));
        }
        // Where HEAD is: with a shallow or odd repository, nothing depends on it unless the recipe names no revision.
        if let Ok(output) = network.run_patiently(repository, &["ls-remote", "--symref", "origin", "HEAD"], retry)? {
            self.set_head(repository, &String::from_utf8_lossy(&output))?;
        }
        let Some(rev) = wanted.rev.as_deref() else { return Ok(Ok(())) };
        if self.resolve(repository, wanted)?.is_none() {
            // A commit on no branch, a ref that is neither branch nor tag, or one beyond the depth.
            let name =
                if is_commit(rev) { format!("+{rev}:refs/gonda/{rev}") } else { format!("+{rev}:refs/gonda/rev") };
            fetch.retain(|arg| *arg != "--prune");
            fetch.extend(["origin", &name]);
            let one = network.run_patiently(repository, &fetch, retry)?;
            if one.is_err() && depth.is_some() {
                let more = ["fetch", "--quiet", "--unshallow", "--no-tags", "origin"];
                return Ok(network.run_patiently(repository, &more, retry)?.map(|_| ()));
            }
        }
        Ok(Ok(()))
    }

    fn set_head(&self, repository: &Path, answer: &str) -> Result<()> {
        let (mut branch, mut commit) = (None, None);
        for line in answer.lines() {
            if let Some(name) = line.strip_prefix("ref: ").and_then(|rest| rest.strip_suffix("\tHEAD")) {
                branch = Some(name);
            } else if let Some(hash) = line.strip_suffix("\tHEAD").filter(|hash| is_commit(hash)) {
                commit = Some(hash);
            }
        }
        let branch = branch.filter(|name| name.starts_with("refs/heads/"));
        if let Some(branch) = branch {
            // A failure shows when HEAD is asked for.
            let _ = self.local.run(repository, ["symbolic-ref", "HEAD", branch])?;
        } else if let Some(commit) = commit {
            let _ = self.local.run(repository, ["update-ref", "--no-deref", "HEAD", commit])?;
        }
        Ok(())
    }

    /// The commit that a revision means: a tag, a branch, else whatever git makes of it.
    fn resolve(&self, repository: &Path, wanted: &Wanted) -> Result<Option<String>> {
        let rev = wanted.rev.as_deref().unwrap_or("HEAD");
        let mut names = vec![format!("refs/tags/{rev}"), format!("refs/heads/{rev}"), rev.to_owned()];
        names.extend(rev.strip_prefix("origin/").map(|branch| format!("refs/heads/{branch}")));
        if rev.starts_with("refs/") {
            names.push("refs/gonda/rev".into());
        }
        if is_commit(rev) || wanted.rev.is_none() {
            names = vec![rev.to_owned()];
        }
        for name in names {
            let name = format!("{name}^{{commit}}");
            let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
            let line = self.local.line(repository, &args)?;
            if let Some(commit) = line.filter(|line| is_commit(line)) {
                return Ok((!is_commit(rev) || commit.eq_ignore_ascii_case(rev)).then_some(commit));
            }
        }
        Ok(None)
    }

    /// Fetches git's large files where they are wanted: in v1 where the recipe says so, in v0 where the repository has
    /// some and the machine has `git lfs`, as conda-build does.
    fn large_files(&self, wanted: &Wanted, repository: &Path, commit: &str) -> Result<bool> {
        let listed = || self.local.run(repository, ["lfs", "ls-files", commit]);
        let has = match self.settings.format {
            RecipeFormat::V0 if !wanted.lfs => listed()?.is_ok_and(|output| !output.trim_ascii().is_empty()),
            _ => wanted.lfs,
        };
        if !has {
            return Ok(false);
        }
        if !self.settings.offline || is_local(&wanted.url) {
            let network = if is_local(&wanted.url) { Git::local()? } else { Git::network() };
            if let Err(failed) =
                network.run_patiently(repository, &["lfs", "fetch", "origin", commit], self.settings.retry)?
            {
                let message = format!("the large files of `{}` could not be fetched", shown(&wanted.url));
                return Err(failed
                    .error(Kind::Unavailable, message)
                    .help("`git lfs` must be installed, and the server must have the files"));
            }
        }
        Ok(true)
    }

    fn submodules(&self, outer: &FetchedGit, level: usize) -> Result<Vec<Submodule>> {
        let blob = format!("{}:.gitmodules", outer.commit);
        let args = ["config", "--blob", &blob, "--null", "--get-regexp", r"^submodule\..*\.(path|url)$"];
        let Ok(output) = self.local.run(&outer.repository, args)? else { return Ok(Vec::new()) };
        let entries = modules(&String::from_utf8_lossy(&output));
        if level >= DEEPEST || entries.len() > MOST {
            return Err(Error::new(
                Kind::Unavailable,
                format!("`{}` has too many repositories within", shown(&outer.url)),
            )
            .help(format!("gonda follows submodules {DEEPEST} levels deep, and {MOST} of them")));
        }
        let mut submodules = Vec::new();
        for (name, path, url) in entries {
            let args = ["ls-tree", "-z", "--full-tree", &outer.commit, "--", &path];
            let Ok(output) = self.local.run(&outer.repository, args)? else { continue };
            let listed = String::from_utf8_lossy(&output).into_owned();
            let Some(commit) = listed.strip_prefix("160000 commit ").and_then(|rest| rest.get(..40)) else { continue };
            let url = relative_to(&outer.url, &url);
            if is_local(&url) && !is_local(&outer.url) {
                return Err(Error::new(
                    Kind::Unavailable,
                    format!("the submodule `{name}` of `{}` points into this machine: `{url}`", shown(&outer.url)),
                ));
            }
            let wanted = Wanted { url, rev: Some(commit.to_owned()), depth: None, lfs: outer.lfs, submodules: true };
            submodules.push(Submodule { name, path, git: self.fetch(&wanted, level + 1)? });
        }
        Ok(submodules)
    }
}

fn nothing() -> Failed {
    Failed { what: "git".into(), text: String::new() }
}

/// Name, path and url of each submodule that `.gitmodules` tells both of.
fn modules(listed: &str) -> Vec<(String, String, String)> {
    let mut found: Vec<(String, Option<String>, Option<String>)> = Vec::new();
    for entry in listed.split('\0') {
        let Some((key, value)) = entry.split_once('\n') else { continue };
        let Some((name, what)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let index = match found.iter().position(|(known, ..)| known == name) {
            Some(index) => index,
            None => {
                found.push((name.to_owned(), None, None));
                found.len() - 1
            }
        };
        match what {
            "path" => found[index].1 = Some(value.to_owned()),
            _ => found[index].2 = Some(value.to_owned()),
        }
    }
    found.into_iter().filter_map(|(name, path, url)| Some((name, path?, url?))).collect()
}

/// A submodule's url, which may be relative to the outer one.
fn relative_to(outer: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let mut base = outer.trim_end_matches('/').to_owned();
    let mut rest = url;
    loop {
        if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("../") {
            let cut = base.rfind(['/', ':']).unwrap_or(0);
            if base[..cut].ends_with(['/', ':']) {
                // Nothing above the server.
                return format!("{base}/{after}");
            }
            let colon = base[cut..].starts_with(':');
            base.truncate(if colon { cut + 1 } else { cut });
            rest = after;
        } else {
            let joint = if base.ends_with(':') { "" } else { "/" };
            return format!("{base}{joint}{rest}");
        }
    }
}

/// The recipe's url, with a path made absolute.
fn absolute(url: &str, recipe_dir: &Path) -> String {
    if !is_path(url) {
        return url.to_owned();
    }
    let path = recipe_dir.join(host::expand_home(Path::new(url)));
    fs_err::canonicalize(&path).unwrap_or(path).display().to_string()
}

/// Whether it is a path, neither a url nor `host:path`.
fn is_path(url: &str) -> bool {
    let drive = host::has_drive(url);
    !url.contains("://") && (drive || !url.split('/').next().is_some_and(|first| first.contains(':')))
}

fn is_local(url: &str) -> bool {
    is_path(url) || url.starts_with("file://")
}

/// A full hash: of SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `git/<owner>+<repo>`, as mirrors have it; from the last two parts of the url.
fn mirror_name(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut parts = path.rsplit(['/', ':', '\\']).filter(|part| !part.is_empty());
    let (repository, owner) = (parts.next()?, parts.next()?);
    (repository != ".." && owner != "..").then(|| format!("git/{owner}+{repository}"))
}

/// Readable, and distinct by a digest of the url.
fn entry_name(wanted: &Wanted) -> String {
    let readable: String = mirror_name(&wanted.url)
        .unwrap_or_default()
        .trim_start_matches("git/")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "+-_.".contains(c) { c } else { '_' })
        .take(60)
        .collect();
    let depth = wanted.depth.filter(|depth| *depth > 0).map(|depth| format!("-depth{depth}")).unwrap_or_default();
    format!("{readable}-{}{depth}", &digest::sha256_of(wanted.url.as_bytes())[..16])
}

#[cfg(test)]
pub(super) mod tests;
