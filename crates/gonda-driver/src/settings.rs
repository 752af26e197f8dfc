//! What the user chose, resolved: the command line reads flags, environment and files; the driver only sees this.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rattler_conda_types::Subdir;

use crate::channels::ChannelSettings;
use crate::isolation::Isolation;
use crate::record::Environments;

pub use crate::isolation::Limits;
pub use crate::zig::CgoCompiler;

/// Everything a run of the driver depends on, besides recipes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Root of gonda's caches.
    pub cache_root: PathBuf,
    /// Where packages, `repodata.json` and `logs/` go.
    pub output_dir: PathBuf,
    /// The folder that relative channel paths start from.
    pub base_dir: PathBuf,
    /// Channels and how to reach them.
    pub channels: ChannelChoice,
    /// The machine that builds.
    pub build_platform: Subdir,
    /// Asked first for every source: folders or urls.
    pub source_mirrors: Vec<String>,
    /// Ask no network, only caches.
    pub offline: bool,
    /// What scripts may reach.
    pub network: Network,
    /// How jobs are kept apart.
    pub isolation: Isolation,
    /// Whether packages are tested after they are packed.
    pub test: TestMode,
    /// Keep the folders of a job after it succeeded.
    pub keep_work: bool,
    /// Leave out what the output folder or a channel already has.
    pub skip_existing: bool,
    /// A constraint that a compiled file needs and the metadata lack is an error, not a warning.
    pub strict_metadata: bool,
    /// Build even what was built before from the same inputs.
    pub rebuild: bool,
    /// What takes the place of a solve and of answers that change with time.
    pub record: Option<std::sync::Arc<Recorded>>,
    /// zstd level of archives; `None` is gonda's default.
    pub compression_level: Option<i32>,
    /// How many processors a job may use (`CPU_COUNT`, compression).
    pub jobs: usize,
    /// What a job's GOCACHE starts with.
    pub go_cache: GoCacheMode,
    /// What a job may take of the machine.
    pub limits: Limits,
    /// Which C compiler cgo gets; `None` leaves it to the recipe's `extra.gonda.cgo`.
    pub cgo_compiler: Option<CgoCompiler>,
    /// Go's module settings, from the user's configuration.
    pub go: GoSettings,
    /// The caller's environment: only names that a recipe lists in `script_env` (and, with an open network, proxies
    /// and certificates) are taken from it.
    pub caller_environment: BTreeMap<String, String>,
}

impl Settings {
    /// How to reach channels of these names.
    pub(crate) fn channel_settings(&self, channels: Vec<String>) -> ChannelSettings {
        ChannelSettings {
            channels,
            channel_alias: self.channels.alias.clone(),
            cache_root: self.cache_root.clone(),
            offline: self.offline,
            base_dir: self.base_dir.clone(),
        }
    }

    /// Whether a package that was built before from the same inputs may be the answer. One that was let through once may
    /// not be let through when metadata are to be strict.
    pub(crate) fn takes_finished(&self) -> bool {
        !(self.rebuild || self.keep_work || self.strict_metadata)
    }
}

/// What a package that is built again says of its output.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The output's name.
    pub output: String,
    /// Its environments.
    pub environments: Environments,
    /// The module proxy's answers to questions such as `@latest`.
    pub answers: BTreeMap<String, String>,
}

/// Which channels are asked.
#[derive(Debug, Clone, Default)]
pub struct ChannelChoice {
    /// `-c`: when given, nothing else counts.
    pub given: Vec<String>,
    /// The configuration's, used when a variant has no `channel_sources`.
    pub configured: Vec<String>,
    /// What channel names are appended to; `None` is conda's default.
    pub alias: Option<String>,
}

impl ChannelChoice {
    /// The channels for a recipe: `-c`, else its variant's `channel_sources`, else the configuration, else
    /// `conda-forge`.
    #[must_use]
    pub fn resolve(&self, channel_sources: Option<&[String]>) -> Vec<String> {
        let from_variant = || {
            let first = channel_sources?.first()?;
            let names: Vec<String> =
                first.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
            (!names.is_empty()).then_some(names)
        };
        if !self.given.is_empty() {
            self.given.clone()
        } else if let Some(names) = from_variant() {
            names
        } else if !self.configured.is_empty() {
            self.configured.clone()
        } else {
            vec!["conda-forge".to_owned()]
        }
    }
}

/// What a build script may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// gonda's own module proxy, which fetches what its store lacks.
    #[default]
    Modules,
    /// gonda's own module proxy, which serves what its store has.
    Off,
    /// Everything, as under conda-build.
    On,
}

impl Network {
    /// As `--network` has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Modules => "modules",
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

/// Which tests run after packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TestMode {
    /// Those of packages that this machine can run.
    #[default]
    Native,
    /// Those too that an emulator on this machine can run: qemu's user mode, wine.
    NativeAndEmulated,
    /// None.
    Skip,
}

/// What a job's GOCACHE starts with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GoCacheMode {
    /// The standard library as gonda itself compiled it; nothing of other jobs.
    #[default]
    Private,
    /// Whatever jobs before it compiled, as they left it: for recipes that one trusts.
    Shared,
    /// As `Private`, and what it lacks comes from a store that machines share, and goes there: for stores whose writers one
    /// trusts. An `http`, `https` or `s3` url.
    Store(url::Url),
}

/// Go's own settings, as far as the user may choose them.
#[derive(Debug, Clone, Default)]
pub struct GoSettings {
    /// `GOPROXY` syntax; `None` takes the toolchain's own default from its `go.env`.
    pub goproxy: Option<String>,
    /// `GONOSUMDB`.
    pub gonosumdb: Option<String>,
    /// `GOPRIVATE`.
    pub goprivate: Option<String>,
    /// `GOSUMDB`; `None` leaves the toolchain's default.
    pub gosumdb: Option<String>,
}

impl GoSettings {
    /// What is set of Go's own variables, for every `go` that gonda or a script starts. The proxy is not among them: it
    /// is always gonda's.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("GOSUMDB", &self.gosumdb), ("GONOSUMDB", &self.gonosumdb), ("GOPRIVATE", &self.goprivate)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}
