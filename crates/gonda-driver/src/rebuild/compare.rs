//! Two archives, member by member, and what is likely to have made them differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gonda_gomod::read_build_info;
use gonda_packager::{Extent, Limits};
use serde::Serialize;
use walkdir::WalkDir;

use crate::isolation::paths;
use crate::source::sha256_of_file;
use crate::{Error, Kind, Result};

/// A member that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its path in the package.
    pub member: String,
    /// How it differs.
    pub what: String,
    /// What is likely to have caused it, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Members of `info/` that list others: they differ whenever those do.
const LISTS: &[&str] = &["info/paths.json", "info/files", "info/has_prefix", "info/index.json", "info/about.json"];
/// Bytes around the first difference that are looked at.
const AROUND: usize = 48;

/// What differs between a package and the same built again; `aside` is a folder to extract them in.
pub(super) fn packages(first: &Path, again: &Path, aside: &Path, limits: &Limits) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    if first.file_name() != again.file_name() {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        differences.push(Difference {
            member: name(first),
            what: format!("built again, the package is called `{}`", name(again)),
            cause: Some("the recipe or its variant is not the one that the package was built from".to_owned()),
        });
    }
    let (one, two) = (aside.join("first"), aside.join("again"));
    gonda_packager::extract(first, &one, Extent::All, limits)?;
    gonda_packager::extract(again, &two, Extent::All, limits)?;
    differences.extend(trees(&one, &two)?);
    Ok(differences)
}

fn trees(one: &Path, two: &Path) -> Result<Vec<Difference>> {
    let (first, again) = (members(one)?, members(two)?);
    let mut found = Vec::new();
    for member in first.keys().chain(again.keys()).collect::<BTreeSet<_>>() {
        let difference =
            |what: &str, cause: Option<String>| Difference { member: member.clone(), what: what.to_owned(), cause };
        match (first.get(member), again.get(member)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(Content::File(_, a)), Some(Content::File(_, b))) if a == b => {
                found.push(difference("it has another mode", None));
            }
            (Some(Content::File(..)), Some(Content::File(..))) => {
                let (a, b) = (fs_err::read(one.join(member))?, fs_err::read(two.join(member))?);
                found.push(difference("its content is another", likely_cause(member, &a, &b)));
            }
            (Some(_), Some(_)) => found.push(difference("it is of another kind, or links elsewhere", None)),
            (Some(_), None) => found.push(difference("it was not made again", None)),
            (None, _) => found.push(difference("it was not there the first time", None)),
        }
    }
    // What was built first, what only describes it last.
    found.sort_by_key(|difference| {
        (LISTS.contains(&difference.member.as_str()), difference.member.starts_with("info/"), difference.member.clone())
    });
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    /// Whether it is executable, and its digest.
    File(bool, String),
    Link(std::path::PathBuf),
}

fn members(root: &Path) -> Result<BTreeMap<String, Content>> {
    let mut members = BTreeMap::new();
    for entry in WalkDir::new(root).min_depth(1) {
        let entry = entry.map_err(|error| {
            Error::new(Kind::Machine, format!("the folder `{}` can't be read", root.display())).because(error)
        })?;
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let name = path.to_string_lossy().replace('\\', "/");
        if entry.file_type().is_symlink() {
            members.insert(name, Content::Link(fs_err::read_link(entry.path())?));
        } else if entry.file_type().is_file() {
            let executable = gonda_packager::is_executable(entry.path(), &fs_err::metadata(entry.path())?);
            members.insert(name, Content::File(executable, sha256_of_file(entry.path())?));
        }
    }
    Ok(members)
}

/// What usually makes two builds of one file differ, as far as it can be seen in them.
fn likely_cause(member: &str, first: &[u8], again: &[u8]) -> Option<String> {
    if let Some(cause) = of_go_programs(first, again) {
        return Some(cause);
    }
    let archive = [".tar", ".gz", ".tgz", ".zip", ".xz", ".bz2", ".zst", ".whl", ".jar"];
    if archive.iter().any(|ending| member.ends_with(ending))
        || first.starts_with(b"\x1f\x8b")
        || first.starts_with(b"PK")
    {
        return Some(
            "an archive that the script made holds times, owners or an order that nothing fixes: sort its members and \
             give them `SOURCE_DATE_EPOCH` (`tar --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0`, `gzip -n`)"
                .to_owned(),
        );
    }
    let places: Vec<usize> = differing(first, again).take(20_000).collect();
    let any = |test: fn(&[u8]) -> bool| {
        places.iter().step_by(7).chain(places.first()).any(|&at| test(around(first, at)) || test(around(again, at)))
    };
    if any(has_time) {
        return Some(
            "it holds the time of the build: take it from `SOURCE_DATE_EPOCH` (`date -u -d @$SOURCE_DATE_EPOCH`), \
             in `-ldflags -X` too"
                .to_owned(),
        );
    }
    if any(has_path) {
        return Some(
            "it holds a folder of the build: Go's `-trimpath` is missing, for the script sets GOFLAGS anew, or the script \
             writes the path itself"
                .to_owned(),
        );
    }
    None
}

