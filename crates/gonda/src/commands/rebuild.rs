//! `gonda rebuild`: builds packages again from what they carry, and compares.

use std::process::ExitCode;

use gonda_driver::building::Session;
use gonda_driver::rebuild::{self, Outcome, Request};
use gonda_driver::{Kind, Result};

use crate::args::{Format, RebuildArgs};
use crate::config::{self, Fixed, Layer, Surroundings};
use crate::report::Reporter;

pub(crate) async fn run(
    args: &RebuildArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let events = reporter.events();
    let flags = Layer {
        source_mirror: args.source_mirror.clone(),
        isolation: config::isolation_word(args.isolation),
        network: config::network_word(args.network),
        ..Layer::default()
    };
    let mut settings =
        config::settings(Fixed::from(&args.channels), config::resolve(flags, surroundings, None)?, surroundings)?;
    // Channels of the configuration have nothing to do with those that the package names.
    settings.channels.configured.clear();
    let session = Session::open(&settings, &events).await?;
    let mut all_same = true;
    for package in &args.packages {
        let request = Request {
            package: surroundings.current_dir.join(package),
            recipe: args.recipe.as_ref().map(|recipe| surroundings.current_dir.join(recipe)),
            settings: settings.clone(),
        };
        let outcome = rebuild::rebuild(request, &session, &events).await?;
        all_same &= outcome.same;
        match format {
            Format::Text => reporter.data(&text(&outcome)),
            Format::Json | Format::Yaml => reporter.data(&crate::report::pretty(&outcome)?),
        }
    }
    Ok(if all_same { ExitCode::SUCCESS } else { ExitCode::from(Kind::Verification.exit_code()) })
}

fn text(outcome: &Outcome) -> String {
    if outcome.same {
        return format!("{}: reproduced, sha256 {}", outcome.package, outcome.sha256);
    }
    let mut lines = vec![format!(
        "{}: NOT reproduced, sha256 {}, again {}",
        outcome.package, outcome.sha256, outcome.rebuilt_sha256
    )];
    for difference in &outcome.differences {
        lines.push(format!("  {}: {}", difference.member, difference.what));
        if let Some(cause) = &difference.cause {
            lines.push(format!("    likely cause: {cause}"));
        }
    }
    lines.join("\n")
}
