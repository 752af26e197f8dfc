//! The oldest system that a file runs on, and whether the package's constraints keep older ones away.

use rattler_conda_types::version_spec::{EqualityOperator, LogicalOperator, RangeOperator, StrictRangeOperator};
use rattler_conda_types::{MatchSpec, ParseStrictness, Subdir, Version, VersionSpec};

use super::{Claims, Finding, Rule};
use crate::binary::{Binary, Os};

pub(super) fn check(path: &str, image: &Binary, subdir: Subdir, claims: &Claims) -> Option<Finding> {
    let (package, rule, needed, what) = match image.os {
        Os::Linux => ("__glibc", Rule::Glibc, image.glibc.as_deref()?, "glibc"),
        Os::MacOs => ("__osx", Rule::MacOs, image.min_os.as_deref()?, "macOS"),
        _ => return None,
    };
    let version: Version = needed.parse().ok()?;
    // No system that the platform's machine runs is older.
    if oldest(subdir).is_some_and(|oldest| version <= oldest) {
        return None;
    }
    let specs: Vec<&String> =
        claims.depends.iter().chain(&claims.constrains).filter(|spec| is_for(spec, package)).collect();
    if specs.iter().any(|spec| excludes_older(spec, &version)) {
        return None;
    }
    let said = match specs.as_slice() {
        [] => format!("the package has no `{package}` constraint"),
        specs => {
            let specs: Vec<String> = specs.iter().map(|spec| format!("`{spec}`")).collect();
            format!("the package says {}", specs.join(", "))
        }
    };
    let finding = Finding::warning(path, rule, format!("needs {what} {needed} or newer, but {said}"));
    Some(finding.help(format!("add this line to the recipe's run requirements: `- {package} >={needed}`")))
}

/// Where the history of a platform begins.
fn oldest(subdir: Subdir) -> Option<Version> {
    let oldest = match subdir {
        Subdir::LinuxAarch64 | Subdir::LinuxPpc64le => "2.17",
        Subdir::OsxArm64 => "11.0",
        _ => return None,
    };
    oldest.parse().ok()
}

fn is_for(spec: &str, package: &str) -> bool {
    spec.trim_start()
        .strip_prefix(package)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether no version below `least` matches.
fn excludes_older(spec: &str, least: &Version) -> bool {
    let spec = MatchSpec::from_str(spec, ParseStrictness::Lenient).ok();
    spec.and_then(|spec| spec.version).is_some_and(|spec| begins_at(&spec, least))
}

fn begins_at(spec: &VersionSpec, least: &Version) -> bool {
    match spec {
        VersionSpec::None => true,
        VersionSpec::Range(RangeOperator::Greater | RangeOperator::GreaterEquals, version)
        | VersionSpec::Exact(EqualityOperator::Equals, version) => version >= least,
        VersionSpec::StrictRange(StrictRangeOperator::StartsWith | StrictRangeOperator::Compatible, version) => {
            version.as_ref() >= least
        }
        VersionSpec::Group(LogicalOperator::And, parts) => parts.iter().any(|part| begins_at(part, least)),
        VersionSpec::Group(LogicalOperator::Or, parts) => parts.iter().all(|part| begins_at(part, least)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_that_exclude_older_systems() {
        let check = |spec: &str, least: &str| excludes_older(spec, &least.parse().unwrap());
        for spec in [
            "__glibc >=2.17",
            "__glibc >=2.17,<3.0.a0",
            "__glibc >2.17",
            "__glibc 2.17.*",
            "__glibc ==2.28",
            "__glibc >=2.17|>=2.28",
        ] {
            assert!(check(spec, "2.17"), "{spec}");
        }
        for spec in [
            "__glibc",
            "__glibc <3",
            "__glibc >=2.12",
            "__glibc >=2.17|>=2.12",
            "__glibc !=2.5",
            "__glibc *",
            "not a spec ][",
        ] {
            assert!(!check(spec, "2.17"), "{spec}");
        }
        assert!(check("__osx >=12", "12.0") && check("__osx >=11.0", "10.15") && !check("__osx >=10.13", "11"));
        assert!(is_for("__glibc>=2", "__glibc") && is_for("__glibc", "__glibc") && !is_for("__glibc_x", "__glibc"));
    }
}
