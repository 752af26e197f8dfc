//! `gonda verify`: checks packages, whoever built them.

use std::process::ExitCode;

use gonda_driver::{Kind, Result, truth};
use gonda_packager::truth::Finding;
use gonda_packager::{Limits, Severity};
use serde_json::json;

use crate::args::{Format, VerifyArgs};
use crate::report::Reporter;

pub(crate) fn run(args: &VerifyArgs, reporter: &Reporter, format: Format) -> Result<ExitCode> {
    let mut all_well = true;
    for path in &args.packages {
        let mut verified = truth::verify(path, &Limits::default())?;
        if args.strict_metadata {
            for finding in verified.verification.findings.iter_mut().filter(|finding| finding.rule.is_of_metadata()) {
                finding.severity = Severity::Error;
            }
        }
        let verification = &verified.verification;
        all_well &= verification.ok();
        if format == Format::Json {
            let value = json!({
                "path": path, "ok": verification.ok(), "verification": verification, "go": verified.go,
            });
            reporter.data(&value.to_string());
            continue;
        }
        let word = if verification.ok() { "ok" } else { "NOT OK" };
        let compiled = match verification.binaries {
            0 => String::new(),
            n => format!(", {n} compiled"),
        };
        reporter.data(&format!("{}: {word}, {} files{compiled}", path.display(), verification.files));
        for problem in &verification.problems {
            reporter.data(&format!("  {}: {problem}", word_of(problem.severity)));
        }
        for finding in &verification.findings {
            let mut lines = lines_of(finding).into_iter();
            reporter.data(&format!("  {}: {}", word_of(finding.severity), lines.next().unwrap_or_default()));
            for line in lines {
                reporter.data(&format!("    {line}"));
            }
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(Kind::Verification.exit_code()) })
}

fn word_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A finding, and what to do about it.
pub(super) fn lines_of(finding: &Finding) -> Vec<String> {
    let first = format!("`{}` {}", finding.path, finding.message);
    std::iter::once(first).chain(finding.help.as_ref().map(|help| format!("help: {help}"))).collect()
}
