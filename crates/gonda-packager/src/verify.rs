//! Is a package what it says? Every member against `paths.json`, every path against the rules, whoever built it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rattler_conda_types::Subdir;
use rattler_conda_types::package::{IndexJson, PathType, PathsJson};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::archive::{ArchiveFormat, Container, Limits, Part, walk};
use crate::compiled::{self, LookAtBinary};
use crate::error::{Error, Problem, Result, Severity};
use crate::paths::EMPTY_SHA256;
use crate::tarball::{TarKind, TarMember};
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

/// A member as it stands in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// The stream it was found in.
    pub(crate) part: Part,
    pub(crate) path: String,
    pub(crate) kind: TarKind,
    /// Of the content; for a hard link, of what it is linked to.
    pub(crate) size: u64,
    /// Of the content (hex); that of nothing for links and folders.
    pub(crate) sha256: String,
    pub(crate) mode: u32,
    pub(crate) owned: bool,
}

impl Packed {
    pub(crate) fn is_directory(&self) -> bool {
        self.kind == TarKind::Directory
    }

    pub(crate) fn is_payload(&self) -> bool {
        self.part == Part::Pkg && !self.is_directory()
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.kind, TarKind::File | TarKind::Hardlink(_))
    }
}

/// A package in memory: all of it but the payload's bytes.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) container: Container,
    pub(crate) members: Vec<Packed>,
    /// Bytes of the files of `info/` that are parsed.
    pub(crate) texts: BTreeMap<String, Vec<u8>>,
}

/// Files of `info/` whose bytes are kept.
const PARSED: [&str; 8] = [
    "info/index.json",
    "info/paths.json",
    "info/files",
    "info/has_prefix",
    "info/no_link",
    "info/about.json",
    "info/run_exports.json",
    "info/used_build_tool.json",
];

/// Called with each regular file of the payload and its bytes, which are hashed on their way.
pub(crate) type Look<'a> = dyn FnMut(&TarMember, &mut dyn Read) -> Result<()> + 'a;

impl Contents {
    pub(crate) fn read(path: &Path, file: &File, limits: &Limits, look: &mut Look<'_>) -> Result<Self> {
        let mut members: Vec<Packed> = Vec::new();
        let mut texts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut placeholders: Option<BTreeMap<String, String>> = None;
        let mut problems = Vec::new();
        let container = walk(path, file, &[Part::Info, Part::Pkg], limits, &mut |part, member, bytes| {
            let mut hashed = Hashed::new(bytes);
            if part == Part::Info && PARSED.contains(&member.path.as_str()) && member.kind == TarKind::File {
                if member.size > limits.text {
                    let message = format!("`{}` is larger than {} bytes", member.path, limits.text);
                    return Err(Error::malformed(path, message));
                }
                let mut text = Vec::new();
                hashed.read_to_end(&mut text).map_err(|error| Error::malformed(path, error.to_string()))?;
                texts.insert(member.path.clone(), text);
            } else if part == Part::Pkg && member.kind == TarKind::File {
                // In `.tar.bz2` files `paths.json` may come later: then nothing is searched for.
                if placeholders.is_none() {
                    placeholders = texts.get("info/paths.json").map(|text| declared_placeholders(text));
                }
                let placeholder = placeholders.as_ref().and_then(|placeholders| placeholders.get(&member.path));
                let mut searched = Searched::new(&mut hashed, placeholder.map_or("", String::as_str));
                look(member, &mut searched)?;
                let copied = io::copy(&mut searched, &mut io::sink());
                copied.map_err(|error| Error::malformed(path, error.to_string()))?;
                if !searched.found {
                    let message = "declared to hold a prefix that is not in it";
                    problems.push(Problem::warning(member.path.clone(), message));
                }
            }
            io::copy(&mut hashed, &mut io::sink()).map_err(|error| Error::malformed(path, error.to_string()))?;
            let (size, sha256) = hashed.finish();
            members.push(Packed {
                part,
                path: member.path.clone(),
                kind: member.kind.clone(),
                size,
                sha256,
                mode: member.mode,
                owned: member.owned,
            });
            Ok(())
        })?;
        let mut contents = Self { container, members, texts };
        contents.container.problems.extend(problems);
        contents.follow_hard_links();
        Ok(contents)
    }

