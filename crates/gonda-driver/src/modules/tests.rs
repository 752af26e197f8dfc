//! Store, proxy and sets against proxies made here: in folders and on loopback.

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

#[tokio::test]
async fn serves_a_folder_and_then_its_store() {
    let world = World::new();
    write(world.up().join("a.b/c/@latest"), "{\"Version\":\"v1.0.0\"}");
    write(world.up().join("a.b/c/@v/main.info"), "{\"Version\":\"v1.0.0\"}");
    let proxy = world.serve(&world.file_url()).await;
    let zip_length = std::fs::metadata(world.up().join("a.b/c/@v/v1.0.0.zip")).unwrap().len();
    let asked = [
        ("a.b/c/@v/list", "200 v1.0.0".to_owned()),
        ("a.b/c/@latest", "200 {\"Version\":\"v1.0.0\"}".to_owned()),
        ("a.b/c/@v/main.info", "200 {\"Version\":\"v1.0.0\"}".to_owned()),
        ("a.b/c/@v/v1.0.0.info", "200 {\"Version\":\"v1.0.0\",\"Time\":\"2020-01-01T00:00:00Z\"}".to_owned()),
        ("a.b/c/@v/v1.0.0.mod", format!("200 {}", GO_MOD.trim_end())),
        ("a.b/c/@v/v1.0.0.zip", format!("200 ({zip_length} bytes)")),
        ("a.b/!c/@v/v1.0.0-!r!c.mod", "200 module a.b/C".to_owned()),
    ];
    for (path, expected) in &asked {
        assert_eq!(&get(&proxy, path).await, expected, "{path}");
    }
    let record = proxy.record();
    let answers: Vec<&str> = record.answers.keys().map(String::as_str).collect();
    assert_eq!(answers, ["a.b/c/@latest", "a.b/c/@v/list", "a.b/c/@v/main.info"]);
    let served = &record.modules["a.b/c@v1.0.0"];
    let sum = std::fs::read_to_string(world.store().join("a.b/c/@v/v1.0.0.ziphash")).unwrap();
    assert_eq!(served.zip.as_ref(), Some(&sum));
    assert_eq!(served.go_mod, Some(gonda_gomod::hash_go_mod(GO_MOD.as_bytes())));
    assert!(served.fetched && sum.starts_with("h1:"));

    // The store alone gives the same answers.
    let offline = world.offline().await;
    std::fs::remove_dir_all(world.up()).unwrap();
    for (path, expected) in &asked {
        assert_eq!(&get(&offline, path).await, expected, "{path}");
    }
    assert!(!offline.record().modules["a.b/c@v1.0.0"].fetched);
    assert_eq!(
        get(&offline, "a.b/x/@v/list").await,
        "404 a.b/x/@v/list: not in gonda's module store, and nobody else may be asked; `gonda fetch` fills it"
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let world = World::new();
    let proxy = world.serve("off").await;
    assert_eq!(get(&proxy, "a.b/c/@v/list").await, "404 module lookup disabled by GOPROXY=off");
    let direct = world.serve("direct").await;
    assert_eq!(get(&direct, "a.b/c/@v/list").await, "404 module a.b/c: not found by any module proxy");
    assert_eq!(direct.goproxy(false), direct.url());
    assert_eq!(direct.goproxy(true), format!("{},direct", direct.url()));
    assert_eq!(proxy.goproxy(true), proxy.url());
    assert_eq!(get(&direct, "../../etc/passwd").await, "404 not a request to a module proxy");

    let private = ProxySettings { noproxy: "a.b".to_owned(), ..world.settings(&world.file_url()) };
    let private = serve(private).await.unwrap();
    assert_eq!(get(&private, "a.b/c/@v/v1.0.0.mod").await, "404 module a.b/c: GONOPROXY keeps it from module proxies");
    let missing = get(&world.serve(&world.file_url()).await, "a.b/c/@v/v1.9.0.zip").await;
    assert!(missing.starts_with("404 ") && missing.ends_with("no such file"), "{missing}");
}

#[test]
fn malformed_lists() {
    let world = World::new();
    let error = ModuleStore::open(world.settings("ftp://x")).unwrap_err();
    assert_eq!(
        error.message,
        "GOPROXY `ftp://x` can't be used: invalid proxy URL scheme (must be https, http, file): ftp://x"
    );
    assert_eq!(error.kind, crate::Kind::Usage);
}

#[tokio::test]
async fn upstreams_are_asked_in_order() {
    let world = World::new();
    let good = Fake::folder(world.up()).await;
    let empty = Fake::new(|_, _| (404, b"nothing here".to_vec())).await;
    let gone = Fake::new(|_, _| (410, Vec::new())).await;
    let forbidden = Fake::new(|_, _| (403, b"go away".to_vec())).await;
    let moved_to = good.url.clone();
    let moved = Fake::new(move |path, _| (301, format!("{moved_to}{path}").into_bytes())).await;
    let path = "a.b/c/@v/v1.0.0.mod";
    let check = async |list: String, expected: &str| {
        let other = World::new();
        let answer = get(&other.serve(&list).await, path).await;
        let answer = answer.replace(&forbidden.url, "FORBIDDEN").replace(&empty.url, "EMPTY");
        assert_eq!(answer, expected.replace("MOD", GO_MOD.trim_end()), "{list}");
    };
    let (good, empty, gone, bad) = (&good.url, &empty.url, &gone.url, &forbidden.url);
    check(format!("{empty},{gone},{good}"), "200 MOD").await;
    check(format!("{bad}|{good}"), "200 MOD").await;
    check(moved.url.clone(), "200 MOD").await;
    let forbidden_text = "reading FORBIDDEN/a.b/c/@v/v1.0.0.mod: 403 Forbidden\ngo away";
    check(format!("{bad},{good}"), &format!("502 {forbidden_text}")).await;
    check(format!("{bad}|{empty}"), &format!("502 {forbidden_text}")).await;
    check(format!("{bad}|direct"), &format!("404 {forbidden_text}")).await;
    check(empty.clone(), "404 reading EMPTY/a.b/c/@v/v1.0.0.mod: 404 Not Found\nnothing here").await;
}

#[tokio::test]
async fn transfers_that_break_off_are_repeated() {
    let world = World::new();
    let up = world.up();
    let flaky = Fake::new(move |path, count| {
        let bytes = std::fs::read(up.join(path.trim_start_matches('/'))).unwrap();
        (if count == 0 { 0 } else { 200 }, bytes)
    })
    .await;
    let proxy = world.serve(&flaky.url).await;
    assert!(get(&proxy, "a.b/c/@v/v1.0.0.zip").await.starts_with("200 "));
    assert_eq!(flaky.hits.load(Ordering::SeqCst), 2);
    assert!(proxy.record().failures.is_empty());
}

#[tokio::test]
async fn a_dead_upstream_is_a_failure() {
    let world = World::new();
    let url = Fake::new(|_, _| (200, Vec::new())).await.url.clone();
    tokio::task::yield_now().await;
    let proxy = world.serve(&format!("{url},direct")).await;
    let answer = get(&proxy, "a.b/c/@v/list").await;
    assert!(answer.starts_with("502 reading http://127.0.0.1:"), "{answer}");
    assert_eq!(proxy.record().failures.len(), 1);
}

#[tokio::test]
async fn parallel_requests_fetch_once() {
    let world = World::new();
    let upstream = Fake::folder(world.up()).await;
    let store = ModuleStore::open(world.settings(&upstream.url)).unwrap();
    let proxies = [store.serve().await.unwrap(), store.serve().await.unwrap()];
    let all = (0..16).map(|index| get(&proxies[index % 2], "a.b/c/@v/v1.0.0.zip"));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.starts_with("200 ")), "{answers:?}");
    assert_eq!(upstream.hits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn damaged_entries_are_fetched_again() {
    let world = World::new();
    let path = "a.b/c/@v/v1.0.0.zip";
    let whole = get(&world.serve(&world.file_url()).await, path).await;
    let damage: [(&str, &[u8]); 3] =
        [(path, b"not a zip"), ("a.b/c/@v/v1.0.0.mod", b"\""), ("a.b/c/@v/v1.0.0.info", b"")];
    for (path, bytes) in damage {
        write(world.store().join(path), bytes);
    }
    let offline = get(&world.offline().await, path).await;
    assert!(offline.starts_with("502 a.b/c@v1.0.0 in gonda's module store is damaged: "), "{offline}");
    assert!(!offline.contains(&*world.store().to_string_lossy()), "{offline}");
    // A well-formed zip with another content is found by its sum.
    write(world.store().join(path), zip(&[("a.b/c@v1.0.0/go.mod", "module a.b/evil\n")]));
    assert!(get(&world.offline().await, path).await.contains("its sum is h1:"));

    let proxy = world.serve(&world.file_url()).await;
    assert_eq!(get(&proxy, path).await, whole);
    assert!(get(&proxy, "a.b/c/@v/v1.0.0.mod").await.starts_with("200 module a.b/c"));
    assert!(get(&proxy, "a.b/c/@v/v1.0.0.info").await.starts_with("200 {"));
    assert!(proxy.record().modules["a.b/c@v1.0.0"].fetched);
    // Without a sum, as another tool may have left it, a sound zip is taken and gets one.
    let sum = world.store().join("a.b/c/@v/v1.0.0.ziphash");
    std::fs::remove_file(&sum).unwrap();
    assert_eq!(get(&world.offline().await, path).await, whole);
    assert!(sum.is_file());
}

#[tokio::test]
async fn lying_upstreams() {
    let check = async |path: &str, bytes: Vec<u8>, expected: &str| {
        let world = World::new();
        write(world.up().join(path), bytes);
        let answer = get(&world.serve(&world.file_url()).await, path).await;
        assert_eq!(answer, format!("502 {expected}"));
        assert!(!world.store().join(path).exists());
    };
    let zip_path = "a.b/c/@v/v1.0.0.zip";
    let not_a_zip = "a.b/c@v1.0.0: the proxy's zip is not a module zip:";
    let invalid = "invalid response from proxy to";
    check(
        zip_path,
        zip(&[("x/go.mod", "")]),
        &format!("{not_a_zip} x/go.mod: path does not have prefix \"a.b/c@v1.0.0/\""),
    )
    .await;
    check(
        zip_path,
        zip(&[("a.b/c@v1.0.0/x", ""), ("a.b/c@v1.0.0/X", "")]),
        &format!("{not_a_zip} a.b/c@v1.0.0/X: case-insensitive file name collision: \"x\" and \"X\""),
    )
    .await;
    check(
        zip_path,
        zip(&[("a.b/c@v1.0.0/../x", "")]),
        &format!("{not_a_zip} a.b/c@v1.0.0/../x: malformed file path \"../x\": invalid path element \"..\""),
    )
    .await;
    check(
        "a.b/c/@v/v1.0.0.info",
        b"{\"Version\":\"v1.0.1\"}".to_vec(),
        &format!("{invalid} a.b/c/@v/v1.0.0.info: proxy returned info for version v1.0.1 instead of requested version"),
    )
    .await;
    check(
        "a.b/c/@v/v1.0.0.mod",
        b"<!DOCTYPE html>\n\"".to_vec(),
        &format!("{invalid} a.b/c/@v/v1.0.0.mod: 2:1: unexpected EOF in string"),
    )
    .await;
    check("a.b/c/@latest", b"{}".to_vec(), &format!("{invalid} a.b/c/@latest: there is no `Version`")).await;
}

#[tokio::test]
async fn zips_hold_what_they_declare() {
    // The declared size of the only file is made one less, in both headers; the content stays.
    let mut bytes = zip(&[("a.b/c@v1.0.0/x", "0123456789")]);
    let size = 10_u32.to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == size).collect();
    for at in places {
        bytes[at] = 9;
    }
    let world = World::new();
    let path = "a.b/c/@v/v1.0.0.zip";
    write(world.up().join(path), bytes);
    let answer = get(&world.serve(&world.file_url()).await, path).await;
    assert!(answer.starts_with("502 "), "{answer}");
}