/// What Go's own record in both programs says.
fn of_go_programs(first: &[u8], again: &[u8]) -> Option<String> {
    let (a, b) = (read_build_info(first).ok()?, read_build_info(again).ok()?);
    if a.go_version != b.go_version {
        return Some(format!("it was compiled by {}, and again by {}", a.go_version, b.go_version));
    }
    let keys: BTreeSet<&String> = a.settings.iter().chain(&b.settings).map(|(key, _)| key).collect();
    let differing: Vec<&String> = keys.into_iter().filter(|key| a.setting(key) != b.setting(key)).collect();
    if differing.iter().any(|key| key.starts_with("vcs")) {
        return Some(
            "Go stamped it with the state of a repository: build with `-buildvcs=false`, or from a commit".to_owned(),
        );
    }
    if let Some(key) = differing.first() {
        let of = |info: &gonda_gomod::BuildInfo| info.setting(key).unwrap_or("nothing").to_owned();
        return Some(format!("it was built with `{key}` set to `{}`, and again to `{}`", of(&a), of(&b)));
    }
    let trimmed = |info: &gonda_gomod::BuildInfo| info.setting("-trimpath") == Some("true");
    if !trimmed(&a) {
        return Some("Go's `-trimpath` is missing: the script sets GOFLAGS anew".to_owned());
    }
    None
}

/// Offsets at which two contents differ.
fn differing<'a>(first: &'a [u8], again: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let shorter = first.len().min(again.len());
    let end = (first.len() != again.len()).then_some(shorter.saturating_sub(1));
    first.iter().zip(again).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).chain(end)
}

fn around(bytes: &[u8], at: usize) -> &[u8] {
    let begin = at.saturating_sub(AROUND).min(bytes.len());
    let end = at.saturating_add(AROUND).min(bytes.len());
    bytes.get(begin..end).unwrap_or_default()
}

/// `2026-11-21`, `12:30:05`, `20261121`, or seconds since 1970 of this century.
fn has_time(bytes: &[u8]) -> bool {
    let shape: Vec<u8> = bytes.iter().map(|byte| if byte.is_ascii_digit() { b'9' } else { *byte }).collect();
    let has = |wanted: &[u8]| shape.windows(wanted.len()).any(|window| window == wanted);
    let stamp = || {
        bytes.split(|byte| !byte.is_ascii_digit()).any(|digits| match digits.len() {
            8 | 12 | 14 => digits.starts_with(b"20"),
            10 => digits.starts_with(b"1") || digits.starts_with(b"2"),
            _ => false,
        })
    };
    has(b"9999-99-99") || has(b"99:99:99") || has(b"9999/99/99") || stamp()
}

fn has_path(bytes: &[u8]) -> bool {
    [paths::ROOT, "/tmp/", "/go-build", "/home/", "C:\\"]
        .iter()
        .any(|path| bytes.windows(path.len()).any(|window| window == path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The differences between two folders of files, as text.
    fn check(first: &[(&str, &str)], again: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (folder, files) in [("one", first), ("two", again)] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            for (path, text) in files {
                let path = dir.path().join(folder).join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }
        let found = trees(&dir.path().join("one"), &dir.path().join("two")).unwrap();
        let line = |found: &Difference| {
            let cause = found.cause.as_deref().and_then(|cause| cause.split(':').next()).unwrap_or("-");
            format!("{}: {}: {cause}", found.member, found.what)
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn causes_are_named() {
        assert_eq!(check(&[("a", "x")], &[("a", "x")]), "");
        assert_eq!(
            check(
                &[("info/paths.json", "1"), ("bin/a", "at 12:30:05 sharp")],
                &[("info/paths.json", "2"), ("bin/a", "at 12:30:06 sharp")]
            ),
            "bin/a: its content is another: it holds the time of the build\ninfo/paths.json: its content is another: -"
        );
        assert_eq!(
            check(&[("a", "built 1766000000")], &[("a", "built 1766000009")]),
            "a: its content is another: it holds the time of the build"
        );
        assert_eq!(
            check(&[("a", "in /tmp/x1/y")], &[("a", "in /tmp/x2/y")]),
            "a: its content is another: it holds a folder of the build"
        );
        assert_eq!(
            check(&[("share/a.tar.gz", "1")], &[("share/a.tar.gz", "2")]),
            "share/a.tar.gz: its content is another: an archive that the script made holds times, owners or an order that nothing fixes"
        );
        assert_eq!(
            check(&[("a", "1"), ("b", "")], &[("a", "12"), ("c", "")]),
            "a: its content is another: -\nb: it was not made again: -\nc: it was not there the first time: -"
        );
    }
}
