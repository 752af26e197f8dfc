//! `gonda lock`: what builds take from elsewhere is fetched and written down beside the recipe.

use std::collections::BTreeSet;
use std::process::ExitCode;

use gonda_driver::Result;
use gonda_driver::building::{JobReport, Status};
use gonda_driver::lock::{self, Lock, LockedOutput};
use serde_json::json;

use super::fetch::{fetch, request};
use crate::args::{FetchArgs, Format};
use crate::config::Surroundings;
use crate::report::Reporter;

pub(crate) async fn run(
    args: &FetchArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let mut worst = 0;
    for located in super::located(&args.selection)? {
        let folder = lock::folder(&located).to_path_buf();
        let request = request(args, located, surroundings)?;
        let inputs = request.inputs()?;
        let reports = fetch(request, reporter).await?;
        let code = crate::summary::code(&reports);
        if code != 0 {
            // Half a lock is none.
            crate::summary::show(&reports, reporter, format)?;
            worst = worst.max(code);
            continue;
        }
        let (outputs, channels) = locked(reports);
        let lock = Lock::new(&folder, &inputs, &channels, &outputs)?;
        lock.write()?;
        let (path, packages) = (lock.path(), lock.packages());
        match format {
            Format::Json => {
                reporter.data(
                    &json!({ "event": "lock", "path": path, "outputs": outputs.len(), "packages": packages })
                        .to_string(),
                );
            }
            _ => reporter.data(&format!("{}: {} outputs, {packages} packages", path.display(), outputs.len())),
        }
    }
    Ok(ExitCode::from(worst))
}

/// What is locked of each output, and the channels, in order.
fn locked(reports: Vec<JobReport>) -> (Vec<LockedOutput>, Vec<String>) {
    let mut outputs = Vec::new();
    let mut channels = Vec::new();
    let mut seen = BTreeSet::new();
    for report in reports {
        if let Status::Fetched(fetched) = report.status {
            channels.extend(fetched.channels.into_iter().filter(|channel| seen.insert(channel.clone())));
            outputs.push(fetched.lock);
        }
    }
    (outputs, channels)
}