#[tokio::test]
async fn checksum_database() {
    let world = World::new();
    let proxy = world.serve(&world.file_url()).await;
    assert_eq!(
        get(&proxy, "sumdb/sum.x.y/supported").await,
        "404 checksum database sum.x.y: no proxy passes requests on to it"
    );
    let upstream = Fake::new(|path, _| match path {
        "/sumdb/sum.x.y/supported" => (200, Vec::new()),
        "/sumdb/sum.x.y/lookup/a.b/!c@v1.0.0" => (200, b"42\na.b/C v1.0.0 h1:x=\n".to_vec()),
        "/sumdb/sum.x.y/latest" => (200, b"go.sum database tree".to_vec()),
        _ => (404, b"not found: unknown".to_vec()),
    })
    .await;
    let proxy = world.serve(&format!("{},{}", world.file_url(), upstream.url)).await;
    let asked = [
        ("sumdb/sum.x.y/supported", "200 "),
        ("sumdb/sum.x.y/lookup/a.b/!c@v1.0.0", "200 42\na.b/C v1.0.0 h1:x="),
        ("sumdb/sum.x.y/latest", "200 go.sum database tree"),
    ];
    for (path, expected) in asked {
        assert_eq!(get(&proxy, path).await, expected);
    }
    let missing = get(&proxy, "sumdb/sum.x.y/lookup/a.b/none@v1.0.0").await;
    assert!(missing.starts_with("404 ") && missing.ends_with("not found: unknown"), "{missing}");
    drop(upstream);
    let offline = world.offline().await;
    for (path, expected) in asked {
        assert_eq!(get(&offline, path).await, expected);
    }
    assert!(get(&offline, "sumdb/sum.z/supported").await.starts_with("404 "));
}

