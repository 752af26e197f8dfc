//! All that can be said of a package, as data.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::archive::{ArchiveFormat, Limits, Part};
use crate::binary::Binary;
use crate::compiled::{self, LookAtBinary};
use crate::error::{Error, Problem, Result};
use crate::tarball::TarKind;
use crate::truth::{self, Claims, Finding};
use crate::verify::stem;
use crate::write::digest;

/// The result of [`inspect`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The archive's file name.
    pub file: String,
    /// How it is made.
    pub format: ArchiveFormat,
    /// Bytes.
    pub size: u64,
    /// Hex.
    pub sha256: String,
    /// Hex.
    pub md5: String,
    /// Names of the zip's members in their order; empty for `.tar.bz2`.
    pub members: Vec<String>,
    /// `index.json`, if it is there and is JSON.
    pub index: Option<Value>,
    /// `about.json`.
    pub about: Option<Value>,
    /// `run_exports.json`.
    pub run_exports: Option<Value>,
    /// `used_build_tool.json`.
    pub build_tool: Option<Value>,
    /// Files of `info/`, sorted.
    pub info: Vec<PackedFile>,
    /// The payload, sorted.
    pub files: Vec<PackedFile>,
    /// What is wrong with the archive, errors first; empty if nothing is.
    pub problems: Vec<Problem>,
    /// What is wrong with its compiled files, by path.
    pub findings: Vec<Finding>,
}

/// A file or link of a package.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PackedFile {
    /// Its path.
    pub path: String,
    /// `file`, `link`, or what else the archive has.
    pub kind: &'static str,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Hex.
    pub sha256: String,
    /// Permission bits in octal.
    pub mode: String,
    /// The prefix that clients replace in it, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Value>,
    /// What it says of itself, if it is a binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<Binary>,
}

/// Reads a whole archive, checks it and describes it.
///
/// # Errors
/// An archive that can't be read to its end.
pub fn inspect(path: &Path, limits: &Limits) -> Result<Inspection> {
    inspect_with(path, limits, &mut |_, _, _| {}).map(|(inspection, _)| inspection)
}

/// As [`inspect`]; besides, `look` gets every compiled file, for more to be read from it, and the answer has what the
/// package claims, for that to be held against.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_with(path: &Path, limits: &Limits, look: &mut LookAtBinary<'_>) -> Result<(Inspection, Claims)> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    let (size, sha256, md5) = digest(&file).map_err(|error| Error::io("read", path, error))?;
    let (contents, binaries) = compiled::read(path, &file, limits, look)?;
    let claims = contents.claims();
    let json = |name: &str| contents.texts.get(name).and_then(|text| serde_json::from_slice::<Value>(text).ok());
    let mut prefixes: BTreeMap<String, Value> = BTreeMap::new();
    for entry in json("info/paths.json").as_ref().and_then(|paths| paths.get("paths")?.as_array()).into_iter().flatten()
    {
        if let (Some(path), Some(placeholder)) =
            (entry.get("_path").and_then(Value::as_str), entry.get("prefix_placeholder"))
        {
            let mode = entry.get("file_mode").cloned().unwrap_or_else(|| "text".into());
            prefixes.insert(path.to_owned(), serde_json::json!({ "placeholder": placeholder, "mode": mode }));
        }
    }
    let list = |part: Part| {
        let mut files: Vec<PackedFile> = contents
            .members
            .iter()
            .filter(|member| member.part == part && !member.is_directory())
            .map(|member| PackedFile {
                path: member.path.clone(),
                kind: match member.kind {
                    TarKind::File => "file",
                    TarKind::Symlink(_) => "link",
                    TarKind::Hardlink(_) => "hard link",
                    TarKind::Directory => "folder",
                    TarKind::Other(_) => "other",
                },
                target: match &member.kind {
                    TarKind::Symlink(target) | TarKind::Hardlink(target) => Some(target.clone()),
                    _ => None,
                },
                size: member.size,
                sha256: member.sha256.clone(),
                mode: format!("{:04o}", member.mode),
                prefix: prefixes.get(&member.path).cloned(),
                binary: binaries.get(&member.path).cloned(),
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    };
    let inspection = Inspection {
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        format: contents.container.format,
        size,
        sha256,
        md5,
        members: contents.container.outer.clone(),
        index: json("info/index.json"),
        about: json("info/about.json"),
        run_exports: json("info/run_exports.json"),
        build_tool: json("info/used_build_tool.json"),
        info: list(Part::Info),
        files: list(Part::Pkg),
        problems: contents.problems(stem(path).as_deref()),
        findings: binaries.iter().flat_map(|(path, binary)| truth::check(path, binary, &claims)).collect(),
    };
    Ok((inspection, claims))
}
