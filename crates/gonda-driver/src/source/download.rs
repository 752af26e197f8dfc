//! Files behind urls: the cache first, then the mirrors, then the recipe's urls in order.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use gonda_recipe::{RecipeFormat, Source, SourceKind};

use super::cache::Store;
use super::digest::{Digester, Digests, Expected, Mismatch};
use super::{Found, SourceSettings, host, shown};
use crate::files::blocking;
use crate::{Error, Events, Kind, Result};

/// A place that may have the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    Http(url::Url),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(&shown(url.as_str())),
        }
    }
}

/// How asking one place ended.
enum Answer {
    Got(tempfile::NamedTempFile, Digests),
    /// The place doesn't have it.
    Absent(String),
    /// It couldn't be asked, or broke off.
    Failed(String),
    /// It has another file.
    Wrong(Mismatch, String, bool),
}

/// Brings the file of a `url` source into the cache.
pub(super) async fn fetch_file(
    source: &Source,
    settings: &SourceSettings,
    events: &Events,
    job: &str,
) -> Result<Found> {
    let SourceKind::Url { urls, sha256, md5, sha1, file_name } = &source.kind else {
        return Err(Error::new(Kind::Bug, "a file was asked of a source that has no url"));
    };
    let Some(first) = urls.first() else {
        return Err(Error::new(Kind::Usage, "a source has an empty list of urls").help("give it at least one url"));
    };
    let expected = Expected::new(sha256.as_deref(), md5.as_deref(), sha1.as_deref())?;
    let name = name_of(file_name.as_deref(), first, settings.format)?;
    let store = Store::new(&settings.cache_root);

    let (lock_store, lock_expected, lock_url) = (store.clone(), expected.clone(), first.clone());
    let _locked = blocking(move || lock_store.lock(&lock_expected, &lock_url)).await?;
    if expected.any() || settings.offline {
        let (find_store, find_expected, find_url) = (store.clone(), expected.clone(), first.clone());
        if let Some((path, sha256)) = blocking(move || find_store.find(&find_expected, &find_url)).await? {
            return Ok(Found::File { path, sha256, name });
        }
    }
    if !expected.any() {
        events.warn(job, format!("the recipe gives no digest for `{}`: whatever comes is taken", shown(first)));
    }

    let mut search =
        Search { settings, events, job, store: &store, expected: &expected, client: None, failures: Vec::new() };
    for place in mirror_places(settings, &expected, &name) {
        if let Some((path, sha256)) = search.ask(&place, first, true).await? {
            return Ok(Found::File { path, sha256, name });
        }
    }
    for url in urls {
        let place = match place_of(url, &settings.recipe_dir) {
            Ok(place) => place,
            Err(why) => {
                search.failures.push(Failure { place: shown(url), why, wrong: None });
                continue;
            }
        };
        if let Some((path, sha256)) = search.ask(&place, first, false).await? {
            return Ok(Found::File { path, sha256, name });
        }
    }
    Err(search.into_error(&name))
}

/// Why a place was of no use.
struct Failure {
    place: String,
    why: String,
    wrong: Option<(Mismatch, String, bool)>,
}

struct Search<'a> {
    settings: &'a SourceSettings,
    events: &'a Events,
    job: &'a str,
    store: &'a Store,
    expected: &'a Expected,
    client: Option<reqwest::Client>,
    failures: Vec<Failure>,
}

