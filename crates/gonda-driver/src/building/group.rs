//! One group's work, once its source is there: its outputs, one after the other, in one work folder.

use std::time::Instant;

use gonda_recipe::PinnedOutput;

use super::checkout::Checkout;
use super::disk::leaving_room;
use super::job::{Answers, Common, Job, Next};
use super::matrix::Planned;
use super::sources::Source;
use super::{JobReport, Status};
use crate::{Event, Kind};

/// What became of a group.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) reports: Vec<JobReport>,
    /// Its outputs, finalised, for the pins of those that need them.
    pub(super) outputs: Vec<PinnedOutput>,
}

/// Builds the outputs of a group one after the other. `before` are the outputs of other groups that they pin. Never
/// fails as a whole: each output has its report.
pub(super) async fn run_group(common: &Common, planned: &[Planned], source: &Source, before: &[PinnedOutput]) -> Ended {
    let mut checkout = None;
    if let Some(ended) = attempt(common, planned, source, before, &mut checkout, Answers::Allowed).await {
        return ended;
    }
    attempt(common, planned, source, before, &mut checkout, Answers::Refused).await.unwrap_or_default()
}

/// `None`: an output has to be built, but one before it, whose script would have left something in their work folder, was
/// answered.
async fn attempt(
    common: &Common,
    planned: &[Planned],
    source: &Source,
    before: &[PinnedOutput],
    checkout: &mut Option<Checkout>,
    answers: Answers,
) -> Option<Ended> {
    let mut common = common.clone();
    let mut finished = before.to_vec();
    let mut answered = false;
    let mut reports = Vec::new();
    let mut broken: Option<String> = None;
    for planned in planned {
        let output = &common.selection.rendering.outputs[planned.index];
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
        let mut job = Job::new(&common, planned);
        let work = async {
            Ok(match job.decide(checkout, source, &finished, answers).await? {
                Next::Build(..) if answered => None,
                Next::Build(solved, inputs) => Some(job.make(checkout, source, &solved, &inputs).await?),
                Next::Done(status) => Some(status),
            })
        };
        let settings = &common.request.settings;
        let result = match leaving_room(&settings.cache_root, settings.limits.free_disk, work).await {
            Ok(Some(status)) => Ok(status),
            Ok(None) => return None,
            Err(error) => Err(error),
        };
        answered |= matches!(result, Ok(Status::Unchanged(_)));
        let script_failed = result.as_ref().is_err_and(|error| error.kind == Kind::Build);
        let status = result.unwrap_or_else(Status::Failed);
        let ok = !status.is_failure();
        let package = status.package().map(ToOwned::to_owned);
        common.events.send(Event::Finished { job: job.name.clone(), package, elapsed: started.elapsed(), ok });
        if !ok {
            broken = Some(output.name.clone());
        }
        if let Some(package) = status.package() {
            common.local.show(package);
        }
        finished.push(job.output.pinned());
        if script_failed && let Some(checkout) = checkout {
            checkout.workspace.leave();
        }
        reports.push(JobReport::of(&job.output, status, started.elapsed(), job.log));
    }
    Some(Ended { reports, outputs: finished.split_off(before.len()) })
}
