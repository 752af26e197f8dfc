//! One output on its way to a package: what is to be done for it, and the order in which it happens.
//!
//! First it is decided: [`environments`] are solved above the toolchain's [`floor`], and what is [`unchanged`] is done. Then
//! the job is made: the [`top_level`] of its recipe once, [`moving_in`] to a room with [`modules`] and a [`go_cache`]
//! beforehand, [`scripts`] within reach of a [`network`], [`truth`] and a [`record`] before [`packing`], and a [`check`] of
//! the package. [`attribution`] says why a script failed.

mod attribution;
mod check;
mod environments;
mod fetch;
mod floor;
mod go_cache;
mod modules;
mod moving_in;
mod native_std;
mod network;
mod packing;
mod record;
mod scripts;
mod top_level;
mod truth;
mod unchanged;
mod windows;
mod without_cgo;

use std::path::PathBuf;
use std::sync::Arc;

use gonda_packager::Artifact;
use gonda_recipe::{Output, PinnedOutput};

use self::moving_in::give_back;
use self::native_std::Needs;
use super::checkout::Checkout;
use super::facts::Facts;
use super::matrix::Planned;
use super::sources::{Asker, Source};
use super::{Goal, Plan, Request, Session, Status};
use crate::channels::{Channels, LocalChannel, name_of};
use crate::isolation::Room;
use crate::lock::Locked;
use crate::modules::ProxyRecord;
use crate::planning::{Selection, Targets};
use crate::solving::Solved;
use crate::zig::{self, Zig};
use crate::{Event, Events, Kind, Phase, Result};

/// What the jobs of a group see.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) request: Arc<Request>,
    pub(super) selection: Arc<Selection>,
    pub(super) session: Session,
    pub(super) channels: Arc<Channels>,
    /// The output folder, as these jobs see it.
    pub(super) local: LocalChannel,
    pub(super) events: Events,
    /// Processors that a job of the group may use.
    pub(super) cpus: usize,
}

/// Whether outputs may be answered with what was built before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Allowed,
    Refused,
}

/// One output on its way.
#[derive(Clone)]
pub(super) struct Job {
    common: Common,
    /// Which of the rendering's outputs it is.
    index: usize,
    /// What events call it.
    pub(super) name: String,
    /// By which a lock knows it; empty where none holds it.
    lock_key: String,
    /// As rendered; finalised once its environments are solved.
    pub(super) output: Output,
    pub(super) log: Option<PathBuf>,
    /// What gonda's module proxy served to its scripts.
    served: ProxyRecord,
    /// What its source needs of the standard library, where that is known.
    needs: Option<Needs>,
}

/// What is to be done for an output.
pub(super) enum Next {
    /// Nothing more.
    Done(Status),
    /// It is built in these environments; the digest is that of its inputs.
    Build(Solved, String),
}

impl Job {
    pub(super) fn new(common: &Common, planned: &Planned) -> Self {
        let selection = &common.selection;
        Self {
            common: common.clone(),
            index: planned.index,
            name: planned.name.clone(),
            lock_key: selection.lock_keys.get(planned.index).cloned().unwrap_or_default(),
            output: selection.rendering.outputs[planned.index].clone(),
            log: None,
            served: ProxyRecord::default(),
            needs: None,
        }
    }

    /// Solves, and finds out whether there is anything to build.
    pub(super) async fn decide(
        &mut self,
        checkout: &mut Option<Checkout>,
        source: &Source,
        finished: &[PinnedOutput],
        answers: Answers,
    ) -> Result<Next> {
        let facts = source.facts();
        self.check_source(facts)?;
        self.phase(Phase::Solve);
        if self.common.request.targets == Targets::All
            && let Some(reason) = self.lacks_toolchain().await?
        {
            return Ok(Next::Done(Status::NoToolchain { reason }));
        }
        let solved = self.solve(facts, finished).await?;
        match self.common.request.goal {
            Goal::Build => {}
            Goal::Plan => {
                let plan = Plan::new(&self.output, &self.common.channels, &solved.build, &solved.host);
                return Ok(Next::Done(Status::Planned(Box::new(plan))));
            }
            Goal::Fetch => {
                let checkout = self.check_out(checkout, source).await?;
                return Ok(Next::Done(Status::Fetched(Box::new(self.fetch(checkout, solved).await?))));
            }
        }
        let settings = &self.common.request.settings;
        let existing = settings.output_dir.join(self.output.subdir()).join(self.output.filename());
        if settings.skip_existing && existing.is_file() {
            return Ok(Next::Done(Status::Exists(existing)));
        }
        let inputs = self.inputs(facts, &solved)?;
        if answers == Answers::Allowed
            && let Some(package) = self.unchanged(&inputs).await?
        {
            return Ok(Next::Done(Status::Unchanged(package)));
        }
        Ok(Next::Build(solved, inputs))
    }

