//! An output that was built before from the same inputs is not built again.
//!
//! Inputs are all that decides a package's bytes, by content: the source, the recipe and
//! its folder, every variant value, each package of both environments, gonda itself, settings, and what a script is let
//! have of the caller's environment. Channels are asked and environments solved each time, so that a newer toolchain is
//! noticed. What a script with an open network fetches by itself is not known to anybody; `--rebuild` is for that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gonda_packager::Artifact;
use gonda_recipe::ScriptVariable;
use sha2::{Digest, Sha256};

use super::Job;
use crate::building::facts::Facts;
use crate::cache::finished::Finished;
use crate::cache::{of_tree, this_program};
use crate::files::blocking;
use crate::settings::TestMode;
use crate::solving::Solved;
use crate::{Result, environment, index};

/// Part of every key: another one whenever the same inputs would give other bytes.
const FORMAT: &str = "gonda package 1";

impl Job {
    /// The digest of all that decides the package's bytes.
    pub(super) fn inputs(&self, facts: &Facts, solved: &Solved) -> Result<String> {
        let settings = &self.common.request.settings;
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        part(FORMAT);
        part(&this_program());
        part(&facts.source);
        part(&format!("{:?} {}", facts.git, self.timestamp(facts)));
        part(&of_tree(&self.common.request.located.recipe_dir, Some(&std::path::absolute(&settings.output_dir)?))?);
        part(&format!("{:?}", self.common.request.located.recipe.file_name()));
        part(&format!("{:?}", self.common.selection.rendering.outputs));
        part(&format!("{:?}", self.output));
        for records in [&solved.build, &solved.host] {
            environment::contents(records).iter().for_each(|package| part(package));
            part("");
        }
        part(&format!("{:?}", self.common.channels.names()));
        let mode = self.common.session.mode();
        part(&format!("{:?} {:?} {}", self.network().0, settings.compression_level, mode.has_fixed_paths()));
        part(&format!("{:?} {:?} {:?}", settings.go, settings.go_cache, self.given_answers()));
        for (name, value) in self.passed() {
            part(&format!("{name}={value:?}"));
        }
        Ok(hex::encode(hash.finalize()))
    }

    /// What the scripts get of the caller's environment because the recipe lists it, secrets included.
    pub(super) fn passed(&self) -> BTreeMap<&str, Option<&str>> {
        let build = &self.output.build;
        let listed = build.script_env.iter().filter_map(|variable| match variable {
            ScriptVariable::Pass(name) => Some(name),
            ScriptVariable::Set(..) => None,
        });
        let names = listed.chain(build.scripts.iter().flat_map(|script| &script.secrets));
        let caller = &self.common.request.settings.caller_environment;
        names.map(|name| (name.as_str(), caller.get(name).map(String::as_str))).collect()
    }

    /// The package of these inputs, if it was built before: it is put into the output folder and its index.
    pub(super) async fn unchanged(&self, inputs: &str) -> Result<Option<PathBuf>> {
        let settings = &self.common.request.settings;
        if !settings.takes_finished() {
            return Ok(None);
        }
        let (finished, key) = (Finished::new(&settings.cache_root), inputs.to_owned());
        let tested = settings.test != TestMode::Skip;
        let (output_dir, events) = (settings.output_dir.clone(), self.common.events.clone());
        let folder = output_dir.join(self.output.subdir());
        let taken = blocking(move || {
            let Some((path, was_there)) = finished.take(&key, tested, &folder)? else { return Ok(None) };
            if !was_there || !is_indexed(&path) {
                index::add_to_index(&output_dir, &path, &events)?;
            }
            Ok(Some((path, was_there)))
        })
        .await?;
        if taken.as_ref().is_some_and(|(_, was_there)| !was_there) {
            self.common.channels.forget(&settings.output_dir);
        }
        Ok(taken.map(|(path, _)| path))
    }

    /// Keeps a package for the next time. That it can't be kept is no reason to fail.
    pub(super) async fn remember(&self, inputs: &str, artifact: &Artifact) {
        let finished = Finished::new(&self.common.request.settings.cache_root);
        let tested = self.common.request.settings.test != TestMode::Skip;
        let (inputs, artifact) = (inputs.to_owned(), artifact.clone());
        if let Err(error) = blocking(move || finished.keep(&inputs, &artifact, tested)).await {
            self.common.events.note(&self.name, format!("the package is not kept for the next time: {error}"));
        }
    }
}

/// Whether the repodata beside a package names it; what it names is checked by whoever reads it.
fn is_indexed(package: &Path) -> bool {
    let listed = || {
        let text = std::fs::read(package.parent()?.join("repodata.json")).ok()?;
        let repodata: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let entry = repodata.get("packages.conda")?.get(package.file_name()?.to_str()?)?;
        Some(entry["size"].as_u64()? == package.metadata().ok()?.len())
    };
    listed().unwrap_or(false)
}
