//! Channels: what packages there are, which of them an environment needs, and what they export to those that are
//! built against them.
//!
//! The work is rattler's: its gateway fetches and caches repodata, resolvo solves, its package cache holds the
//! archives. This module decides which channels are asked, in which order and under which rules, and turns failures
//! into errors that say what was wanted, from where, and what to do. It never reads the environment: channels, cache
//! and offline mode are arguments. (Proxies and stored credentials are read by reqwest and rattler themselves.)

mod local;
mod specs;
mod virtual_packages;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use rattler_cache::package_cache::{CacheKey, PackageCache};
use rattler_conda_types::package::RunExportsJson;
use rattler_conda_types::{
    Channel, ChannelConfig, GenericVirtualPackage, MatchSpec, PackageName, RepoDataRecord, Subdir,
};
use rattler_networking::{AuthenticationMiddleware, LazyClient, OfflineMiddleware};
use rattler_repodata_gateway::fetch::CacheAction;
use rattler_repodata_gateway::{CacheClearMode, Gateway, GatewayError, RepoData, SourceConfig, SubdirSelection};
use rattler_solve::{ChannelPriority, SolveError, SolverImpl, SolverTask};
use reqwest_middleware::ClientWithMiddleware;
use tokio::sync::OnceCell;
use url::Url;

pub use self::local::LocalChannel;
pub(crate) use self::specs::name_of;
use self::specs::{exact_name, parse_specs};
pub use self::virtual_packages::virtual_packages;

use crate::{Error, Events, Kind, Result};

/// How many packages are downloaded and extracted at the same time, and how many requests for repodata run.
const PARALLEL_REQUESTS: usize = 16;

/// Which channels are asked, and where their answers are kept.
#[derive(Debug, Clone)]
pub struct ChannelSettings {
    /// Names (`conda-forge`), urls (`https://…`, `file://…`) or paths, the most preferred first. The marker
    /// `nodefaults` of conda's configuration is passed over.
    pub channels: Vec<String>,
    /// What names are completed with; `None`: rattler's default.
    pub channel_alias: Option<String>,
    /// gonda's cache: packages lie in `<cache>/pkgs`, repodata in `<cache>/repodata`.
    pub cache_root: PathBuf,
    /// Whether no request may leave the machine. What is cached, and `file://` channels, still serve.
    pub offline: bool,
    /// What relative channel paths are relative to; absolute.
    pub base_dir: PathBuf,
}

/// What to solve.
#[derive(Debug, Clone)]
pub struct SolveRequest {
    /// For errors: `build environment of NAME`.
    pub what: String,
    /// Match specs as text.
    pub specs: Vec<String>,
    /// Match specs that hold for packages that are chosen, without asking for them.
    pub constraints: Vec<String>,
    /// The environment's platform; `noarch` is asked besides.
    pub platform: Subdir,
    /// What the machine offers; see [`virtual_packages`].
    pub virtual_packages: Vec<GenericVirtualPackage>,
    /// A folder of packages that goes before all channels: the output folder, so that what was just built is found.
    pub local: Option<LocalChannel>,
}

/// The channels of a run. Cheap to clone; clones share what was fetched.
#[derive(Clone)]
pub struct Channels {
    channels: Vec<Channel>,
    config: ChannelConfig,
    gateway: Gateway,
    client: LazyClient,
    package_cache: PackageCache,
    /// What was solved already: jobs that ask for the same share the answer.
    solved: Arc<Mutex<HashMap<Question, Answer>>>,
    offline: bool,
    events: Events,
}

/// All that decides a solve, while channels stay as they were first read: specs, constraints, platform, virtual packages,
/// and the packages of the local channel that are seen.
type Question = (Vec<String>, Vec<String>, Subdir, Vec<String>, Vec<String>);

/// Filled by who asks first; the others wait.
type Answer = Arc<OnceCell<Vec<RepoDataRecord>>>;

/// Why there is no answer.
enum Failed {
    /// No set of packages fulfils the requirements.
    Unsolvable(Error),
    Otherwise(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Otherwise(error)
    }
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channels").field("channels", &self.names()).field("offline", &self.offline).finish()
    }
}

