//! The module proxies behind gonda's own: the entries of a GOPROXY list, asked in Go's order
//! (<https://go.dev/ref/mod#goproxy-protocol>).

use std::path::PathBuf;
use std::time::Duration;

use gonda_gomod::{ProxyEntry, ProxyTarget};
use hyper::body::Bytes;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss {
    /// There is no such thing: 404 or 410. Go goes on with its next proxy.
    NotFound(String),
    /// It could not be found out, or what came was wrong. Go stops.
    Failed(String),
}

impl Miss {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::NotFound(text) | Self::Failed(text) => text,
        }
    }
}

/// A proxy that can be asked.
#[derive(Debug, Clone)]
pub(super) struct Source {
    url: Url,
    /// Whether the next one is asked after any error.
    pub(super) fall_back_on_error: bool,
}

impl Source {
    /// A folder of the same proxy.
    pub(super) fn below(&self, path: &str) -> Self {
        let mut source = self.clone();
        source.url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        source
    }
}

/// What a GOPROXY list comes to.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) sources: Vec<Source>,
    /// What stands at its end.
    pub(super) end: End,
    client: reqwest::Client,
}

/// What follows the last proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `direct`: the job's own Go may go on with the module's repository.
    Direct,
    /// `off`.
    Off,
    /// Nothing.
    None,
}

/// How often a proxy is asked that does not answer, and how long to wait before each time.
const WAITS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(1_500)];
/// Bytes of a proxy's own message that are passed on.
const MESSAGE: usize = 4 * 1024;

impl Upstream {
    pub(super) fn new(entries: Vec<ProxyEntry>, client: reqwest::Client) -> Result<Self, String> {
        let mut this = Self { sources: Vec::new(), end: End::None, client };
        for entry in entries {
            match entry.target {
                ProxyTarget::Url(text) => {
                    let url = Url::parse(&text).map_err(|error| format!("{error}: {text}"))?;
                    if url.scheme() == "file" && url.to_file_path().is_err() {
                        return Err(format!("invalid file:// proxy URL with non-path elements: {text}"));
                    }
                    this.sources.push(Source { url, fall_back_on_error: entry.fall_back_on_error });
                }
                ProxyTarget::Direct => this.end = End::Direct,
                ProxyTarget::Off => this.end = End::Off,
            }
        }
        Ok(this)
    }

    /// Gets a small file from one proxy.
    pub(super) async fn get(&self, source: &Source, path: &str, limit: u64) -> Result<Vec<u8>, Miss> {
        let mut target = Target::Memory(Vec::new());
        self.fetch(source, path, limit, &mut target).await?;
        match target {
            Target::Memory(bytes) => Ok(bytes),
            Target::File(_) => Ok(Vec::new()),
        }
    }

    /// Gets a file from one proxy into an open file, which is emptied first.
    pub(super) async fn download(
        &self,
        source: &Source,
        path: &str,
        limit: u64,
        file: std::fs::File,
    ) -> Result<(), Miss> {
        let mut target = Target::File(tokio::fs::File::from_std(file));
        self.fetch(source, path, limit, &mut target).await
    }

    /// A proxy at a URL of our own choice, for the checksum database.
    pub(super) fn source(url: &str) -> Option<Source> {
        Some(Source { url: Url::parse(url).ok()?, fall_back_on_error: false })
    }

    async fn fetch(&self, source: &Source, path: &str, limit: u64, target: &mut Target) -> Result<(), Miss> {
        let mut last = String::new();
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            match self.fetch_once(source, path, limit, target).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(miss)) => return Err(miss),
                Err(Trouble::Passing(text)) => last = text,
            }
        }
        Err(Miss::Failed(last))
    }

    async fn fetch_once(&self, source: &Source, path: &str, limit: u64, target: &mut Target) -> Result<(), Trouble> {
        let shown = format!("{}/{path}", redacted(&source.url));
        let mut body = self.open(source, path, &shown).await?;
        let passing = |error: &dyn std::error::Error| Trouble::Passing(format!("reading {shown}: {}", chain(error)));
        target.clear().await.map_err(|error| passing(&error))?;
        let mut total: u64 = 0;
        while let Some(chunk) = body.chunk().await.map_err(|error| passing(&*error))? {
            total += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if total > limit {
                let text = format!("reading {shown}: more than {limit} bytes");
                return Err(Trouble::Final(Miss::Failed(text)));
            }
            target.write(&chunk).await.map_err(|error| passing(&error))?;
        }
        target.flush().await.map_err(|error| passing(&error))
    }

    async fn open(&self, source: &Source, path: &str, shown: &str) -> Result<Body, Trouble> {
        if source.url.scheme() == "file" {
            let mut file: PathBuf = source.url.to_file_path().unwrap_or_default();
            file.extend(path.split('/'));
            return match tokio::fs::File::open(&file).await {
                // A folder opens on unix, and has nothing to read.
                Ok(file) if file.metadata().await.is_ok_and(|metadata| metadata.is_file()) => Ok(Body::File(file)),
                Ok(_) => Err(Trouble::Final(Miss::NotFound(format!("reading {shown}: not a file")))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Err(Trouble::Final(Miss::NotFound(format!("reading {shown}: no such file"))))
                }
                Err(error) => Err(Trouble::Final(Miss::Failed(format!("reading {shown}: {error}")))),
            };
        }
        let url = format!("{}/{path}", source.url.as_str().trim_end_matches('/'));
        let response = self
            .client
            .get(url)
            .send()
            .await
            .map_err(|error| Trouble::Passing(format!("reading {shown}: {}", chain(&error.without_url()))))?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(Body::Http(response));
        }
        let text = format!("reading {shown}: {status}{}", message(response).await);
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Trouble::Final(Miss::NotFound(text)),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Trouble::Passing(text),
            status if status.is_server_error() => Trouble::Passing(text),
            _ => Trouble::Final(Miss::Failed(text)),
        })
    }
}

/// What a proxy itself says, from a response that is no success; as Go, only where it is plain text.
async fn message(mut response: reqwest::Response) -> String {
    let plain = response
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/plain"));
    let mut text = Vec::new();
    while plain && text.len() < MESSAGE {
        match response.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            _ => break,
        }
    }
    text.truncate(MESSAGE);
    let text = String::from_utf8_lossy(&text);
    let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    if text.trim().is_empty() { String::new() } else { format!("\n{}", text.trim()) }
}

/// A URL without its password.
fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Only a URL without a host refuses, and that has no password.
        let _ = url.set_password(Some("xxxxx"));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

enum Trouble {
    /// It may be better next time.
    Passing(String),
    Final(Miss),
}

enum Body {
    Http(reqwest::Response),
    File(tokio::fs::File),
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::Http(response) => Ok(response.chunk().await.map_err(reqwest::Error::without_url)?),
            Self::File(file) => {
                let mut buffer = vec![0; 64 * 1024];
                let length = file.read(&mut buffer).await?;
                buffer.truncate(length);
                Ok((length > 0).then(|| Bytes::from(buffer)))
            }
        }
    }
}

enum Target {
    Memory(Vec<u8>),
    File(tokio::fs::File),
}

impl Target {
    async fn clear(&mut self) -> std::io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.clear(),
            Self::File(file) => {
                file.set_len(0).await?;
                tokio::io::AsyncSeekExt::rewind(file).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.extend_from_slice(chunk),
            Self::File(file) => file.write_all(chunk).await?,
        }
        Ok(())
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::File(file) => file.flush().await,
        }
    }
}
