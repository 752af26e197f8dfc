//! Finalising outputs with environments solved from channels, nothing built: `gonda render --finalize solve`. What a
//! build does beside it (locks, the toolchain that go.mod asks for) stands in `build/job.rs`.

use std::collections::BTreeSet;

use gonda_recipe::{DiskWorld, Env, Output, PinnedOutput, Rendering, Resolved, ResolvedPackage};
use rattler_conda_types::{RepoDataRecord, Subdir};

use crate::channels::{self, Channels, SolveRequest};
use crate::planning::Selection;
use crate::settings::Settings;
use crate::{Events, Result};

/// The outputs of a rendering, finalised with environments solved from channels, nothing built. Outputs that need one
/// another are solved without each other, as `conda render` does; what is skipped stays as it was rendered.
///
/// # Errors
/// A channel that can't be asked; an environment that can't be solved; pins that can't be made.
pub async fn finalized(selection: &Selection, settings: &Settings, events: &Events) -> Result<Vec<Output>> {
    let rendering = &selection.rendering;
    let names = settings.channels.resolve(rendering.channel_sources.as_deref());
    let solver = Solver {
        rendering,
        channels: Channels::open(settings.channel_settings(names), events.clone())?,
        settings,
        left_out: rendering.outputs.iter().map(|output| output.name.as_str()).collect(),
    };
    let mut finished = Vec::new();
    let mut outputs = Vec::with_capacity(rendering.outputs.len());
    for (index, output) in rendering.outputs.iter().enumerate() {
        if output.skip {
            outputs.push(output.clone());
            continue;
        }
        let output = solver.output(index, &finished).await?;
        finished.push(PinnedOutput {
            name: output.name.clone(),
            version: output.version.clone(),
            build_string: output.build_string.clone(),
        });
        outputs.push(output);
    }
    Ok(outputs)
}

struct Solver<'a> {
    rendering: &'a Rendering,
    channels: Channels,
    settings: &'a Settings,
    /// Packages that are not asked for: the recipe's own, which are not built yet.
    left_out: BTreeSet<&'a str>,
}

impl Solver<'_> {
    /// Solves the environments of output `index`, and finalises it with them. The build environment comes first, for its
    /// strong run exports enter the host environment. `finished` are the outputs that it may pin.
    async fn output(&self, index: usize, finished: &[PinnedOutput]) -> Result<Output> {
        let world = DiskWorld { environ: self.settings.caller_environment.clone(), ..DiskWorld::default() };
        let output = &self.rendering.outputs[index];
        let mut resolved = Resolved { outputs: finished.to_vec(), ..Resolved::default() };

        let mut specs = self.rendering.specs(index, Env::Build, &resolved, &world)?;
        let merged = output.build.merge_build_host;
        if merged {
            specs.extend(self.rendering.specs(index, Env::Host, &resolved, &world)?);
        }
        resolved.build = self.environment(output, "build", &specs, output.build_platform).await?;
        if !merged {
            let specs = self.rendering.specs(index, Env::Host, &resolved, &world)?;
            resolved.host = self.environment(output, "host", &specs, output.target_platform).await?;
        }
        Ok(self.rendering.finalize(index, &resolved, &world)?)
    }

    /// The packages of one environment, which errors call `which`.
    async fn environment(
        &self,
        output: &Output,
        which: &str,
        specs: &[String],
        platform: Subdir,
    ) -> Result<Vec<ResolvedPackage>> {
        let native = platform == self.settings.build_platform;
        let request = SolveRequest {
            what: format!("{which} environment of `{}`", output.name),
            specs: specs.iter().filter(|spec| !self.left_out.contains(name_of(spec))).cloned().collect(),
            constraints: Vec::new(),
            platform,
            virtual_packages: channels::virtual_packages(platform, native)?,
            extra_channel: None,
        };
        let records = self.channels.solve(&request).await?;
        resolve(&self.channels, &records, specs).await
    }
}

/// Solved packages as finalising wants them; only those asked for by name bring their run exports.
pub(crate) async fn resolve(
    channels: &Channels,
    records: &[RepoDataRecord],
    specs: &[String],
) -> Result<Vec<ResolvedPackage>> {
    let direct: Vec<&str> = specs.iter().map(|spec| name_of(spec)).collect();
    let mut packages = Vec::with_capacity(records.len());
    for record in records {
        let package = &record.package_record;
        let name = package.name.as_normalized().to_owned();
        let direct = direct.iter().any(|spec| spec.eq_ignore_ascii_case(&name));
        packages.push(ResolvedPackage {
            version: package.version.to_string(),
            build: package.build.to_string(),
            run_exports: if direct { channels.run_exports(record).await? } else { Default::default() },
            direct,
            name,
        });
    }
    Ok(packages)
}

/// The package name that a match spec begins with.
pub(crate) fn name_of(spec: &str) -> &str {
    let spec = spec.rsplit_once("::").map_or(spec, |(_, rest)| rest).trim_start();
    let end = spec.find(|c: char| c.is_whitespace() || "<>=!~[;,".contains(c)).unwrap_or(spec.len());
    &spec[..end]
}
