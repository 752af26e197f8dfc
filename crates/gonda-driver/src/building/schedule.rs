//! Carries a matrix out: every group as soon as those that it needs are built and processors are free.
//!
//! Groups run as tasks of their own. Which of them runs when depends on the machine; their packages and the list of
//! reports don't.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gonda_recipe::PinnedOutput;
use tokio::task::{Id, JoinSet};

use super::group::{Ended, run_group};
use super::job::Common;
use super::matrix::{Group, Matrix};
use super::sources::{Asker, Sources};
use super::{Goal, JobReport, Session, Status};
use crate::channels::LocalChannel;
use crate::{Error, Event, Events, Kind};

/// Builds all groups. One that fails doesn't stop others that don't need it, unless `fail_fast`: then whatever runs is
/// ended, and nothing more is begun.
pub(super) async fn run(matrix: Matrix, fail_fast: bool, session: &Session, events: &Events) -> Vec<JobReport> {
    let built = matrix.groups.iter().filter(|group| group.packages().next().is_some());
    let sources = Arc::new(Sources::new(built.map(|group| group.source_key.as_str())));
    let unfinished = Arc::new(AtomicUsize::new(matrix.groups.len()));
    let made = Arc::new(matrix.made());
    let mut run = Run {
        groups: matrix.groups.into_iter().map(Arc::new).collect(),
        ended: HashMap::new(),
        running: HashMap::new(),
        tasks: JoinSet::new(),
        unfinished: Arc::clone(&unfinished),
    };
    loop {
        for index in run.ready() {
            let before = run.pins(index);
            let local = run.local(index, &made);
            let (group, sources, unfinished) =
                (Arc::clone(&run.groups[index]), Arc::clone(&sources), Arc::clone(&unfinished));
            let (session, events) = (session.clone(), events.clone());
            let task = run
                .tasks
                .spawn(async move { build(&group, &before, local, &sources, &unfinished, &session, &events).await });
            run.running.insert(task.id(), index);
        }
        let (id, ended) = match run.tasks.join_next_with_id().await {
            None => break,
            Some(Ok((id, ended))) => (id, ended),
            Some(Err(died)) => {
                let error = Error::new(Kind::Bug, "a job ended early").because(died.to_string());
                (died.id(), Ended { reports: run.groups[run.running[&died.id()]].failed(error), outputs: Vec::new() })
            }
        };
        let Some(index) = run.running.remove(&id) else { continue };
        let failed = ended.reports.iter().any(|report| report.status.is_failure());
        run.ended.insert(index, ended);
        if failed && fail_fast {
            // Dropping a job ends its processes and removes its folders.
            run.tasks.shutdown().await;
            run.running.clear();
            break;
        }
        run.give_up_on_dependents();
    }
    run.reports()
}

struct Run {
    groups: Vec<Arc<Group>>,
    ended: HashMap<usize, Ended>,
    running: HashMap<Id, usize>,
    tasks: JoinSet<Ended>,
    /// How many groups are not done yet.
    unfinished: Arc<AtomicUsize>,
}

impl Run {
    /// Groups that can begin.
    fn ready(&self) -> Vec<usize> {
        let begun = |index: &usize| self.ended.contains_key(index) || self.running.values().any(|other| other == index);
        (0..self.groups.len())
            .filter(|index| !begun(index))
            .filter(|index| self.groups[*index].needs.iter().all(|needed| self.ended.contains_key(needed)))
            .collect()
    }

    /// The outputs that a group pins: those of the groups it needs, if they are of its own recipe and target.
    fn pins(&self, index: usize) -> Vec<PinnedOutput> {
        let group = &self.groups[index];
        let own = group.needs.iter().filter(|needed| Arc::ptr_eq(&self.groups[**needed].selection, &group.selection));
        own.filter_map(|needed| self.ended.get(needed)).flat_map(|ended| ended.outputs.clone()).collect()
    }

    /// The output folder as a group sees it: with the packages of the groups that it needs, and those that they need.
    fn local(&self, index: usize, made: &Arc<BTreeSet<(String, String)>>) -> LocalChannel {
        let request = &self.groups[index].request;
        let mut local = LocalChannel::new(&request.settings.output_dir);
        // Where nothing is built, what is there doesn't change.
        if request.goal == Goal::Build {
            local = local.hiding(Arc::clone(made));
        }
        let mut open: Vec<usize> = self.groups[index].needs.iter().copied().collect();
        let mut known = BTreeSet::new();
        while let Some(needed) = open.pop() {
            if known.insert(needed) {
                open.extend(&self.groups[needed].needs);
                let reports = self.ended.get(&needed).map(|ended| ended.reports.as_slice()).unwrap_or_default();
                reports.iter().filter_map(|report| report.status.package()).for_each(|package| local.show(package));
            }
        }
        local
    }

