//! The store of Go modules, and how what is missing in it is fetched and verified.
//!
//! `<store>/<module>/@v/<version>.{info,mod,zip,ziphash}`, `@v/list`, `@latest` and `sumdb/<name>/…`, escaped, as in
//! `GOMODCACHE/cache/download`. Files of versions never change; lists, `@latest`, branches and the database's head are the
//! last answers, kept for offline use.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gonda_gomod::{MAX_GO_MOD, MAX_MODULE_ZIP, ModuleVersion, hash_go_mod, matches_prefix_patterns, parse_proxy_list};
use tempfile::NamedTempFile;

use super::archive::{check_go_mod, hash_module_zip, info_version};
use super::record::ProxyRecord;
use super::request::{Part, Request};
use super::sweep;
use super::upstream::{End, Miss, Source, Upstream};
use crate::{Error, Kind, Result};

/// Settings of a store and of the proxies over it.
#[derive(Debug, Clone, Default)]
pub struct ProxySettings {
    /// `<cache>/gomod`; made where it is missing.
    pub store: PathBuf,
    /// Whom to ask for what is missing, in GOPROXY's syntax: urls (`https://`, `http://`, `file://`), `,`, `|`, `direct`,
    /// `off`. `direct` is answered with "not found", so that the job's own Go goes on with [`super::Proxy::goproxy`]'s
    /// `,direct` where it is allowed to.
    pub upstream: String,
    /// GONOPROXY's patterns: such modules are not asked for upstream, as if it were `direct`.
    pub noproxy: String,
    /// Checksum databases that may be asked directly where no upstream proxy passes requests on to them, by name; the
    /// first word of GOSUMDB. For others the answer is "not found", and Go itself goes directly, if it can.
    pub sumdb: Vec<String>,
    /// Nobody is asked: the store alone, and the last answers in it.
    pub offline: bool,
    /// The answers of a lock ([`ProxyRecord::answers`]), by the request's escaped path: they are given in place of
    /// asking, and for what is not among them nobody is asked.
    pub answers: Option<BTreeMap<String, String>>,
    /// Whether HTTP proxies are taken from the environment and the system's settings.
    pub system_proxies: bool,
}

/// A store that is filled from upstream; cheap to clone. One for all proxies of a process, so that what several jobs ask
/// for at once is fetched once.
#[derive(Debug, Clone)]
pub struct ModuleStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ProxySettings,
    upstream: Upstream,
    /// Who is at work on what, by path.
    at_work: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Zips that were verified by this process, with their size, time and sum.
    verified: Mutex<HashMap<PathBuf, (Stamp, String)>>,
    /// Where each checksum database is reached, once known.
    sumdbs: Mutex<HashMap<String, Option<Source>>>,
}

/// A file's size and time of change.
type Stamp = (u64, Option<SystemTime>);

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// Bytes of a small answer: lists, infos, parts of the checksum database.
const MAX_SMALL: u64 = 16 << 20;

