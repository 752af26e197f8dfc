//! The top level of a v0 recipe with outputs: built once, before them, in an environment of its own requirements. What
//! it installs is laid into the prefix of every output, which takes what its `files` name (conda-build's build.py,
//! `build`).

use std::collections::BTreeSet;
use std::path::Path;

use gonda_recipe::{Output, RecipeFormat, Requirements, Script, ScriptContent, TopLevel};

use super::Job;
use crate::building::checkout::Checkout;
use crate::building::facts::Facts;
use crate::solving::Solved;
use crate::zig::Zig;
use crate::{Phase, Result, solving, source};

impl Job {
    /// Runs the top level's script, if it has one and no output before this one has run it.
    pub(super) async fn build_top_level(&self, checkout: &mut Checkout) -> Result<()> {
        let Some(top) = &self.output.build.top_level else { return Ok(()) };
        if checkout.top.is_some() || !self.has_script(&top.scripts) {
            return Ok(());
        }
        let mut job = self.clone();
        job.output = as_output(&self.output, top);
        job.name = format!("{}-{} (top level)", top.name, top.version);
        job.lock_key = String::new();
        let solved = job.solve_top_level(&checkout.facts, top).await?;
        job.phase(Phase::Install);
        let room = job.move_in(checkout, &solved).await?;
        let prior = gonda_packager::list(&room.disk().prefix)?;
        job.phase(Phase::Build);
        let result = job.run_scripts(checkout, &solved, &room).await;
        super::moving_in::give_back(&room, &checkout.work)?;
        if let Err(error) = result {
            let mut room = room;
            room.keep();
            return Err(error);
        }
        let kept = checkout.workspace.path().join("top");
        let added: BTreeSet<String> =
            gonda_packager::list(&room.disk().prefix)?.into_iter().filter(|path| !prior.contains(path)).collect();
        source::copy_files(&room.disk().prefix, &added, &kept)?;
        checkout.top = Some(kept);
        room.close()
    }

    /// conda-build doesn't run an empty script; a file beside the recipe is one.
    pub(super) fn has_script(&self, scripts: &[Script]) -> bool {
        let folder = &self.common.request.located.recipe_dir;
        let name = match (self.output.target_platform.is_windows(), self.output.format) {
            (false, _) => "build.sh",
            (true, RecipeFormat::V0) => "bld.bat",
            (true, RecipeFormat::V1) => "build.bat",
        };
        scripts.iter().any(|script| match &script.content {
            ScriptContent::Default => folder.join(name).is_file(),
            ScriptContent::Lines(lines) => !lines.is_empty(),
            ScriptContent::File(_) => true,
        })
    }

    pub(super) async fn solve_top_level(&self, facts: &Facts, top: &TopLevel) -> Result<Solved> {
        self.phase(Phase::Solve);
        let zig = Zig::of(&self.output, self.common.request.settings.cgo_compiler, &top.build)?;
        let instead = zig.as_ref().map(|zig| zig.instead(&top.build));
        let build = self.solve_build(facts, instead.as_ref().unwrap_or(&top.build)).await?;
        let mut host_specs = top.host.clone();
        let resolved = solving::resolve(&self.common.channels, &build, &top.build).await?;
        for package in resolved.into_iter().chain(zig.iter().flat_map(Zig::stand_ins)) {
            // Without a host section there is no host environment for them to enter.
            if !top.host.is_empty() {
                host_specs.extend(package.run_exports.strong);
            }
        }
        let host = self.solve_one("host", &host_specs, Vec::new(), self.output.target_platform).await?;
        Ok(Solved { build, host, zig })
    }
}

/// Lays what the top level installed into an output's prefix. What counts as there before the output's own script is
/// returned: for an output with a script and no list of `files`, all of it.
pub(super) fn lay_in(output: &Output, top: Option<&Path>, prefix: &Path) -> Result<BTreeSet<String>> {
    let before = gonda_packager::list(prefix)?;
    let Some(top) = top else { return Ok(before) };
    let files = gonda_packager::list(top)?;
    source::copy_files(top, &files, prefix)?;
    if output.build.files.is_some() || output.build.top_level.is_none() {
        return Ok(before);
    }
    Ok(gonda_packager::list(prefix)?)
}

/// The top level in the shape of an output, for its script and its environment.
fn as_output(output: &Output, top: &TopLevel) -> Output {
    let mut this = output.clone();
    this.name.clone_from(&top.name);
    this.version.clone_from(&top.version);
    this.build_string = "top".to_owned();
    this.parent = None;
    this.build.scripts.clone_from(&top.scripts);
    this.build.top_level = None;
    this.build.merge_build_host = top.merge_build_host;
    this.requirements = Requirements { build: top.build.clone(), host: top.host.clone(), ..Requirements::default() };
    this
}