impl Channels {
    /// Resolves the channels' names. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no channel; [`Kind::Machine`] where no HTTP client can be made.
    pub fn open(settings: ChannelSettings, events: Events) -> Result<Self> {
        let mut config = ChannelConfig::default_with_root_dir(settings.base_dir);
        if let Some(alias) = &settings.channel_alias {
            config.channel_alias = parse_alias(alias)?;
        }
        let mut channels: Vec<Channel> = Vec::new();
        for text in settings.channels.iter().map(|text| text.trim()).filter(|text| *text != "nodefaults") {
            let channel = Channel::from_str(text, &config).map_err(|error| {
                Error::new(Kind::Usage, format!("`{text}` is not a channel"))
                    .because(error)
                    .help("give a name such as `conda-forge`, a url, or a path that begins with `/` or `./`")
            })?;
            if !channels.iter().any(|known| known.base_url == channel.base_url) {
                channels.push(channel);
            }
        }

        let remote = channels.iter().any(|channel| channel.base_url.url().scheme() != "file");
        let client = if remote {
            let client = http_client(settings.offline)?;
            LazyClient::new(move || client)
        } else {
            // Making a client loads certificates; with local channels alone none is ever needed.
            let offline = settings.offline;
            LazyClient::new(move || http_client(offline).unwrap_or_else(|_| reqwest::Client::default().into()))
        };
        // The origin is part of an entry's name: packages of the same name from two channels (a local build, and
        // conda-forge's) do not push each other out.
        let package_cache = PackageCache::new(settings.cache_root.join("pkgs")).with_cached_origin();
        let source = SourceConfig {
            cache_action: if settings.offline { CacheAction::ForceCacheOnly } else { CacheAction::CacheOrFetch },
            ..SourceConfig::default()
        };
        let gateway = Gateway::builder()
            .with_client(client.clone())
            .with_cache_dir(settings.cache_root.join("repodata"))
            .with_package_cache(package_cache.clone())
            .with_max_concurrent_requests(PARALLEL_REQUESTS)
            .with_channel_config(rattler_repodata_gateway::ChannelConfig { default: source, ..Default::default() })
            .finish();
        let (solved, offline) = (Arc::default(), settings.offline);
        Ok(Self { channels, config, gateway, client, package_cache, solved, offline, events })
    }

