//! The package that was just made is tested, as it will be installed.

use gonda_packager::Artifact;

use super::job::Job;
use crate::settings::TestMode;
use crate::testbed::{TestSummary, Testbed};
use crate::{Phase, Result};

impl Job<'_> {
    pub(super) async fn test(&self, artifact: &Artifact) -> Result<TestSummary> {
        let settings = &self.request.settings;
        if settings.test == TestMode::Skip {
            return Ok(TestSummary::not_run("tests were switched off"));
        }
        self.phase(Phase::Test);
        let bed = Testbed {
            settings,
            mode: self.session.mode(),
            channels: self.channels,
            packages: &settings.output_dir,
            logs: &settings.output_dir.join("logs"),
        };
        bed.test(&artifact.path, Some(&self.output.tests), self.events, &self.name).await
    }
}
