//! Packages against what their compiled files say: [`gonda_packager::truth`], and beside it what Go's build information
//! tells ([`golang`]). The same checks run before gonda writes an archive, and on anybody's package.

pub(crate) mod golang;
mod known;

use std::collections::BTreeMap;
use std::path::Path;

use gonda_gomod::BuildInfo;
use gonda_packager::truth::{Claims, Finding};
use gonda_packager::{Inspection, Limits, Verification};
use serde::Serialize;

use crate::Result;
use golang::GoFile;
pub(crate) use known::{Known, compiled};

/// A package's Go programs and libraries by their paths.
pub type GoPrograms = BTreeMap<String, BuildInfo>;

/// The result of [`verify`].
#[derive(Debug, Serialize)]
pub struct Verified {
    /// The archive, and its compiled files.
    #[serde(flatten)]
    pub verification: Verification,
    /// What Go programs say of their build.
    pub go: GoPrograms,
}

/// The result of [`inspect`].
#[derive(Debug, Serialize)]
pub struct Inspected {
    /// The archive, and its compiled files.
    #[serde(flatten)]
    pub inspection: Inspection,
    /// What Go programs say of their build.
    pub go: GoPrograms,
}

/// Checks a package, whoever built it.
///
/// # Errors
/// An archive that can't be read to its end.
pub fn verify(path: &Path, limits: &Limits) -> Result<Verified> {
    let mut files = Vec::new();
    let (mut verification, claims) = gonda_packager::verify_with(path, limits, &mut |path, binary, bytes| {
        files.extend(golang::read(path, binary, bytes));
    })?;
    let go = add(&mut verification.findings, files, &claims);
    Ok(Verified { verification, go })
}

/// Describes a package, whoever built it.
///
/// # Errors
/// As [`verify`].
pub fn inspect(path: &Path, limits: &Limits) -> Result<Inspected> {
    let mut files = Vec::new();
    let (mut inspection, claims) = gonda_packager::inspect_with(path, limits, &mut |path, binary, bytes| {
        files.extend(golang::read(path, binary, bytes));
    })?;
    let go = add(&mut inspection.findings, files, &claims);
    Ok(Inspected { inspection, go })
}

fn add(findings: &mut Vec<Finding>, files: Vec<GoFile>, claims: &Claims) -> GoPrograms {
    for file in &files {
        findings.extend(golang::check(file, claims.subdir, None));
    }
    findings.sort();
    files.into_iter().filter_map(|file| Some((file.path, file.info.ok()?))).collect()
}
