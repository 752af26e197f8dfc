//! `gonda verify`: checks packages, whoever built them.

use std::process::ExitCode;

use gonda_driver::{Error, Kind, Result};
use gonda_packager::{Limits, Severity};
use serde_json::json;

use crate::args::{Format, VerifyArgs};
use crate::report::Reporter;

pub(crate) fn run(args: &VerifyArgs, reporter: &Reporter, format: Format) -> Result<ExitCode> {
    let mut all_well = true;
    for path in &args.packages {
        let verification = gonda_packager::verify(path, &Limits::default()).map_err(Error::from)?;
        all_well &= verification.ok();
        if format == Format::Json {
            let value = json!({ "path": path, "ok": verification.ok(), "verification": verification });
            reporter.data(&value.to_string());
            continue;
        }
        let word = if verification.ok() { "ok" } else { "NOT OK" };
        reporter.data(&format!("{}: {word}, {} files", path.display(), verification.files));
        for problem in &verification.problems {
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let at = problem.path.as_ref().map(|path| format!("`{path}`: ")).unwrap_or_default();
            reporter.data(&format!("  {severity}: {at}{}", problem.message));
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(Kind::Verification.exit_code()) })
}
