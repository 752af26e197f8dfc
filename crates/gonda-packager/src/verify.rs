//! Is a package what it says? Every member against `paths.json`, every path against the rules, whoever built it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use rattler_conda_types::package::{IndexJson, PathType, PathsJson};
use serde::Serialize;

use crate::archive::{ArchiveFormat, Limits, Part};
use crate::compiled::{self, LookAtBinary};
use crate::contents::{Contents, Packed};
use crate::error::{Error, Problem, Result, Severity};
use crate::member_path::{leaves_package, path_problem};
use crate::tarball::TarKind;
use crate::truth::{self, Claims, Finding};

/// The result of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How the archive is made.
    pub format: ArchiveFormat,
    /// Payload files and links.
    pub files: usize,
    /// Members of `info/`.
    pub info: usize,
    /// Sum of the payload's sizes.
    pub installed_size: u64,
    /// What is wrong with the archive, errors first; empty if nothing is.
    pub problems: Vec<Problem>,
    /// Compiled files.
    pub binaries: usize,
    /// What is wrong with them, by path.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether there is no error; warnings may be there.
    #[must_use]
    pub fn ok(&self) -> bool {
        let problems = self.problems.iter().map(|problem| problem.severity);
        let findings = self.findings.iter().map(|finding| finding.severity);
        problems.chain(findings).all(|severity| severity != Severity::Error)
    }
}

/// Reads a whole archive and checks all of it.
///
/// # Errors
/// An archive that can't be read to its end. What can be read but is wrong, is a problem in the result.
pub fn verify(path: &Path, limits: &Limits) -> Result<Verification> {
    verify_with(path, limits, &mut |_, _, _| {}).map(|(verification, _)| verification)
}

/// As [`verify`]; besides, `look` gets every compiled file, for more to be read from it, and the answer has what the
/// package claims, for that to be held against.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(path: &Path, limits: &Limits, look: &mut LookAtBinary<'_>) -> Result<(Verification, Claims)> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    let (contents, binaries) = compiled::read(path, &file, limits, look)?;
    let stem = stem(path);
    let claims = contents.claims();
    let problems = contents.problems(stem.as_deref());
    let payload = || contents.members.iter().filter(|member| member.is_payload());
    let verification = Verification {
        format: contents.container.format,
        files: payload().count(),
        info: contents.members.iter().filter(|member| member.part == Part::Info && !member.is_directory()).count(),
        installed_size: payload().map(|member| member.size).sum(),
        problems,
        binaries: binaries.len(),
        findings: binaries.iter().flat_map(|(path, binary)| truth::check(path, binary, &claims)).collect(),
    };
    Ok((verification, claims))
}

/// `<name>-<version>-<build>` of a file name.
pub(crate) fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".conda").or_else(|| name.strip_suffix(".tar.bz2")).map(str::to_owned)
}

impl Contents {
    /// All that is wrong, errors first. `stem` is the file's name without its extension, if it has one.
    pub(crate) fn problems(&self, stem: Option<&str>) -> Vec<Problem> {
        let mut problems = self.container.problems.clone();
        self.check_members(&mut problems);
        self.check_index(stem, &mut problems);
        self.check_paths(&mut problems);
        problems.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
        problems.dedup();
        problems
    }

    fn check_members(&self, problems: &mut Vec<Problem>) {
        let mut seen = BTreeSet::new();
        let mut folded: BTreeMap<String, &str> = BTreeMap::new();
        for member in &self.members {
            let path = member.path.clone();
            if let Some(message) = path_problem(&path) {
                problems.push(Problem::error(path.clone(), message));
            }
            match &member.kind {
                TarKind::Directory => continue,
                TarKind::Other(kind) => {
                    let message = format!("neither file, link nor folder (tar type `{}`)", char::from(*kind));
                    problems.push(Problem::error(path.clone(), message));
                }
                TarKind::Symlink(target) if leaves_package(&path, target) => {
                    problems.push(Problem::warning(path.clone(), format!("a link out of the package, to `{target}`")));
                }
                _ => {}
            }
            if !seen.insert(path.clone()) {
                problems.push(Problem::error(path.clone(), "there twice"));
            } else if let Some(other) = folded.insert(path.to_lowercase(), &member.path) {
                problems.push(Problem::warning(path.clone(), format!("differs from `{other}` in case only")));
            }
            if self.container.format == ArchiveFormat::Conda && member.part != Part::of(&path) {
                let message = match member.part {
                    Part::Pkg => "belongs to `info-*.tar.zst`, but stands in `pkg-*.tar.zst`",
                    Part::Info => "stands in `info-*.tar.zst`, but is not below `info/`",
                };
                problems.push(Problem::error(path.clone(), message));
            }
            if member.mode & 0o6000 != 0 {
                problems.push(Problem::warning(path.clone(), "has a setuid or setgid bit"));
            }
            if path.starts_with("conda-meta/") {
                problems.push(Problem::error(path, "`conda-meta/` is reserved for the installer"));
            }
        }
        // A file that is another's folder can't be extracted.
        for path in &seen {
            let mut parent = path.as_str();
            while let Some((folder, _)) = parent.rsplit_once('/') {
                parent = folder;
                if seen.contains(parent) {
                    problems.push(Problem::error(path.clone(), format!("lies below `{parent}`, which is no folder")));
                    break;
                }
            }
        }
    }