    /// The channels as a package's metadata names them, in their order: those under the channel alias by name, a
    /// `file://` channel by its last folder's name, so that no path of this machine gets into a package, others by
    /// url, without credentials.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.channels.iter().map(|channel| self.name(channel.base_url.url())).collect()
    }

    /// The name, as in [`Channels::names`], of the channel that a record came from.
    #[must_use]
    pub fn name_of(&self, record: &RepoDataRecord) -> String {
        let channel = record.channel.as_deref().and_then(|text| Url::parse(text).ok());
        // A record's url is `<channel>/<subdir>/<file>`.
        let base = channel.or_else(|| record.url.join("..").ok());
        base.map_or_else(|| record.channel.clone().unwrap_or_default(), |base| self.name(&base))
    }

    /// Chooses the packages of an environment, sorted by name. The highest versions win; a package is taken from the
    /// first channel that has its name (strict channel priority, as conda-forge's own builds).
    ///
    /// # Errors
    /// [`Kind::Unavailable`]: a channel that can't be read, or requirements that no set of packages fulfils, with the
    /// solver's explanation as the cause. [`Kind::Usage`]: a spec that is none.
    pub async fn solve(&self, request: &SolveRequest) -> Result<Vec<RepoDataRecord>> {
        self.attempt(request).await?
    }

    /// As [`Channels::solve`], but that no set of packages fulfils the requirements is an answer, the inner error.
    ///
    /// # Errors
    /// As [`Channels::solve`], but for that.
    pub async fn attempt(&self, request: &SolveRequest) -> Result<Result<Vec<RepoDataRecord>>> {
        let specs = parse_specs(&request.what, &request.specs)?;
        if specs.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let records = self.records(request, &specs).await?;
        let question = question(request, &records);
        let answer =
            Arc::clone(self.solved.lock().unwrap_or_else(PoisonError::into_inner).entry(question).or_default());
        match answer.get_or_try_init(|| self.solve_among(request, specs, records)).await {
            Ok(records) => Ok(Ok(records.clone())),
            Err(Failed::Unsolvable(error)) => Ok(Err(error)),
            Err(Failed::Otherwise(error)) => Err(error),
        }
    }

    /// Chooses among all records that may matter, channel by channel.
    async fn solve_among(
        &self,
        request: &SolveRequest,
        specs: Vec<MatchSpec>,
        records: Vec<Vec<Arc<RepoDataRecord>>>,
    ) -> Result<Vec<RepoDataRecord>, Failed> {
        let constraints = parse_specs(&request.what, &request.constraints)?;
        let found: BTreeSet<PackageName> =
            records.iter().flatten().map(|record| record.package_record.name.clone()).collect();
        let virtual_packages = request.virtual_packages.clone();
        let wanted = specs.clone();
        let solved = tokio::task::spawn_blocking(move || {
            let task = SolverTask {
                virtual_packages,
                specs: wanted,
                constraints,
                channel_priority: ChannelPriority::Strict,
                ..records.iter().map(|of_one| of_one.iter().map(Arc::as_ref)).collect::<SolverTask<'_, _>>()
            };
            rattler_solve::resolvo::Solver.solve(task)
        })
        .await
        .map_err(|error| Error::new(Kind::Bug, format!("the solver died on the {}", request.what)).because(error))?;
        match solved {
            Ok(result) => {
                let mut records = result.records;
                records.sort_by(|a, b| a.package_record.name.cmp(&b.package_record.name));
                Ok(records)
            }
            Err(SolveError::Cancelled) => Err(Error::new(Kind::Interrupted, "solving was cancelled").into()),
            Err(error) => Err(Failed::Unsolvable(self.unsolvable(request, &specs, &found, error))),
        }
    }

    /// Those of the named packages that no channel has for a platform.
    ///
    /// # Errors
    /// [`Kind::Unavailable`]: a channel that can't be read.
    pub async fn lacking(&self, names: &[&str], platform: Subdir) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let request = SolveRequest {
            what: format!("toolchains on {platform}"),
            specs: names.iter().map(|name| (*name).to_owned()).collect(),
            constraints: Vec::new(),
            platform,
            virtual_packages: Vec::new(),
            local: None,
        };
        let specs = parse_specs(&request.what, &request.specs)?;
        let records = self.records(&request, &specs).await?;
        let found: BTreeSet<&str> =
            records.iter().flatten().map(|record| record.package_record.name.as_normalized()).collect();
        Ok(names.iter().filter(|name| !found.contains(**name)).map(|name| (*name).to_owned()).collect())
    }

    /// What a package exports to those that are built with it: from its channel's `run_exports.json`, else from the
    /// package itself, which is fetched into the cache. A package without run exports has empty ones.
    ///
    /// # Errors
    /// [`Kind::Unavailable`]: the package can't be fetched or read.
    pub async fn run_exports(&self, record: &RepoDataRecord) -> Result<RunExportsJson> {
        let mut record = record.clone();
        self.gateway.ensure_run_exports(std::iter::once(&mut record), None).await.map_err(|error| {
            let file = record.identifier.to_file_name();
            self.with_offline_help(
                Error::new(Kind::Unavailable, format!("could not read the run exports of `{file}`")).because(error),
            )
        })?;
        Ok(record.package_record.run_exports.unwrap_or_default())
    }

    /// The folder with a package's extracted content, fetched into the package cache if it isn't there.
    ///
    /// # Errors
    /// [`Kind::Unavailable`]: it can't be fetched, or is not what its channel says.
    pub async fn extracted(&self, record: &RepoDataRecord) -> Result<PathBuf> {
        let key = CacheKey::from(&record.package_record);
        let (url, client) = (record.url.clone(), self.client.clone());
        let cached = self.package_cache.get_or_fetch_from_url(key, url, client, None, None).await;
        let cached = cached.map_err(|error| {
            let file = record.identifier.to_file_name();
            self.with_offline_help(
                Error::new(Kind::Unavailable, format!("could not fetch the package `{file}`")).because(error),
            )
        })?;
        Ok(cached.path().to_path_buf())
    }

    /// Forgets what was read from a folder that is used as a channel; the next solve reads it again.
    pub fn forget(&self, folder: &Path) {
        if let Ok(channel) = folder_channel(folder) {
            self.forget_channel(&channel);
        }
    }

    /// Where packages are fetched to and extracted.
    pub(crate) fn package_cache(&self) -> &PackageCache {
        &self.package_cache
    }

    /// What fetches packages.
    pub(crate) fn client(&self) -> &LazyClient {
        &self.client
    }

    /// Adds that nothing may be fetched, where that may be the reason of a failure.
    pub(crate) fn with_offline_help(&self, error: Error) -> Error {
        if self.offline && error.help.is_none() {
            error.help("`--offline` forbids fetching; run once without it, or `gonda fetch`, to fill the cache")
        } else {
            error
        }
    }

    fn name(&self, base: &Url) -> String {
        if base.scheme() == "file" {
            let folder = base.to_file_path().ok();
            let last = folder.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            return last.unwrap_or_else(|| "local".to_owned());
        }
        self.config.canonical_name(base).trim_end_matches('/').to_owned()
    }

    /// All records that may matter to the request, channel by channel.
    async fn records(&self, request: &SolveRequest, specs: &[MatchSpec]) -> Result<Vec<Vec<Arc<RepoDataRecord>>>> {
        let platforms = [request.platform, Subdir::NoArch];
        // Each channel is opened by itself first: most of the gateway's errors do not say which channel they are about.
        let opened = self.channels.iter().flat_map(|channel| platforms.map(|platform| (channel, platform)));
        try_join_all(opened.map(|(channel, platform)| async move {
            let opened = self.gateway.channel_relations(channel, platform).await;
            opened.map_err(|error| self.unreadable(channel, request, error))
        }))
        .await?;

        let mut channels = Vec::new();
        if let Some(local) = &request.local {
            let channel = folder_channel(&local.folder)?;
            // It changes while we run, with each package that is built.
            self.forget_channel(&channel);
            let indexed = local.folder.join("noarch/repodata.json").is_file();
            if indexed && !self.channels.iter().any(|known| known.base_url == channel.base_url) {
                channels.push(channel);
            }
        }
        channels.extend(self.channels.iter().cloned());
        let answer = self.gateway.query(channels, platforms, specs.iter().cloned()).recursive(true).await;
        let answer = answer.map_err(|error| match error {
            GatewayError::SubdirNotFoundError(missing) => {
                let channel = missing.channel.clone();
                self.unreadable(&channel, request, GatewayError::SubdirNotFoundError(missing))
            }
            error => {
                let message = format!("could not read {} for the {}", self.listed(), request.what);
                self.with_offline_help(Error::new(Kind::Unavailable, message).because(error))
            }
        })?;
        for warning in &answer.warnings {
            self.events.warn("", warning.to_string());
        }
        let visible = |record: &&Arc<RepoDataRecord>| request.local.as_ref().is_none_or(|local| local.shows(record));
        let of_one = |data: &RepoData| data.iter_arc().filter(visible).cloned().collect();
        Ok(answer.repodata.iter().map(of_one).collect())
    }

    fn forget_channel(&self, channel: &Channel) {
        // Only the copy in memory is dropped, which can't fail.
        let _ = self.gateway.clear_repodata_cache(channel, SubdirSelection::All, CacheClearMode::InMemoryOnly);
    }

    fn listed(&self) -> String {
        self.channels.iter().map(|channel| format!("`{}`", channel.canonical_name())).collect::<Vec<_>>().join(", ")
    }

    fn unreadable(&self, channel: &Channel, request: &SolveRequest, error: GatewayError) -> Error {
        let url = channel.canonical_name();
        let local = (channel.base_url.url().scheme() == "file").then(|| channel.base_url.url().to_file_path().ok());
        let missing = matches!(error, GatewayError::SubdirNotFoundError(_));
        let what = &request.what;
        match (local.flatten(), missing) {
            (Some(folder), true) if folder.is_dir() => {
                Error::new(Kind::Unavailable, format!("channel `{url}`, wanted for the {what}, is not indexed"))
                    .help(format!("run `gonda channel index {}`", trimmed(&folder)))
            }
            (Some(folder), true) => {
                Error::new(Kind::Unavailable, format!("channel `{url}`, wanted for the {what}, does not exist"))
                    .help(format!("there is no folder `{}`; check the channel's path", trimmed(&folder)))
            }
            (None, true) => {
                Error::new(Kind::Unavailable, format!("channel `{url}`, wanted for the {what}, was not found"))
                    .help("check the channel's name and the channel alias")
            }
            (_, false) => self.with_offline_help(Error::new(
                Kind::Unavailable,
                format!("channel `{url}`, wanted for the {what}, can't be read"),
            )),
        }
        .because(error)
    }

    fn unsolvable(
        &self,
        request: &SolveRequest,
        specs: &[MatchSpec],
        found: &BTreeSet<PackageName>,
        error: SolveError,
    ) -> Error {
        let explanation = match error {
            SolveError::Unsolvable(reasons) => reasons.join("\n").trim().to_owned(),
            other => other.to_string(),
        };
        let unknown: Vec<String> = specs
            .iter()
            .filter_map(exact_name)
            .filter(|name| !name.as_normalized().starts_with("__") && !found.contains(*name))
            .map(|name| format!("`{}`", name.as_source()))
            .collect();
        let asked = if self.channels.is_empty() { "none".to_owned() } else { self.listed() };
        let hidden = request.local.as_ref().and_then(|local| local.hidden_in(&explanation));
        let help = if let Some(name) = hidden {
            format!(
                "`{name}` is built in the same run, and seen only by recipes that name it: build it in a run before"
            )
        } else if unknown.is_empty() {
            format!("channels that were asked, the first that has a package's name decides: {asked}")
        } else {
            format!("no package {} for {} in channels: {asked}", unknown.join(", "), request.platform)
        };
        Error::new(Kind::Unavailable, format!("could not solve the {} for {}", request.what, request.platform))
            .because(explanation)
            .help(help)
    }
}

