//! The package that was just made is tested, as it will be installed.

use gonda_packager::Artifact;

use super::Job;
use super::scripts::LastLines;
use crate::files::blocking;
use crate::settings::TestMode;
use crate::testbed::{Failure, TestSummary, Testbed};
use crate::{Error, Kind, Phase, Result, index};

impl Job {
    pub(super) async fn test(&self, artifact: &Artifact) -> Result<TestSummary> {
        let settings = &self.common.request.settings;
        if settings.test == TestMode::Skip {
            return Ok(TestSummary::not_run("tests were switched off"));
        }
        self.phase(Phase::Test);
        let mut local = self.common.local.clone();
        local.show(&artifact.path);
        let bed = Testbed {
            settings,
            cpu_count: self.common.cpus,
            mode: self.common.session.mode(),
            channels: &self.common.channels,
            packages: &local,
            logs: &settings.output_dir.join("logs"),
            locked: self.locked()?,
        };
        let summary = bed.test(&artifact.path, Some(&self.output.tests), &self.common.events, &self.name).await;
        match summary {
            Ok(summary) if !summary.is_failure() => Ok(summary),
            Ok(summary) => {
                self.withdraw(artifact).await?;
                Err(failure(&self.output.name, summary.failures))
            }
            // What could not be tested is not known to work.
            Err(error) => {
                self.withdraw(artifact).await?;
                Err(error)
            }
        }
    }

    /// Takes a package that failed its tests out of the output folder and its index, before anybody installs it.
    async fn withdraw(&self, artifact: &Artifact) -> Result<()> {
        let (package, folder) = (artifact.path.clone(), self.common.request.settings.output_dir.clone());
        let events = self.common.events.clone();
        blocking(move || {
            fs_err::remove_file(&package)?;
            index::index(&folder, &events)?;
            Ok(())
        })
        .await?;
        self.common.channels.forget(&self.common.request.settings.output_dir);
        Ok(())
    }
}

/// The first failure, with the others beside it.
fn failure(name: &str, failures: Vec<Failure>) -> Error {
    let mut errors = failures.into_iter().map(|failure| {
        let Failure { test, message, last_lines, log } = failure;
        let mut error = Error::new(Kind::Build, format!("the test `{test}` of `{name}` failed: {message}"));
        if !last_lines.is_empty() {
            error = error.because(LastLines(last_lines));
        }
        let log = log.map(|log| format!("its whole log is `{}`; ", log.display())).unwrap_or_default();
        error.help(format!("{log}the package was taken back"))
    });
    let first = errors.next();
    let mut first = first.unwrap_or_else(|| Error::new(Kind::Bug, "a failed test without a failure"));
    first.others = errors.collect();
    first
}
