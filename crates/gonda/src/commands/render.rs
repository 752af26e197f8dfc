//! `gonda render`: what would be built.

use std::collections::BTreeSet;
use std::process::ExitCode;

use gonda_driver::planning::{self, Selected};
use gonda_driver::{Error, Kind, Result, solving};
use gonda_recipe::{ConfigPlatform, Finalize, Output};
use rattler_conda_types::Subdir;
use serde_json::Value;

use crate::args::{ConfigPlatformArg, FinalizeArg, Format, RenderArgs};
use crate::config::{self, Fixed, Layer, Surroundings, this_machine};
use crate::report::{Reporter, table};

pub(crate) fn run(
    args: &RenderArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let events = reporter.beside_a_document().events();
    let mut outputs: Vec<(String, Output)> = Vec::new();
    for located in super::located(&args.selection)? {
        let layer = config::resolve(Layer::default(), surroundings, located.feedstock.as_deref())?;
        let renderings = planning::select(&Selected {
            located: &located,
            variants: super::variant_files(&args.selection, &layer, surroundings),
            targets: super::targets(&args.selection)?,
            build_platform: match args.selection.build_platform {
                Some(platform) => platform,
                None => this_machine()?,
            },
            config_platform: match args.config_platform {
                ConfigPlatformArg::Target => ConfigPlatform::Target,
                ConfigPlatformArg::Build => ConfigPlatform::Build,
            },
            finalize: match args.finalize {
                None | Some(FinalizeArg::Solve) => Finalize::No,
                Some(FinalizeArg::Bypass) => Finalize::Bypass,
                Some(FinalizeArg::Nosolve) => Finalize::NoSolve,
            },
            environment: &surroundings.environment,
        })?;
        for warning in renderings.iter().filter_map(planning::Selection::warning) {
            events.warn("", warning);
        }
        let target = |target: Subdir| move |output| (target.to_string(), output);
        if args.finalize == Some(FinalizeArg::Solve) {
            let fixed = Fixed { build_platform: args.selection.build_platform, ..Fixed::from(&args.channels) };
            let settings = config::settings(fixed, layer, surroundings)?;
            for selection in &renderings {
                let finalized = crate::block_on(solving::finalized(selection, &settings, &events))??;
                outputs.extend(finalized.into_iter().map(target(selection.target)));
            }
        } else {
            for selection in renderings {
                outputs.extend(selection.rendering.outputs.into_iter().map(target(selection.target)));
            }
        }
    }
    let text = if args.output {
        // Sorted and each once, as `conda render --output` has them.
        let kept = outputs.iter().filter(|(_, output)| !output.skip);
        let files: BTreeSet<String> =
            kept.map(|(_, output)| format!("{}/{}", output.subdir(), output.filename())).collect();
        lines(files.into_iter())
    } else {
        match format {
            Format::Json => {
                let values: Vec<Value> = outputs.iter().map(|(_, output)| output.to_json()).collect();
                crate::report::pretty(&values)?
            }
            Format::Yaml => {
                let values: Vec<Value> = outputs.iter().map(|(_, output)| output.to_json()).collect();
                serde_yaml::to_string(&values)
                    .map_err(|error| Error::new(Kind::Bug, "the outputs can't be written as YAML").because(error))?
            }
            Format::Text => text(&outputs),
        }
    };
    if !text.is_empty() {
        reporter.data(text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("\n")
}

fn text(outputs: &[(String, Output)]) -> String {
    let mut blocks = Vec::new();
    for (target, output) in outputs {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row = |key: &str, items: &[String]| {
            for (i, item) in items.iter().enumerate() {
                rows.push(vec![if i == 0 { key.to_owned() } else { String::new() }, item.clone()]);
            }
        };
        row("build", &output.requirements.build);
        row("host", &output.requirements.host);
        row("run", &output.requirements.run);
        row("constrains", &output.requirements.run_constrained);
        let variant: Vec<String> =
            output.hash_contents.iter().map(|(key, value)| format!("{key}: {}", plain(value))).collect();
        row("hash of", &variant);
        let head = format!("{}/{}", output.subdir(), output.filename());
        let note = if output.skip { "  (skipped)" } else { "" };
        let target = if output.noarch.is_some() { format!("  for {target}") } else { String::new() };
        let body = table(&["", ""], &rows);
        let body: Vec<String> = body.lines().skip(1).map(|line| format!("  {line}")).collect();
        blocks.push(format!("{head}{target}{note}\n{}", body.join("\n")).trim_end().to_owned());
    }
    blocks.join("\n")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