#[tokio::test]
async fn answers_are_replayed() {
    let world = World::new();
    let answers = BTreeMap::from([("a.b/c/@v/list".to_owned(), "v0.9.0\n".to_owned())]);
    let answers = Some(answers);
    let proxy = serve(ProxySettings { answers, ..world.settings(&world.file_url()) }).await.unwrap();
    assert_eq!(get(&proxy, "a.b/c/@v/list").await, "200 v0.9.0");
    assert_eq!(proxy.record().answers["a.b/c/@v/list"], "v0.9.0\n");
    let other = get(&proxy, "a.b/c/@latest").await;
    assert!(other.starts_with("404 ") && other.contains("the lock has no answer"), "{other}");
}

#[tokio::test]
async fn stops_when_dropped() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = ModuleStore::open(world.settings("off")).unwrap().proxy_at(address);
    proxy.answer_on(listener).unwrap();
    assert_eq!(proxy.url(), format!("http://{address}"));
    get(&proxy, "a.b/c/@v/list").await;
    drop(proxy);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        if std::net::TcpStream::connect(address).is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it still listens");
}

/// Finds main modules in a tree given as `path = text` pairs; gives folders, kinds and problems.
fn found(files: &[(&str, &str)], work: &str, sources: &[&str]) -> String {
    let top = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(top.path().join(path), text);
    }
    let sources: Vec<PathBuf> = sources.iter().map(|path| top.path().join(path)).collect();
    let found = find_main_modules(top.path(), &top.path().join(work), &sources).unwrap();
    let mut lines: Vec<String> = found
        .modules
        .iter()
        .map(|root| {
            let folder = root.folder.strip_prefix(top.path()).unwrap().display().to_string();
            let kind = if root.work.is_some() { format!("work of {}", root.mains.len()) } else { "mod".to_owned() };
            let vendoring = match &root.vendoring {
                Vendoring::Inconsistent(error) => format!("Inconsistent: {}", error.details.join("; ")),
                other => format!("{other:?}"),
            };
            format!("[{folder}] {kind} {vendoring}")
        })
        .collect();
    lines.extend(found.problems.iter().map(|problem| {
        let place = problem.place.as_ref().unwrap();
        let file = place.file.strip_prefix(top.path()).unwrap();
        format!("{}:{}: {}", file.display(), place.line.unwrap(), problem.message)
    }));
    lines.push(format!("floor {:?}", found.floor().preferred_spec("go").unwrap_or_default()));
    lines.join("\n")
}

