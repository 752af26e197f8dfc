//! What a package says of its own making.

use std::collections::BTreeMap;

use gonda_recipe::SourceKind;

use super::Job;
use crate::building::checkout::Checkout;
use crate::building::plan;
use crate::modules::ProxyRecord;
use crate::record::{
    BuildRecord, Environments, FILE, FORMAT, RecordedModule, RecordedModules, RecordedSettings, RecordedSource,
};
use crate::solving::Solved;
use crate::{Error, Kind, Result};

impl Job {
    /// `gonda.json` for the package: its name and content.
    pub(super) fn build_record(&self, checkout: &Checkout, solved: &Solved) -> Result<(String, Vec<u8>)> {
        let settings = &self.common.request.settings;
        let lock = |records: &[_]| records.iter().map(|record| plan::locked(&self.common.channels, record)).collect();
        let secrets: Vec<&String> = self.output.build.scripts.iter().flat_map(|script| &script.secrets).collect();
        let environment = self.passed().into_iter().filter(|(name, _)| !secrets.iter().any(|secret| secret == name));
        let record = BuildRecord {
            format: FORMAT,
            gonda: env!("CARGO_PKG_VERSION").to_owned(),
            recipe: self.recipe_file().to_owned(),
            build_platform: self.output.build_platform,
            target_platform: self.output.target_platform,
            variant: self.output.variant.clone(),
            settings: RecordedSettings {
                compression_level: settings.compression_level,
                cgo_compiler: settings.cgo_compiler,
                config_platform: self.common.request.config_platform.into(),
                environment: environment.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).collect(),
            },
            channels: self.common.channels.names(),
            environments: Environments { build: lock(&solved.build), host: lock(&solved.host) },
            sources: self.recorded_sources(checkout),
            modules: self.recorded_modules(checkout),
            timestamp: self.timestamp(&checkout.facts),
        };
        let mut text = serde_json::to_vec_pretty(&record)
            .map_err(|error| Error::new(Kind::Bug, "what a package was built from can't be written").because(error))?;
        text.push(b'\n');
        Ok((FILE.to_owned(), text))
    }

    fn recorded_sources(&self, checkout: &Checkout) -> Vec<RecordedSource> {
        // The facts are of the first repository.
        let first = self.output.sources.iter().position(|source| matches!(source.kind, SourceKind::Git { .. }));
        let commit = checkout
            .placed
            .git
            .as_ref()
            .and_then(|git| Some(git.info.full_hash.clone()).filter(|hash| !hash.is_empty()));
        let record = |(index, source): (usize, &gonda_recipe::Source)| RecordedSource {
            source: plan::planned(source),
            commit: commit.clone().filter(|_| first == Some(index)),
            local: matches!(source.kind, SourceKind::Path { .. }),
        };
        self.output.sources.iter().enumerate().map(record).collect()
    }

    /// Modules that a go.sum names are left out, for whether a script asked for them depends on what it was given
    /// beforehand.
    fn recorded_modules(&self, checkout: &Checkout) -> RecordedModules {
        let ProxyRecord { modules, answers, .. } = &self.served;
        let besides = modules.iter().filter(|(name, _)| !checkout.facts.summed.contains(*name));
        let besides: BTreeMap<String, RecordedModule> = besides
            .map(|(name, served)| {
                (name.clone(), RecordedModule { h1: served.zip.clone(), go_mod: served.go_mod.clone() })
            })
            .collect();
        RecordedModules { go_sum: checkout.facts.go_sums.clone(), besides, answers: answers.clone() }
    }
}
