//! Building: from recipes on disk to verified, tested, indexed packages.
//!
//! A *group* is the outputs of one recipe for one variant: they share sources and work folder, as in conda-build,
//! and are built one after the other, so that a later one can need an earlier one. Each output is a job with a log,
//! environments and a room of its own.

mod attribution;
mod check;
mod fetch;
mod floor;
mod go_cache;
mod job;
mod make;
mod modules;
mod network;
mod plan;
mod record;
mod session;
mod top_level;
mod truth;
mod unchanged;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gonda_packager::Artifact;
use gonda_recipe::{ConfigPlatform, Finalize, Output, RecipeFormat, VariantFiles};
use rattler_conda_types::Subdir;
use serde::Serialize;

pub use plan::{LockedPackage, Plan, PlannedSource};
pub use session::Session;

pub(crate) use make::blocking;

use crate::locate::Located;
use crate::lock::{self, Lock, LockedOutput};
use crate::planning::{self, Selected, Selection};
use crate::settings::Settings;
use crate::testbed::TestSummary;
use crate::{Error, Events, Result};

/// What to build.
#[derive(Debug)]
pub struct Request {
    /// The recipe.
    pub located: Located,
    /// The user's variant files.
    pub variants: VariantFiles,
    /// Target platforms, in order.
    pub targets: Vec<Subdir>,
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
    /// The recipe skips this variant.
    Skipped,
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
    /// Not tried, because an output before it failed.
    NotTried,
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
            Status::Skipped => StatusWord::Skipped,
            Status::Exists(_) => StatusWord::Exists,
            Status::Unchanged(_) => StatusWord::Unchanged,
            Status::Planned(_) => StatusWord::Planned,
            Status::Fetched(_) => StatusWord::Fetched,
            Status::Failed(_) => StatusWord::Failed,
            Status::NotTried => StatusWord::NotTried,
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
    NotTried,
}

/// Builds a recipe for all that was asked. One failing job doesn't stop others that don't need it; its error stands in
/// its report.
///
/// # Errors
/// What concerns all jobs: recipe mistakes, channels that are none, a cache that can't be written.
pub async fn build(request: &Request, session: &Session, events: &Events) -> Result<Vec<JobReport>> {
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
    let mut reports = Vec::new();
    for selection in &selections {
        let channels = session.channels(&request.settings, selection.rendering.channel_sources.as_deref(), events)?;
        let mut finished = Vec::new();
        for group in groups(selection) {
            let shared = job::Shared { request, selection, session, channels: &channels, events };
            reports.extend(job::run_group(&shared, &group, &mut finished).await);
        }
    }
    Ok(reports)
}

/// The outputs of a rendering by variant: those of one v0 recipe with the same variant share their work folder. Each
/// output of a v1 recipe has one of its own, as in rattler-build.
fn groups(selection: &Selection) -> Vec<Vec<usize>> {
    let outputs = &selection.rendering.outputs;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let belongs = |group: &&mut Vec<usize>| {
            let first = &outputs[group[0]];
            output.format == RecipeFormat::V0
                && recipe_of(first) == recipe_of(output)
                && first.variant == output.variant
        };
        match groups.iter_mut().find(belongs) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Name and version of an output's recipe, which may be its own.
fn recipe_of(output: &Output) -> (&str, &str) {
    match &output.parent {
        Some(parent) => (&parent.name, &parent.version),
        None => (&output.name, &output.version),
    }
}