#[test]
fn main_modules() {
    let check = |files: &[(&str, &str)], work: &str, sources: &[&str], expected: &str| {
        assert_eq!(found(files, work, sources), expected);
    };
    check(&[("x.go", "")], "", &[], "floor \"\"");
    check(
        &[("go.mod", "module a.b\ngo 1.22.1"), ("x/go.mod", "module a.b/x")],
        "",
        &[],
        "[] mod None\nfloor \"go >=1.22.1\"",
    );
    check(&[("go.mod", "module a.b"), ("x/y.go", "")], "x", &[], "[] mod None\nfloor \"\"");
    check(
        &[
            ("go.work", "go 1.23\nuse ./a\nuse ./b\n"),
            ("a/go.mod", "module a.b/a\ngo 1.22"),
            ("b/go.mod", "module a.b/b"),
        ],
        "a",
        &[],
        "[] work of 2 None\nfloor \"go >=1.23\"",
    );
    check(&[("s/go.mod", "module a.b"), ("t/go.mod", "module a.c")], "", &["s"], "[s] mod None\nfloor \"\"");
    check(
        &[
            ("s/t/go.mod", "module a.b\ngo 1.20"),
            ("s/u/go.mod", "module a.c\ngo 1.21\ntoolchain go1.22.0"),
            ("s/vendor/go.mod", "module x.y\ngo 1.99"),
            ("s/v/w/go.mod", "module a.d\ngo 1.99"),
        ],
        "",
        &[],
        "[s/t] mod None\n[s/u] mod None\nfloor \"go >=1.22.0\"",
    );
    check(
        &[("go.mod", "module a.b\nrequire (\n")],
        "",
        &[],
        "go.mod:3: syntax error (unterminated block started at 2:1)\nfloor \"\"",
    );
    check(
        &[
            ("go.mod", "module a.b\ngo 1.20\nrequire c.d v1.0.0"),
            ("vendor/modules.txt", "# c.d v1.0.0\n## explicit\nc.d\n"),
        ],
        "",
        &[],
        "[] mod Used\nfloor \"go >=1.20\"",
    );
    check(
        &[("go.mod", "module a.b\ngo 1.20\nrequire c.d v1.0.1"), ("vendor/modules.txt", "# c.d v1.0.0\n")],
        "",
        &[],
        "[] mod Inconsistent: c.d@v1.0.1: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt\nfloor \"go >=1.20\"",
    );
    check(
        &[("go.mod", "module a.b\ngo 1.13\nrequire c.d v1.0.1"), ("vendor/modules.txt", "# c.d v1.0.0\n")],
        "",
        &[],
        "[] mod Unused(GoTooOld)\nfloor \"go >=1.13\"",
    );
}

