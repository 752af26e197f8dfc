//! Solving the environments of one output, and finalising the output with what was solved.
//!
//! The build environment comes first, for its strong run exports enter the host environment; once both are known, the
//! recipe crate pins and hashes the output ([`Rendering::finalize`]). Building and `gonda render --finalize solve` both
//! do it here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gonda_recipe::{DiskWorld, Env, Output, PinnedOutput, Rendering, Resolved, ResolvedPackage};
use rattler_conda_types::{RepoDataRecord, Subdir};

use crate::channels::{self, Channels, SolveRequest};
use crate::planning::Selection;
use crate::settings::Settings;
use crate::{Events, Result};

/// Where packages come from, and for whom.
pub(crate) struct Solver<'a> {
    pub(crate) rendering: &'a Rendering,
    pub(crate) channels: &'a Channels,
    /// The machine that builds.
    pub(crate) build_platform: Subdir,
    /// `os.environ`, as the recipe sees it.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// A folder of packages that were built before; it wins over all channels.
    pub(crate) built: Option<PathBuf>,
    /// Packages that are not asked for: outputs of the recipe that are not built yet.
    pub(crate) left_out: BTreeSet<String>,
}

/// The solved environments of an output. Where they are one, `host` is empty.
pub(crate) struct Solved {
    pub(crate) build: Vec<RepoDataRecord>,
    pub(crate) host: Vec<RepoDataRecord>,
}

impl Solver<'_> {
    /// Chooses the packages of both environments of output `index`, and finalises it with them. `finished` are the
    /// outputs that it may pin; `toolchain` bounds the build environment further without being asked for.
    pub(crate) async fn output(
        &self,
        index: usize,
        toolchain: Vec<String>,
        finished: &[PinnedOutput],
    ) -> Result<(Output, Solved)> {
        let world = DiskWorld { environ: self.environment.clone(), ..DiskWorld::default() };
        let output = &self.rendering.outputs[index];
        let mut resolved = Resolved { outputs: finished.to_vec(), ..Resolved::default() };

        let mut specs = self.rendering.specs(index, Env::Build, &resolved, &world)?;
        let merged = output.build.merge_build_host;
        if merged {
            specs.extend(self.rendering.specs(index, Env::Host, &resolved, &world)?);
        }
        let build = self.environment(output, "build", &specs, toolchain, output.build_platform).await?;
        resolved.build = self.resolve(&build, &specs).await?;

        let mut host = Vec::new();
        if !merged {
            let specs = self.rendering.specs(index, Env::Host, &resolved, &world)?;
            host = self.environment(output, "host", &specs, Vec::new(), output.target_platform).await?;
            resolved.host = self.resolve(&host, &specs).await?;
        }
        let output = self.rendering.finalize(index, &resolved, &world)?;
        Ok((output, Solved { build, host }))
    }

    /// Chooses the packages of one environment, which errors call `which`.
    pub(crate) async fn environment(
        &self,
        output: &Output,
        which: &str,
        specs: &[String],
        constraints: Vec<String>,
        platform: Subdir,
    ) -> Result<Vec<RepoDataRecord>> {
        let native = platform == self.build_platform && Subdir::current() == Some(platform);
        let specs = specs.iter().filter(|spec| !self.left_out.contains(name_of(spec))).cloned().collect();
        self.channels
            .solve(&SolveRequest {
                what: format!("{which} environment of `{}`", output.name),
                specs,
                constraints,
                platform,
                virtual_packages: channels::virtual_packages(platform, native)?,
                extra_channel: self.built.clone(),
            })
            .await
    }

    /// Solved packages as finalising wants them; only those asked for by name bring their run exports.
    pub(crate) async fn resolve(&self, records: &[RepoDataRecord], specs: &[String]) -> Result<Vec<ResolvedPackage>> {
        let direct: Vec<&str> = specs.iter().map(|spec| name_of(spec)).collect();
        let mut packages = Vec::with_capacity(records.len());
        for record in records {
            let package = &record.package_record;
            let name = package.name.as_normalized().to_owned();
            let direct = direct.iter().any(|spec| spec.eq_ignore_ascii_case(&name));
            packages.push(ResolvedPackage {
                version: package.version.to_string(),
                build: package.build.to_string(),
                run_exports: if direct { self.channels.run_exports(record).await? } else { Default::default() },
                direct,
                name,
            });
        }
        Ok(packages)
    }
}

/// The outputs of a rendering, finalised with environments solved from channels, nothing built. Outputs that need one
/// another are solved without each other, as `conda render` does; what is skipped stays as it was rendered.
///
/// # Errors
/// A channel that can't be asked; an environment that can't be solved; pins that can't be made.
pub async fn finalized(selection: &Selection, settings: &Settings, events: &Events) -> Result<Vec<Output>> {
    let rendering = &selection.rendering;
    let names = settings.channels.resolve(rendering.channel_sources.as_deref());
    let channels = Channels::open(settings.channel_settings(names), events.clone())?;
    let solver = Solver {
        rendering,
        channels: &channels,
        build_platform: settings.build_platform,
        environment: &settings.caller_environment,
        built: None,
        left_out: rendering.outputs.iter().map(|output| output.name.clone()).collect(),
    };
    let mut finished = Vec::new();
    let mut outputs = Vec::with_capacity(rendering.outputs.len());
    for (index, output) in rendering.outputs.iter().enumerate() {
        if output.skip {
            outputs.push(output.clone());
            continue;
        }
        let (output, _) = solver.output(index, Vec::new(), &finished).await?;
        finished.push(PinnedOutput {
            name: output.name.clone(),
            version: output.version.clone(),
            build_string: output.build_string.clone(),
        });
        outputs.push(output);
    }
    Ok(outputs)
}

/// The package name that a match spec begins with.
pub(crate) fn name_of(spec: &str) -> &str {
    let spec = spec.rsplit_once("::").map_or(spec, |(_, rest)| rest).trim_start();
    let end = spec.find(|c: char| c.is_whitespace() || "<>=!~[;,".contains(c)).unwrap_or(spec.len());
    &spec[..end]
}
