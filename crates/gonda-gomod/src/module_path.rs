//! Module, import and file paths: which are valid, and how they are escaped where case may be lost
//! (<https://go.dev/ref/mod#go-mod-file-ident>, <https://go.dev/ref/mod#goproxy-protocol>).

use thiserror::Error;

use crate::module_version::Semver;

/// A path or version that Go does not accept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// A path.
    #[error("malformed {kind} path \"{path}\": {reason}")]
    Path {
        /// `module`, `import` or `file`.
        kind: &'static str,
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
    /// A version.
    #[error("version \"{version}\" invalid: {reason}")]
    Version {
        /// The version.
        version: String,
        /// Why.
        reason: String,
    },
    /// An escaped path or version.
    #[error("invalid escaped {kind} \"{escaped}\"")]
    Escape {
        /// `module path` or `version`.
        kind: &'static str,
        /// As escaped.
        escaped: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Import,
    File,
}

impl Kind {
    fn error(self, path: &str, reason: String) -> PathError {
        let kind = match self {
            Self::Module => "module",
            Self::Import => "import",
            Self::File => "file",
        };
        PathError::Path { kind, path: path.to_owned(), reason }
    }
}

/// Checks a module path: an import path whose first element is a domain name in lower case, whose elements do not begin
/// with a dot, and whose `/vN` is a major version.
///
/// # Errors
///
/// Says why the path is malformed, in Go's words.
pub fn check_module_path(path: &str) -> Result<(), PathError> {
    let error = |reason: String| Kind::Module.error(path, reason);
    check_path(path, Kind::Module).map_err(error)?;
    let first = path.split('/').next().unwrap_or_default();
    if first.is_empty() {
        return Err(error("leading slash".to_owned()));
    }
    if !first.contains('.') {
        return Err(error("missing dot in first path element".to_owned()));
    }
    if let Some(c) = first.chars().find(|c| !(c.is_ascii_digit() || c.is_ascii_lowercase() || matches!(c, '-' | '.'))) {
        return Err(error(format!("invalid char '{c}' in first path element")));
    }
    if split_path_version(path).is_none() {
        return Err(error("invalid version".to_owned()));
    }
    Ok(())
}

/// Checks the import path of a package.
///
/// # Errors
///
/// Says why the path is malformed, in Go's words.
pub fn check_import_path(path: &str) -> Result<(), PathError> {
    check_path(path, Kind::Import).map_err(|reason| Kind::Import.error(path, reason))
}

/// Checks the slash-separated path of a file in a module zip. A letter is what Unicode calls alphabetic, which is a little
/// more than Go's category L.
///
/// # Errors
///
/// Says why the path is malformed, in Go's words.
pub fn check_file_path(path: &str) -> Result<(), PathError> {
    check_path(path, Kind::File).map_err(|reason| Kind::File.error(path, reason))
}

/// Checks that a module path and a version are valid and belong together: `…/v2` has versions `v2.x.y`.
///
/// # Errors
///
/// Says what is malformed or does not match, in Go's words.
pub fn check_module(path: &str, version: &str) -> Result<(), PathError> {
    check_module_path(path)?;
    let version_error = |reason: String| PathError::Version { version: version.to_owned(), reason };
    if Semver::parse(version).is_none() {
        return Err(version_error("not a semantic version".to_owned()));
    }
    let (_, major) = split_path_version(path).unwrap_or((path, ""));
    check_path_major(version, major).map_err(version_error)
}

/// Checks a version against the major version in a path, as [`split_path_version`] gives it.
pub(crate) fn check_path_major(version: &str, path_major: &str) -> Result<(), String> {
    let path_major = if path_major.starts_with(".v") {
        path_major.strip_suffix("-unstable").unwrap_or(path_major)
    } else {
        path_major
    };
    // Pseudo-versions of gopkg.in modules were once generated so.
    if version.starts_with("v0.0.0-") && path_major == ".v1" {
        return Ok(());
    }
    let semver = Semver::parse(version);
    let major = semver.map(|semver| format!("v{}", semver.major)).unwrap_or_default();
    let expected = match path_major.strip_prefix(['/', '.']) {
        Some(expected) if expected == major => return Ok(()),
        Some(expected) => expected,
        None if major == "v0" || major == "v1" || semver.is_some_and(|semver| semver.build == "+incompatible") => {
            return Ok(());
        }
        None => "v0 or v1",
    };
    Err(format!("should be {expected}, not {major}"))
}

/// Splits `…/vN` (N ≥ 2), or `gopkg.in/….vN`, into what stands before and the major version with its separator, which is
/// empty where there is none. `None` where the last element is no valid major version, such as `/v1` or `/v2.1`.
#[must_use]
pub fn split_path_version(path: &str) -> Option<(&str, &str)> {
    if path.starts_with("gopkg.in/") {
        let stem = path.strip_suffix("-unstable").unwrap_or(path);
        let start = stem.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(".v")?.len();
        let digits = &stem[start + 2..];
        let valid = !digits.is_empty() && (digits == "0" && stem == path || !digits.starts_with('0'));
        return valid.then(|| path.split_at(start));
    }
    let stem = path.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &path[stem.len()..];
    let Some(prefix) = stem.strip_suffix("/v").filter(|_| !number.is_empty()) else { return Some((path, "")) };
    let valid = !number.contains('.') && !number.starts_with('0') && number != "1";
    valid.then(|| path.split_at(prefix.len()))
}

/// Whether the right side of a `replace`, or a `use`, is a folder: rooted, or beginning with `.` or `..`, on any system.
#[must_use]
pub fn is_directory_path(path: &str) -> bool {
    let mut characters = path.chars();
    let drive = matches!((characters.next(), characters.next()), (Some(c), Some(':')) if c.is_ascii_alphabetic());
    path == "." || path == ".." || drive || ["./", ".\\", "../", "..\\", "/", "\\"].iter().any(|p| path.starts_with(p))
}

/// A module path as proxies and the module cache write it: `A` becomes `!a`.
///
/// # Errors
///
/// As [`check_module_path`].
pub fn escape_path(path: &str) -> Result<String, PathError> {
    check_module_path(path)?;
    Ok(escape(path))
}

/// A version, or a query such as a branch's name, as proxies and the module cache write it.
///
/// # Errors
///
/// When it could not be a file's name.
pub fn escape_version(version: &str) -> Result<String, PathError> {
    check_version(version)?;
    Ok(escape(version))
}

/// The module path that [`escape_path`] escaped.
///
/// # Errors
///
/// When it is malformed.
pub fn unescape_path(escaped: &str) -> Result<String, PathError> {
    let path =
        unescape(escaped).ok_or_else(|| PathError::Escape { kind: "module path", escaped: escaped.to_owned() })?;
    check_module_path(&path)?;
    Ok(path)
}

/// The version that [`escape_version`] escaped.
///
/// # Errors
///
/// When it is malformed.
pub fn unescape_version(escaped: &str) -> Result<String, PathError> {
    let version =
        unescape(escaped).ok_or_else(|| PathError::Escape { kind: "version", escaped: escaped.to_owned() })?;
    check_version(&version)?;
    Ok(version)
}

fn check_version(version: &str) -> Result<(), PathError> {
    if version.contains('!') || !version.is_ascii() || check_element(version, Kind::File).is_err() {
        let reason = "disallowed version string".to_owned();
        return Err(PathError::Version { version: version.to_owned(), reason });
    }
    Ok(())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
    }
    escaped
}

