//! The store that machines share, behind a folder of this one's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use sha2::{Digest, Sha256};
use url::Url;

use super::folder::Folder;
use super::server::Backend;
use super::{Action, object};
use crate::files::blocking;
use crate::{Error, Events, Kind, Result};

/// How long a store may take to begin with an answer. Compiling a package takes about as long.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many bytes a store must take or give in a second, beyond [`PATIENCE`].
const SLOWEST: u64 = 512 << 10;
/// After so many failures in a row a store is left aside for the rest of the run.
const FAILURES: usize = 3;

/// The Go build cache of a run: what this machine has of it, and the store.
pub(crate) struct SharedGoCache {
    folder: Folder,
    store: Option<Remote>,
    /// What the user is shown: without a password.
    name: String,
    failures: AtomicUsize,
    told: AtomicBool,
    events: Events,
}

struct Remote {
    store: Box<dyn ObjectStore>,
    /// Below which it has this cache.
    root: Key,
}

impl std::fmt::Debug for SharedGoCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedGoCache").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks that a text names a store: an `http`, `https` or `s3` url.
///
/// # Errors
/// [`Kind::Usage`].
pub fn check_url(text: &str) -> Result<Url> {
    let wrong = |why: String| {
        Error::new(Kind::Usage, format!("the Go build cache `{text}` can't be used: {why}"))
            .help("give `private`, `shared`, or the url of a store: `http://…`, `https://…`, `s3://BUCKET/PREFIX`")
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" | "s3" if url.has_host() => Ok(url),
        other => Err(wrong(format!("it is an `{other}` url"))),
    }
}

impl SharedGoCache {
    /// The cache at a url. Nobody is asked yet; without an `environment`, which S3 clients are configured with, nobody ever
    /// is.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a url, or settings of an S3 client, that can't be used.
    pub(crate) fn open(
        url: &Url,
        cache_root: &Path,
        environment: Option<&BTreeMap<String, String>>,
        events: Events,
    ) -> Result<Self> {
        let mut shown = url.clone();
        // A url without a host has no password either.
        let _ = shown.set_password(None);
        // Stores whose writers differ may not mix.
        let key = hex::encode(&Sha256::digest(url.as_str())[..8]);
        let folder = Folder::new(cache_root.join("gostore").join(key));
        let store = environment.map(|environment| Remote::open(url, environment)).transpose();
        let store = store.map_err(|error| {
            Error::new(Kind::Usage, format!("the Go build cache `{shown}` can't be used")).because(error)
        })?;
        let name = shown.to_string();
        Ok(Self { folder, store, name, failures: AtomicUsize::new(0), told: AtomicBool::new(false), events })
    }

    /// The store, unless it was left aside.
    fn store(&self) -> Option<&Remote> {
        self.store.as_ref().filter(|_| self.failures.load(Ordering::Relaxed) < FAILURES)
    }

    fn worked(&self) {
        // A store that was left aside stays so.
        let _ = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < FAILURES).then_some(0));
    }

    fn failed(&self, why: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            let name = &self.name;
            self.events.warn("", format!("the Go build cache `{name}`: {why}; what it doesn't give is compiled here"));
        }
    }
}

impl Backend for SharedGoCache {
    async fn get(&self, action: &Action) -> Option<Vec<u8>> {
        if let Some(bytes) = self.folder.get(action).await {
            return Some(bytes);
        }
        match self.store()?.get(action).await {
            Ok(None) => {
                self.worked();
                None
            }
            Ok(Some(bytes)) => {
                let (folder, action) = (self.folder.clone(), action.clone());
                let checked = blocking(move || {
                    let checked = object::check(&bytes);
                    if checked.is_ok() {
                        // The folder spares the way to the store; without it the way is gone again.
                        let _ = folder.keep(&action, &bytes);
                    }
                    Ok(checked.map(|_| bytes))
                });
                match checked.await.ok()? {
                    Ok(bytes) => {
                        self.worked();
                        Some(bytes)
                    }
                    Err(why) => {
                        self.failed(&format!("an object is not what it should be: {why}"));
                        None
                    }
                }
            }
            Err(why) => {
                self.failed(&why);
                None
            }
        }
    }

