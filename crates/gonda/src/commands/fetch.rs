//! `gonda fetch`: the first phase of a build alone. Afterwards `gonda build --offline` succeeds.

use std::process::ExitCode;

use gonda_driver::Result;
use gonda_driver::building::{self, Goal, JobReport, Request, Session};
use gonda_driver::locate::Located;
use gonda_recipe::ConfigPlatform;

use crate::args::{FetchArgs, Format};
use crate::config::{self, Fixed, Layer, Surroundings};
use crate::report::Reporter;

pub(crate) async fn run(
    args: &FetchArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let mut reports = Vec::new();
    for located in super::located(&args.selection)? {
        reports.extend(fetch(request(args, located, surroundings)?, reporter).await?);
    }
    crate::summary::show(&reports, reporter, format)?;
    Ok(ExitCode::from(crate::summary::code(&reports)))
}

/// What is to be fetched for a recipe.
pub(super) fn request(args: &FetchArgs, located: Located, surroundings: &Surroundings) -> Result<Request> {
    let flags = Layer {
        output_dir: args.output_dir.clone(),
        source_mirror: args.source_mirror.clone(),
        test: config::test_word(args.test),
        cgo_compiler: args.cgo_compiler.clone(),
        ..Layer::default()
    };
    let layer = config::resolve(flags, surroundings, located.feedstock.as_deref())?;
    let variants = super::variant_files(&args.selection, &layer, surroundings);
    let fixed = Fixed { build_platform: args.selection.build_platform, ..Fixed::from(&args.channels) };
    Ok(Request {
        located,
        variants,
        targets: super::targets(&args.selection)?,
        config_platform: ConfigPlatform::Target,
        goal: Goal::Fetch,
        lock: None,
        settings: config::settings(fixed, layer, surroundings)?,
    })
}

/// Fetches for one recipe.
pub(super) async fn fetch(request: Request, reporter: &Reporter) -> Result<Vec<JobReport>> {
    let events = reporter.events();
    let session = Session::open(&request.settings, &events).await?;
    building::build(vec![request], false, &session, &events).await
}