    /// What needs a group that left no package isn't tried.
    fn give_up_on_dependents(&mut self) {
        loop {
            let lost = self.ready().into_iter().find_map(|index| {
                let missing =
                    |needed: &&usize| self.ended[*needed].reports.iter().find(|report| !report.status.has_package());
                let report = self.groups[index].needs.iter().find_map(|needed| missing(&needed))?;
                Some((index, format!("needs `{}`, which is {}", report.name, report.word().text())))
            });
            let Some((index, reason)) = lost else { return };
            let reports = self.groups[index].not_tried(&reason);
            self.ended.insert(index, Ended { reports, outputs: Vec::new() });
            self.unfinished.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The reports in the order of the matrix.
    fn reports(mut self) -> Vec<JobReport> {
        let mut all = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let mut reports = match self.ended.remove(&index) {
                Some(ended) => ended.reports,
                None => group.not_tried("another job failed"),
            };
            reports.iter_mut().for_each(|report| report.derived_from = group.selection.derived_from);
            all.append(&mut reports);
        }
        all
    }
}

/// A group that is not done, until this is dropped.
struct Unfinished<'a>(&'a AtomicUsize);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One group, from its source to its packages.
async fn build(
    group: &Group,
    before: &[PinnedOutput],
    local: LocalChannel,
    sources: &Sources,
    unfinished: &AtomicUsize,
    session: &Session,
    events: &Events,
) -> Ended {
    let begun = Instant::now();
    let _this = Unfinished(unfinished);
    let first = group.outputs.iter().find(|planned| planned.skipped.is_none());
    let Some(first) = first else {
        return Ended { reports: group.not_tried(""), outputs: Vec::new() };
    };
    let output = &group.selection.rendering.outputs[first.index];
    let failed = |error: Error| {
        let elapsed = begun.elapsed();
        events.send(Event::Finished { job: first.name.clone(), package: None, elapsed, ok: false });
        Ended { reports: group.failed(error), outputs: Vec::new() }
    };
    let asker = Asker { request: &group.request, output, events, job: &first.name };
    let source = match sources.get(&group.source_key, asker).await {
        Ok(source) => source,
        Err(None) => return Ended { reports: group.not_tried("its source can't be had"), outputs: Vec::new() },
        Err(Some(error)) => return failed(error),
    };
    let channels =
        match session.channels(&group.request.settings, group.selection.rendering.channel_sources.as_deref(), events) {
            Ok(channels) => channels,
            Err(error) => return failed(error),
        };
    let share = session.budget().share(unfinished.load(Ordering::Relaxed)).await;
    let common = Common {
        request: Arc::clone(&group.request),
        selection: Arc::clone(&group.selection),
        session: session.clone(),
        channels,
        local,
        events: events.clone(),
        cpus: share.cpus,
    };
    run_group(&common, &group.outputs, &source, before).await
}

impl Group {
    /// Reports for a group whose first package failed before any was begun.
    fn failed(&self, error: Error) -> Vec<JobReport> {
        let mut error = Some(error);
        let name = self.packages().next().map(|output| output.name.clone()).unwrap_or_default();
        self.reports(|| match error.take() {
            Some(error) => Status::Failed(error),
            None => Status::NotTried { reason: format!("`{name}` failed") },
        })
    }

    /// Reports for a group that was not begun.
    fn not_tried(&self, reason: &str) -> Vec<JobReport> {
        self.reports(|| Status::NotTried { reason: reason.to_owned() })
    }

    fn reports(&self, mut status: impl FnMut() -> Status) -> Vec<JobReport> {
        let outputs = &self.selection.rendering.outputs;
        let report = |planned: &super::matrix::Planned| {
            let status = match &planned.skipped {
                Some(reason) => Status::Skipped { reason: reason.clone() },
                None => status(),
            };
            JobReport::of(&outputs[planned.index], status, Duration::ZERO, None)
        };
        self.outputs.iter().map(report).collect()
    }
}
