//! A bucket, as S3 has it: a stand-in on loopback that answers only requests that are signed as AWS Signature Version 4 wants
//! them, worked out here once more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};

use super::{Machine, action};
use crate::go_cache::object;

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-test-1";

/// The stand-in: one bucket, addressed by path.
struct Bucket {
    endpoint: String,
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Bucket {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let objects: Arc<Mutex<BTreeMap<String, Bytes>>> = Arc::default();
        let shared = Arc::clone(&objects);
        let task = tokio::spawn(async move {
            // Dropped with this task.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let objects = Arc::clone(&shared);
                let service = service_fn(move |request| {
                    let objects = Arc::clone(&objects);
                    async move { Ok::<_, Infallible>(answer(request, &objects).await) }
                });
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { endpoint, objects, task }
    }

    fn machine(&self, secret_key: &str) -> Machine {
        let environment = [
            ("AWS_ENDPOINT", self.endpoint.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", secret_key),
        ];
        Machine::with("s3://bucket/some/prefix", &environment)
    }
}

async fn answer(request: Request<Incoming>, objects: &Mutex<BTreeMap<String, Bytes>>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path().to_owned();
    let error = |status: StatusCode, code: &str| {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>-</Message></Error>"
        );
        let response = Response::builder().status(status).header("content-type", "application/xml");
        response.body(Full::from(text)).unwrap()
    };
    if let Err(code) = check_signature(&head, &body) {
        return error(StatusCode::FORBIDDEN, code);
    }
    if !path.starts_with("/bucket/") {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    let mut objects = objects.lock().unwrap();
    let tag = |content: &Bytes| format!("\"{}\"", &hex::encode(Sha256::digest(content))[..32]);
    let response = Response::builder().header("server", "AmazonS3");
    match (head.method, objects.get(&path).cloned()) {
        (Method::PUT, _) => {
            let tag = tag(&body);
            objects.insert(path, body);
            response.header("etag", tag).body(Full::default()).unwrap()
        }
        (Method::GET | Method::HEAD, None) => error(StatusCode::NOT_FOUND, "NoSuchKey"),
        (method @ (Method::GET | Method::HEAD), Some(content)) => {
            let response =
                response.header("etag", tag(&content)).header("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
            let response = response.header("content-length", content.len()).header("accept-ranges", "bytes");
            response.body(if method == Method::GET { Full::from(content) } else { Full::default() }).unwrap()
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

/// S3's word for what is wrong with a request's signature ("Signature Calculations for the Authorization Header" of its API
/// reference).
fn check_signature(head: &hyper::http::request::Parts, body: &[u8]) -> Result<(), &'static str> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let authorization = header("authorization").ok_or("AccessDenied")?;
    let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("AuthorizationHeaderMalformed")?;
    let part = |name: &str| {
        let found = parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or("AuthorizationHeaderMalformed")
    };
    let (credential, signed, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let time = header("x-amz-date").ok_or("AccessDenied")?;
    let date = time.get(..8).ok_or("AccessDenied")?;
    let scope = format!("{date}/{REGION}/s3/aws4_request");
    if credential != format!("{ACCESS_KEY}/{scope}") {
        return Err("InvalidAccessKeyId");
    }
    let content = header("x-amz-content-sha256").ok_or("MissingSecurityHeader")?;
    if content != "UNSIGNED-PAYLOAD" && content != hex::encode(Sha256::digest(body)) {
        return Err("XAmzContentSHA256Mismatch");
    }
    if !["host", "x-amz-content-sha256", "x-amz-date"].iter().all(|name| signed.split(';').any(|word| word == *name)) {
        return Err("AccessDenied");
    }
    let headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", header(name).unwrap_or_default())).collect();
    let (method, path, query) = (head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default());
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{content}");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for word in scope.split('/') {
        key = hmac(&key, word.as_bytes());
    }
    if hex::encode(hmac(&key, text.as_bytes())) == signature { Ok(()) } else { Err("SignatureDoesNotMatch") }
}

/// HMAC-SHA256 (RFC 2104) for keys of a block at most.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, of_key)| *byte ^= of_key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test]
async fn a_bucket() {
    let bucket = Bucket::new().await;
    let (one, two) = (bucket.machine(SECRET_KEY), bucket.machine(SECRET_KEY));
    assert_eq!(one.get(1).await, None);
    one.put(1, "compiled").await;
    assert_eq!(two.get(1).await.as_deref(), Some("compiled"));
    assert_eq!(two.get(2).await, None);
    assert_eq!((one.warnings(), two.warnings()), (vec![], vec![]));
    let keys: Vec<String> = bucket.objects.lock().unwrap().keys().cloned().collect();
    assert_eq!(keys, [format!("/bucket/some/prefix/{}", action(1).key())]);

    // What is false is told once, and what a machine has compiled stays with it.
    let lie = object::encode(b"something else").unwrap();
    let lies = [b"junk".to_vec(), lie[..lie.len() - 1].to_vec()];
    for lie in lies {
        bucket.objects.lock().unwrap().values_mut().for_each(|object| *object = lie.clone().into());
        let three = bucket.machine(SECRET_KEY);
        assert_eq!(three.get(1).await, None);
        three.put(3, "compiled here").await;
        assert_eq!(three.get(3).await.as_deref(), Some("compiled here"));
        assert!(three.warnings()[0].contains("an object is not what it should be"), "{:?}", three.warnings());
    }

    // Whom the bucket doesn't know it gives nothing, and takes nothing from.
    let before = bucket.objects.lock().unwrap().clone();
    let stranger = bucket.machine("another");
    assert_eq!(stranger.get(1).await, None);
    stranger.put(1, "compiled here").await;
    assert_eq!(stranger.get(1).await.as_deref(), Some("compiled here"));
    assert_eq!(*bucket.objects.lock().unwrap(), before);
    assert_eq!(stranger.warnings().len(), 1);
    let said = stranger.warnings().concat();
    assert!(said.contains("s3://bucket/some/prefix") && !said.contains("another"), "{said}");

    bucket.task.abort();
    let late = bucket.machine(SECRET_KEY);
    for byte in 0..8 {
        assert_eq!(late.get(byte).await, None);
        late.put(byte, "compiled here").await;
    }
    assert_eq!(late.warnings().len(), 1, "{:?}", late.warnings());
}
