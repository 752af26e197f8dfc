//! What became of each job.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gonda_packager::Artifact;
use gonda_recipe::Output;
use rattler_conda_types::Subdir;
use serde::Serialize;

use super::Plan;
use crate::Error;
use crate::lock::LockedOutput;
use crate::testbed::TestSummary;

/// What was brought into the caches for an output.
#[derive(Debug, Clone, Serialize)]
pub struct Fetched {
    /// How many conda packages its environments have.
    pub packages: usize,
    /// How many Go modules.
    pub modules: usize,
    /// The same, for a lock.
    #[serde(skip)]
    pub lock: LockedOutput,
    /// The channels that were asked, as metadata names them.
    #[serde(skip)]
    pub channels: Vec<String>,
}

/// How a job ended.
#[derive(Debug)]
pub enum Status {
    /// A package was written, verified and, where possible, tested.
    Built {
        /// The package.
        artifact: Artifact,
        /// What became of its tests.
        tests: TestSummary,
    },
    /// The recipe has nothing for this target and variant.
    Skipped {
        /// Who says so.
        reason: String,
    },
    /// The package is there already.
    Exists(PathBuf),
    /// It was built before from the same inputs, and is there again.
    Unchanged(PathBuf),
    /// Only planned.
    Planned(Box<Plan>),
    /// Only fetched.
    Fetched(Box<Fetched>),
    /// No package.
    Failed(Error),
    /// What it takes to build for the target can't be had here.
    NoToolchain {
        /// What is missing.
        reason: String,
    },
    /// Not tried.
    NotTried {
        /// What failed before.
        reason: String,
    },
}

impl Status {
    /// Whether the job failed by itself.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Failed(_) => true,
            Self::Built { tests, .. } => tests.is_failure(),
            Self::Skipped { .. }
            | Self::Exists(_)
            | Self::Unchanged(_)
            | Self::Planned(_)
            | Self::Fetched(_)
            | Self::NoToolchain { .. }
            | Self::NotTried { .. } => false,
        }
    }

    /// The package that is there now.
    pub(super) fn package(&self) -> Option<&Path> {
        match self {
            Self::Built { artifact, .. } => Some(&artifact.path),
            Self::Exists(path) | Self::Unchanged(path) => Some(path),
            _ => None,
        }
    }

    /// Whether others can go on as if the package were there.
    pub(super) fn has_package(&self) -> bool {
        matches!(
            self,
            Self::Built { .. }
                | Self::Exists(_)
                | Self::Unchanged(_)
                | Self::Planned(_)
                | Self::Fetched(_)
                | Self::Skipped { .. }
        ) && !self.is_failure()
    }
}

/// One job's result.
#[derive(Debug)]
pub struct JobReport {
    /// Package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string, as far as it is known.
    pub build_string: String,
    /// The target platform.
    pub target: Subdir,
    /// How it ended.
    pub status: Status,
    /// The sibling whose variant was taken, where the feedstock has none for the target.
    pub derived_from: Option<Subdir>,
    /// Wall time.
    pub elapsed: Duration,
    /// The log, where there is one.
    pub log: Option<PathBuf>,
}

impl JobReport {
    pub(super) fn of(output: &Output, status: Status, elapsed: Duration, log: Option<PathBuf>) -> Self {
        Self {
            name: output.name.clone(),
            version: output.version.clone(),
            build_string: output.build_string.clone(),
            target: output.target_platform,
            derived_from: None,
            status,
            elapsed,
            log,
        }
    }

    /// The status as one word.
    #[must_use]
    pub fn word(&self) -> StatusWord {
        match self.status {
            Status::Built { .. } => StatusWord::Built,
            Status::Skipped { .. } => StatusWord::Skipped,
            Status::Exists(_) => StatusWord::Exists,
            Status::Unchanged(_) => StatusWord::Unchanged,
            Status::Planned(_) => StatusWord::Planned,
            Status::Fetched(_) => StatusWord::Fetched,
            Status::Failed(_) => StatusWord::Failed,
            Status::NoToolchain { .. } => StatusWord::NoToolchain,
            Status::NotTried { .. } => StatusWord::NotTried,
        }
    }
}

/// [`Status`] without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "see Status")]
pub enum StatusWord {
    Built,
    Skipped,
    Exists,
    Unchanged,
    Planned,
    Fetched,
    Failed,
    NoToolchain,
    NotTried,
}

impl StatusWord {
    /// As people read it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Skipped => "skipped",
            Self::Exists => "there already",
            Self::Unchanged => "unchanged",
            Self::Planned => "planned",
            Self::Fetched => "fetched",
            Self::Failed => "failed",
            Self::NoToolchain => "no toolchain",
            Self::NotTried => "not tried",
        }
    }
}
