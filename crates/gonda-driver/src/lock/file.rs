//! `gonda.conda-lock.yml` as it is written: a lockfile after CEP 37.

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::RepoDataRecord;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LockFile {
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    pub(super) package: Vec<Package>,
}

/// CEP 37 allows no other keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    /// By platform, the sha256 of its packages.
    pub(super) content_hash: BTreeMap<String, String>,
    pub(super) channels: Vec<Channel>,
    pub(super) platforms: BTreeSet<String>,
    /// Files of the recipe, relative to the lock.
    pub(super) sources: Vec<String>,
    #[serde(default)]
    pub(super) inputs_metadata: BTreeMap<String, Input>,
    #[serde(default)]
    pub(super) custom_metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) url: String,
    pub(super) used_env_vars: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) md5: String,
    pub(super) sha256: String,
}

/// A package of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) manager: String,
    pub(super) platform: String,
    #[serde(default)]
    pub(super) dependencies: BTreeMap<String, String>,
    pub(super) url: String,
    pub(super) hash: BTreeMap<String, String>,
    pub(super) build: String,
    pub(super) category: String,
    pub(super) optional: bool,
}

impl Package {
    pub(super) fn new(record: &RepoDataRecord, platform: &str, category: &str) -> Self {
        let package = &record.package_record;
        let md5 = package.md5.map(|digest| ("md5".to_owned(), hex::encode(&digest[..])));
        let sha256 = package.sha256.map(|digest| ("sha256".to_owned(), hex::encode(&digest[..])));
        let dependencies = package.depends.iter().map(|spec| {
            let (name, rest) = spec.split_once(' ').unwrap_or((spec, ""));
            (name.to_owned(), rest.to_owned())
        });
        Self {
            name: package.name.as_normalized().to_owned(),
            version: package.version.to_string(),
            manager: "conda".to_owned(),
            platform: platform.to_owned(),
            dependencies: dependencies.collect(),
            url: record.url.to_string(),
            hash: md5.into_iter().chain(sha256).collect(),
            build: package.build.to_string(),
            category: category.to_owned(),
            optional: false,
        }
    }

    /// What a solve is held to, so that it chooses this package.
    pub(super) fn constraint(&self) -> String {
        format!("{} =={} {}", self.name, self.version, self.build)
    }
}

impl LockFile {
    /// The hashes that CEP 37 wants of each platform's packages.
    pub(super) fn content_hashes(packages: &[Package]) -> BTreeMap<String, String> {
        let mut digests: BTreeMap<String, Sha256> = BTreeMap::new();
        for package in packages {
            let digest = digests.entry(package.platform.clone()).or_default();
            let hash = package.hash.get("sha256").or_else(|| package.hash.get("md5"));
            digest.update(format!("{} {} {}\n", package.category, package.url, hash.map_or("", String::as_str)));
        }
        digests.into_iter().map(|(platform, digest)| (platform, hex::encode(digest.finalize()))).collect()
    }
}
