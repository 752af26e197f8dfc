//! `gonda inspect`: what a package holds, whoever built it.

use std::process::ExitCode;

use gonda_driver::Result;
use gonda_driver::truth::{self, Inspected};
use gonda_packager::{Binary, Limits};
use serde_json::Value;

use super::verify::lines_of;
use crate::args::{Format, InspectArgs};
use crate::report::{Reporter, size, table};

pub(crate) fn run(args: &InspectArgs, reporter: &Reporter, format: Format) -> Result<ExitCode> {
    let inspected = truth::inspect(&args.package, &Limits::default())?;
    let text = match format {
        Format::Text => text(&inspected),
        Format::Json | Format::Yaml => crate::report::pretty(&inspected)?,
    };
    reporter.data(&text);
    Ok(ExitCode::SUCCESS)
}

fn text(inspected: &Inspected) -> String {
    let inspection = &inspected.inspection;
    let mut lines =
        vec![format!("{}  {}", inspection.file, size(inspection.size)), format!("sha256 {}", inspection.sha256)];
    let field = |key: &str| inspection.index.as_ref().and_then(|index| index.get(key)).cloned().unwrap_or(Value::Null);
    for key in ["name", "version", "build", "subdir", "license"] {
        if let Some(value) = field(key).as_str() {
            lines.push(format!("{key:8} {value}"));
        }
    }
    for key in ["depends", "constrains"] {
        for item in field(key).as_array().into_iter().flatten().filter_map(Value::as_str) {
            lines.push(format!("{key} {item}"));
        }
    }
    let rows: Vec<Vec<String>> = inspection
        .files
        .iter()
        .map(|file| {
            let what = match (&file.target, &file.binary) {
                (Some(target), _) => format!("-> {target}"),
                (None, Some(binary)) => binary.to_string(),
                (None, None) => String::new(),
            };
            vec![file.path.clone(), size(file.size), file.mode.clone(), what]
        })
        .collect();
    lines.push(table(&["file", "size", "mode", "what"], &rows));
    for file in &inspection.files {
        let Some(binary) = &file.binary else { continue };
        let mut facts = facts(binary);
        if let Some(go) = inspected.go.get(&file.path) {
            let module = go.main.as_ref().map(|main| format!(" of {} {}", main.path, main.version)).unwrap_or_default();
            facts.push(format!("{}, {}{module}, {} modules", go.go_version, go.path, go.deps.len()));
            let settings = go.settings.iter().filter(|(key, _)| key.starts_with('-') || key.starts_with("CGO_ENABLED"));
            let settings: Vec<String> = settings.map(|(key, value)| format!("{key}={value}")).collect();
            if !settings.is_empty() {
                facts.push(settings.join(" "));
            }
        }
        lines.push(format!("{}: {}", file.path, facts.join("; ")));
    }
    for problem in &inspection.problems {
        lines.push(format!("problem: {problem}"));
    }
    for finding in &inspection.findings {
        lines.push(format!("problem: {}", lines_of(finding).join("\n  ")));
    }
    lines.join("\n")
}

/// What a compiled file needs, as phrases.
fn facts(binary: &Binary) -> Vec<String> {
    let mut facts = vec![binary.to_string()];
    if binary.pie {
        facts.push("position-independent".to_owned());
    }
    if let Some(interpreter) = &binary.interpreter {
        facts.push(format!("loader {interpreter}"));
    }
    if !binary.needed.is_empty() {
        facts.push(format!("needs {}", binary.needed.join(" ")));
    }
    if let Some(glibc) = &binary.glibc {
        facts.push(format!("glibc {glibc}"));
    }
    if let Some(min_os) = &binary.min_os {
        facts.push(format!("from {} {min_os}", binary.os));
    }
    if let Some(signature) = &binary.signature {
        let kind = if signature.adhoc { "ad-hoc signature" } else { "signature" };
        facts.push(match signature.intact {
            Some(true) => format!("{kind}, page hashes recomputed"),
            Some(false) => format!("{kind}, page hashes WRONG"),
            None => kind.to_owned(),
        });
    }
    facts
}
