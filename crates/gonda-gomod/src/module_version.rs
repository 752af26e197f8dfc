//! Versions of modules: semantic versions with a leading `v`, pseudo-versions included
//! (<https://go.dev/ref/mod#versions>, <https://go.dev/ref/mod#pseudo-versions>).

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::go_version::{compare_numbers, cut_number};

/// A module at a version. Where a file names a folder instead of a module, the version is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ModuleVersion {
    /// The module path, unescaped; or a folder.
    pub path: String,
    /// The version, unescaped; or empty.
    pub version: String,
}

impl ModuleVersion {
    /// A module at a version.
    pub fn new(path: impl Into<String>, version: impl Into<String>) -> Self {
        Self { path: path.into(), version: version.into() }
    }
}

impl fmt::Display for ModuleVersion {
    /// `path@version`, or the path alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if !self.version.is_empty() {
            write!(f, "@{}", self.version)?;
        }
        Ok(())
    }
}

/// The parts of a semantic version, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Semver<'a> {
    /// `1` of `v1.2.3`.
    pub major: &'a str,
    /// `2` of `v1.2.3`; `0` where it is left out.
    pub minor: &'a str,
    /// `3` of `v1.2.3`; `0` where it is left out.
    pub patch: &'a str,
    /// `-rc.1`, with its hyphen; or empty.
    pub prerelease: &'a str,
    /// `+incompatible`, with its plus; or empty.
    pub build: &'a str,
}

impl<'a> Semver<'a> {
    /// Reads `vX`, `vX.Y` or `vX.Y.Z` with an optional prerelease and build. `None` where it is malformed.
    #[must_use]
    pub fn parse(version: &'a str) -> Option<Self> {
        let (major, rest) = cut_number(version.strip_prefix('v')?)?;
        let mut this = Self { major, minor: "0", patch: "0", prerelease: "", build: "" };
        if rest.is_empty() {
            return Some(this);
        }
        let (minor, rest) = cut_number(rest.strip_prefix('.')?)?;
        this.minor = minor;
        if rest.is_empty() {
            return Some(this);
        }
        let (patch, rest) = cut_number(rest.strip_prefix('.')?)?;
        this.patch = patch;
        let plus = rest.find('+').unwrap_or(rest.len());
        (this.prerelease, this.build) = rest.split_at(plus);
        let identifiers = |text: &str, numbers: bool| {
            text.split('.').all(|part| {
                let bad_number =
                    numbers && part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
                !part.is_empty() && !bad_number && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
        };
        let well_formed = (this.prerelease.is_empty()
            || this.prerelease.strip_prefix('-').is_some_and(|text| identifiers(text, true)))
            && (this.build.is_empty() || identifiers(&this.build[1..], false));
        well_formed.then_some(this)
    }

    /// Semantic precedence: the build counts for nothing.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        compare_numbers(self.major, other.major)
            .then_with(|| compare_numbers(self.minor, other.minor))
            .then_with(|| compare_numbers(self.patch, other.patch))
            .then_with(|| compare_prereleases(self.prerelease, other.prerelease))
    }
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let mut left = a.split('.');
            let mut right = b.split('.');
            loop {
                let order = match (left.next(), right.next()) {
                    (None, None) => return Ordering::Equal,
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(a), Some(b)) => match (number(a), number(b)) {
                        (true, true) => compare_numbers(a, b),
                        (true, false) => Ordering::Less,
                        (false, true) => Ordering::Greater,
                        (false, false) => a.cmp(b),
                    },
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

/// Compares two versions as Go does: malformed ones are less than well-formed ones and equal to one another.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (Semver::parse(a), Semver::parse(b)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => a.precedence(&b),
    }
}

/// The form in which go.mod, go.sum and proxies name a version: `vX.Y.Z`, with its prerelease, without a build other than
/// `+incompatible`. `None` where it is malformed.
#[must_use]
pub fn canonical_version(version: &str) -> Option<String> {
    let semver = Semver::parse(version)?;
    let build = if semver.build == "+incompatible" { semver.build } else { "" };
    Some(format!("v{}.{}.{}{}{build}", semver.major, semver.minor, semver.patch, semver.prerelease))
}

/// Whether a version is in its canonical form: only then is it immutable.
#[must_use]
pub fn is_canonical_version(version: &str) -> bool {
    canonical_version(version).as_deref() == Some(version)
}

/// A version that stands for a commit without a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PseudoVersion<'a> {
    /// What stands before the time: `v0.0.0`, `v1.2.4-0` or `v1.2.3-rc.1.0`.
    pub base: &'a str,
    /// `yyyymmddhhmmss`, UTC.
    pub timestamp: &'a str,
    /// The beginning of the commit's id.
    pub revision: &'a str,
    /// `+incompatible` or empty.
    pub build: &'a str,
}

