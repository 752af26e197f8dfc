//! Building: from recipes on disk to verified, tested, indexed packages.
//!
//! All that was asked becomes one plan ([`matrix`]), which is carried out in parallel ([`schedule`]) under one budget of
//! processors ([`budget`]). Each output is a job ([`job`]) with a log, environments and a room of its own.

mod attribution;
mod budget;
mod check;
mod fetch;
mod floor;
mod go_cache;
mod job;
mod make;
mod matrix;
mod modules;
mod network;
mod plan;
mod record;
mod schedule;
mod session;
mod sources;
mod top_level;
mod truth;
mod unchanged;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gonda_packager::Artifact;
use gonda_recipe::{ConfigPlatform, Finalize, Output, VariantFiles};
use rattler_conda_types::Subdir;
use serde::Serialize;

pub use plan::{LockedPackage, Plan, PlannedSource};
pub use session::Session;

pub(crate) use make::blocking;

use self::matrix::Matrix;
use crate::locate::Located;
use crate::lock::{self, Lock, LockedOutput};
use crate::planning::{self, Selected, Selection, Targets};
use crate::settings::Settings;
use crate::testbed::TestSummary;
use crate::{Error, Events, Result};

/// What to build of one recipe.
#[derive(Debug)]
pub struct Request {
    /// The recipe.
    pub located: Located,
    /// The user's variant files.
    pub variants: VariantFiles,
    /// Target platforms.
    pub targets: Targets,
    /// For which platform a recipe's own variant file is read.
    pub config_platform: ConfigPlatform,
    /// How far to go.
    pub goal: Goal,
    /// What the builds are held to.
    pub lock: Option<Arc<Lock>>,
    /// Everything else.
    pub settings: Settings,
}

impl Request {
    /// The files that decide what is built.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn inputs(&self) -> Result<Vec<PathBuf>> {
        lock::inputs(&self.located, &self.variants, &self.settings.output_dir)
    }
}

/// How far a request goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Goal {
    /// Packages.
    #[default]
    Build,
    /// Solved environments; nothing is run.
    Plan,
    /// Caches that hold all that a build takes from elsewhere.
    Fetch,
}

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

    /// Whether others can go on as if the package were there.
    fn has_package(&self) -> bool {
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
    fn of(output: &Output, status: Status, elapsed: Duration, log: Option<PathBuf>) -> Self {
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

/// Builds recipes for all that was asked, as one plan: what needs another's package is built after it, all else in
/// parallel. One failing job doesn't stop others that don't need it, unless `fail_fast`; its error stands in its report.
/// Reports stand in the order of recipes, targets and variants.
///
/// # Errors
/// What concerns all jobs: recipe mistakes, recipes that need each other, a lock that is for something else.
pub async fn build(
    requests: Vec<Request>,
    fail_fast: bool,
    session: &Session,
    events: &Events,
) -> Result<Vec<JobReport>> {
    let mut selected = Vec::new();
    for request in requests {
        let selections = planning::select(&Selected {
            located: &request.located,
            variants: request.variants.clone(),
            targets: request.targets.clone(),
            build_platform: request.settings.build_platform,
            config_platform: request.config_platform,
            finalize: Finalize::No,
            environment: &request.settings.caller_environment,
        })?;
        if let Some(lock) = &request.lock {
            lock.check_inputs(&request.inputs()?)?;
        }
        for warning in selections.iter().filter_map(Selection::warning) {
            events.warn("", warning);
        }
        selected.push((Arc::new(request), selections.into_iter().map(Arc::new).collect()));
    }
    Ok(schedule::run(Matrix::new(selected)?, fail_fast, session, events).await)
}