    /// Builds, tests, and keeps the package for the next time.
    pub(super) async fn make(
        &mut self,
        checkout: &mut Option<Checkout>,
        source: &Source,
        solved: &Solved,
        inputs: &str,
    ) -> Result<Status> {
        let checkout = self.check_out(checkout, source).await?;
        self.build_top_level(checkout).await?;
        let artifact = self.build(checkout, solved).await?;
        let tests = self.test(&artifact).await?;
        self.remember(inputs, &artifact).await;
        Ok(Status::Built { artifact, tests })
    }

    /// Installs, runs and packs. The work folder is the group's again afterwards.
    async fn build(&mut self, checkout: &mut Checkout, solved: &Solved) -> Result<Artifact> {
        self.phase(Phase::Install);
        let room = self.move_in(checkout, solved).await?;
        let result = self.run_and_pack(checkout, solved, &room).await;
        give_back(&room, &checkout.work)?;
        match result {
            Ok(artifact) => {
                if self.common.request.settings.keep_work {
                    checkout.workspace.keep();
                    self.common.events.note(&self.name, format!("kept `{}`", room.disk().dir.display()));
                    let mut room = room;
                    room.keep();
                } else {
                    room.close()?;
                }
                Ok(artifact)
            }
            Err(error) => {
                let mut room = room;
                if error.kind == Kind::Build {
                    room.keep();
                }
                Err(error)
            }
        }
    }

    async fn run_and_pack(&mut self, checkout: &Checkout, solved: &Solved, room: &Room) -> Result<Artifact> {
        let prior = top_level::lay_in(&self.output, checkout.top.as_deref(), &room.disk().prefix)?;
        self.phase(Phase::Build);
        // The output of the recipe's own name takes what the top level installed; its script has run then.
        if checkout.top.is_none() || self.output.build.top_level.is_some() {
            self.run_scripts(checkout, solved, room).await?;
        }
        self.phase(Phase::Pack);
        self.pack(checkout, solved, room, &prior).await
    }

    fn phase(&self, phase: Phase) {
        self.common.events.send(Event::Phase { job: self.name.clone(), phase });
    }

    /// What no channel has of the compilers that the output asks for, named after the target.
    async fn lacks_toolchain(&self) -> Result<Option<String>> {
        let (build, target) = (self.output.build_platform, self.output.target_platform);
        let of_target = format!("_{target}");
        let requirements = &self.output.requirements.build;
        let zig = match Zig::of(&self.output, self.common.request.settings.cgo_compiler, requirements) {
            Ok(zig) => zig.map(|zig| zig.instead(requirements)),
            Err(error) => return Ok(Some(error.message)),
        };
        let names: Vec<&str> = zig.as_ref().unwrap_or(requirements).iter().map(|spec| name_of(spec)).collect();
        let names: Vec<&str> =
            names.into_iter().filter(|name| name.ends_with(&of_target) || *name == zig::PACKAGE).collect();
        let lacking = self.common.channels.lacking(&names, build).await?;
        Ok((!lacking.is_empty()).then(|| format!("no {} in the channels", lacking.join(", "))))
    }

    /// What a lock says of the output; `None` where nothing holds it.
    fn locked(&self) -> Result<Option<Locked<'_>>> {
        match &self.common.request.lock {
            Some(lock) if !self.lock_key.is_empty() => Ok(Some(lock.output(&self.lock_key)?)),
            _ => Ok(None),
        }
    }

    /// The group's source in its work folder, into which it is laid if it isn't there yet.
    async fn check_out<'a>(&self, checkout: &'a mut Option<Checkout>, source: &Source) -> Result<&'a mut Checkout> {
        let Common { request, events, .. } = &self.common;
        match checkout {
            Some(checkout) => Ok(checkout),
            None => {
                let asker = Asker { request, output: &self.output, events, job: &self.name };
                Ok(checkout.insert(source.check_out(asker).await?))
            }
        }
    }

    /// Whether the source is the locked one.
    fn check_source(&self, facts: &Facts) -> Result<()> {
        match self.locked()? {
            Some(locked) => locked.check_source(&facts.identities, &facts.go_sums),
            None => Ok(()),
        }
    }
}
