//! `info/recipe/gonda.json`: what a package was built from, so that it can be built again.
//!
//! CEP 34 leaves `info/recipe/` to whatever a rebuild needs. The recipe itself lies beside it; here stands what the
//! recipe leaves open. Nothing of it depends on where, when or with how many processors the package was built, nor on
//! what the caches held.

use std::collections::BTreeMap;

use gonda_recipe::{ConfigPlatform, Variant};
use rattler_conda_types::Subdir;
use serde::{Deserialize, Serialize};

use crate::zig::CgoCompiler;

/// The file's name in `info/recipe/`.
pub const FILE: &str = "gonda.json";
/// The version of the file's format.
pub const FORMAT: u32 = 1;

/// All that the recipe leaves open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// gonda's version.
    pub gonda: String,
    /// Name of the recipe file, as it was in its folder.
    pub recipe: String,
    /// The platform that built.
    pub build_platform: Subdir,
    /// The platform that it was built for.
    pub target_platform: Subdir,
    /// All values of the variant.
    pub variant: Variant,
    /// Settings that decide bytes.
    pub settings: RecordedSettings,
    /// Channels in order of priority.
    pub channels: Vec<String>,
    /// The packages of both environments.
    pub environments: Environments,
    /// Where the source came from.
    pub sources: Vec<RecordedSource>,
    /// Go's modules.
    pub modules: RecordedModules,
    /// `SOURCE_DATE_EPOCH`, and the time of every member, in seconds since 1970.
    pub timestamp: i64,
}

/// Settings that decide bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedSettings {
    /// zstd level, where it isn't gonda's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<i32>,
    /// The C compiler that was chosen for cgo, whatever the recipe says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgo_compiler: Option<CgoCompiler>,
    /// For which platform the recipe's own variant file was read.
    pub config_platform: RecordedPlatform,
    /// Variables of the caller that the recipe lists, secrets excepted; null where they were not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
}

/// [`ConfigPlatform`], as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "see ConfigPlatform")]
pub enum RecordedPlatform {
    Target,
    Build,
}

impl From<ConfigPlatform> for RecordedPlatform {
    fn from(platform: ConfigPlatform) -> Self {
        match platform {
            ConfigPlatform::Target => Self::Target,
            ConfigPlatform::Build => Self::Build,
        }
    }
}

impl From<RecordedPlatform> for ConfigPlatform {
    fn from(platform: RecordedPlatform) -> Self {
        match platform {
            RecordedPlatform::Target => Self::Target,
            RecordedPlatform::Build => Self::Build,
        }
    }
}

/// The packages of both environments, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environments {
    /// For the build platform.
    pub build: Vec<LockedPackage>,
    /// For the target platform.
    pub host: Vec<LockedPackage>,
}

/// A source with what identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSource {
    /// Url, repository or path, as the recipe has it.
    pub from: Vec<String>,
    /// Hex digest of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Branch, tag or commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
    /// Patches, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<String>,
}

/// A package of a solved environment, with what is needed to fetch exactly it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPackage {
    /// The channel's name.
    pub channel: String,
    /// The channel's folder.
    pub subdir: String,
    /// The file's name.
    pub filename: String,
    /// Hex digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl LockedPackage {
    /// A match spec that nothing else fulfils; `None` for a name that is no package's.
    pub(crate) fn exact_spec(&self) -> Option<String> {
        let stem = self.filename.strip_suffix(".conda").or_else(|| self.filename.strip_suffix(".tar.bz2"))?;
        let mut parts = stem.rsplitn(3, '-');
        let (build, version, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(format!("{name} =={version} {build}"))
    }
}

/// A source, and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSource {
    /// As the recipe has it.
    #[serde(flatten)]
    pub source: PlannedSource,
    /// The commit that was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether it is a file or folder beside the recipe, which the package doesn't carry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
}

/// Go's modules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedModules {
    /// `sha256:` and the digest of each `go.sum` and `go.work.sum` of the source by its path, which names the modules and their hashes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub go_sum: BTreeMap<String, String>,
    /// What scripts had besides, as `path@version`: programs that they installed, mostly.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub besides: BTreeMap<String, RecordedModule>,
    /// The proxy's answers to questions such as `@latest`, by the request's path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
}

/// The hashes of a module version, as in go.sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedModule {
    /// `h1:…` of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h1: Option<String>,
    /// `h1:…` of its go.mod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_mod: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let text = r#"{
  "format": 1,
  "gonda": "0.1.0",
  "recipe": "meta.yaml",
  "build_platform": "linux-64",
  "target_platform": "osx-arm64",
  "variant": {
    "go_compiler": "go-nocgo"
  },
  "settings": {
    "config_platform": "target"
  },
  "channels": [
    "conda-forge"
  ],
  "environments": {
    "build": [
      {
        "channel": "conda-forge",
        "subdir": "linux-64",
        "filename": "go-1.26.8-nocgo_h1_0.conda",
        "sha256": "00"
      }
    ],
    "host": []
  },
  "sources": [
    {
      "from": [
        "../src"
      ],
      "local": true
    }
  ],
  "modules": {
    "go_sum": {
      "go.sum": "11"
    },
    "answers": {
      "a.b/c/@latest": "{}"
    }
  },
  "timestamp": 315532800
}"#;
        let record: BuildRecord = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&record).unwrap(), text);
    }
}