    fn check_index(&self, stem: Option<&str>, problems: &mut Vec<Problem>) {
        let place = "info/index.json".to_owned();
        let Some(text) = self.texts.get(&place) else {
            problems.push(Problem::error(place, "missing"));
            return;
        };
        let index: IndexJson = match serde_json::from_slice(text) {
            Ok(index) => index,
            Err(error) => {
                problems.push(Problem::error(place, error.to_string()));
                return;
            }
        };
        let declared = format!("{}-{}-{}", index.name.as_normalized(), index.version, index.build);
        if let Some(stem) = stem.filter(|stem| *stem != declared) {
            problems.push(Problem::error(place.clone(), format!("is that of `{declared}`, not of `{stem}`")));
        }
        if index.subdir.is_none() {
            problems.push(Problem::warning(place.clone(), "no `subdir`"));
        }
        if let Some(stem) = stem {
            for outer in &self.container.outer {
                let inner = outer.strip_suffix(".tar.zst");
                let inner = inner.and_then(|name| name.strip_prefix("pkg-").or_else(|| name.strip_prefix("info-")));
                if inner.is_some_and(|inner| inner != stem) {
                    problems.push(Problem::warning(outer.clone(), format!("is not named after `{stem}`")));
                }
            }
        }
    }

    fn check_paths(&self, problems: &mut Vec<Problem>) {
        let payload: BTreeMap<&str, &Packed> = self
            .members
            .iter()
            .filter(|member| member.is_payload())
            .map(|member| (member.path.as_str(), member))
            .collect();
        let place = "info/paths.json".to_owned();
        let files: Option<BTreeSet<&str>> = self
            .texts
            .get("info/files")
            .and_then(|text| std::str::from_utf8(text).ok())
            .map(|text| text.lines().filter(|line| !line.is_empty()).collect());
        let Some(text) = self.texts.get(&place) else {
            let problem = match self.container.format {
                ArchiveFormat::Conda => Problem::error(place, "missing"),
                ArchiveFormat::TarBz2 => Problem::warning(place, "missing: an old package"),
            };
            problems.push(problem);
            compare_lists(&files.unwrap_or_default(), &payload, "`info/files`", Severity::Error, problems);
            return;
        };
        let declared: PathsJson = match serde_json::from_slice(text) {
            Ok(declared) => declared,
            Err(error) => {
                problems.push(Problem::error(place, error.to_string()));
                return;
            }
        };
        if declared.paths_version != 1 {
            problems.push(Problem::error(place, format!("`paths_version` is {}, not 1", declared.paths_version)));
        }
        let mut names = BTreeSet::new();
        let texts: Vec<Option<&str>> = declared.paths.iter().map(|entry| entry.relative_path.to_str()).collect();
        for (entry, name) in declared.paths.iter().zip(texts) {
            let Some(name) = name else { continue };
            if entry.path_type == PathType::Directory {
                continue;
            }
            if !names.insert(name) {
                problems.push(Problem::error(name.to_owned(), "declared twice in `info/paths.json`"));
            }
            let Some(member) = payload.get(name) else { continue };
            let file = entry.path_type == PathType::HardLink;
            if file != member.is_file() {
                let declared = if file { "file" } else { "link" };
                problems.push(Problem::error(name.to_owned(), format!("declared as {declared}, but it is none")));
                continue;
            }
            // Tools disagree on a link's size and hash: its own, its target's, none. Only files can be held to them.
            if !file {
                continue;
            }
            if let Some(size) = entry.size_in_bytes.filter(|size| *size != member.size) {
                problems.push(Problem::error(name.to_owned(), format!("declared {size} bytes, has {}", member.size)));
            }
            if let Some(sha256) = entry.sha256.map(hex::encode).filter(|sha256| *sha256 != member.sha256) {
                let message = format!("declared sha256 `{sha256}`, has `{}`", member.sha256);
                problems.push(Problem::error(name.to_owned(), message));
            }
            if entry.sha256.is_none() || entry.size_in_bytes.is_none() {
                problems.push(Problem::warning(name.to_owned(), "declared without sha256 or size"));
            }
        }
        compare_lists(&names, &payload, "`info/paths.json`", Severity::Error, problems);
        if let Some(files) = files {
            compare_lists(&files, &payload, "`info/files`", Severity::Warning, problems);
        }
    }
}

fn compare_lists(
    declared: &BTreeSet<&str>,
    payload: &BTreeMap<&str, &Packed>,
    list: &str,
    severity: Severity,
    problems: &mut Vec<Problem>,
) {
    for name in declared {
        if !payload.contains_key(name) {
            let message = format!("declared in {list}, but missing");
            problems.push(Problem { severity, path: Some((*name).to_owned()), message });
        }
    }
    for name in payload.keys() {
        if !declared.contains(name) {
            let message = format!("not declared in {list}");
            problems.push(Problem { severity, path: Some((*name).to_owned()), message });
        }
    }
}

#[cfg(test)]
mod tests;
