//! Building a package again from what it carries, and comparing: the proof that it is what its recipe says.
//!
//! A package holds its recipe and, in its [record](crate::record), what the recipe leaves open. [`rebuild`] takes exactly
//! the packages that the first build took, and nothing that a script left in a cache, and compares what comes out byte by
//! byte.

mod compare;
mod recipe;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gonda_packager::Limits;
use gonda_recipe::VariantFiles;
use serde::Serialize;

pub use compare::Difference;

use crate::building::{self, Session, Status};
use crate::files::blocking;
use crate::planning::Targets;
use crate::record::BuildRecord;
use crate::settings::{GoCacheMode, Recorded, Settings, TestMode};
use crate::source::sha256_of_file;
use crate::{Error, Events, Kind, Result, locate};

/// What to build again.
#[derive(Debug)]
pub struct Request {
    /// The package.
    pub package: PathBuf,
    /// A recipe or feedstock to build from in place of the package's copy, whose path sources are then used.
    pub recipe: Option<PathBuf>,
    /// How; what decides bytes comes from the package.
    pub settings: Settings,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The package's file name.
    pub package: String,
    /// SHA-256 of the package.
    pub sha256: String,
    /// SHA-256 of the package built again.
    pub rebuilt_sha256: String,
    /// Whether the two are the same, byte by byte.
    pub same: bool,
    /// Members that differ, those that a program or a person made before those that follow from them.
    pub differences: Vec<Difference>,
}

/// Builds a package again and compares.
///
/// # Errors
/// [`Kind::Usage`]: the package doesn't say what it was built from, or was built from files that it doesn't carry.
/// [`Kind::Unavailable`]: a package of its environments can't be had any more. Else as building.
pub async fn rebuild(request: Request, session: &Session, events: &Events) -> Result<Outcome> {
    let Request { package, recipe, mut settings } = request;
    let read = {
        let package = package.clone();
        blocking(move || recipe::read(&package)).await?
    };
    let record = read.record;
    let aside = tempfile::tempdir()?;
    let located = match recipe {
        Some(recipe) => locate::locate(&recipe)?,
        None => {
            no_local_sources(&package, &record)?;
            locate::locate(&recipe::lay_out(&read.files, &record, &aside.path().join("recipe"))?)?
        }
    };
    let output = read.name.clone();
    settings.output_dir = aside.path().join("output");
    settings.build_platform = record.build_platform;
    settings.compression_level = record.settings.compression_level;
    settings.cgo_compiler = record.settings.cgo_compiler;
    settings.rebuild = true;
    settings.skip_existing = false;
    settings.test = TestMode::Skip;
    settings.go_cache = GoCacheMode::Private;
    settings.record = Some(Arc::new(Recorded {
        output: output.clone(),
        environments: record.environments.clone(),
        answers: record.modules.answers.clone(),
    }));
    if settings.channels.given.is_empty() {
        settings.channels.given.clone_from(&record.channels);
    }
    let environment = &mut settings.caller_environment;
    environment.insert("SOURCE_DATE_EPOCH".to_owned(), record.timestamp.to_string());
    for (name, value) in &record.settings.environment {
        match value {
            Some(value) => environment.insert(name.clone(), value.clone()),
            None => environment.remove(name),
        };
    }
    let overrides = serde_json::to_string(&record.variant)
        .map_err(|error| Error::new(Kind::Bug, "a variant can't be written").because(error))?;
    let name = file_name(&package);
    let request = building::Request {
        located,
        variants: VariantFiles { overrides: Some(overrides), ..VariantFiles::default() },
        targets: Targets::Given(vec![record.target_platform]),
        config_platform: record.settings.config_platform.into(),
        goal: building::Goal::Build,
        lock: None,
        settings,
    };
    let reports = building::build(vec![request], false, session, events).await?;
    let mut rebuilt: Option<PathBuf> = None;
    for report in reports {
        match report.status {
            // Of several variants, the one that is called so.
            Status::Built { artifact, .. } if report.name == output => {
                rebuilt = rebuilt.filter(|path| file_name(path) == name).or(Some(artifact.path));
            }
            Status::Failed(error) => return Err(error),
            _ => {}
        }
    }
    let Some(rebuilt) = rebuilt else {
        return Err(Error::new(
            Kind::Verification,
            format!("the recipe of `{name}` has no output `{output}` any more"),
        ));
    };
    blocking(move || {
        // Names are compared too: they hold the hash of the variant.
        let differences = compare::packages(&package, &rebuilt, &aside.path().join("compared"), &Limits::default())?;
        let (sha256, rebuilt_sha256) = (sha256_of_file(&package)?, sha256_of_file(&rebuilt)?);
        Ok(Outcome { package: name, same: sha256 == rebuilt_sha256, sha256, rebuilt_sha256, differences })
    })
    .await
}

fn no_local_sources(package: &Path, record: &BuildRecord) -> Result<()> {
    let Some(local) = record.sources.iter().find(|source| source.local) else { return Ok(()) };
    let from = local.source.from.first().map(String::as_str).unwrap_or_default();
    Err(Error::new(Kind::Usage, format!("`{}` was built from `{from}`, which it does not carry", file_name(package)))
        .help("give the recipe or feedstock that has it with `--recipe`"))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
