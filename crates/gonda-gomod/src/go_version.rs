//! Versions of the Go toolchain and language, which are not semantic versions.
//!
//! Order (<https://go.dev/doc/toolchain#version>): `1.21 < 1.21rc1 < 1.21.0`; before 1.21 a missing patch release means 0,
//! so `1.20 == 1.20.0`.

use std::cmp::Ordering;
use std::fmt;

/// A Go version: `1.N[.P]` or `1.N` followed by a kind of prerelease and its number.
#[derive(Debug, Clone)]
pub struct GoVersion {
    text: String,
    major: String,
    minor: String,
    /// Empty for the language version since 1.21.
    patch: String,
    kind: String,
    pre: String,
}

impl GoVersion {
    /// Reads `1.21`, `1.21.3`, `1.22rc2`: without a leading `go`. `None` where it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut version = Self {
            text: text.to_owned(),
            major: String::new(),
            minor: String::new(),
            patch: String::new(),
            kind: String::new(),
            pre: String::new(),
        };
        let (major, rest) = cut_number(text)?;
        version.major = major.to_owned();
        if rest.is_empty() {
            version.minor = "0".to_owned();
            version.patch = "0".to_owned();
            return Some(version);
        }
        let (minor, rest) = cut_number(rest.strip_prefix('.')?)?;
        version.minor = minor.to_owned();
        if rest.is_empty() {
            if compare_numbers(minor, "21") == Ordering::Less {
                version.patch = "0".to_owned();
            }
            return Some(version);
        }
        if let Some(rest) = rest.strip_prefix('.') {
            let (patch, rest) = cut_number(rest)?;
            version.patch = patch.to_owned();
            return rest.is_empty().then_some(version);
        }
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (kind, rest) = rest.split_at(letters);
        if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_lowercase()) {
            return None;
        }
        version.kind = kind.to_owned();
        if !rest.is_empty() {
            let (pre, rest) = cut_number(rest)?;
            if !rest.is_empty() {
                return None;
            }
            version.pre = pre.to_owned();
        }
        Some(version)
    }

    /// Reads the name of a toolchain, `go1.22.3` or with a suffix of its maker, `go1.22.3-custom`. `None` for `default`
    /// and for names that tell no version.
    #[must_use]
    pub fn from_toolchain(name: &str) -> Option<Self> {
        if name.contains(['/', '\\']) {
            return None;
        }
        let version = name.strip_prefix("go")?;
        Self::parse(version.split([' ', '\t', '-']).next()?)
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The language version, `1.22` for `1.22.3`.
    #[must_use]
    pub fn language(&self) -> String {
        if self.major == "1" && self.minor == "0" {
            self.major.clone()
        } else {
            format!("{}.{}", self.major, self.minor)
        }
    }

    /// Whether it is a prerelease such as `1.22rc1`.
    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        !self.kind.is_empty()
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for GoVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_numbers(&self.major, &other.major)
            .then_with(|| compare_numbers(&self.minor, &other.minor))
            .then_with(|| compare_numbers(&self.patch, &other.patch))
            .then_with(|| self.kind.cmp(&other.kind))
            .then_with(|| compare_numbers(&self.pre, &other.pre))
    }
}

impl PartialOrd for GoVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for GoVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for GoVersion {}

/// The decimal number that `text` begins with, and the rest; no leading zeros. Numbers stay text: they have no bound.
pub(crate) fn cut_number(text: &str) -> Option<(&str, &str)> {
    let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    (!number.is_empty() && (number == "0" || !number.starts_with('0'))).then_some((number, rest))
}

/// Compares decimal numbers without leading zeros; the empty text is less than any.
pub(crate) fn compare_numbers(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ascending: &str) {
        let versions: Vec<_> = ascending.split_whitespace().map(|text| GoVersion::parse(text).unwrap()).collect();
        for pair in versions.windows(2) {
            assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn order() {
        check(
            "1 1.2rc1 1.2 1.2.1 1.10 1.20rc1 1.20 1.20.1 1.21 1.21beta1 1.21rc1 1.21rc2 1.21.0 1.21.1 1.22 1.99999999999999999999 2",
        );
        assert_eq!(GoVersion::parse("1.20"), GoVersion::parse("1.20.0"));
        assert_ne!(GoVersion::parse("1.21"), GoVersion::parse("1.21.0"));
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "go1.21",
            "1.",
            "1.021",
            "1.21.",
            "1.21.3rc1",
            "1.21.3.4",
            "1.21rc1.2",
            "1.21RC1",
            "v1",
            "1.21rc01",
            "1.é",
        ] {
            assert!(GoVersion::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn toolchains() {
        let check = |name: &str, expected: &str| {
            assert_eq!(
                GoVersion::from_toolchain(name).map_or("none".to_owned(), |v| v.to_string()),
                expected,
                "{name}"
            );
        };
        check("go1.22.3", "1.22.3");
        check("go1.22.3-custom", "1.22.3");
        check("default", "none");
        check("go1.22/../x", "none");
        assert_eq!(GoVersion::parse("1.22.3").unwrap().language(), "1.22");
    }
}