#[test]
fn floor_of_a_work_folder() {
    let top = tempfile::tempdir().unwrap();
    assert_eq!(toolchain_floor(&top.path().join("missing")).unwrap(), None);
    write(top.path().join("cmd/go.mod"), "module a.b\ngo 1.22.1\ntoolchain go1.23.0\n");
    let floor = toolchain_floor(top.path()).unwrap().unwrap();
    assert_eq!(
        [floor.go, floor.required, floor.preferred, floor.file],
        ["1.22.1", "go >=1.22.1", "go >=1.23.0", "cmd/go.mod"]
    );
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

/// A `go` that knows one module and writes what the real one would.
#[derive(Default)]
struct FakeGo {
    runs: Mutex<Vec<String>>,
    error: Option<String>,
}

impl GoRunner for FakeGo {
    async fn go(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> crate::Result<Output> {
        let value = |key: &str| env.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()).unwrap();
        let go_mod = std::fs::read_to_string(dir.join("go.mod")).unwrap_or_default();
        super::store::lock(&self.runs).push(format!(
            "{} [{}] GOWORK={}",
            args.join(" "),
            go_mod.trim(),
            value("GOWORK") != "off"
        ));
        let cache = PathBuf::from(value("GOMODCACHE"));
        let module = cache.join("a.b/c@v1.0.0");
        write(module.join("c.go"), "package c\n");
        write(cache.join("cache/download/a.b/c/@v/v1.0.0.zip"), "x");
        write(cache.join("cache/download/a.b/c/@v/v1.0.0.ziphash"), "h1:AAAA");
        write(cache.join("cache/download/a.b/c/@v/v1.0.0.lock"), "");
        write(cache.join("cache/lock"), "");
        let answer = serde_json::json!({
            "Path": "a.b/c", "Version": "v1.0.0", "Dir": module, "Sum": "h1:AAAA", "GoModSum": "h1:BBBB",
            "Error": self.error.clone().unwrap_or_default(),
        });
        let status = std::process::ExitStatus::default();
        Ok(Output { status, stdout: answer.to_string().into_bytes(), stderr: Vec::new() })
    }
}

/// A source tree and its main modules.
fn source(top: &Path, files: &[(&str, &str)]) -> Vec<MainModules> {
    for (path, text) in files {
        write(top.join(path), text);
    }
    find_main_modules(top, top, &[]).unwrap().modules
}

#[tokio::test]
async fn sets() {
    let world = tempfile::tempdir().unwrap();
    let settings = SetSettings { folder: world.path().join("modsets"), goproxy: "http://127.0.0.1:1".to_owned() };
    let go = FakeGo::default();
    let text = "module x.y\nrequire a.b/c v1.0.0\nreplace x.z => ./z";
    let files = [("go.mod", text), ("z/go.mod", "module x.z"), ("z/z.go", "")];
    let one = source(&world.path().join("one"), &files);
    let set = module_set(&settings, &one, &go).await.unwrap().unwrap();
    let cache = set.folder.join("gopath/pkg/mod");
    let left: Vec<String> = walkdir::WalkDir::new(&set.folder)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(&cache).unwrap().display().to_string())
        .collect();
    assert_eq!(left, ["a.b/c@v1.0.0/c.go", "cache/download/a.b/c/@v/v1.0.0.ziphash"]);
    assert_eq!(set.modules[0].module.to_string(), "a.b/c@v1.0.0");
    assert_eq!((set.modules[0].sum.as_str(), set.modules[0].go_mod_sum.as_str()), ("h1:AAAA", "h1:BBBB"));

    // The same elsewhere is the same set, and is not made again.
    let again = source(&world.path().join("elsewhere"), &files);
    assert_eq!(module_set(&settings, &again, &go).await.unwrap().unwrap(), set);
    assert_eq!(go.runs.lock().unwrap().len(), 1);
    // What go.mod replaces counts; the other set shares the files.
    let files = [("go.mod", text), ("z/go.mod", "module x.z\nrequire x.w v1.0.0")];
    let other = source(&world.path().join("other"), &files);
    let other = module_set(&settings, &other, &go).await.unwrap().unwrap();
    assert_ne!(other.key, set.key);
    let same = |set: &ModuleSet| same_file(&set.folder.join("gopath/pkg/mod/a.b/c@v1.0.0/c.go"));
    assert_eq!(same(&set), same(&other));
    // A damaged set is made anew.
    std::fs::write(other.folder.parent().unwrap().join("modules.json"), "[").unwrap();
    let files_again = source(&world.path().join("other"), &[]);
    assert_eq!(module_set(&settings, &files_again, &go).await.unwrap().unwrap(), other);
    assert_eq!(go.runs.lock().unwrap().len(), 3);
    assert_eq!(std::fs::read_dir(settings.folder.join(".part")).unwrap().count(), 0);
}

