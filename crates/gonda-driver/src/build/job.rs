//! One group's work: fetch, patch, read go.mod, solve, install, run, pack, test.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use gonda_recipe::{Output, PinnedOutput};

use super::truth::Known;
use super::{JobReport, Plan, Request, Session, Status, blocking};
use crate::channels::Channels;
use crate::planning::Selection;
pub(super) use crate::solving::Solved;
use crate::solving::Solver;
use crate::source::{self, Fetched, Placed, SourceSettings};
use crate::workspace::Workspace;
use crate::{Error, Event, Events, Kind, Phase, Result, modules};

/// What all jobs of a rendering see.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) request: &'a Request,
    pub(super) selection: &'a Selection,
    pub(super) session: &'a Session,
    pub(super) channels: &'a Arc<Channels>,
    pub(super) events: &'a Events,
}

/// Builds the outputs of a group one after the other, and adds them to those that are `finished`, for pins. Never fails
/// as a whole: each output has its report.
pub(super) async fn run_group(all: &Shared<'_>, group: &[usize], finished: &mut Vec<PinnedOutput>) -> Vec<JobReport> {
    let outputs = &all.selection.rendering.outputs;
    let mut reports = Vec::new();
    let mut shared: Option<Group> = None;
    let mut broken = false;
    for &index in group {
        let output = &outputs[index];
        let started = Instant::now();
        if output.skip {
            reports.push(JobReport::of(output, Status::Skipped, started.elapsed(), None));
            continue;
        }
        if broken {
            reports.push(JobReport::of(output, Status::NotTried, started.elapsed(), None));
            continue;
        }
        let mut job = Job {
            request: all.request,
            selection: all.selection,
            session: all.session,
            channels: all.channels,
            events: all.events,
            index,
            name: format!("{}-{} {}", output.name, output.version, output.target_platform),
            output: output.clone(),
            log: None,
        };
        let result = job.run(&mut shared, finished).await;
        let ok = result.is_ok();
        let script_failed = result.as_ref().is_err_and(|error| error.kind == Kind::Build);
        let status = result.unwrap_or_else(Status::Failed);
        let package = match &status {
            Status::Built { artifact, .. } => Some(artifact.path.clone()),
            _ => None,
        };
        all.events.send(Event::Finished { job: job.name.clone(), package, elapsed: started.elapsed(), ok });
        broken = !ok;
        finished.push(PinnedOutput {
            name: job.output.name.clone(),
            version: job.output.version.clone(),
            build_string: job.output.build_string.clone(),
        });
        if script_failed && let Some(shared) = &mut shared {
            shared.workspace.leave();
        }
        reports.push(JobReport::of(&job.output, status, started.elapsed(), job.log));
    }
    reports
}

/// What the outputs of a group share.
pub(super) struct Group {
    pub(super) workspace: Workspace,
    /// The work folder between two outputs; a job's room takes it and gives it back.
    pub(super) work: PathBuf,
    pub(super) placed: Placed,
    /// Compiled files that the source came with.
    pub(super) known: Known,
    /// What the recipe's top level installed, once it has run: a folder laid out as the prefix.
    pub(super) top: Option<PathBuf>,
}

/// One output on its way.
#[derive(Clone)]
pub(super) struct Job<'a> {
    pub(super) request: &'a Request,
    pub(super) selection: &'a Selection,
    pub(super) session: &'a Session,
    pub(super) channels: &'a Arc<Channels>,
    pub(super) events: &'a Events,
    pub(super) index: usize,
    pub(super) name: String,
    /// As rendered; finalised once its environments are solved.
    pub(super) output: Output,
    pub(super) log: Option<PathBuf>,
}

impl Job<'_> {
    async fn run(&mut self, shared: &mut Option<Group>, finished: &[PinnedOutput]) -> Result<Status> {
        if shared.is_none() {
            *shared = Some(self.fetch().await?);
        }
        let Some(group) = shared else { return Err(Error::new(Kind::Bug, "a group without its sources")) };
        self.phase(Phase::Solve);
        let solved = self.solve(group, finished).await?;
        if self.request.dry_run {
            let plan = Plan::new(&self.output, self.channels, &solved.build, &solved.host);
            return Ok(Status::Planned(Box::new(plan)));
        }
        let settings = &self.request.settings;
        let folder = settings.output_dir.join(self.output.subdir());
        let existing = folder.join(self.output.filename());
        if settings.skip_existing && existing.is_file() {
            return Ok(Status::Exists(existing));
        }
        self.build_top_level(group).await?;
        let artifact = self.build(group, &solved).await?;
        let tests = self.test(&artifact).await?;
        Ok(Status::Built { artifact, tests })
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.events.send(Event::Phase { job: self.name.clone(), phase });
    }

    /// Sources into the cache, from there into a work folder, patched.
    async fn fetch(&self) -> Result<Group> {
        self.phase(Phase::Fetch);
        let settings = &self.request.settings;
        let sources = SourceSettings {
            mirrors: settings.source_mirrors.clone(),
            offline: settings.offline,
            ..SourceSettings::new(&settings.cache_root, &self.request.located.recipe_dir, self.output.format)
        };
        let fetched: Vec<Fetched> = source::fetch(&self.output.sources, &sources, self.events, &self.name).await?;
        let workspace = Workspace::create(&settings.cache_root)?;
        let work = workspace.path().join("source");
        let placed = source::place(&fetched, &work).await?;
        for remark in &placed.remarks {
            self.events.note(&self.name, remark.clone());
        }
        let source = work.clone();
        let known = blocking(move || Known::of(&source)).await?;
        Ok(Group { workspace, work, placed, known, top: None })
    }

    /// Chooses the packages of both environments and finalises the output with them.
    async fn solve(&mut self, group: &Group, finished: &[PinnedOutput]) -> Result<Solved> {
        let floor = modules::toolchain_floor(&group.work)?;
        let (output, solved) = self.solver().output(self.index, floor, finished).await?;
        self.output = output;
        self.name = format!("{}-{}-{}", self.output.name, self.output.version, self.output.build_string);
        if self.output.noarch.is_none() {
            self.name = format!("{} {}", self.name, self.output.target_platform);
        }
        Ok(solved)
    }

    pub(super) fn solver(&self) -> Solver<'_> {
        let settings = &self.request.settings;
        Solver {
            rendering: &self.selection.rendering,
            channels: self.channels,
            build_platform: settings.build_platform,
            environment: &settings.caller_environment,
            built: Some(settings.output_dir.clone()),
            left_out: BTreeSet::new(),
        }
    }
}
