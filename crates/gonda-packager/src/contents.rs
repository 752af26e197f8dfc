//! A package read to its end: its members with sizes and digests, and the files of `info/` that are parsed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rattler_conda_types::Subdir;
use rattler_conda_types::package::PathsJson;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::archive::{Container, Limits, Part, walk};
use crate::error::{Error, Problem, Result};
use crate::paths::EMPTY_SHA256;
use crate::tarball::{TarKind, TarMember};
use crate::truth::Claims;

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
