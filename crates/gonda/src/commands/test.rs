//! `gonda test`: runs the tests that packages carry, whoever built them.

use std::path::Path;
use std::process::ExitCode;

use gonda_driver::building::Session;
use gonda_driver::channels::LocalChannel;
use gonda_driver::testbed::{TestSummary, Testbed};
use gonda_driver::{Error, Kind, Result, index};
use serde_json::json;

use crate::args::{Format, TestArgs};
use crate::config::{self, Fixed, Layer, Surroundings};
use crate::report::Reporter;

pub(crate) async fn run(
    args: &TestArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let events = reporter.events();
    let flags = Layer {
        output_dir: args.output_dir.clone(),
        isolation: config::isolation_word(args.isolation),
        test: config::test_word(args.test),
        ..Layer::default()
    };
    let settings =
        config::settings(Fixed::from(&args.channels), config::resolve(flags, surroundings, None)?, surroundings)?;
    let session = Session::open(&settings, &events).await?;
    let channels = session.channels(&settings, None, &events)?;
    let mut failed = false;
    for package in &args.packages {
        let package = surroundings.current_dir.join(package);
        let folder = channel_of(&package, &events)?;
        let packages = LocalChannel::new(folder.path(&package));
        let bed = Testbed {
            settings: &settings,
            cpu_count: settings.jobs,
            mode: session.mode(),
            channels: &channels,
            packages: &packages,
            logs: &settings.output_dir.join("logs"),
            locked: None,
        };
        let name = package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let summary = bed.test(&package, None, &events, &name).await?;
        failed |= summary.is_failure();
        show(&name, &summary, reporter, format);
    }
    Ok(if failed { ExitCode::from(Kind::Build.exit_code()) } else { ExitCode::SUCCESS })
}

/// The folder of packages that a package is installed from.
enum Folder {
    /// It lies in an indexed channel already, beside what it may need.
    Channel,
    /// A channel made for it alone.
    Own(tempfile::TempDir),
}

impl Folder {
    fn path(&self, package: &Path) -> std::path::PathBuf {
        match self {
            Self::Channel => package.ancestors().nth(2).unwrap_or(package).to_path_buf(),
            Self::Own(folder) => folder.path().to_path_buf(),
        }
    }
}

fn channel_of(package: &Path, events: &gonda_driver::Events) -> Result<Folder> {
    let index = gonda_packager::index_json(package)?;
    let subdir = index.get("subdir").and_then(|subdir| subdir.as_str()).unwrap_or("noarch").to_owned();
    let parent = package.parent();
    let in_channel = parent.is_some_and(|folder| {
        folder.file_name().is_some_and(|name| name == subdir.as_str()) && folder.join("repodata.json").is_file()
    });
    if in_channel {
        return Ok(Folder::Channel);
    }
    let folder = tempfile::tempdir()?;
    let place = folder.path().join(&subdir);
    std::fs::create_dir_all(&place)?;
    let name = package.file_name().ok_or_else(|| Error::new(Kind::Usage, "a package has a file name"))?;
    std::fs::copy(package, place.join(name))?;
    index::index(folder.path(), events)?;
    Ok(Folder::Own(folder))
}

fn show(name: &str, summary: &TestSummary, reporter: &Reporter, format: Format) {
    if format == Format::Json {
        reporter.data(&json!({ "package": name, "tests": summary }).to_string());
        return;
    }
    reporter.data(&format!("{name}: {summary}"));
    for failure in &summary.failures {
        reporter.talk(&format!("  `{}`: {}", failure.test, failure.message));
        for line in &failure.last_lines {
            reporter.talk(&format!("    {line}"));
        }
        if let Some(log) = &failure.log {
            reporter.talk(&format!("  the whole log is `{}`", log.display()));
        }
    }
}
