//! Building: from recipes on disk to verified, tested, indexed packages.
//!
//! All that was asked becomes one plan ([`matrix`]), which is carried out in parallel ([`schedule`]) under one budget of
//! processors ([`budget`]). What must share a work folder is a group ([`group`]), and each output a job ([`job`], a file
//! for each of its steps) with a log, environments and a room of its own. A group's [`sources`] become its [`checkout`];
//! what is known of them beforehand are [`facts`].

mod budget;
mod checkout;
mod disk;
mod facts;
mod group;
mod job;
mod matrix;
mod plan;
mod report;
mod schedule;
mod session;
mod sources;

use std::path::PathBuf;
use std::sync::Arc;

use gonda_recipe::{ConfigPlatform, Finalize, VariantFiles};

pub use plan::Plan;
pub use report::{Fetched, JobReport, Status, StatusWord};
pub use session::Session;

use self::matrix::Matrix;
use crate::locate::Located;
use crate::lock::{self, Lock};
use crate::planning::{self, Selected, Selection, Targets};
use crate::settings::Settings;
use crate::{Events, Result};

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
