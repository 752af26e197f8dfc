//! `info/paths.json` and its elders `files`, `has_prefix`, `no_link` (CEP 34).
//!
//! Written as conda-build writes them: keys sorted, indent 2, no line break at the end of JSON.

use serde_json::{Map, Value, json};

use crate::entry::{Entry, Kind};
use crate::prefix::FileMode;

/// Size and sha256 (hex) of what stands at a path in the archive; for a link, of what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// The sha256 of nothing: dangling links and links to folders have it.
pub(crate) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `paths.json`. `sums` stand in the order of `entries`.
pub(crate) fn paths_json(entries: &[Entry], sums: &[Sum]) -> Vec<u8> {
    let paths: Vec<Value> = entries
        .iter()
        .zip(sums)
        .map(|(entry, sum)| {
            let mut path = Map::new();
            path.insert("_path".into(), json!(entry.path));
            if let Some(prefix) = &entry.prefix {
                path.insert("file_mode".into(), json!(prefix.mode.as_str()));
            }
            if !entry.inode_paths.is_empty() {
                path.insert("inode_paths".into(), json!(entry.inode_paths));
            }
            if entry.no_link {
                path.insert("no_link".into(), json!(true));
            }
            let kind = if matches!(entry.kind, Kind::File) { "hardlink" } else { "softlink" };
            path.insert("path_type".into(), json!(kind));
            if let Some(placeholder) = entry.prefix.as_ref().and_then(|prefix| prefix.placeholders.first()) {
                path.insert("prefix_placeholder".into(), json!(placeholder));
            }
            path.insert("sha256".into(), json!(sum.sha256));
            path.insert("size_in_bytes".into(), json!(sum.size));
            Value::Object(path)
        })
        .collect();
    format!("{:#}", json!({ "paths": paths, "paths_version": 1 })).into_bytes()
}

/// `files`: a path a line.
pub(crate) fn files(entries: &[Entry]) -> Vec<u8> {
    entries.iter().map(|entry| format!("{}\n", entry.path)).collect::<String>().into_bytes()
}

/// `has_prefix`: a line for each string in each file; `None` if there is none. Paths with blanks are quoted, for
/// clients split the line as a shell does.
pub(crate) fn has_prefix(entries: &[Entry]) -> Option<Vec<u8>> {
    let mut lines: Vec<(&str, FileMode, &str)> = entries
        .iter()
        .filter_map(|entry| entry.prefix.as_ref().map(|prefix| (entry, prefix)))
        .flat_map(|(entry, prefix)| {
            prefix.placeholders.iter().map(|found| (found.as_str(), prefix.mode, entry.path.as_str()))
        })
        .collect();
    lines.sort_unstable();
    let quote = |text: &str| if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text.to_owned() };
    let text: String = lines
        .iter()
        .map(|(found, mode, path)| format!("{} {} {}\n", quote(found), mode.as_str(), quote(path)))
        .collect();
    (!text.is_empty()).then(|| text.into_bytes())
}

/// `no_link`: a path a line; `None` if there is none.
pub(crate) fn no_link(entries: &[Entry]) -> Option<Vec<u8>> {
    let text: String = entries.iter().filter(|entry| entry.no_link).map(|entry| format!("{}\n", entry.path)).collect();
    (!text.is_empty()).then(|| text.into_bytes())
}
