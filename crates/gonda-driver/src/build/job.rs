//! One group's work: fetch, patch, read go.mod, solve, install, run, pack, test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use gonda_recipe::{Env, Output, PinnedOutput, Resolved, ResolvedPackage};
use rattler_conda_types::{RepoDataRecord, Subdir};

use super::fetch::go_sums;
use super::truth::Known;
use super::unchanged::Origin;
use super::{Goal, JobReport, LockedPackage, Plan, Request, Session, Status, blocking};
use crate::channels::{self, Channels, SolveRequest};
use crate::lock::Locked;
use crate::modules::ProxyRecord;
use crate::planning::Selection;
pub(super) use crate::solving::name_of;
use crate::source::{self, Fetched, Placed, SourceSettings};
use crate::workspace::Workspace;
use crate::{Error, Event, Events, Kind, Phase, Result, solving};

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
    let before = finished.len();
    let mut shared = None;
    if let Some(reports) = attempt(all, group, finished, &mut shared, Answers::Allowed).await {
        return reports;
    }
    finished.truncate(before);
    attempt(all, group, finished, &mut shared, Answers::Refused).await.unwrap_or_default()
}

/// Whether outputs may be answered with what was built before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Allowed,
    Refused,
}

/// `None`: an output has to be built, but one before it, whose script would have left something in their work folder, was
/// answered.
async fn attempt(
    all: &Shared<'_>,
    group: &[usize],
    finished: &mut Vec<PinnedOutput>,
    shared: &mut Option<Group>,
    answers: Answers,
) -> Option<Vec<JobReport>> {
    let mut answered = false;
    let outputs = &all.selection.rendering.outputs;
    let mut reports = Vec::new();
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
            lock_key: all.selection.lock_keys.get(index).cloned().unwrap_or_default(),
            output: output.clone(),
            log: None,
            served: ProxyRecord::default(),
        };
        let result = match job.decide(shared, finished, answers).await {
            Ok(Next::Build(..)) if answered => return None,
            Ok(Next::Build(solved, inputs)) => job.make(shared, &solved, &inputs).await,
            Ok(Next::Done(status)) => {
                answered |= matches!(status, Status::Unchanged(_));
                Ok(status)
            }
            Err(error) => Err(error),
        };
        let ok = result.is_ok();
        let script_failed = result.as_ref().is_err_and(|error| error.kind == Kind::Build);
        let status = result.unwrap_or_else(Status::Failed);
        let package = match &status {
            Status::Built { artifact, .. } => Some(artifact.path.clone()),
            Status::Unchanged(path) => Some(path.clone()),
            _ => None,
        };
        all.events.send(Event::Finished { job: job.name.clone(), package, elapsed: started.elapsed(), ok });
        broken = !ok;
        finished.push(PinnedOutput {
            name: job.output.name.clone(),
            version: job.output.version.clone(),
            build_string: job.output.build_string.clone(),
        });
        if script_failed && let Some(shared) = shared {
            shared.workspace.leave();
        }
        reports.push(JobReport::of(&job.output, status, started.elapsed(), job.log));
    }
    Some(reports)
}

/// What the outputs of a group share.
pub(super) struct Group {
    pub(super) workspace: Workspace,
    /// The work folder between two outputs; a job's room takes it and gives it back.
    pub(super) work: PathBuf,
    pub(super) placed: Placed,
    /// Compiled files that the source came with.
    pub(super) known: Known,
    /// What it starts from, before any script has run.
    pub(super) origin: Origin,
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
    /// By which a lock knows it; empty where none holds it.
    pub(super) lock_key: String,
    /// As rendered; finalised once its environments are solved.
    pub(super) output: Output,
    pub(super) log: Option<PathBuf>,
    /// What gonda's module proxy served to its scripts.
    pub(super) served: ProxyRecord,
}

/// What is to be done for an output.
enum Next {
    /// Nothing more.
    Done(Status),
    /// It is built in these environments; the digest is that of its inputs.
    Build(Solved, String),
}