impl ModuleStore {
    /// Opens a store. Nothing is asked of anyone.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when the GOPROXY list is malformed; [`Kind::Machine`] when the folder can't be made.
    pub fn open(settings: ProxySettings) -> Result<Self> {
        let malformed = |reason: String| {
            Error::new(Kind::Usage, format!("GOPROXY `{}` can't be used: {reason}", settings.upstream))
                .help("see `go help goproxy` for the syntax")
        };
        let entries = parse_proxy_list(&settings.upstream).map_err(malformed)?;
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("gonda/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(Duration::from_secs(120));
        if !settings.system_proxies {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| Error::new(Kind::Machine, "could not set up an HTTP client").because(error))?;
        let upstream = Upstream::new(entries, client).map_err(malformed)?;
        fs_err::create_dir_all(settings.store.join(PARTS))?;
        sweep(&settings.store.join(PARTS));
        Ok(Self(Arc::new(Inner {
            settings,
            upstream,
            at_work: Mutex::default(),
            verified: Mutex::default(),
            sumdbs: Mutex::default(),
        })))
    }

    /// Whether the GOPROXY list ends in `direct`.
    pub(super) fn ends_in_direct(&self) -> bool {
        self.0.upstream.end == End::Direct
    }

    /// Answers a request and records the answer.
    pub(super) async fn answer(&self, request: &Request, record: &Mutex<ProxyRecord>) -> Result<Answer, Miss> {
        let path = request.path();
        let one_at_a_time = self.0.lock(&path);
        let answer = {
            let _guard = one_at_a_time.lock().await;
            match request {
                Request::File(module, Part::Zip) => self.zip(request, module, record).await,
                Request::File(module, part) => self.immutable(request, module, *part, record).await,
                Request::SumDb(name, rest) => self.sumdb(name, rest, &path).await,
                Request::List(_) | Request::Latest(_) | Request::Query(..) => {
                    self.changing(request, &path, record).await
                }
            }
        };
        drop(one_at_a_time);
        self.0.unlock(&path);
        if let Err(Miss::Failed(text)) = &answer {
            lock(record).failures.insert(text.clone());
        }
        answer
    }

    /// `.info` and `.mod` of a version.
    async fn immutable(
        &self,
        request: &Request,
        module: &ModuleVersion,
        part: Part,
        record: &Mutex<ProxyRecord>,
    ) -> Result<Answer, Miss> {
        let path = request.path();
        let file = self.file(&path);
        let sound = |bytes: &[u8]| check(part, module, bytes);
        let (bytes, fetched) = match tokio::fs::read(&file).await {
            Ok(bytes) if sound(&bytes).is_ok() => (bytes, false),
            _ => {
                let bytes = self.ask(request, MAX_GO_MOD, &sound).await?;
                self.keep(&file, &bytes)?;
                (bytes, true)
            }
        };
        if part == Part::Mod {
            let mut record = lock(record);
            let served = record.module(module);
            served.fetched |= fetched;
            served.go_mod = Some(hash_go_mod(&bytes));
        }
        Ok(Answer::Bytes(bytes))
    }

    async fn zip(
        &self,
        request: &Request,
        module: &ModuleVersion,
        record: &Mutex<ProxyRecord>,
    ) -> Result<Answer, Miss> {
        let path = request.path();
        let file = self.file(&path);
        let (sum, fetched) = match self.stored_zip(&file, module).await {
            Ok(Some(sum)) => (sum, false),
            stored => {
                // What is damaged is replaced; where it can't be, that is what there is to say.
                let sum = self.fetch_zip(request, module, &file).await.map_err(|miss| match stored {
                    Err(damage) => {
                        Miss::Failed(format!("{damage}, and it could not be fetched again: {}", miss.text()))
                    }
                    Ok(_) => miss,
                })?;
                (sum, true)
            }
        };
        let mut record = lock(record);
        let served = record.module(module);
        served.fetched |= fetched;
        served.zip = Some(sum);
        Ok(Answer::File(file))
    }

    /// The sum of a zip in the store, if there is one and it is what it was when it came: its sum is that in the `.ziphash`
    /// beside it. Read through once a process.
    async fn stored_zip(&self, file: &Path, module: &ModuleVersion) -> Result<Option<String>, String> {
        let Ok(metadata) = tokio::fs::metadata(file).await else { return Ok(None) };
        let stamp = (metadata.len(), metadata.modified().ok());
        if let Some((known, sum)) = lock(&self.0.verified).get(file)
            && *known == stamp
        {
            return Ok(Some(sum.clone()));
        }
        let damaged = |reason: String| format!("{module} in gonda's module store is damaged: {reason}");
        let sum = hash_in_thread(file.to_owned(), module.clone()).await.map_err(damaged)?;
        let recorded = file.with_extension("ziphash");
        match tokio::fs::read_to_string(&recorded).await {
            Ok(text) if text.trim() == sum => {}
            Ok(text) => return Err(damaged(format!("its sum is {sum}, and was {}", text.trim()))),
            Err(_) => self.keep(&recorded, sum.as_bytes()).map_err(|miss| miss.text().to_owned())?,
        }
        lock(&self.0.verified).insert(file.to_owned(), (stamp, sum.clone()));
        Ok(Some(sum))
    }

    async fn fetch_zip(&self, request: &Request, module: &ModuleVersion, file: &Path) -> Result<String, Miss> {
        let path = request.path();
        let mut best = self.refusal(request)?;
        for source in &self.0.upstream.sources {
            match self.fetch_zip_from(source, &path, module, file).await {
                Ok(sum) => return Ok(sum),
                Err(miss) => {
                    let stop = matches!(miss, Miss::Failed(_)) && !source.fall_back_on_error;
                    best = better(best, miss);
                    if stop {
                        return Err(best);
                    }
                }
            }
        }
        Err(self.at_end(best))
    }

    async fn fetch_zip_from(
        &self,
        source: &Source,
        path: &str,
        module: &ModuleVersion,
        file: &Path,
    ) -> Result<String, Miss> {
        let mut last = String::new();
        // What came wrong once may come right the next time.
        for _ in 0..2 {
            let part = self.part()?;
            let handle = part.reopen().map_err(|error| unwritable(part.path(), &error))?;
            self.0.upstream.download(source, path, MAX_MODULE_ZIP, handle).await?;
            match hash_in_thread(part.path().to_owned(), module.clone()).await {
                Ok(sum) => {
                    // The sum first: a zip without one is taken as it is.
                    self.keep(&file.with_extension("ziphash"), sum.as_bytes())?;
                    place(part, file)?;
                    if let Ok(metadata) = std::fs::metadata(file) {
                        let stamp = (metadata.len(), metadata.modified().ok());
                        lock(&self.0.verified).insert(file.to_owned(), (stamp, sum.clone()));
                    }
                    return Ok(sum);
                }
                Err(reason) => last = format!("{module}: the proxy's zip is not a module zip: {reason}"),
            }
        }
        Err(Miss::Failed(last))
    }

    /// Lists, `@latest` and branches.
    async fn changing(&self, request: &Request, path: &str, record: &Mutex<ProxyRecord>) -> Result<Answer, Miss> {
        let settings = &self.0.settings;
        let file = self.file(path);
        let bytes = if let Some(answers) = &settings.answers {
            let missing =
                || Miss::NotFound(format!("{path}: the lock has no answer to it; `gonda lock` after a build has"));
            answers.get(path).ok_or_else(missing)?.clone().into_bytes()
        } else if settings.offline {
            let missing = |_| self.refusal(request).err().unwrap_or_else(|| not_in_store(&request.path()));
            tokio::fs::read(&file).await.map_err(missing)?
        } else {
            let sound = |bytes: &[u8]| match request {
                Request::List(_) => Ok(()),
                _ => info_version(bytes).map(drop),
            };
            let bytes = self.ask(request, MAX_SMALL, &sound).await?;
            self.keep(&file, &bytes)?;
            bytes
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        lock(record).answers.insert(path.to_owned(), text);
        Ok(Answer::Bytes(bytes))
    }

    /// The checksum database, through the first proxy that passes requests on to it, or directly. Entries and tiles never
    /// change and are kept; Go checks their signatures.
    async fn sumdb(&self, name: &str, rest: &str, path: &str) -> Result<Answer, Miss> {
        let settings = &self.0.settings;
        let file = self.file(path);
        let immutable = rest.starts_with("lookup/") || rest.starts_with("tile/");
        if settings.offline || immutable {
            if rest == "supported" && self.file(&format!("sumdb/{name}")).is_dir() {
                return Ok(Answer::Bytes(Vec::new()));
            }
            if let Ok(bytes) = tokio::fs::read(&file).await
                && !bytes.is_empty()
            {
                return Ok(Answer::Bytes(bytes));
            }
        }
        if settings.offline {
            return Err(not_in_store(path));
        }
        let Some(base) = self.sumdb_base(name).await? else {
            return Err(Miss::NotFound(format!("checksum database {name}: no proxy passes requests on to it")));
        };
        if rest == "supported" {
            return Ok(Answer::Bytes(Vec::new()));
        }
        let bytes = self.0.upstream.get(&base, rest, MAX_SMALL).await?;
        self.keep(&file, &bytes)?;
        Ok(Answer::Bytes(bytes))
    }

    /// Where a checksum database is reached; `None`: nowhere. Found out once.
    async fn sumdb_base(&self, name: &str) -> Result<Option<Source>, Miss> {
        if let Some(known) = lock(&self.0.sumdbs).get(name) {
            return Ok(known.clone());
        }
        let mut base = None;
        for source in &self.0.upstream.sources {
            match self.0.upstream.get(source, &format!("sumdb/{name}/supported"), MAX_SMALL).await {
                Ok(_) => {
                    base = Some(source.below(&format!("sumdb/{name}")));
                    break;
                }
                Err(Miss::NotFound(_)) => {}
                Err(_) if source.fall_back_on_error => {}
                Err(miss) => return Err(miss),
            }
        }
        if base.is_none() && self.0.settings.sumdb.iter().any(|known| known == name) {
            base = Upstream::source(&format!("https://{name}"));
        }
        lock(&self.0.sumdbs).insert(name.to_owned(), base.clone());
        Ok(base)
    }

    /// Asks the proxies in turn for a small file.
    async fn ask(
        &self,
        request: &Request,
        limit: u64,
        sound: &(dyn Fn(&[u8]) -> Result<(), String> + Sync),
    ) -> Result<Vec<u8>, Miss> {
        let path = request.path();
        let mut best = self.refusal(request)?;
        for source in &self.0.upstream.sources {
            let answer = match self.0.upstream.get(source, &path, limit).await {
                Ok(bytes) => match sound(&bytes) {
                    Ok(()) => return Ok(bytes),
                    Err(reason) => Miss::Failed(format!("invalid response from proxy to {path}: {reason}")),
                },
                Err(miss) => miss,
            };
            let stop = matches!(answer, Miss::Failed(_)) && !source.fall_back_on_error;
            best = better(best, answer);
            if stop {
                return Err(best);
            }
        }
        Err(self.at_end(best))
    }

    /// What there is to say before anyone is asked: an error where nobody may be.
    fn refusal(&self, request: &Request) -> Result<Miss, Miss> {
        let settings = &self.0.settings;
        let module = request.module().unwrap_or_default();
        if settings.offline {
            return Err(not_in_store(&request.path()));
        }
        if matches_prefix_patterns(&settings.noproxy, module) {
            return Err(Miss::NotFound(format!("module {module}: GONOPROXY keeps it from module proxies")));
        }
        let text = match self.0.upstream.end {
            End::Off => "module lookup disabled by GOPROXY=off".to_owned(),
            End::Direct | End::None => format!("module {module}: not found by any module proxy"),
        };
        Ok(Miss::NotFound(text))
    }

    /// After the last proxy. Errors that `|` passes over are forgotten only where `direct` follows.
    fn at_end(&self, best: Miss) -> Miss {
        match (self.0.upstream.end, best) {
            (End::Direct, Miss::Failed(text)) => Miss::NotFound(text),
            (_, best) => best,
        }
    }

    fn file(&self, path: &str) -> PathBuf {
        let mut file = self.0.settings.store.clone();
        file.extend(path.split('/'));
        file
    }

    fn part(&self) -> Result<NamedTempFile, Miss> {
        let folder = self.0.settings.store.join(PARTS);
        std::fs::create_dir_all(&folder)
            .and_then(|()| NamedTempFile::new_in(&folder))
            .map_err(|error| unwritable(&folder, &error))
    }

    /// Writes a file aside and renames it.
    fn keep(&self, file: &Path, bytes: &[u8]) -> Result<(), Miss> {
        let mut part = self.part()?;
        part.write_all(bytes).map_err(|error| unwritable(file, &error))?;
        place(part, file)
    }
}

/// Files in the making, below the store. No module path begins with a dot.
const PARTS: &str = ".part";

impl Inner {
    fn lock(&self, path: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.at_work).entry(path.to_owned()).or_default())
    }