    /// A hard link has the content of the file that stands before it.
    fn follow_hard_links(&mut self) {
        let mut files: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for i in 0..self.members.len() {
            let member = &self.members[i];
            let content = match &member.kind {
                TarKind::File => Some((member.size, member.sha256.clone())),
                TarKind::Hardlink(target) => match files.get(target) {
                    Some(content) => Some(content.clone()),
                    None => {
                        let message = format!("a hard link to `{target}`, which is no file before it");
                        self.container.problems.push(Problem::error(member.path.clone(), message));
                        None
                    }
                },
                _ => None,
            };
            if let Some((size, sha256)) = content {
                files.insert(self.members[i].path.clone(), (size, sha256.clone()));
                (self.members[i].size, self.members[i].sha256) = (size, sha256);
            }
        }
    }

    /// What the package says that its compiled files can be held against; nothing where there is no `index.json`.
    pub(crate) fn claims(&self) -> Claims {
        let index: Value =
            self.texts.get("info/index.json").and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
        let list = |key: &str| {
            let items = index.get(key).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let subdir = index.get("subdir").and_then(Value::as_str).and_then(|subdir| subdir.parse().ok());
        let claims = Claims {
            subdir: subdir.filter(|subdir| *subdir != Subdir::NoArch),
            depends: list("depends"),
            constrains: list("constrains"),
            ..Claims::default()
        };
        claims.with_files(self.members.iter().filter(|member| member.is_payload()).map(|member| member.path.as_str()))
    }

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

/// What is wrong with a member's path: it must stay below the folder it is extracted to, on every system.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some("an empty path");
    }
    if path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':') {
        return Some("an absolute path");
    }
    if path.split(['/', '\\']).any(|name| name == "..") {
        return Some("a path with `..`");
    }
    if path.split('/').any(|name| name.is_empty() || name == ".") {
        return Some("a path with empty parts or `.`");
    }
    if path.contains(['\0', '\n', '\r']) {
        return Some("a path with a control character");
    }
    None
}

/// Whether a link's text leads out of the folder that the package is extracted to.
pub(crate) fn leaves_package(path: &str, target: &str) -> bool {
    if target.starts_with(['/', '\\']) || target.as_bytes().get(1) == Some(&b':') {
        return true;
    }
    let mut depth = path.split('/').count() as i64 - 1;
    for name in target.split(['/', '\\']) {
        depth += match name {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        if depth < 0 {
            return true;
        }
    }
    false
}

/// The prefixes that `paths.json` declares, by path; what can't be parsed is complained of elsewhere.
fn declared_placeholders(text: &[u8]) -> BTreeMap<String, String> {
    let declared: Option<PathsJson> = serde_json::from_slice(text).ok();
    let entries = declared.into_iter().flat_map(|declared| declared.paths);
    entries
        .filter_map(|entry| {
            let placeholder = entry.prefix_placeholder?.placeholder;
            Some((entry.relative_path.to_str()?.to_owned(), placeholder))
        })
        .collect()
}

/// Looks for a string in what is read through it.
struct Searched<'a, R> {
    inner: R,
    needle: &'a [u8],
    /// The end of what was read, as much as may begin the string.
    tail: Vec<u8>,
    found: bool,
}

impl<'a, R> Searched<'a, R> {
    fn new(inner: R, needle: &'a str) -> Self {
        Self { inner, needle: needle.as_bytes(), tail: Vec::new(), found: needle.is_empty() }
    }
}

impl<R: Read> Read for Searched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if !self.found {
            let read = &buffer[..n];
            let keep = self.needle.len() - 1;
            self.tail.extend(&read[..n.min(keep)]);
            self.found = memchr::memmem::find(&self.tail, self.needle).is_some()
                || memchr::memmem::find(read, self.needle).is_some();
            if n > keep {
                self.tail.clear();
                self.tail.extend(&read[n - keep..]);
            } else {
                let old = self.tail.len().saturating_sub(keep);
                self.tail.drain(..old);
            }
        }
        Ok(n)
    }
}

/// Counts and hashes what is read through it.
pub(crate) struct Hashed<R> {
    inner: R,
    size: u64,
    sha256: Sha256,
    /// The first error of `inner`, for who must know whether reading or writing failed.
    pub(crate) failed: bool,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, size: 0, sha256: Sha256::new(), failed: false }
    }

    pub(crate) fn finish(self) -> (u64, String) {
        let sha256 = if self.size == 0 { EMPTY_SHA256.to_owned() } else { hex::encode(self.sha256.finalize()) };
        (self.size, sha256)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(n) => {
                self.size += n as u64;
                self.sha256.update(&buffer[..n]);
                Ok(n)
            }
            Err(error) => {
                self.failed = error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