    async fn put(&self, action: &Action, bytes: Vec<u8>) -> Result<()> {
        let kept = self.folder.put(action, bytes.clone()).await;
        if let Some(store) = self.store() {
            match store.put(action, bytes).await {
                Ok(()) => self.worked(),
                Err(why) => self.failed(&why),
            }
        }
        kept
    }
}

impl Remote {
    /// A client without retries: what can't be had is compiled.
    fn open(url: &Url, environment: &BTreeMap<String, String>) -> object_store::Result<Self> {
        let retries = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let options = ClientOptions::new().with_connect_timeout(PATIENCE).with_timeout_disabled();
        if url.scheme() != "s3" {
            let (url, authorization) = split_user(url);
            let options = options.with_allow_http(true).with_default_headers(authorization);
            let store = HttpBuilder::new().with_url(url.as_str()).with_retry(retries).with_client_options(options);
            return Ok(Self { store: Box::new(store.build()?), root: Key::default() });
        }
        let bucket = url.host_str().unwrap_or_default();
        // For an endpoint of the user's own that has no more; AWS's always do.
        let options = options.with_allow_http(true);
        let mut store = AmazonS3Builder::new().with_retry(retries).with_client_options(options);
        // The variables that AWS's own programs know: keys, region, endpoint.
        for (name, value) in environment {
            let key = name.strip_prefix("AWS_").and_then(|_| name.to_ascii_lowercase().parse().ok());
            if let Some(key) = key {
                store = store.with_config(key, value);
            }
        }
        let store = store.with_bucket_name(bucket).build()?;
        Ok(Self { store: Box::new(store), root: Key::from_url_path(url.path())? })
    }

    fn key(&self, action: &Action) -> Key {
        action.key().split('/').fold(self.root.clone(), |key, part| key.join(part))
    }

    async fn get(&self, action: &Action) -> Result<Option<Vec<u8>>, String> {
        let key = self.key(action);
        let answer = match in_time(PATIENCE, self.store.get(&key)).await? {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(in_one_line(&error)),
        };
        let size = answer.meta.size;
        if size > object::LARGEST as u64 {
            return Err(format!("an object has {size} bytes, more than any should"));
        }
        let bytes = in_time(time_for(size), answer.bytes()).await?;
        bytes.map(|bytes| Some(bytes.to_vec())).map_err(|error| in_one_line(&error))
    }

    async fn put(&self, action: &Action, bytes: Vec<u8>) -> Result<(), String> {
        let time = time_for(bytes.len() as u64);
        let put = in_time(time, self.store.put(&self.key(action), bytes.into())).await?;
        put.map(drop).map_err(|error| in_one_line(&error))
    }
}

/// A url without its user and password, and the header that tells them.
fn split_user(url: &Url) -> (Url, HeaderMap) {
    let (mut plain, mut headers) = (url.clone(), HeaderMap::new());
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (decoded(url.username()), url.password().map(decoded));
    if user.is_empty() && password.is_none() {
        return (plain, headers);
    }
    // They can't fail for a url with a host.
    let _ = (plain.set_username(""), plain.set_password(None));
    let words = BASE64.encode(format!("{user}:{}", password.unwrap_or_default()));
    if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {words}")) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    (plain, headers)
}

fn time_for(size: u64) -> Duration {
    PATIENCE + Duration::from_secs(size / SLOWEST)
}

async fn in_time<T>(time: Duration, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(time, work).await.map_err(|_| format!("no answer within {} s", time.as_secs()))
}

/// An error with its causes, each once.
fn in_one_line(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords() {
        let check = |url: &str, expected: (&str, Option<&str>)| {
            let (plain, headers) = split_user(&Url::parse(url).unwrap());
            let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap());
            assert_eq!((plain.as_str(), header), expected, "{url}");
        };
        check("https://cache.invalid/go", ("https://cache.invalid/go", None));
        // `me:a b`
        check("https://me:a%20b@cache.invalid/go", ("https://cache.invalid/go", Some("Basic bWU6YSBi")));
    }
}