fn unescape(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(c) = characters.next() {
        match c {
            '!' => text.push(characters.next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase()),
            c if c.is_ascii_uppercase() || !c.is_ascii() => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

fn check_path(path: &str, kind: Kind) -> Result<(), String> {
    if path.is_empty() {
        return Err("empty string".to_owned());
    }
    if path.starts_with('-') && kind != Kind::File {
        return Err("leading dash".to_owned());
    }
    if path.contains("//") {
        return Err("double slash".to_owned());
    }
    if path.ends_with('/') {
        return Err("trailing slash".to_owned());
    }
    path.split('/').try_for_each(|element| check_element(element, kind))
}

fn check_element(element: &str, kind: Kind) -> Result<(), String> {
    if element.is_empty() {
        return Err("empty path element".to_owned());
    }
    if element.bytes().all(|b| b == b'.') {
        return Err(format!("invalid path element \"{element}\""));
    }
    if element.starts_with('.') && kind == Kind::Module {
        return Err("leading dot in path element".to_owned());
    }
    if element.ends_with('.') {
        return Err("trailing dot in path element".to_owned());
    }
    let in_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    if let Some(c) = element.chars().find(|c| match kind {
        Kind::Module => !in_path(*c),
        Kind::Import => !(in_path(*c) || *c == '+'),
        Kind::File => {
            !(c.is_ascii_alphanumeric() || "!#$%&()+,-.=@[]^_{}~ ".contains(*c) || !c.is_ascii() && c.is_alphabetic())
        }
    }) {
        return Err(format!("invalid char '{}'", c.escape_default()));
    }
    let stem = element.split('.').next().unwrap_or_default();
    if is_reserved_on_windows(stem) {
        return Err(format!("\"{stem}\" disallowed as path element component on Windows"));
    }
    let short_name =
        stem.rsplit_once('~').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()));
    if kind != Kind::File && short_name {
        return Err("trailing tilde and digits in path element".to_owned());
    }
    Ok(())
}

fn is_reserved_on_windows(stem: &str) -> bool {
    let stem = stem.to_ascii_uppercase();
    let numbered =
        |name: &str| stem.strip_prefix(name).is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let answer = check_module_path(path).err().map_or_else(|| "ok".to_owned(), |error| error.to_string());
        let expected =
            if expected == "ok" { "ok".to_owned() } else { format!("malformed module path \"{path}\": {expected}") };
        assert_eq!(answer, expected);
    }

    #[test]
    fn module_paths() {
        check("github.com/BurntSushi/toml", "ok");
        check("gopkg.in/yaml.v3", "ok");
        check("gopkg.in/check.v0", "ok");
        check("gopkg.in/yaml.v3-unstable", "ok");
        check("example.com/m/v2", "ok");
        check("example.com/m/v1", "invalid version");
        check("example.com/m/v2.1", "invalid version");
        check("gopkg.in/yaml", "invalid version");
        check("", "empty string");
        check("/a", "empty path element");
        check("example.com/", "trailing slash");
        check("example.com//x", "double slash");
        check("-example.com", "leading dash");
        check("std", "missing dot in first path element");
        check("Example.com/x", "invalid char 'E' in first path element");
        check("example.com/..", "invalid path element \"..\"");
        check("example.com/.git", "leading dot in path element");
        check("example.com/a.", "trailing dot in path element");
        check("example.com/a b", "invalid char ' '");
        check("example.com/a!b", "invalid char '!'");
        check("example.com/con.x", "\"con\" disallowed as path element component on Windows");
        check("example.com/a~1", "trailing tilde and digits in path element");
    }

    #[test]
    fn pairs() {
        let check = |path: &str, version: &str, expected: &str| {
            let answer = check_module(path, version).err().map_or_else(|| "ok".to_owned(), |error| error.to_string());
            assert_eq!(answer, expected, "{path} {version}");
        };
        check("example.com/m", "v1.2.3", "ok");
        check("example.com/m", "v2.0.0+incompatible", "ok");
        check("example.com/m/v2", "v2.0.0", "ok");
        check("gopkg.in/check.v1", "v0.0.0-20161208181325-20d25e280405", "ok");
        check("example.com/m", "v2.0.0", "version \"v2.0.0\" invalid: should be v0 or v1, not v2");
        check("example.com/m/v2", "v3.0.0", "version \"v3.0.0\" invalid: should be v2, not v3");
        check("example.com/m", "master", "version \"master\" invalid: not a semantic version");
    }

    #[test]
    fn escaping() {
        assert_eq!(escape_path("github.com/BurntSushi/toml").unwrap(), "github.com/!burnt!sushi/toml");
        assert_eq!(unescape_path("github.com/!burnt!sushi/toml").unwrap(), "github.com/BurntSushi/toml");
        assert_eq!(unescape_version("v1.0.0-!r!c1").unwrap(), "v1.0.0-RC1");
        for bad in ["github.com/Burnt", "github.com/!!b", "github.com/b!", "github.com/!1", "a.b/../c"] {
            assert!(unescape_path(bad).is_err(), "{bad}");
        }
        for bad in ["", "..", "a/b", "a\\b", "V1", "é", "a:b"] {
            assert!(unescape_version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files() {
        for good in ["a/b.go", "_x/é ü.txt", ".github/x", "-a", "a~1"] {
            assert!(check_file_path(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a//b", "a/../b", "a\\b", "a:b", "a*", "nul", "com1.txt", "a\nb", "a/"] {
            assert!(check_file_path(bad).is_err(), "{bad}");
        }
    }
}
