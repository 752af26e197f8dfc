//! What a job will do, as data: it can be printed and compared; the doer takes no decisions.

use gonda_recipe::{Output, Source, SourceKind};
use rattler_conda_types::RepoDataRecord;
use serde::Serialize;

use crate::channels::Channels;
use crate::record::{LockedPackage, PlannedSource};

/// One output's plan, its environments solved.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string.
    pub build_string: String,
    /// The channel folder the package goes to.
    pub subdir: String,
    /// The package's file name.
    pub filename: String,
    /// The platform it is for.
    pub target_platform: String,
    /// The platform that builds.
    pub build_platform: String,
    /// Channels in order of priority.
    pub channels: Vec<String>,
    /// Where the source comes from.
    pub sources: Vec<PlannedSource>,
    /// Packages of the build environment, by name.
    pub build: Vec<LockedPackage>,
    /// Packages of the host environment, by name.
    pub host: Vec<LockedPackage>,
    /// `depends` of the package.
    pub depends: Vec<String>,
}

impl Plan {
    /// The plan of an output.
    #[must_use]
    pub fn new(output: &Output, channels: &Channels, build: &[RepoDataRecord], host: &[RepoDataRecord]) -> Self {
        let lock = |records: &[RepoDataRecord]| records.iter().map(|record| locked(channels, record)).collect();
        Self {
            name: output.name.clone(),
            version: output.version.clone(),
            build_string: output.build_string.clone(),
            subdir: output.subdir(),
            filename: output.filename(),
            target_platform: output.target_platform.to_string(),
            build_platform: output.build_platform.to_string(),
            channels: channels.names(),
            sources: output.sources.iter().map(planned).collect(),
            build: lock(build),
            host: lock(host),
            depends: output.depends.clone(),
        }
    }
}

pub(crate) fn locked(channels: &Channels, record: &RepoDataRecord) -> LockedPackage {
    LockedPackage {
        channel: channels.name_of(record),
        subdir: record.package_record.subdir.clone(),
        filename: record.identifier.to_string(),
        sha256: record.package_record.sha256.map(|digest| hex::encode(&digest[..])),
    }
}

pub(crate) fn planned(source: &Source) -> PlannedSource {
    let (from, sha256, rev) = match &source.kind {
        SourceKind::Url { urls, sha256, .. } => (urls.clone(), sha256.clone(), None),
        SourceKind::Git { url, rev, .. } => (vec![url.clone()], None, rev.clone()),
        SourceKind::Path { path, sha256, .. } => (vec![path.display().to_string()], sha256.clone(), None),
    };
    PlannedSource { from, sha256, rev, patches: source.patches.clone() }
}
