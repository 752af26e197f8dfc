//! Environments and what follows from them: the packages of an output's build and host environment are chosen, one after
//! the other, and the output is finalised with them. How packages are chosen differs: a build has locks and the toolchain
//! that go.mod asks for (`build/environments.rs`), `gonda render --finalize solve` just solves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use gonda_recipe::{DiskWorld, Env, Output, PinnedOutput, Rendering, Resolved, ResolvedPackage};
use rattler_conda_types::{RepoDataRecord, Subdir};

use crate::channels::name_of;
use crate::channels::{self, Channels, SolveRequest};
use crate::planning::Selection;
use crate::settings::{CgoCompiler, Settings};
use crate::zig::Zig;
use crate::{Error, Events, Result};

/// The solved environments of an output.
pub(crate) struct Solved {
    pub(crate) build: Vec<RepoDataRecord>,
    pub(crate) host: Vec<RepoDataRecord>,
    /// What stands in the place of C compilers in the build environment.
    pub(crate) zig: Option<Zig>,
}

/// Chooses the packages of environments.
pub(crate) trait Choose: Sync {
    /// The channels that packages come from.
    fn channels(&self) -> &Channels;

    /// The C compiler that the user chose for cgo.
    fn cgo_compiler(&self) -> Option<CgoCompiler>;

    /// The packages of one environment.
    fn choose(
        &self,
        env: Env,
        specs: &[String],
        platform: Subdir,
    ) -> impl Future<Output = Result<Vec<RepoDataRecord>>> + Send;
}

/// Output `index`, finalised, and its environments. The build environment comes first, for its strong run exports enter
/// the host environment. `finished` are the outputs that it may pin.
pub(crate) async fn finalize(
    rendering: &Rendering,
    index: usize,
    finished: &[PinnedOutput],
    environ: &BTreeMap<String, String>,
    chooser: &impl Choose,
) -> Result<(Output, Solved)> {
    let world = DiskWorld { environ: environ.clone(), ..DiskWorld::default() };
    let output = &rendering.outputs[index];
    let mut resolved = Resolved { outputs: finished.to_vec(), ..Resolved::default() };

    let mut specs = rendering.specs(index, Env::Build, &resolved, &world)?;
    let merged = output.build.merge_build_host;
    if merged {
        specs.extend(rendering.specs(index, Env::Host, &resolved, &world)?);
    }
    let zig = Zig::of(output, chooser.cgo_compiler(), &specs)?;
    let instead = zig.as_ref().map(|zig| zig.instead(&specs));
    let build = chooser.choose(Env::Build, instead.as_ref().unwrap_or(&specs), output.build_platform).await?;
    resolved.build = resolve(chooser.channels(), &build, &specs).await?;
    resolved.build.extend(zig.iter().flat_map(Zig::stand_ins));

    let mut host = Vec::new();
    if !merged {
        let specs = rendering.specs(index, Env::Host, &resolved, &world)?;
        host = chooser.choose(Env::Host, &specs, output.target_platform).await?;
        resolved.host = resolve(chooser.channels(), &host, &specs).await?;
    }
    Ok((rendering.finalize(index, &resolved, &world)?, Solved { build, host, zig }))
}

/// The outputs of a rendering, finalised with environments solved from channels, nothing built. Outputs that need one
/// another are solved without each other, as `conda render` does; what is skipped stays as it was rendered. So do the
/// requirements of an environment that can't be solved, with a warning (conda-build's render.py, `finalize_metadata`).
///
/// # Errors
/// A channel that can't be asked; pins that can't be made of solved environments.
pub async fn finalized(selection: &Selection, settings: &Settings, events: &Events) -> Result<Vec<Output>> {
    selection.refuse_unknown_platforms()?;
    let rendering = &selection.rendering;
    let names = settings.channels.resolve(rendering.channel_sources.as_deref());
    let channels = Channels::open(settings.channel_settings(names), events.clone())?;
    let own: BTreeSet<&str> = rendering.outputs.iter().map(|output| output.name.as_str()).collect();
    let mut finished = Vec::new();
    let mut outputs = Vec::with_capacity(rendering.outputs.len());
    for (index, output) in rendering.outputs.iter().enumerate() {
        if output.skip {
            outputs.push(output.clone());
            continue;
        }
        let unsolved = Mutex::default();
        let chooser =
            FromChannels { channels: &channels, settings, name: &output.name, left_out: &own, unsolved: &unsolved };
        let finalized = finalize(rendering, index, &finished, &settings.caller_environment, &chooser).await;
        let unsolved = unsolved.into_inner().unwrap_or_else(PoisonError::into_inner);
        let output = match finalized {
            // Without its environment a pin may not be there to be made.
            Err(_) if !unsolved.is_empty() => output.clone(),
            finalized => finalized?.0,
        };
        for error in &unsolved {
            events.warn("", not_final(&output, error));
        }
        finished.push(output.pinned());
        outputs.push(output);
    }
    Ok(outputs)
}

/// What to say of an environment that can't be solved.
fn not_final(output: &Output, error: &Error) -> String {
    let mut text = format!("`{}` is not final, its requirements stay as written: {error}", output.filename());
    if let Some(cause) = &error.cause {
        text.push_str(&format!(":\n{cause}"));
    }
    if let Some(help) = &error.help {
        text.push_str(&format!("\n{help}"));
    }
    text
}

/// Solves with nothing but channels.
struct FromChannels<'a> {
    channels: &'a Channels,
    settings: &'a Settings,
    /// The output's name, for errors.
    name: &'a str,
    /// Packages that are not asked for: the recipe's own, which are not built yet.
    left_out: &'a BTreeSet<&'a str>,
    /// Why environments can't be solved; they count as empty.
    unsolved: &'a Mutex<Vec<Error>>,
}

impl Choose for FromChannels<'_> {
    fn channels(&self) -> &Channels {
        self.channels
    }

    fn cgo_compiler(&self) -> Option<CgoCompiler> {
        self.settings.cgo_compiler
    }

    async fn choose(&self, env: Env, specs: &[String], platform: Subdir) -> Result<Vec<RepoDataRecord>> {
        let native = platform == self.settings.build_platform;
        let request = SolveRequest {
            what: format!("{} environment of `{}`", env.name(), self.name),
            specs: specs.iter().filter(|spec| !self.left_out.contains(name_of(spec))).cloned().collect(),
            constraints: Vec::new(),
            platform,
            virtual_packages: channels::virtual_packages(platform, native)?,
            local: None,
        };
        Ok(self.channels.attempt(&request).await?.unwrap_or_else(|unsolvable| {
            self.unsolved.lock().unwrap_or_else(PoisonError::into_inner).push(unsolvable);
            Vec::new()
        }))
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
