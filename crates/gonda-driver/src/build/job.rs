//! One group's work, once its source is there: read go.mod, solve, install, run, pack, test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use gonda_recipe::{Env, Output, PinnedOutput, Resolved, ResolvedPackage};
use rattler_conda_types::{RepoDataRecord, Subdir};

use super::fetch::go_sums;
use super::matrix::Planned;
use super::sources::Source;
use super::truth::Known;
use super::unchanged::Origin;
use super::{Goal, JobReport, LockedPackage, Plan, Request, Session, Status};
use crate::channels::{self, Channels, SolveRequest};
use crate::lock::Locked;
use crate::modules::ProxyRecord;
use crate::planning::{Selection, Targets};
pub(super) use crate::solving::name_of;
use crate::source::Placed;
use crate::workspace::Workspace;
use crate::{Error, Event, Events, Kind, Phase, Result, solving};

/// What the jobs of a group see.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) request: Arc<Request>,
    pub(super) selection: Arc<Selection>,
    pub(super) session: Session,
    pub(super) channels: Arc<Channels>,
    pub(super) events: Events,
    /// Processors that a job of the group may use.
    pub(super) cpus: usize,
}

/// What became of a group.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) reports: Vec<JobReport>,
    /// Its outputs, finalised, for the pins of those that need them.
    pub(super) outputs: Vec<PinnedOutput>,
}

/// Builds the outputs of a group one after the other. `before` are the outputs of other groups that they pin. Never
/// fails as a whole: each output has its report.
pub(super) async fn run_group(all: &Shared, planned: &[Planned], source: &Source, before: &[PinnedOutput]) -> Ended {
    let mut shared = None;
    if let Some(ended) = attempt(all, planned, source, before, &mut shared, Answers::Allowed).await {
        return ended;
    }
    attempt(all, planned, source, before, &mut shared, Answers::Refused).await.unwrap_or_default()
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
    all: &Shared,
    planned: &[Planned],
    source: &Source,
    before: &[PinnedOutput],
    shared: &mut Option<Group>,
    answers: Answers,
) -> Option<Ended> {
    let mut finished = before.to_vec();
    let mut answered = false;
    let mut reports = Vec::new();
    let mut broken: Option<String> = None;
    for planned in planned {
        let output = &all.selection.rendering.outputs[planned.index];
        let started = Instant::now();
        if let Some(reason) = &planned.skipped {
            reports.push(JobReport::of(output, Status::Skipped { reason: reason.clone() }, started.elapsed(), None));
            continue;
        }
        if let Some(failed) = &broken {
            let reason = format!("`{failed}` failed");
            reports.push(JobReport::of(output, Status::NotTried { reason }, started.elapsed(), None));
            continue;
        }
        let mut job = Job {
            request: Arc::clone(&all.request),
            selection: Arc::clone(&all.selection),
            session: all.session.clone(),
            channels: Arc::clone(&all.channels),
            events: all.events.clone(),
            cpus: all.cpus,
            index: planned.index,
            name: planned.name.clone(),
            lock_key: all.selection.lock_keys.get(planned.index).cloned().unwrap_or_default(),
            output: output.clone(),
            log: None,
            served: ProxyRecord::default(),
        };
        let result = match job.decide(shared, source, &finished, answers).await {
            Ok(Next::Build(..)) if answered => return None,
            Ok(Next::Build(solved, inputs)) => job.make(shared, &solved, &inputs).await,
            Ok(Next::Done(status)) => {
                answered |= matches!(status, Status::Unchanged(_));
                Ok(status)
            }
            Err(error) => Err(error),
        };
        let script_failed = result.as_ref().is_err_and(|error| error.kind == Kind::Build);
        let status = result.unwrap_or_else(Status::Failed);
        let ok = !status.is_failure();
        let package = match &status {
            Status::Built { artifact, .. } => Some(artifact.path.clone()),
            Status::Unchanged(path) => Some(path.clone()),
            _ => None,
        };
        all.events.send(Event::Finished { job: job.name.clone(), package, elapsed: started.elapsed(), ok });
        if !ok {
            broken = Some(output.name.clone());
        }
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
    Some(Ended { reports, outputs: finished.split_off(before.len()) })
}

/// What the outputs of a group share.
pub(super) struct Group {
    pub(super) workspace: Workspace,
    /// The work folder between two outputs; a job's room takes it and gives it back.
    pub(super) work: PathBuf,
    pub(super) placed: Placed,
    /// Compiled files that the source came with.
    pub(super) known: Arc<Known>,
    /// What it starts from, before any script has run.
    pub(super) origin: Origin,
    /// What the recipe's top level installed, once it has run: a folder laid out as the prefix.
    pub(super) top: Option<PathBuf>,
}

/// One output on its way.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) request: Arc<Request>,
    pub(super) selection: Arc<Selection>,
    pub(super) session: Session,
    pub(super) channels: Arc<Channels>,
    pub(super) events: Events,
    /// Processors that it may use: its share of the session's.
    pub(super) cpus: usize,
    /// Which of the rendering's outputs it is.
    pub(super) index: usize,
    /// What events call it.
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

impl Job {
    /// Solves, and finds out whether there is anything to build.
    async fn decide(
        &mut self,
        shared: &mut Option<Group>,
        source: &Source,
        finished: &[PinnedOutput],
        answers: Answers,
    ) -> Result<Next> {
        let group = match shared {
            Some(group) => group,
            None => {
                let group = source.group(&self.request.settings.cache_root, &self.output).await?;
                self.check_source(&group)?;
                shared.insert(group)
            }
        };
        self.phase(Phase::Solve);
        if self.request.targets == Targets::All
            && let Some(reason) = self.lacks_toolchain().await?
        {
            return Ok(Next::Done(Status::NoToolchain { reason }));
        }
        let solved = self.solve(group, finished).await?;
        match self.request.goal {
            Goal::Build => {}
            Goal::Plan => {
                let plan = Plan::new(&self.output, &self.channels, &solved.build, &solved.host);
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

    /// What no channel has of the compilers that the output asks for, named after the target.
    async fn lacks_toolchain(&self) -> Result<Option<String>> {
        let (build, target) = (self.output.build_platform, self.output.target_platform);
        let of_target = format!("_{target}");
        let requirements = self.output.requirements.build.iter();
        let names: Vec<&str> =
            requirements.map(|spec| name_of(spec)).filter(|name| name.ends_with(&of_target)).collect();
        let lacking = self.channels.lacking(&names, build).await?;
        Ok((!lacking.is_empty()).then(|| format!("no {} in the channels", lacking.join(", "))))
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
        let native = platform == self.request.settings.build_platform;
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
        solving::resolve(&self.channels, records, specs).await
    }
}