impl Search<'_> {
    /// Asks a place, again where it makes sense; keeps what is right.
    async fn ask(&mut self, place: &Place, key: &str, mirror: bool) -> Result<Option<(PathBuf, String)>> {
        let answer = match place {
            Place::File(path) => {
                let (path, store, expected) = (path.clone(), self.store.clone(), self.expected.clone());
                blocking(move || copy(&path, &store, &expected)).await?
            }
            Place::Http(url) if self.settings.offline => {
                Answer::Failed(format!("not asked, because gonda is offline: {}", shown(url.as_str())))
            }
            Place::Http(url) => self.download(url).await?,
        };
        let (why, wrong) = match answer {
            Answer::Got(file, digests) => {
                let (store, expected, key) = (self.store.clone(), self.expected.clone(), key.to_owned());
                let sha256 = digests.sha256.clone();
                let path = blocking(move || store.keep(file, &digests.sha256, &expected, &key)).await?;
                return Ok(Some((path, sha256)));
            }
            Answer::Absent(_) if mirror => return Ok(None),
            Answer::Absent(why) | Answer::Failed(why) => (why, None),
            Answer::Wrong(mismatch, sha256, page) => {
                let why = format!("{} is `{}`, not `{}`", mismatch.algorithm, mismatch.got, mismatch.expected);
                (why, Some((mismatch, sha256, page)))
            }
        };
        if mirror && !self.settings.offline {
            self.events.warn(self.job, format!("the source mirror's `{place}` is of no use: {why}"));
        }
        self.failures.push(Failure { place: place.to_string(), why, wrong });
        Ok(None)
    }

    /// A transient error is tried again as often as the settings say, a wrong file once.
    async fn download(&mut self, url: &url::Url) -> Result<Answer> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(client(self.settings)?).clone(),
        };
        let mut wait = self.settings.retry.wait;
        let mut seen_wrong = false;
        for attempt in 1.. {
            self.events.note(self.job, format!("fetching {}", shown(url.as_str())));
            let last = attempt >= self.settings.retry.attempts.max(1);
            match self.download_once(&client, url).await? {
                Once::Done(wrong @ Answer::Wrong(..)) => {
                    if last || seen_wrong {
                        return Ok(wrong);
                    }
                    seen_wrong = true;
                }
                Once::Done(answer) => return Ok(answer),
                Once::Transient(why) if last => return Ok(Answer::Failed(why)),
                Once::Transient(why) => {
                    self.events.note(self.job, format!("{why}; trying again in {} ms", wait.as_millis()));
                }
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Ok(Answer::Failed("never asked".into()))
    }

    async fn download_once(&self, client: &reqwest::Client, url: &url::Url) -> Result<Once> {
        let mut response = match client.get(url.clone()).send().await {
            Ok(response) => response,
            Err(error) => return Ok(Once::Transient(chain(&error.without_url()))),
        };
        let status = response.status();
        if !status.is_success() {
            let why = format!("the server answered {status}");
            return Ok(match status.as_u16() {
                404 | 410 => Once::Done(Answer::Absent(why)),
                408 | 425 | 429 | 500 | 502 | 503 | 504 => Once::Transient(why),
                _ => Once::Done(Answer::Failed(why)),
            });
        }
        let length = response.content_length();
        let mut taker = Taker::new(self.store)?;
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => taker.take(&chunk)?,
                Ok(None) => break,
                Err(error) => {
                    let error = chain(&error.without_url());
                    return Ok(Once::Transient(format!("the transfer broke after {} bytes: {error}", taker.size)));
                }
            }
            if taker.size > self.settings.limits.size {
                let limit = self.settings.limits.size;
                return Ok(Once::Done(Answer::Failed(format!("it is larger than the limit of {limit} bytes"))));
            }
        }
        if let Some(length) = length.filter(|length| *length != taker.size) {
            return Ok(Once::Transient(format!("the transfer ended after {} of {length} bytes", taker.size)));
        }
        Ok(Once::Done(taker.finish(self.expected)))
    }

    /// A wrong file weighs more than a missing one.
    fn into_error(self, name: &str) -> Error {
        let others = |skip: usize| -> String {
            let lines = self.failures.iter().enumerate().filter(|(index, _)| *index != skip);
            lines.map(|(_, failure)| format!("\n{}: {}", failure.place, failure.why)).collect()
        };
        if let Some((index, failure)) = self.failures.iter().enumerate().find(|(_, failure)| failure.wrong.is_some())
            && let Some((mismatch, sha256, page)) = &failure.wrong
        {
            let mut error = mismatch.error(&format!("the file that came from `{}`", failure.place), sha256);
            if *page {
                error.help = Some("what came is a web page: the url is not that of a file any more".into());
            }
            let others = others(index);
            return if others.is_empty() { error } else { error.because(format!("asked too:{others}")) };
        }
        let error = if self.settings.offline {
            Error::new(Kind::Unavailable, format!("the source `{name}` is not in the cache, and gonda is offline"))
                .help("run `gonda fetch` with the network first, or name a folder that has it with --source-mirror")
        } else {
            Error::new(Kind::Unavailable, format!("the source `{name}` could not be fetched"))
                .help("check the url and the network, or name a folder that has the file with --source-mirror")
        };
        let others = others(usize::MAX);
        if others.is_empty() { error } else { error.because(format!("asked:{others}")) }
    }
}

enum Once {
    Done(Answer),
    Transient(String),
}

/// Writes a file aside and computes its digests while it comes.
struct Taker {
    file: tempfile::NamedTempFile,
    digester: Digester,
    size: u64,
    head: Vec<u8>,
}

impl Taker {
    fn new(store: &Store) -> Result<Self> {
        Ok(Self { file: store.aside()?, digester: Digester::default(), size: 0, head: Vec::new() })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let wanted = 512_usize.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| {
            let shown = self.file.path().display();
            Error { message: format!("`{shown}` can't be written: {error}"), ..Error::from(error) }
        })
    }

    fn finish(self, expected: &Expected) -> Answer {
        let digests = self.digester.finish();
        match expected.mismatch(&digests) {
            None => Answer::Got(self.file, digests),
            Some(mismatch) => Answer::Wrong(mismatch, digests.sha256, super::archive::is_web_page(&self.head)),
        }
    }
}

fn copy(path: &Path, store: &Store, expected: &Expected) -> Result<Answer> {
    let mut from = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Answer::Absent("there is no such file".into()));
        }
        Err(error) => return Ok(Answer::Failed(error.to_string())),
    };
    match from.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(Answer::Failed("it is no file".into())),
        Err(error) => return Ok(Answer::Failed(error.to_string())),
    }
    let mut taker = Taker::new(store)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(taker.finish(expected)),
            Ok(read) => taker.take(&buffer[..read])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Answer::Failed(error.to_string())),
        }
    }
}