#[cfg(unix)]
fn same_file(file: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(file).unwrap())
}

#[cfg(not(unix))]
fn same_file(_: &Path) -> u64 {
    0
}

#[tokio::test]
async fn sets_that_are_not_needed_or_fail() {
    let world = tempfile::tempdir().unwrap();
    let settings = SetSettings { folder: world.path().join("modsets"), goproxy: String::new() };
    let none: [&[(&str, &str)]; 3] = [
        &[("x.go", "")],
        &[("go.mod", "module x.y\ngo 1.22")],
        &[
            ("go.mod", "module x.y\ngo 1.22\nrequire a.b v1.0.0"),
            ("vendor/modules.txt", "# a.b v1.0.0\n## explicit\na.b\n"),
        ],
    ];
    for (index, files) in none.iter().enumerate() {
        let modules = source(&world.path().join(index.to_string()), files);
        assert_eq!(module_set(&settings, &modules, &FakeGo::default()).await.unwrap(), None);
    }
    let go = FakeGo { error: Some("a.b/c@v1.0.0: checksum mismatch".to_owned()), ..FakeGo::default() };
    let modules = source(&world.path().join("bad"), &[("go.mod", "module x.y\nrequire a.b/c v1.0.0")]);
    let error = module_set(&settings, &modules, &go).await.unwrap_err();
    assert_eq!(error.kind, crate::Kind::Unavailable);
    assert!(error.message.starts_with("could not download the modules of `"), "{}", error.message);
    assert_eq!(error.help.as_deref(), Some("`go mod download` says: a.b/c@v1.0.0: checksum mismatch"));
    assert_eq!(std::fs::read_dir(settings.folder.join(".part")).unwrap().count(), 0);
}

