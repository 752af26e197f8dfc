//! `gonda inspect`: what a package holds, whoever built it.

use std::process::ExitCode;

use gonda_driver::Result;
use gonda_packager::{Inspection, Limits};
use serde_json::Value;

use crate::args::{Format, InspectArgs};
use crate::report::{Reporter, size, table};

pub(crate) fn run(args: &InspectArgs, reporter: &Reporter, format: Format) -> Result<ExitCode> {
    let inspection = gonda_packager::inspect(&args.package, &Limits::default()).map_err(gonda_driver::Error::from)?;
    let text = match format {
        Format::Text => text(&inspection),
        Format::Json | Format::Yaml => super::render::pretty(&inspection)?,
    };
    reporter.data(&text);
    Ok(ExitCode::SUCCESS)
}

fn text(inspection: &Inspection) -> String {
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
    for problem in &inspection.problems {
        lines.push(format!("problem: {problem}"));
    }
    lines.join("\n")
}
