//! Match specs, as requirements are written.

use rattler_conda_types::{MatchSpec, PackageName, PackageNameMatcher, ParseMatchSpecOptions};

use crate::{Error, Kind, Result};

pub(super) fn parse_specs(what: &str, texts: &[String]) -> Result<Vec<MatchSpec>> {
    let parse = |text: &String| {
        MatchSpec::from_str(text.trim(), ParseMatchSpecOptions::lenient()).map_err(|error| {
            Error::new(Kind::Usage, format!("`{text}`, a requirement of the {what}, is not a match spec"))
                .because(error)
                .help("a requirement is a package's name, then a version and a build string where needed")
        })
    };
    texts.iter().map(parse).collect()
}

pub(super) fn exact_name(spec: &MatchSpec) -> Option<&PackageName> {
    match &spec.name {
        PackageNameMatcher::Exact(name) => Some(name),
        _ => None,
    }
}

/// The package name that a match spec begins with.
pub(crate) fn name_of(spec: &str) -> &str {
    let spec = spec.rsplit_once("::").map_or(spec, |(_, rest)| rest).trim_start();
    let end = spec.find(|c: char| c.is_whitespace() || "<>=!~[;,".contains(c)).unwrap_or(spec.len());
    &spec[..end]
}
