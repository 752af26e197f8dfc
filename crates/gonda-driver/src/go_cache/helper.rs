//! What a job's `go` starts as GOCACHEPROG: requests as lines of JSON on standard input, answers on standard output
//! (`cmd/go/internal/cacheprog`, Go 1.24 and later; older ones know no such variable).
//!
//! Objects are kept in the job's own GOCACHE, in Go's own format: so it begins with what gonda laid there, and a script
//! that unsets the variable finds it all. What is not there is asked for; what Go compiled is kept, told to Go at once,
//! and brought out beside the compiling. Go waits for that at its end.

use std::ffi::OsStr;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use url::Url;

use super::{Action, object};
use crate::Kind;
use crate::files::write_whole;

/// The first argument of a gonda that is a GOCACHEPROG; the url of gonda's side follows.
pub(crate) const ARGUMENT: &str = "__gocacheprog";
/// How long gonda's side may take: longer than it gives a store.
const PATIENCE: Duration = Duration::from_secs(120);
/// After so many failures in a row gonda's side is gone, and nobody is asked any more.
const FAILURES: usize = 3;
/// How many objects are brought out at a time.
const UPLOADS: usize = 4;
/// The longest line: an object as text.
const LINE: u64 = 1 << 30;

/// Answers Go until it says `close` or is gone. Returns the exit code.
pub(crate) fn run(url: Option<&OsStr>, go_cache: Option<&OsStr>) -> u8 {
    let url = url.and_then(OsStr::to_str).and_then(|text| Url::parse(text).ok());
    let (Some(url), Some(go_cache)) = (url, go_cache) else { return Kind::Usage.exit_code() };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        return Kind::Machine.exit_code();
    };
    let helper = Arc::new(Helper {
        own: Own { folder: go_cache.into() },
        url,
        failures: AtomicUsize::new(0),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        out: Mutex::new(Box::new(std::io::stdout())),
    });
    let served = runtime.block_on(serve(&helper, &mut std::io::stdin().lock()));
    // Go stops with a message of its own when this process goes without having been told to.
    if served.is_ok() { 0 } else { Kind::Machine.exit_code() }
}

struct Helper {
    own: Own,
    url: Url,
    failures: AtomicUsize,
    uploads: Arc<Semaphore>,
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(rename = "ID")]
    id: i64,
    command: String,
    #[serde(default, rename = "ActionID")]
    action: Option<String>,
    #[serde(default, rename = "OutputID")]
    output: Option<String>,
    #[serde(default)]
    body_size: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    #[serde(rename = "ID")]
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    known_commands: &'static [&'static str],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    miss: bool,
    #[serde(rename = "OutputID", skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_path: Option<PathBuf>,
}

async fn serve(helper: &Arc<Helper>, input: &mut impl BufRead) -> std::io::Result<()> {
    helper.tell(&Told { known_commands: &["get", "put", "close"], ..Told::default() })?;
    let mut at_work = tokio::task::JoinSet::new();
    // Reading blocks, and may: the runtime's own threads do the work meanwhile.
    while let Some(line) = read_line(input)? {
        let asked: Asked = serde_json::from_slice(&line)?;
        let body = if asked.body_size > 0 { read_line(input)? } else { None };
        let helper = Arc::clone(helper);
        match asked.command.as_str() {
            "close" => {
                while at_work.join_next().await.is_some() {}
                return helper.tell(&Told { id: asked.id, ..Told::default() });
            }
            "get" => drop(at_work.spawn(async move { helper.get(&asked).await })),
            "put" => drop(at_work.spawn(async move { helper.put(&asked, body).await })),
            other => {
                let err = Some(format!("unknown command `{other}`"));
                helper.tell(&Told { id: asked.id, err, ..Told::default() })?;
            }
        }
        while at_work.try_join_next().is_some() {}
    }
    Ok(())
}

/// The next line that isn't empty.
fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        let mut line = Vec::new();
        if std::io::Read::take(&mut *input, LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            return Ok(Some(line.to_vec()));
        }
    }
}