/// What decides the solve that is asked for.
fn question(request: &SolveRequest, records: &[Vec<Arc<RepoDataRecord>>]) -> Question {
    let of_local = |record: &&Arc<RepoDataRecord>| request.local.as_ref().is_some_and(|local| local.holds(record));
    let local = records.iter().flatten().filter(of_local).map(|record| {
        let digest = record.package_record.sha256.map(|digest| hex::encode(&digest[..]));
        format!("{} {}", record.url, digest.unwrap_or_default())
    });
    let mut local: Vec<String> = local.collect();
    local.sort_unstable();
    let virtual_packages = request.virtual_packages.iter().map(ToString::to_string).collect();
    (request.specs.clone(), request.constraints.clone(), request.platform, virtual_packages, local)
}

fn parse_alias(alias: &str) -> Result<Url> {
    Url::parse(alias).map_err(|error| {
        Error::new(Kind::Usage, format!("channel alias `{alias}` is not a url"))
            .because(error)
            .help("a channel alias is the url that channel names are appended to")
    })
}

fn folder_channel(folder: &Path) -> Result<Channel> {
    local::folder_url(folder).map(Channel::from_url).ok_or_else(|| {
        Error::new(Kind::Usage, format!("folder `{}` can't be written as a url", folder.display()))
            .help("a channel's folder needs an absolute path")
    })
}

/// Without the slash that a channel's url ends with.
fn trimmed(folder: &Path) -> String {
    folder.components().collect::<PathBuf>().display().to_string()
}

fn http_client(offline: bool) -> Result<ClientWithMiddleware> {
    let unable = || Error::new(Kind::Machine, "could not set up an HTTP client");
    let client = reqwest::Client::builder()
        .user_agent(concat!("gonda/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(30))
        .read_timeout(Duration::from_secs(120))
        .build()
        .map_err(|error| unable().because(error))?;
    let mut builder = reqwest_middleware::ClientBuilder::new(client);
    if offline {
        builder = builder.with(OfflineMiddleware);
    }
    let authentication = AuthenticationMiddleware::from_env_and_defaults().map_err(|error| unable().because(error))?;
    Ok(builder.with(authentication).build())
}

#[cfg(test)]
mod tests;
