//! What became of the jobs of a run: the table at its end, the same as JSON and as a GitHub step summary, and the exit
//! code.

use std::io::Write as _;
use std::path::Path;

use gonda_driver::building::{JobReport, Status};
use gonda_driver::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::args::Format;
use crate::report::{Reporter, error_value, seconds, size, table};

const COLUMNS: [&str; 6] = ["target", "package", "status", "size", "tests", "time"];

/// The highest code of the jobs.
pub(crate) fn code(reports: &[JobReport]) -> u8 {
    let codes = reports.iter().map(|report| match &report.status {
        Status::Failed(error) => error.kind.exit_code(),
        Status::Built { tests, .. } if tests.is_failure() => Kind::Build.exit_code(),
        _ => 0,
    });
    codes.max().unwrap_or(0)
}

/// Prints what became of the jobs: errors, plans and a table, or with `--format json` one last event.
pub(crate) fn show(reports: &[JobReport], reporter: &Reporter, format: Format) -> Result<()> {
    if format == Format::Json {
        let values: Vec<Value> = reports.iter().map(value).collect();
        reporter.data(&json!({ "event": "summary", "jobs": values }).to_string());
        return Ok(());
    }
    for report in reports {
        match &report.status {
            Status::Failed(error) => {
                reporter.error(error);
                if let Some(log) = &report.log {
                    reporter.log_group(&format!("log of {} for {}", report.name, report.target), log);
                }
            }
            Status::Planned(plan) => reporter.data(&crate::report::pretty(plan)?),
            _ => {}
        }
    }
    let planned = reports.iter().all(|report| matches!(report.status, Status::Planned(_)));
    if !reports.is_empty() && !planned {
        let rows: Vec<Vec<String>> = reports.iter().map(row).collect();
        reporter.data(&table(&COLUMNS, &rows));
    }
    Ok(())
}

fn row(report: &JobReport) -> Vec<String> {
    let mut package = format!("{}-{}-{}", report.name, report.version, report.build_string);
    let (status, bytes, tests) = match &report.status {
        Status::Built { artifact, tests } => {
            if let Some(name) = artifact.path.file_name() {
                package = name.to_string_lossy().into_owned();
            }
            let status = if tests.is_failure() { "test failed" } else { "built" };
            (status, size(artifact.size), tests.to_string())
        }
        Status::Skipped { reason } => return plain(report, package, &format!("skipped {reason}")),
        Status::NoToolchain { reason } => return plain(report, package, &format!("no toolchain: {reason}")),
        Status::NotTried { reason } => return plain(report, package, &format!("not tried: {reason}")),
        Status::Fetched(fetched) => {
            package = format!("{package}: {} packages, {} modules", fetched.packages, fetched.modules);
            ("fetched", String::new(), String::new())
        }
        Status::Exists(_) | Status::Unchanged(_) | Status::Planned(_) | Status::Failed(_) => {
            (report.word().text(), String::new(), String::new())
        }
    };
    let status = match report.derived_from {
        Some(sibling) => format!("{status}, variant from {sibling}"),
        None => status.to_owned(),
    };
    vec![report.target.to_string(), package, status, bytes, tests, seconds(report.elapsed)]
}

/// A row for a job that left nothing.
fn plain(report: &JobReport, package: String, status: &str) -> Vec<String> {
    vec![report.target.to_string(), package, status.to_owned(), String::new(), String::new(), String::new()]
}

fn value(report: &JobReport) -> Value {
    let mut value = json!({
        "name": report.name,
        "version": report.version,
        "build_string": report.build_string,
        "target_platform": report.target.as_str(),
        "derived_from": report.derived_from.map(|sibling| sibling.as_str()),
        "status": report.word(),
        "seconds": report.elapsed.as_secs_f64(),
        "log": report.log,
    });
    match &report.status {
        Status::Built { artifact, tests } => {
            value["package"] = json!(artifact);
            value["tests"] = json!(tests);
        }
        Status::Exists(path) | Status::Unchanged(path) => value["package"] = json!({ "path": path }),
        Status::Planned(plan) => value["plan"] = json!(plan),
        Status::Fetched(fetched) => value["fetched"] = json!(fetched),
        Status::Failed(error) => value["error"] = error_value(error),
        Status::Skipped { reason } | Status::NoToolchain { reason } | Status::NotTried { reason } => {
            value["reason"] = json!(reason)
        }
    }
    value
}

/// Appends the table to a file, whole or not at all: others append to a step's summary, too.
///
/// # Errors
/// The file can't be written.
pub(crate) fn append_markdown(reports: &[JobReport], file: &Path) -> Result<()> {
    let text = markdown(&reports.iter().map(row).collect::<Vec<_>>());
    let append = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        let before = file.metadata()?.len();
        let written = file.write_all(text.as_bytes());
        if written.is_err() {
            file.set_len(before)?;
        }
        written
    };
    append().map_err(|error| {
        let this = Error::from(error);
        Error { message: format!("the summary `{}` can't be written: {}", file.display(), this.message), ..this }
    })
}

/// A table as GitHub reads it.
fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|").replace(['\r', '\n'], " ")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&mut COLUMNS.iter().copied());
    text.push_str(&line(&mut COLUMNS.iter().map(|_| "---")));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        let row = ["linux-64", "a-1-0.conda", "built", "1 kB", "not run: a|b\nc", "1.0 s"];
        let text = markdown(&[row.iter().map(|cell| (*cell).to_owned()).collect()]);
        assert_eq!(
            text,
            "| target | package | status | size | tests | time |\n| --- | --- | --- | --- | --- | --- |\n\
             | linux-64 | a-1-0.conda | built | 1 kB | not run: a\\|b c | 1.0 s |\n\n"
        );
    }
}