impl Helper {
    fn tell(&self, told: &Told) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(told)?;
        line.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line)?;
        out.flush()
    }

    /// Says what became of a request. A Go that is gone needs no answer.
    fn answer(&self, id: i64, found: Result<Option<Kept>, String>) {
        let told = match found {
            Ok(Some(kept)) => Told {
                id,
                output: hex::decode(&kept.output).ok().map(|output| BASE64.encode(output)),
                size: Some(kept.size),
                disk_path: Some(kept.path),
                ..Told::default()
            },
            Ok(None) => Told { id, miss: true, ..Told::default() },
            Err(err) => Told { id, err: Some(err), ..Told::default() },
        };
        let _ = self.tell(&told);
    }

    async fn get(&self, asked: &Asked) {
        let found = match asked.action.as_deref().and_then(action) {
            Some(action) => match self.own.get(&action) {
                Some(kept) => Some(kept),
                None => self.fetch(&action).await,
            },
            None => None,
        };
        self.answer(asked.id, Ok(found));
    }

    /// The object of an action from outside, checked and kept.
    async fn fetch(&self, action: &Action) -> Option<Kept> {
        let (status, bytes) = self.ask(Method::GET, action, Bytes::new()).await?;
        if status != StatusCode::OK {
            return None;
        }
        let mut content = Vec::new();
        let head = object::decode(&bytes, &mut content).ok()?;
        self.own.put(action, &head.output, &content).ok()
    }

    async fn put(&self, asked: &Asked, body: Option<Vec<u8>>) {
        let (action, content) = match read_put(asked, body) {
            Ok(read) => read,
            Err(err) => return self.answer(asked.id, Err(err)),
        };
        let output = hex::encode(Sha256::digest(&content));
        let kept = self.own.put(&action, &output, &content);
        let is_kept = kept.is_ok();
        self.answer(asked.id, kept.map(Some).map_err(|error| error.to_string()));
        if !is_kept {
            return;
        }
        let Ok(_permit) = self.uploads.acquire().await else { return };
        if let Some(object) = object::encode(&content) {
            drop(content);
            // Whether it is there tells the next job that asks.
            let _ = self.ask(Method::PUT, &action, object.into()).await;
        }
    }

    /// One request to gonda's side; `None` where that is gone.
    async fn ask(&self, method: Method, action: &Action, body: Bytes) -> Option<(StatusCode, Bytes)> {
        if self.failures.load(Ordering::Relaxed) >= FAILURES {
            return None;
        }
        let answer = tokio::time::timeout(PATIENCE, request(&self.url, method, action, body)).await;
        match answer.ok().flatten() {
            Some(answer) => {
                self.failures.store(0, Ordering::Relaxed);
                Some(answer)
            }
            None => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

async fn request(url: &Url, method: Method, action: &Action, body: Bytes) -> Option<(StatusCode, Bytes)> {
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let stream = tokio::net::TcpStream::connect((host, port)).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    // It ends with the request.
    let connection = tokio::spawn(connection);
    let path = format!("{}/{}", url.path().trim_end_matches('/'), action.key());
    let request = Request::builder().method(method).uri(path).header("host", format!("{host}:{port}"));
    let response = sender.send_request(request.body(Full::new(body)).ok()?).await.ok()?;
    let status = response.status();
    let body = Limited::new(response.into_body(), object::LARGEST).collect().await.ok()?.to_bytes();
    connection.abort();
    Some((status, body))
}

/// Go's action id, as it writes it.
fn action(text: &str) -> Option<Action> {
    Action::parse(&hex::encode(BASE64.decode(text).ok()?))
}

/// What Go asks to keep, which must be what it says.
fn read_put(asked: &Asked, body: Option<Vec<u8>>) -> Result<(Action, Vec<u8>), String> {
    let action = asked.action.as_deref().and_then(action).ok_or("no action id")?;
    let content = match body {
        Some(line) => {
            let text: &str = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            BASE64.decode(text).map_err(|error| error.to_string())?
        }
        None => Vec::new(),
    };
    let output = asked.output.as_deref().and_then(|text| BASE64.decode(text).ok());
    let whole =
        content.len() as u64 == asked.body_size && output.is_none_or(|output| output == Sha256::digest(&content)[..]);
    if whole { Ok((action, content)) } else { Err("the body is not what it should be".to_owned()) }
}

/// The job's GOCACHE, as Go lays it out (`cmd/go/internal/cache`): `xx/<action>-a` says which `xx/<output>-d` an action
/// has.
struct Own {
    folder: PathBuf,
}

/// What is kept for an action.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    output: String,
    size: u64,
    path: PathBuf,
}

impl Own {
    fn file(&self, id: &str, kind: char) -> PathBuf {
        self.folder.join(id.get(..2).unwrap_or_default()).join(format!("{id}-{kind}"))
    }

    fn get(&self, action: &Action) -> Option<Kept> {
        let text = std::fs::read_to_string(self.file(&action.0, 'a')).ok()?;
        let mut words = text.split_whitespace();
        let known = words.next() == Some("v1") && words.next() == Some(&action.0);
        let output = words.next().filter(|output| known && Action::parse(output).is_some())?.to_owned();
        let size: u64 = words.next()?.parse().ok()?;
        let path = self.file(&output, 'd');
        let whole = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == size);
        whole.then_some(Kept { output, size, path })
    }

    fn put(&self, action: &Action, output: &str, content: &[u8]) -> std::io::Result<Kept> {
        let (path, size) = (self.file(output, 'd'), content.len() as u64);
        if path.metadata().map_or(true, |metadata| metadata.len() != size) {
            write_whole(&path, content)?;
        }
        // The time of day, as the file has it.
        let time = path.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let entry = format!("v1 {} {output} {size:20} {time:20}\n", action.0);
        write_whole(&self.file(&action.0, 'a'), entry.as_bytes())?;
        Ok(Kept { output: output.to_owned(), size, path })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What Go is told for what it says, with the answer of nobody outside.
    fn check(folder: &Path, said: &str, expected: &[&str]) {
        let out = Arc::new(Mutex::new(Vec::new()));
        struct Out(Arc<Mutex<Vec<u8>>>);
        impl Write for Out {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        // A port that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let helper = Arc::new(Helper {
            own: Own { folder: folder.to_owned() },
            url: Url::parse(&format!("http://127.0.0.1:{port}/gocache")).unwrap(),
            failures: AtomicUsize::new(0),
            uploads: Arc::new(Semaphore::new(1)),
            out: Mutex::new(Box::new(Out(Arc::clone(&out)))),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(serve(&helper, &mut said.as_bytes())).unwrap();
        let told = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        let told: Vec<String> =
            told.lines().skip(1).map(|line| line.replace(&*folder.to_string_lossy(), "GOCACHE")).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_go_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let id = |byte: u8| BASE64.encode([byte; 32]);
        let get = format!("{{\"ID\":1,\"Command\":\"get\",\"ActionID\":\"{}\"}}\n", id(1));
        let close = "{\"ID\":9,\"Command\":\"close\"}\n";
        check(folder.path(), &format!("{get}{close}"), &["{\"ID\":1,\"Miss\":true}", "{\"ID\":9}"]);
        let digest = Sha256::digest(b"hello");
        let output = BASE64.encode(digest);
        let body = BASE64.encode("hello");
        let put = format!(
            "{{\"ID\":2,\"Command\":\"put\",\"ActionID\":\"{}\",\"OutputID\":\"{output}\",\"BodySize\":5}}\n\n\"{body}\"\n",
            id(1)
        );
        let hex = hex::encode(digest);
        let place = format!("\"OutputID\":\"{output}\",\"Size\":5,\"DiskPath\":\"GOCACHE/2c/{hex}-d\"}}");
        check(folder.path(), &format!("{put}{close}"), &[&format!("{{\"ID\":2,{place}"), "{\"ID\":9}"]);
        check(folder.path(), &format!("{get}{close}"), &[&format!("{{\"ID\":1,{place}"), "{\"ID\":9}"]);
        // Go's own entry of 175 bytes.
        let entry = std::fs::read(folder.path().join("01").join(format!("{}-a", "01".repeat(32)))).unwrap();
        assert_eq!(entry.len(), 175);
        // What is not as long as it should be is not there.
        std::fs::write(folder.path().join(format!("2c/{hex}-d")), "hell").unwrap();
        check(folder.path(), &format!("{get}{close}"), &["{\"ID\":1,\"Miss\":true}", "{\"ID\":9}"]);
        let wrong = put.replace(&body, &BASE64.encode("hullo"));
        check(folder.path(), &wrong, &[]);
        check(folder.path(), "{\"ID\":3,\"Command\":\"fly\"}\n", &["{\"ID\":3,\"Err\":\"unknown command `fly`\"}"]);
    }
}
