//! `gonda channel`: local channels.

use std::process::ExitCode;

use gonda_driver::bootstrap::{self, BootstrapOptions, Layout, SystemCompiler};
use gonda_driver::{Result, index as indexing};
use serde_json::json;

use crate::args::{BootstrapArgs, Format, IndexArgs, LayoutArg};
use crate::config::{Surroundings, this_machine};
use crate::report::{Reporter, size, table};

pub(crate) async fn bootstrap(
    args: &BootstrapArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let events = reporter.events();
    let here = |path: &std::path::Path| surroundings.current_dir.join(path);
    let options = BootstrapOptions {
        go_root: args.go_root.as_deref().map(here),
        zig: args.zig.as_deref().map(here),
        output: here(&args.output),
        layout: match args.layout {
            LayoutArg::EnvVars => Layout::EnvVars,
            LayoutArg::Activate => Layout::ActivateScripts,
        },
        build_platform: match args.build_platform {
            Some(platform) => platform,
            None => this_machine()?,
        },
        timestamp: None,
        system_cc: args.system_cc.as_deref().map(|path| SystemCompiler {
            path: here(path),
            version: None,
            glibc: None,
        }),
        threads: u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1),
    };
    let artifacts = bootstrap::bootstrap(&options, events).await?;
    if let Some(recipe) = &args.go_licenses {
        super::build::go_licenses(recipe, args, surroundings, reporter).await?;
    }
    if format == Format::Json {
        reporter.data(&json!({ "channel": options.output, "packages": artifacts }).to_string());
    } else {
        let rows: Vec<Vec<String>> = artifacts
            .iter()
            .map(|artifact| {
                let name = artifact.path.file_name().map(|name| name.to_string_lossy().into_owned());
                vec![name.unwrap_or_default(), size(artifact.size)]
            })
            .collect();
        reporter.data(&table(&["package", "size"], &rows));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn index(args: &IndexArgs, reporter: &Reporter) -> Result<ExitCode> {
    for subdir in indexing::index(&args.dir, &reporter.events())? {
        reporter.data(&format!("{}: {} packages", subdir.subdir, subdir.packages));
    }
    Ok(ExitCode::SUCCESS)
}