fn client(settings: &SourceSettings) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("gonda/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.retry.silence.min(std::time::Duration::from_secs(30)))
        .read_timeout(settings.retry.silence)
        .build()
        .map_err(|error| Error::new(Kind::Machine, "no http client can be made").because(error))
}

/// An error with its causes in one line; reqwest keeps what matters in the last one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// What a url or path of a recipe means.
pub(super) fn place_of(url: &str, recipe_dir: &Path) -> Result<Place, String> {
    if !url.contains("://") {
        return Ok(Place::File(recipe_dir.join(host::expand_home(Path::new(url)))));
    }
    if let Some(rest) = url.strip_prefix("file:///~") {
        return Ok(Place::File(host::expand_home(Path::new(&format!("~{rest}")))));
    }
    let parsed = url::Url::parse(url).map_err(|error| format!("it is no url: {error}"))?;
    match parsed.scheme() {
        "http" | "https" => Ok(Place::Http(parsed)),
        "file" => parsed.to_file_path().map(Place::File).map_err(|()| "it names no file of this machine".to_owned()),
        other => Err(format!("gonda can't fetch from `{other}:` urls")),
    }
}

/// A mirror's places for a file: `<sha256>`, then the file's name.
fn mirror_places(settings: &SourceSettings, expected: &Expected, name: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for mirror in &settings.mirrors {
        for file in expected.sha256.iter().map(String::as_str).chain([name]) {
            places.extend(mirror_place(mirror, file));
        }
    }
    places
}

/// A file's place in a mirror; `None` for a mirror that is neither a folder nor an http or file url.
pub(super) fn mirror_place(mirror: &str, file: &str) -> Option<Place> {
    if !mirror.contains("://") {
        return Some(Place::File(Path::new(mirror).join(file)));
    }
    let mut url = url::Url::parse(mirror).ok()?;
    match url.scheme() {
        "file" => Some(Place::File(url.to_file_path().ok()?.join(file))),
        "http" | "https" => {
            url.path_segments_mut().ok()?.pop_if_empty().extend(file.split('/'));
            Some(Place::Http(url))
        }
        _ => None,
    }
}

/// The name that a source has for the recipe: `fn`/`file_name`, else the last part of the first url. conda-build takes
/// the text after the last slash, rattler-build the last segment of the url's path.
fn name_of(file_name: Option<&str>, url: &str, format: RecipeFormat) -> Result<String> {
    let name = match (file_name, format) {
        (Some(name), _) => name.to_owned(),
        (None, RecipeFormat::V1) if url.contains("://") => url::Url::parse(url)
            .ok()
            .and_then(|url| url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned))
            .unwrap_or_default(),
        (None, _) => url.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default().to_owned(),
    };
    let name = name.trim().to_owned();
    if name.is_empty() || name == "." || name == ".." || host::name(name.as_bytes()).is_none() || name.contains('/') {
        return Err(Error::new(Kind::Usage, format!("the source `{}` has no usable file name: `{name}`", shown(url)))
            .help("name the file with `fn` (meta.yaml) or `file_name` (recipe.yaml), without a folder"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |file: Option<&str>, url: &str, format, expected: &str| {
            assert_eq!(name_of(file, url, format).unwrap(), expected, "{url}");
        };
        check(None, "https://h/a/v1.0.tar.gz", RecipeFormat::V0, "v1.0.tar.gz");
        check(None, "https://h/a/get?file=v1.0.tar.gz", RecipeFormat::V0, "get?file=v1.0.tar.gz");
        check(None, "https://h/a/v1.0.tar.gz?token=1", RecipeFormat::V1, "v1.0.tar.gz");
        check(Some("x.tgz"), "https://h/download/5", RecipeFormat::V0, "x.tgz");
        check(None, "../dist/x.zip", RecipeFormat::V1, "x.zip");
        for bad in ["../x", "a/b", "..", ""] {
            assert!(name_of(Some(bad), "https://h/x", RecipeFormat::V0).is_err(), "{bad}");
        }
    }

    #[test]
    fn mirrors() {
        let check = |mirror: &str, file: &str, expected: &str| {
            let place = mirror_place(mirror, file).map(|place| place.to_string()).unwrap_or_default();
            assert_eq!(place.replace('\\', "/"), expected, "{mirror}");
        };
        check("http://h/m", "abc", "http://h/m/abc");
        check("http://h/m/", "git/o+r", "http://h/m/git/o+r");
        check("http://h/m/", "a file?", "http://h/m/a%20file%3F");
        check("mirror", "abc", "mirror/abc");
        check("s3://bucket", "abc", "");
    }

    #[test]
    fn places() {
        let check = |url: &str, expected: &str| {
            let place = place_of(url, Path::new("recipe")).map_or_else(|why| why, |place| place.to_string());
            assert_eq!(place.replace('\\', "/"), expected, "{url}");
        };
        check("x/y.tar", "recipe/x/y.tar");
        check("https://me:secret@h/x", "https://me:***@h/x");
        check("ftp://h/x", "gonda can't fetch from `ftp:` urls");
        check("http://", "it is no url: empty host");
    }
}
