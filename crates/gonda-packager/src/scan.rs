//! From a prefix to entries: what is there, what of it is never packed, and what the chosen files are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use walkdir::WalkDir;

use crate::entry::{Entry, Kind};
use crate::error::{Error, Result};
use crate::host;
use crate::prefix::{Detection, PrefixMap, Search, check_declared};

/// Something worth saying about a package that is still made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// The bytes of a file hold a path of this very build.
    PathDependent {
        /// The file.
        path: String,
    },
    /// A link leads to an absolute path outside the prefix.
    AbsoluteLink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// Two paths are one on file systems that don't tell upper from lower case.
    CaseCollision {
        /// The first in order.
        path: String,
        /// The other.
        other: String,
    },
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PathDependent { path } => write!(f, "not path-independent: {path}"),
            Self::AbsoluteLink { path, target } => write!(f, "`{path}` is a link out of the prefix, to `{target}`"),
            Self::CaseCollision { path, other } => write!(f, "`{path}` and `{other}` differ in case only"),
        }
    }
}

/// The result of [`scan`].
#[derive(Debug, Default)]
pub struct Scanned {
    /// Sorted by path, each once.
    pub entries: Vec<Entry>,
    /// What should be told, sorted.
    pub remarks: Vec<Remark>,
}

/// Whether a path, relative to the prefix, is never packed (conda-build's utils.py, `filter_files`).
#[must_use]
pub fn is_excluded(path: &str) -> bool {
    let trash = path.rsplit_once(".conda_trash").is_some_and(|(_, rest)| {
        rest.split('_').enumerate().all(|(i, part)| part.is_empty() == (i == 0) && part.bytes().all(|b| b.is_ascii_digit()))
    });
    path.starts_with("conda-meta")
        || path.ends_with(".la")
        || path.contains(".DS_Store")
        || path.split('/').any(|name| name == ".git")
        || trash
}

/// All files and links below `prefix`, as sorted posix paths; those that are never packed are left out.
/// An absent prefix is an empty one.
///
/// # Errors
/// A folder that can't be read; a name that is not UTF-8 or holds a line break.
pub fn list(prefix: &Path) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    if !prefix.is_dir() {
        return Ok(paths);
    }
    for entry in WalkDir::new(prefix).min_depth(1) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(prefix).to_owned();
            Error::io("read", &path, error.into())
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = posix(prefix, entry.path())?;
        if !is_excluded(&path) {
            paths.insert(path);
        }
    }
    Ok(paths)
}

fn posix(prefix: &Path, path: &Path) -> Result<String> {
    let relative = path.strip_prefix(prefix).unwrap_or(path);
    let names: Option<Vec<&str>> = relative.components().map(|component| component.as_os_str().to_str()).collect();
    match names {
        Some(names) if !names.iter().any(|name| name.contains(['\n', '\r'])) => Ok(names.join("/")),
        _ => Err(Error::Unpackable {
            message: format!("the file name `{}` can't be packed", relative.display().to_string().escape_debug()),
            help: Some("names in packages are UTF-8 without line breaks: rename or remove the file".to_owned()),
        }),
    }
}

/// Looks at the files and links `paths` (as [`list`] names them) below `prefix`. `seen_prefix` is the path of the
/// prefix that the script saw: absolute links into it become relative, as in conda-build's post.py, `check_symlinks`.
///
/// # Errors
/// Files that can't be read; what is neither file nor link; declared files without the prefix.
pub fn scan(
    prefix: &Path,
    seen_prefix: &str,
    paths: impl IntoIterator<Item = String>,
    no_link: &(dyn Fn(&str) -> bool + Sync),
    detection: &Detection<'_>,
) -> Result<Scanned> {
    let paths: BTreeSet<String> = paths.into_iter().collect();
    let search = Search::new(detection);
    let roots = Roots { prefix, real: prefix.canonicalize().unwrap_or_else(|_| prefix.to_owned()), seen: seen_prefix };
    let looked: Vec<Looked> = paths
        .into_iter()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|path| look(&roots, path, no_link, &search, detection.map.as_ref()))
        .collect::<Result<_>>()?;

    let mut groups: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
    for file in &looked {
        if let Some(identity) = file.identity {
            groups.entry(identity).or_default().push(file.entry.path.clone());
        }
    }
    let mut scanned = Scanned::default();
    let mut folded: BTreeMap<String, String> = BTreeMap::new();
    for mut file in looked {
        let path = &file.entry.path;
        if let Some(group) = file.identity.and_then(|identity| groups.get(&identity)).filter(|group| group.len() > 1) {
            file.entry.inode_paths.clone_from(group);
        }
        if let Some(other) = folded.insert(path.to_lowercase(), path.clone()) {
            scanned.remarks.push(Remark::CaseCollision { path: other, other: path.clone() });
        }
        scanned.remarks.extend(file.remark);
        scanned.entries.push(file.entry);
    }
    scanned.remarks.sort();
    let recorded = scanned.entries.iter().filter(|e| e.prefix.is_some()).map(|e| e.path.as_str()).collect();
    check_declared(detection, &recorded)?;
    Ok(scanned)
}