/// The solved environments of a job.
pub(super) struct Solved {
    pub(super) build: Vec<RepoDataRecord>,
    pub(super) host: Vec<RepoDataRecord>,
}

impl Job<'_> {
    /// Solves, and finds out whether there is anything to build.
    async fn decide(
        &mut self,
        shared: &mut Option<Group>,
        finished: &[PinnedOutput],
        answers: Answers,
    ) -> Result<Next> {
        if shared.is_none() {
            let group = self.fetch_source().await?;
            self.check_source(&group)?;
            *shared = Some(group);
        }
        let Some(group) = shared else { return Err(Error::new(Kind::Bug, "a group without its sources")) };
        self.phase(Phase::Solve);
        let solved = self.solve(group, finished).await?;
        match self.request.goal {
            Goal::Build => {}
            Goal::Plan => {
                let plan = Plan::new(&self.output, self.channels, &solved.build, &solved.host);
                return Ok(Next::Done(Status::Planned(Box::new(plan))));
            }
            Goal::Fetch => {
                return Ok(Next::Done(Status::Fetched(Box::new(self.fetch(group, solved).await?))));
            }
        }
        let settings = &self.request.settings;
        let folder = settings.output_dir.join(self.output.subdir());
        let existing = folder.join(self.output.filename());
        if settings.skip_existing && existing.is_file() {
            return Ok(Next::Done(Status::Exists(existing)));
        }
        let inputs = self.inputs(group, &solved)?;
        if answers == Answers::Allowed
            && let Some(package) = self.unchanged(&inputs).await?
        {
            return Ok(Next::Done(Status::Unchanged(package)));
        }
        Ok(Next::Build(solved, inputs))
    }

    /// Builds, tests, and keeps the package for the next time.
    async fn make(&mut self, shared: &mut Option<Group>, solved: &Solved, inputs: &str) -> Result<Status> {
        let Some(group) = shared else { return Err(Error::new(Kind::Bug, "a group without its sources")) };
        self.build_top_level(group).await?;
        let artifact = self.build(group, solved).await?;
        let tests = self.test(&artifact).await?;
        self.remember(inputs, &artifact).await;
        Ok(Status::Built { artifact, tests })
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.events.send(Event::Phase { job: self.name.clone(), phase });
    }

    /// Sources into the cache, from there into a work folder, patched.
    async fn fetch_source(&self) -> Result<Group> {
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
        let mut group = Group { workspace, work, placed, known, origin: Origin::default(), top: None };
        group.origin = Origin::of(&group, &self.output)?;
        Ok(group)
    }

    /// Chooses the packages of both environments and finalises the output with them.
    async fn solve(&mut self, group: &Group, finished: &[PinnedOutput]) -> Result<Solved> {
        let rendering = &self.selection.rendering;
        let world = self.world();
        let mut resolved = Resolved { outputs: finished.to_vec(), ..Resolved::default() };

        let mut specs = rendering.specs(self.index, Env::Build, &resolved, &world)?;
        let merged = self.output.build.merge_build_host;
        if merged {
            specs.extend(rendering.specs(self.index, Env::Host, &resolved, &world)?);
        }
        if self.request.goal != Goal::Build {
            specs = self.without_own_packages(&specs);
        }
        let build = match self.recorded("build") {
            Some(packages) => self.exactly("build", packages, self.output.build_platform).await?,
            None => self.solve_build(group, &specs).await?,
        };
        resolved.build = self.resolve(&build, &specs).await?;

        let mut host = Vec::new();
        if !merged {
            let mut specs = rendering.specs(self.index, Env::Host, &resolved, &world)?;
            if self.request.goal != Goal::Build {
                specs = self.without_own_packages(&specs);
            }
            host = match self.recorded("host") {
                Some(packages) => self.exactly("host", packages, self.output.target_platform).await?,
                None => self.solve_one("host", &specs, Vec::new(), self.output.target_platform).await?,
            };
            resolved.host = self.resolve(&host, &specs).await?;
        }

        self.output = rendering.finalize(self.index, &resolved, &world)?;
        self.name = format!("{}-{}-{}", self.output.name, self.output.version, self.output.build_string);
        if self.output.noarch.is_none() {
            self.name = format!("{} {}", self.name, self.output.target_platform);
        }
        Ok(Solved { build, host })
    }

    fn world(&self) -> gonda_recipe::DiskWorld {
        gonda_recipe::DiskWorld {
            environ: self.request.settings.caller_environment.clone(),
            ..gonda_recipe::DiskWorld::default()
        }
    }

    /// The packages of an environment as the package that is built again records them.
    fn recorded(&self, which: &str) -> Option<&[LockedPackage]> {
        let record = self.request.settings.record.as_ref().filter(|record| record.output == self.output.name)?;
        Some(if which == "build" { &record.environments.build } else { &record.environments.host })
    }

    /// Exactly these packages.
    async fn exactly(&self, which: &str, packages: &[LockedPackage], platform: Subdir) -> Result<Vec<RepoDataRecord>> {
        let exact: Vec<String> = packages.iter().filter_map(LockedPackage::exact_spec).collect();
        let records = self.solve_one(which, &exact, Vec::new(), platform).await?;
        for package in packages {
            let same = |record: &&RepoDataRecord| record.identifier.to_string() == package.filename;
            let found = records.iter().find(same).and_then(|record| record.package_record.sha256);
            if found.map(|digest| hex::encode(&digest[..])) != package.sha256 {
                let message = format!("`{}` is not the package that was used the first time", package.filename);
                return Err(Error::new(Kind::Unavailable, message)
                    .help(format!("it came from the channel `{}`: give that channel with `-c`", package.channel)));
            }
        }
        Ok(records)
    }

    pub(super) async fn solve_one(
        &self,
        which: &str,
        specs: &[String],
        mut constraints: Vec<String>,
        platform: Subdir,
    ) -> Result<Vec<RepoDataRecord>> {
        let native = platform == self.request.settings.build_platform && Subdir::current() == Some(platform);
        let locked = self.locked()?;
        if let Some(locked) = &locked {
            constraints = locked.constraints(which);
        }
        let solved = self
            .channels
            .solve(&SolveRequest {
                what: format!("{which} environment of `{}`", self.output.name),
                specs: specs.to_vec(),
                constraints,
                platform,
                virtual_packages: channels::virtual_packages(platform, native)?,
                extra_channel: Some(self.request.settings.output_dir.clone()),
            })
            .await;
        let Some(locked) = locked else { return solved };
        let solved = solved.map_err(|error| locked.unsolvable(which, error))?;
        // The recipe's own packages are built, not locked.
        let own = |record: &&RepoDataRecord| {
            let name = record.package_record.name.as_normalized();
            self.selection.rendering.outputs.iter().any(|output| output.name.eq_ignore_ascii_case(name))
        };
        let others: Vec<RepoDataRecord> = solved.iter().filter(|record| !own(record)).cloned().collect();
        locked.check_environment(which, &others)?;
        Ok(solved)
    }

    /// What a lock says of the output; `None` where nothing holds it.
    fn locked(&self) -> Result<Option<Locked<'_>>> {
        match &self.request.lock {
            Some(lock) if !self.lock_key.is_empty() => Ok(Some(lock.output(&self.lock_key)?)),
            _ => Ok(None),
        }
    }

    /// Whether the source is the locked one, before any script changes it.
    fn check_source(&self, group: &Group) -> Result<()> {
        match self.locked()? {
            Some(locked) => locked.check_source(&group.placed.identities, &go_sums(&group.work)?),
            None => Ok(()),
        }
    }

    pub(super) async fn resolve(&self, records: &[RepoDataRecord], specs: &[String]) -> Result<Vec<ResolvedPackage>> {
        solving::resolve(self.channels, records, specs).await
    }
}
