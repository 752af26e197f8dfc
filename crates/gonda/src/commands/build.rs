//! `gonda build`: the main job.

use std::process::ExitCode;
use std::sync::Arc;

use gonda_driver::Result;
use gonda_driver::building::{self, Goal, Request, Session, Status};
use gonda_driver::lock::{self, Lock};
use gonda_driver::planning::Targets;
use gonda_recipe::ConfigPlatform;
use serde_json::json;

use crate::args::{BuildArgs, Format};
use crate::config::{self, Fixed, Layer, Surroundings};
use crate::report::Reporter;
use crate::summary;

pub(crate) async fn run(
    args: &BuildArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let events = reporter.events();
    let mut requests = Vec::new();
    for located in super::located(&args.selection)? {
        let layer = config::resolve(flags(args), surroundings, located.feedstock.as_deref())?;
        let variants = super::variant_files(&args.selection, &layer, surroundings);
        let fixed = Fixed {
            build_platform: args.selection.build_platform,
            skip_existing: args.skip_existing,
            rebuild: args.rebuild,
            keep_work: args.keep_work,
            strict_metadata: args.strict_metadata,
            ..Fixed::from(&args.channels)
        };
        let settings = config::settings(fixed, layer, surroundings)?;
        let lock = match args.locked {
            true => Some(Arc::new(Lock::read(lock::folder(&located))?)),
            false => None,
        };
        requests.push(Request {
            located,
            variants,
            targets: super::targets(&args.selection)?,
            config_platform: ConfigPlatform::Target,
            goal: if args.dry_run { Goal::Plan } else { Goal::Build },
            lock,
            settings,
        });
    }
    let Some(first) = requests.first() else { return Ok(ExitCode::SUCCESS) };
    let session = Session::open(&first.settings, &events).await?;
    let reports = building::build(requests, args.fail_fast, &session, &events).await?;
    summary::show(&reports, reporter, format)?;
    if let Some(file) = &args.markdown_summary {
        summary::append_markdown(&reports, &surroundings.current_dir.join(file))?;
    }
    Ok(ExitCode::from(summary::code(&reports)))
}

fn flags(args: &BuildArgs) -> Layer {
    Layer {
        output_dir: args.output_dir.clone(),
        source_mirror: args.source_mirror.clone(),
        isolation: config::isolation_word(args.isolation),
        network: config::network_word(args.network),
        test: config::test_word(args.test),
        go_cache: args.go_cache.clone(),
        cgo_compiler: args.cgo_compiler.clone(),
        jobs: args.jobs,
        max_processes: args.max_processes,
        max_memory: args.max_memory.clone(),
        min_free_disk: args.min_free_disk.clone(),
        compression_level: args.compression_level,
        ..Layer::default()
    }
}

/// Builds `recipe` – a feedstock, or the source folder of go-licenses itself – into the channel that `args` made.
pub(crate) async fn go_licenses(
    recipe: &std::path::Path,
    args: &crate::args::BootstrapArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
) -> Result<()> {
    let recipe = surroundings.current_dir.join(recipe);
    let events = reporter.events();
    // A folder with Go source is no recipe yet: it gets the plainest one there is.
    let wrapped;
    let recipe = if recipe.join("go.mod").is_file() {
        wrapped = source_recipe(&recipe)?;
        wrapped.path().to_path_buf()
    } else {
        recipe
    };
    let channel = surroundings.current_dir.join(&args.output);
    let located = gonda_driver::locate::locate(&recipe)?;
    let layer = Layer {
        output_dir: Some(channel.clone()),
        source_mirror: args.source_mirror.clone(),
        test: config::test_word(Some(crate::args::TestArg::Skip)),
        ..Layer::default()
    };
    let layer = config::resolve(layer, surroundings, located.feedstock.as_deref())?;
    let variants = gonda_recipe::VariantFiles {
        overrides: Some("{go_compiler: go-nocgo}".to_owned()),
        ..gonda_recipe::VariantFiles::default()
    };
    let fixed = Fixed {
        channels: vec![channel.to_string_lossy().into_owned()],
        build_platform: args.build_platform,
        ..Fixed::default()
    };
    let settings = config::settings(fixed, layer, surroundings)?;
    let session = Session::open(&settings, &events).await?;
    let targets = Targets::Given(vec![settings.build_platform]);
    let request = Request {
        located,
        variants,
        targets,
        config_platform: ConfigPlatform::Target,
        goal: Goal::Build,
        lock: None,
        settings,
    };
    for report in building::build(vec![request], false, &session, &events).await? {
        if let Status::Failed(error) = report.status {
            return Err(error);
        }
    }
    Ok(())
}

/// The plainest recipe for the source of go-licenses, in a folder of its own.
fn source_recipe(source: &std::path::Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    // Go modules carry no version of their own; a release's folder is named after it.
    let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = name.rsplit(['-', '@']).next().map(|part| part.trim_start_matches('v')).unwrap_or_default();
    let known = version.starts_with(|c: char| c.is_ascii_digit());
    let recipe = json!({
        "package": { "name": "go-licenses", "version": if known { version } else { "0" } },
        "source": { "path": source },
        "build": { "number": 0, "script": ["go build -v -o \"${PREFIX}/bin/go-licenses\" ."] },
        "requirements": { "build": ["${{ compiler('go') }}"], "run": ["go"] },
        "about": { "summary": "Collects the licences of a Go program's modules", "license_file": ["LICENSE"] },
    });
    // JSON is YAML.
    std::fs::write(folder.path().join("recipe.yaml"), recipe.to_string())?;
    Ok(folder)
}
