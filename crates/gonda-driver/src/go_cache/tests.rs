//! Stores that work, and stores that don't.

mod s3;

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use url::Url;

use super::server::Backend as _;
use super::*;
use crate::{Event, Events};

fn action(byte: u8) -> Action {
    Action::parse(&hex::encode([byte; 32])).unwrap()
}

/// A machine with a cache of its own.
struct Machine {
    cache: SharedGoCache,
    warnings: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl Machine {
    fn new(url: &str) -> Self {
        Self::with(url, &[])
    }

    /// In an environment, which S3 clients are configured with.
    fn with(url: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&warnings);
        let events = Events::new(move |event| {
            if let Event::Warning { text, .. } = event {
                heard.lock().unwrap().push(text);
            }
        });
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let cache = SharedGoCache::open(&Url::parse(url).unwrap(), folder.path(), Some(&environment), events);
        let cache = cache.unwrap();
        Self { cache, warnings, _folder: folder }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap().clone()
    }

    async fn get(&self, byte: u8) -> Option<String> {
        let mut content = Vec::new();
        object::decode(&self.cache.get(&action(byte)).await?, &mut content).unwrap();
        Some(String::from_utf8(content).unwrap())
    }

    async fn put(&self, byte: u8, content: &str) {
        self.cache.put(&action(byte), object::encode(content.as_bytes()).unwrap()).await.unwrap();
    }
}

/// `gonda gocache serve` over a folder.
async fn served(folder: &std::path::Path) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(folder.to_owned(), listener));
    url
}

#[tokio::test]
async fn machines_share() {
    let folder = tempfile::tempdir().unwrap();
    let url = served(folder.path()).await;
    let (one, two) = (Machine::new(&url), Machine::new(&format!("{url}/")));
    assert_eq!(one.get(1).await, None);
    one.put(1, "compiled").await;
    assert_eq!(two.get(1).await.as_deref(), Some("compiled"));
    // What a machine has it doesn't ask for.
    std::fs::remove_dir_all(folder.path().join("v1")).unwrap();
    assert_eq!(two.get(1).await.as_deref(), Some("compiled"));
    assert_eq!(Machine::new(&url).get(1).await, None);
    // Nobody can put what is no object.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = async |path: &str, body: Vec<u8>| {
        client.put(format!("{url}/{path}")).body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(put(&action(2).key(), b"anything".to_vec()).await, 400);
    let mut object = object::encode(b"content").unwrap();
    assert_eq!(put(&action(2).key(), object.clone()).await, 204);
    object[20] = if object[20] == b'0' { b'1' } else { b'0' };
    assert_eq!(put(&action(2).key(), object.clone()).await, 400);
    assert_eq!(put("v1/../../escaped", object).await, 404);
    assert_eq!(two.get(2).await.as_deref(), Some("content"));
    assert!(one.warnings.lock().unwrap().is_empty() && two.warnings.lock().unwrap().is_empty());
}

/// A store that answers each connection with these bytes, and hangs up unless it is to hang.
fn answering(answer: Vec<u8>, hangs: bool) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1 << 16]);
            let _ = stream.write_all(&answer);
            if hangs {
                held.push(stream);
            }
        }
    });
    url
}

/// Such a store gives nothing, is told of once, and costs no more than a few times its patience.
async fn check(url: &str, why: &str) {
    let machine = Machine::new(url);
    let started = Instant::now();
    for byte in 0..8 {
        assert_eq!(machine.get(byte).await, None, "{why}");
        machine.put(byte, "compiled here").await;
        assert_eq!(machine.get(byte).await.as_deref(), Some("compiled here"), "{why}");
    }
    assert!(started.elapsed() < Duration::from_secs(15), "{why}: {:?}", started.elapsed());
    let warnings = machine.warnings.lock().unwrap();
    assert_eq!(warnings.len(), 1, "{why}: {warnings:?}");
    assert!(warnings[0].contains(why), "{why}: {warnings:?}");
}

fn ok(length: usize, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.extend(body);
    answer
}

#[tokio::test]
async fn stores_that_do_not_work() {
    let object = object::encode(b"something").unwrap();
    let length = object.len();
    check(&answering(ok(4, b"junk"), false), "it is no object of a Go build cache").await;
    let mut false_one = object.clone();
    false_one[20] = if false_one[20] == b'0' { b'1' } else { b'0' };
    check(&answering(ok(length, &false_one), false), "its content is not the one that it says").await;
    check(&answering(ok(length, &object[..length - 5]), false), "end of file before message length reached").await;
    check(&answering(ok(length - 5, &object[..length - 5]), false), "its content is").await;
    check(&answering(ok(usize::MAX / 4, b""), false), "more than any should").await;
    check(&answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(), false), "503").await;
    check(&answering(Vec::new(), false), "error").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    check(&format!("http://127.0.0.1:{port}"), "onnect").await;
}

#[tokio::test]
async fn a_store_that_hangs() {
    check(&answering(Vec::new(), true), "no answer within 3 s").await;
}

#[test]
fn bombs() {
    let mut bomb = format!("gonda go cache v1 {} 10\n", "0".repeat(64)).into_bytes();
    bomb.extend(zstd::bulk::compress(&vec![0; 1 << 24], 19).unwrap());
    let mut content = Vec::new();
    assert_eq!(
        object::decode(&bomb, &mut content).unwrap_err(),
        "its content is longer than the 10 bytes that it says"
    );
    assert!(content.len() < 1 << 18);
}

#[test]
fn urls() {
    let says = |text: &str| match check_url(text) {
        Ok(url) => url.to_string(),
        Err(error) => error.message,
    };
    assert_eq!(says("https://cache.invalid/go"), "https://cache.invalid/go");
    assert_eq!(says("s3://bucket/prefix"), "s3://bucket/prefix");
    assert_eq!(says("ftp://x"), "the Go build cache `ftp://x` can't be used: it is an `ftp` url");
    assert_eq!(says("sharde"), "the Go build cache `sharde` can't be used: relative URL without a base");
}