/// The real `go` from PATH, with nothing else of this machine; `None` where there is none.
struct RealGo {
    program: PathBuf,
    home: TempDir,
}

impl RealGo {
    fn find(test: &str) -> Option<Self> {
        let name = if cfg!(windows) { "go.exe" } else { "go" };
        let path = std::env::var_os("PATH").unwrap_or_default();
        match std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()) {
            Some(program) => Some(Self { program, home: tempfile::tempdir().unwrap() }),
            None => {
                println!("skipped: {test}: no go on PATH");
                None
            }
        }
    }

    fn run(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> Output {
        let home = self.home.path();
        std::process::Command::new(&self.program)
            .args(args)
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("GOPATH", home.join("go"))
            .env("GOCACHE", home.join("cache"))
            .env("GOTOOLCHAIN", "local")
            .env("GOENV", "off")
            .env("GOWORK", "off")
            .env("GOSUMDB", "off")
            .env("CGO_ENABLED", "0")
            .envs(env.iter().map(|(key, value)| (key, value)))
            .output()
            .unwrap()
    }
}

impl GoRunner for RealGo {
    async fn go(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> crate::Result<Output> {
        Ok(tokio::task::block_in_place(|| self.run(args, dir, env)))
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const MAIN: &str = "package main\n\nimport \"a.b/c\"\n\nfunc main() { println(c.C) }\n";

#[tokio::test(flavor = "multi_thread")]
async fn real_go_through_the_proxy_and_from_a_set() {
    let Some(go) = RealGo::find("real_go_through_the_proxy_and_from_a_set") else { return };
    let world = World::new();
    let proxy = world.serve(&world.file_url()).await;
    let top = world.0.path().join("src");
    let go_mod = "module x.y\n\ngo 1.20\n\nrequire a.b/c v1.0.0\n";
    let modules = source(&top, &[("go.mod", go_mod), ("main.go", MAIN)]);

    // Go writes go.sum with the sums that we have.
    let through = [
        ("GOPROXY", proxy.goproxy(false)),
        ("GOMODCACHE", world.0.path().join("own").display().to_string()),
        ("GOFLAGS", "-modcacherw".to_owned()),
    ];
    let output = go.run(&["mod", "tidy"], &top, &through);
    assert!(output.status.success(), "{}", text(&output));
    let sums = gonda_gomod::GoSum::parse(&std::fs::read_to_string(top.join("go.sum")).unwrap()).unwrap();
    let served = proxy.record().modules["a.b/c@v1.0.0"].clone();
    let module = gonda_gomod::ModuleVersion::new("a.b/c", "v1.0.0");
    assert_eq!(sums.zips()[&module], [served.zip.clone().unwrap()]);
    assert_eq!(sums.go_mods()[&module], [served.go_mod.unwrap()]);

    let settings = SetSettings { folder: world.0.path().join("modsets"), goproxy: proxy.goproxy(false) };
    let set = module_set(&settings, &modules, &go).await.unwrap().unwrap();
    assert_eq!(set.modules[0].sum, served.zip.unwrap());
    // A set serves with nobody to ask, though its zips are gone.
    let alone =
        [("GOPROXY", "off".to_owned()), ("GOMODCACHE", set.folder.join("gopath/pkg/mod").display().to_string())];
    for args in [&["build", "-o", "out", "."][..], &["list", "-deps", "./..."], &["mod", "vendor"]] {
        let output = go.run(args, &top, &alone);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
    }
    let info = gonda_gomod::read_build_info(&std::fs::read(top.join("out")).unwrap()).unwrap();
    assert_eq!(info.path, "x.y");
    assert_eq!(info.deps[0].sum, set.modules[0].sum);

    // The vendor folder that Go made is one that it uses, and our words about a broken one are Go's.
    let vendored = source(&top, &[]);
    assert_eq!(vendored[0].vendoring, Vendoring::Used);
    assert_eq!(module_set(&settings, &vendored, &go).await.unwrap(), None);
    let vendored = source(&top, &[("go.mod", &go_mod.replace("v1.0.0", "v1.0.1"))]);
    let Vendoring::Inconsistent(error) = &vendored[0].vendoring else { panic!("{:?}", vendored[0].vendoring) };
    let output = go.run(&["build", "."], &top, &alone);
    let canonical = top.canonicalize().unwrap();
    let expected = error.to_string().replace(&*top.to_string_lossy(), &canonical.to_string_lossy());
    assert_eq!(
        text(&output).trim().replace(&*top.to_string_lossy(), &canonical.to_string_lossy()),
        format!("go: {expected}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn real_go_in_a_workspace() {
    let Some(go) = RealGo::find("real_go_in_a_workspace") else { return };
    let world = World::new();
    let proxy = world.serve(&world.file_url()).await;
    let top = world.0.path().join("src");
    let modules = source(
        &top,
        &[
            ("go.work", "go 1.20\n\nuse ./app\nuse ./lib\n\nreplace x.y/lib v0.0.0 => ./lib\n"),
            ("app/go.mod", "module x.y/app\n\ngo 1.20\n\nrequire x.y/lib v0.0.0\n\nrequire a.b/c v1.0.0 // indirect\n"),
            ("app/main.go", "package main\n\nimport \"x.y/lib\"\n\nfunc main() { println(lib.L) }\n"),
            ("lib/go.mod", "module x.y/lib\n\ngo 1.20\n\nrequire a.b/c v1.0.0\n"),
            ("lib/lib.go", "package lib\n\nimport \"a.b/c\"\n\nconst L = c.C\n"),
        ],
    );
    let settings = SetSettings { folder: world.0.path().join("modsets"), goproxy: proxy.goproxy(false) };
    let set = module_set(&settings, &modules, &go).await.unwrap().unwrap();
    assert_eq!(set.modules.len(), 1);
    let env = [
        ("GOPROXY", "off".to_owned()),
        ("GOWORK", String::new()),
        ("GONOSUMDB", "*".to_owned()),
        ("GOFLAGS", "-modcacherw".to_owned()),
        ("GOMODCACHE", set.folder.join("gopath/pkg/mod").display().to_string()),
    ];
    // go.sum files belong to the source; this one has none yet.
    let sums = gonda_gomod_sums(&set);
    std::fs::write(top.join("go.work.sum"), sums).unwrap();
    let output = go.run(&["list", "-deps", "./app"], &top, &env);
    assert!(output.status.success(), "{}", text(&output));

    // Modules that require one another at versions that nobody published: there is nothing to download, and no error.
    let modules = source(
        &world.0.path().join("unpublished"),
        &[
            ("go.work", "go 1.20\nuse ./app\nuse ./lib"),
            ("app/go.mod", "module x.y/app\ngo 1.20\nrequire x.y/lib v0.0.0\n"),
            ("lib/go.mod", "module x.y/lib\ngo 1.20\n"),
        ],
    );
    assert_eq!(module_set(&settings, &modules, &go).await.unwrap(), None);
}

/// The go.sum lines of a set.
fn gonda_gomod_sums(set: &ModuleSet) -> String {
    set.modules
        .iter()
        .map(|SetModule { module, sum, go_mod_sum }| {
            let (path, version) = (&module.path, &module.version);
            format!("{path} {version} {sum}\n{path} {version}/go.mod {go_mod_sum}\n")
        })
        .collect()
}