struct Roots<'a> {
    prefix: &'a Path,
    /// `prefix` without links.
    real: PathBuf,
    seen: &'a str,
}

struct Looked {
    entry: Entry,
    identity: Option<(u64, u64)>,
    remark: Option<Remark>,
}

fn look(
    roots: &Roots<'_>,
    path: String,
    no_link: &(dyn Fn(&str) -> bool + Sync),
    search: &Search<'_>,
    map: Option<&Arc<PrefixMap>>,
) -> Result<Looked> {
    let source = roots.prefix.join(&path);
    let metadata = source.symlink_metadata().map_err(|error| Error::io("read", &source, error))?;
    let mut entry = Entry::file(path, &source, false);
    entry.no_link = no_link(&entry.path);
    let mut remark = None;
    let mut identity = None;
    if metadata.is_symlink() {
        let target = std::fs::read_link(&source).map_err(|error| Error::io("read", &source, error))?;
        let Some(target) = target.to_str() else {
            return Err(Error::unpackable(format!("the link `{}` leads to a name that is not UTF-8", entry.path)));
        };
        let target = roots.relative_target(&entry.path, target);
        if is_absolute(&target) {
            remark = Some(Remark::AbsoluteLink { path: entry.path.clone(), target: target.clone() });
        }
        let leads_to = roots.resolve(&source, &target);
        entry.kind = Kind::Symlink { target, leads_to };
    } else if metadata.is_file() {
        entry.executable = host::is_executable(&source, &metadata);
        identity = host::link_identity(&metadata);
        let found = search.file(&entry.path, &source)?;
        entry.prefix = found.prefix;
        entry.map = map.filter(|_| found.mapped).cloned();
        remark = found.path_dependent.then(|| Remark::PathDependent { path: entry.path.clone() });
    } else {
        return Err(Error::Unpackable {
            message: format!("`{}` is neither a file nor a link", entry.path),
            help: Some("sockets, pipes and devices can't be packed: let the script remove it".to_owned()),
        });
    }
    Ok(Looked { entry, identity, remark })
}

fn is_absolute(target: &str) -> bool {
    target.starts_with(['/', '\\']) || target.as_bytes().get(1) == Some(&b':')
}

impl Roots<'_> {
    /// Text of the link as it is packed: relative, if it leads into the prefix.
    fn relative_target(&self, path: &str, target: &str) -> String {
        let inside = [Some(self.seen), self.prefix.to_str(), self.real.to_str()].into_iter().flatten().find_map(|root| {
            let rest = target.strip_prefix(root.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
        });
        let Some(inside) = inside else { return target.to_owned() };
        let from: Vec<&str> = path.split('/').collect();
        let from = &from[..from.len() - 1];
        let to: Vec<&str> = inside.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if to.contains(&"..") {
            return target.to_owned();
        }
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n("..", from.len() - common);
        let relative: Vec<&str> = up.chain(to[common..].iter().copied()).collect();
        if relative.is_empty() { ".".to_owned() } else { relative.join("/") }
    }

    /// The regular file below the prefix that a relative link leads to in the end. What lies outside is as good as
    /// absent: it would be another file on another machine.
    fn resolve(&self, source: &Path, target: &str) -> Option<String> {
        if is_absolute(target) {
            return None;
        }
        let file = source.parent()?.join(target).canonicalize().ok()?;
        let relative = file.strip_prefix(&self.real).ok()?;
        if !file.is_file() || relative.components().any(|component| !matches!(component, Component::Normal(_))) {
            return None;
        }
        posix(&self.real, &file).ok()
    }
}