    /// Forgets a lock that nobody else holds.
    fn unlock(&self, path: &str) {
        let mut at_work = lock(&self.at_work);
        if at_work.get(path).is_some_and(|held| Arc::strong_count(held) == 1) {
            at_work.remove(path);
        }
    }
}

/// The content of a mutex; what a panicking thread left is as good as any, for each change is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(part: Part, module: &ModuleVersion, bytes: &[u8]) -> Result<(), String> {
    match part {
        Part::Info => match info_version(bytes)? {
            version if version == module.version => Ok(()),
            version => Err(format!("proxy returned info for version {version} instead of requested version")),
        },
        Part::Mod => check_go_mod(bytes),
        Part::Zip => Ok(()),
    }
}

fn not_in_store(path: &str) -> Miss {
    Miss::NotFound(format!("{path}: not in gonda's module store, and nobody else may be asked; `gonda fetch` fills it"))
}

/// The more telling of two misses: a failure before a "not found", the later of equals.
fn better(best: Miss, miss: Miss) -> Miss {
    match (&best, &miss) {
        (Miss::Failed(_), Miss::NotFound(_)) => best,
        _ => miss,
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Miss {
    // The path of the store is nobody's business who asks; its last part tells enough.
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Miss::Failed(format!("could not write `{name}` in gonda's module store: {error}"))
}

/// Renames a finished file into its place.
fn place(part: NamedTempFile, file: &Path) -> Result<(), Miss> {
    let failed = |error: std::io::Error| unwritable(file, &error);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let Err(refused) = part.persist(file) else { return Ok(()) };
    // Not every system replaces a file that is being read, but all that we know remove it.
    let _ = std::fs::remove_file(file);
    refused.file.persist(file).map(drop).map_err(|error| failed(error.error))
}

async fn hash_in_thread(file: PathBuf, module: ModuleVersion) -> Result<String, String> {
    tokio::task::spawn_blocking(move || hash_module_zip(&file, &module)).await.map_err(|error| error.to_string())?
}