impl<'a> PseudoVersion<'a> {
    /// Reads a pseudo-version in one of its five forms. `None` for any other version.
    #[must_use]
    pub fn parse(version: &'a str) -> Option<Self> {
        let semver = Semver::parse(version)?;
        let stem = version.strip_suffix(semver.build)?;
        let (front, revision) = stem.rsplit_once('-')?;
        let (base, timestamp) = match (front.rfind('.'), front.rfind('-')) {
            (Some(dot), Some(dash)) if dot > dash => (&front[..dot], &front[dot + 1..]),
            (_, Some(dash)) => (&front[..dash], &front[dash + 1..]),
            _ => return None,
        };
        let stamped = timestamp.len() == 14 && timestamp.bytes().all(|b| b.is_ascii_digit());
        let commit = !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_alphanumeric());
        // Either nothing came before, vX.0.0, or the base ends in the number 0 as a part of its prerelease.
        let based = match Semver::parse(base)?.prerelease {
            "" => base.ends_with(".0.0"),
            prerelease => prerelease == "-0" || prerelease.ends_with(".0"),
        };
        (stamped && commit && based).then_some(Self { base, timestamp, revision, build: semver.build })
    }
}

/// Whether a version is a pseudo-version.
#[must_use]
pub fn is_pseudo_version(version: &str) -> bool {
    PseudoVersion::parse(version).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ascending: &str) {
        let versions: Vec<_> = ascending.split_whitespace().collect();
        for pair in versions.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{} < {}", pair[0], pair[1]);
            assert_eq!(compare_versions(pair[1], pair[0]), Ordering::Greater, "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn order() {
        check(
            "bad v0.0.0-20190101000000-abcdefabcdef v0.0.1 v1.0.0-1 v1.0.0-2 v1.0.0-10 v1.0.0-alpha v1.0.0-alpha.1 v1.0.0-alpha.beta v1.0.0-beta v1.0.0-rc.1 v1 v1.0.1 v1.2 v1.10.0 v2.0.0+incompatible v2.0.1",
        );
        assert_eq!(compare_versions("v1.0.0+a", "v1"), Ordering::Equal);
    }

    #[test]
    fn canonical() {
        let check = |version: &str, expected: Option<&str>| {
            assert_eq!(canonical_version(version).as_deref(), expected, "{version}");
        };
        check("v1", Some("v1.0.0"));
        check("v1.2-rc1", None);
        check("v1.2.3-rc.1+meta", Some("v1.2.3-rc.1"));
        check("v2.0.0+incompatible", Some("v2.0.0+incompatible"));
        for bad in
            ["", "1.2.3", "v01.0.0", "v1.2.3-", "v1.2.3-01", "v1.2.3-a..b", "v1.2.3+", "v1.2.3-é", "master", "v1.2.3.4"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn pseudo() {
        let check = |version: &str, expected: Option<(&str, &str, &str)>| {
            let parts = PseudoVersion::parse(version).map(|p| (p.base, p.timestamp, p.revision));
            assert_eq!(parts, expected, "{version}");
        };
        check("v0.0.0-20190101000000-abcdefabcdef", Some(("v0.0.0", "20190101000000", "abcdefabcdef")));
        check("v1.2.4-0.20190101000000-abcdefabcdef", Some(("v1.2.4-0", "20190101000000", "abcdefabcdef")));
        check(
            "v1.2.3-pre.0.20190101000000-abcdefabcdef+incompatible",
            Some(("v1.2.3-pre.0", "20190101000000", "abcdefabcdef")),
        );
        check("v1.2.3", None);
        check("v1.2.3-rc.1", None);
        check("v1.2.3-20190101000000-abcdefabcdef", None);
        check("v1.2.3-pre.20190101000000-abcdefabcdef", None);
    }
}
