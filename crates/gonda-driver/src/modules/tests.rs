//! Store, proxy and sets against proxies made here: in folders and on loopback.

mod find;
mod proxy;
mod real_go;
mod sets;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const GO_MOD: &str = "module a.b/c\n\ngo 1.20\n";

/// A module zip.
fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn write(file: PathBuf, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// Puts a module version into a proxy's folder.
fn publish(proxy: &Path, path: &str, version: &str, go_mod: &str, files: &[(&str, &str)]) {
    let folder = proxy.join(gonda_gomod::escape_path(path).unwrap()).join("@v");
    let escaped = gonda_gomod::escape_version(version).unwrap();
    write(
        folder.join(format!("{escaped}.info")),
        format!("{{\"Version\":\"{version}\",\"Time\":\"2020-01-01T00:00:00Z\"}}"),
    );
    write(folder.join(format!("{escaped}.mod")), go_mod);
    let mut entries = vec![(format!("{path}@{version}/go.mod"), go_mod.to_owned())];
    entries.extend(files.iter().map(|(name, text)| (format!("{path}@{version}/{name}"), (*text).to_owned())));
    let entries: Vec<_> = entries.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    write(folder.join(format!("{escaped}.zip")), zip(&entries));
    let mut list = std::fs::read_to_string(folder.join("list")).unwrap_or_default();
    list.push_str(&format!("{version}\n"));
    write(folder.join("list"), list);
}

/// A folder with a proxy in `up` and a store in `store`.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        publish(&world.up(), "a.b/c", "v1.0.0", GO_MOD, &[("c.go", "package c\n\nconst C = 1\n")]);
        publish(&world.up(), "a.b/C", "v1.0.0-RC", "module a.b/C\n", &[]);
        world
    }

    fn up(&self) -> PathBuf {
        self.0.path().join("up")
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn file_url(&self) -> String {
        url::Url::from_directory_path(self.up()).unwrap().to_string()
    }

    fn settings(&self, upstream: &str) -> ProxySettings {
        ProxySettings { store: self.store(), upstream: upstream.to_owned(), ..ProxySettings::default() }
    }

    async fn serve(&self, upstream: &str) -> Proxy {
        serve(self.settings(upstream)).await.unwrap()
    }

    async fn offline(&self) -> Proxy {
        serve(ProxySettings { offline: true, ..self.settings(&self.file_url()) }).await.unwrap()
    }
}

/// The status and the body of an answer; what is no text is shown by its length.
async fn get(proxy: &Proxy, path: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("{}/{path}", proxy.url())).send().await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    match std::str::from_utf8(&bytes) {
        Ok(text) => format!("{status} {}", text.trim_end()),
        Err(_) => format!("{status} ({} bytes)", bytes.len()),
    }
}

/// An upstream on loopback that answers with a function of path and number of the request: status, body; a status of 0
/// breaks off in the middle of the body.
struct Fake {
    url: String,
    hits: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    async fn new(answer: impl Fn(&str, usize) -> (u16, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hits = Arc::new(AtomicUsize::new(0));
        let (answer, counter) = (Arc::new(answer), Arc::clone(&hits));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, counter) = (Arc::clone(&answer), Arc::clone(&counter));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    let (status, body) = answer(&path, counter.fetch_add(1, Ordering::SeqCst));
                    let extra = match status {
                        301 => format!("Location: {}\r\n", String::from_utf8_lossy(&body)),
                        _ => String::new(),
                    };
                    let shown = if status == 0 { 200 } else { status };
                    let sent = if status == 0 { &body[..body.len() / 2] } else { &body };
                    let head = format!(
                        "HTTP/1.1 {shown} X\r\nContent-Type: text/plain\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(sent).await;
                });
            }
        });
        Self { url, hits, task }
    }

    /// Serves a folder.
    async fn folder(folder: PathBuf) -> Self {
        Self::new(move |path, _| match std::fs::read(folder.join(path.trim_start_matches('/'))) {
            Ok(bytes) => (200, bytes),
            Err(_) => (404, b"no such module here".to_vec()),
        })
        .await
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A source tree and its main modules.
fn source(top: &Path, files: &[(&str, &str)]) -> Vec<MainModules> {
    for (path, text) in files {
        write(top.join(path), text);
    }
    find_main_modules(top, top, &[]).unwrap().modules
}

#[test]
fn leftovers_are_swept() {
    let parts = tempfile::tempdir().unwrap();
    write(parts.path().join("old/x"), "");
    write(parts.path().join("new"), "");
    #[allow(clippy::disallowed_methods, reason = "leftovers are judged by the clock")]
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 60 * 60);
    let old = parts.path().join("old-file");
    write(old.clone(), "");
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(past).unwrap();
    sweep(parts.path());
    assert!(!old.exists() && parts.path().join("new").exists() && parts.path().join("old/x").exists());
}

#[test]
fn defaults_of_a_toolchain() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(upstream_default(root.path()), None);
    write(root.path().join("go.env"), "GOPROXY=https://x.y,direct\nGOSUMDB=sum.x.y\n");
    assert_eq!(upstream_default(root.path()).as_deref(), Some("https://x.y,direct"));
    assert_eq!(sumdb_default(root.path()).as_deref(), Some("sum.x.y"));
}
