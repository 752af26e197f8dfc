//! HTTP around a store: for a job's helper, at the address of its module proxy, and for other machines (`gonda gocache
//! serve`).
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/<action>` | 200 and the object, or 404 |
//! | `PUT /v1/<action>` | 204; 400 for what is no object |

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::folder::Folder;
use super::{Action, object};
use crate::files::blocking;
use crate::{Error, Kind, Result};

/// Below which a job's proxy has its Go build cache. No module's path begins so, for it has no dot.
pub(crate) const PREFIX: &str = "/gocache";
/// How long a client may take for the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// What answers: objects by their actions. What fails is a miss.
pub(crate) trait Backend: Send + Sync {
    /// An object that was checked.
    fn get(&self, action: &Action) -> impl Future<Output = Option<Vec<u8>>> + Send;
    /// Keeps an object that was checked.
    fn put(&self, action: &Action, bytes: Vec<u8>) -> impl Future<Output = Result<()>> + Send;
}

impl Backend for Folder {
    async fn get(&self, action: &Action) -> Option<Vec<u8>> {
        let (folder, action) = (self.clone(), action.clone());
        blocking(move || Ok(folder.read(&action))).await.ok().flatten()
    }

    async fn put(&self, action: &Action, bytes: Vec<u8>) -> Result<()> {
        let (folder, action) = (self.clone(), action.clone());
        blocking(move || folder.keep(&action, &bytes)).await
    }
}

/// Where `gonda gocache serve` keeps objects unless it is told.
#[must_use]
pub fn default_folder(cache_root: &Path) -> PathBuf {
    cache_root.join("gostore").join("served")
}

/// Serves a folder as a Go build cache, for as long as the future is polled.
///
/// # Errors
/// When the folder can't be made, or the listener can't be used.
pub async fn serve(folder: PathBuf, listener: std::net::TcpListener) -> Result<()> {
    fs_err::create_dir_all(&folder)?;
    let failed = |error| Error::new(Kind::Machine, "could not listen").because(error);
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let folder = Arc::new(Folder::new(folder));
    // Dropped with this future, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, most likely: that passes.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let folder = Arc::clone(&folder);
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let folder = Arc::clone(&folder);
                        async move { Ok::<_, Infallible>(answer(request, "", &*folder).await) }
                    });
                    let mut server = hyper::server::conn::http1::Builder::new();
                    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
                    // A client that goes away is no concern of ours.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers a request whose path begins with `prefix`.
pub(crate) async fn answer(request: Request<Incoming>, prefix: &str, backend: &impl Backend) -> Response<Full<Bytes>> {
    let path = request.uri().path().strip_prefix(prefix);
    let path = path.and_then(|path| path.strip_prefix('/')?.strip_prefix(object::VERSION)?.strip_prefix('/'));
    let Some(action) = path.and_then(Action::parse) else { return status(StatusCode::NOT_FOUND) };
    match *request.method() {
        Method::GET => match backend.get(&action).await {
            Some(bytes) => Response::new(Full::new(bytes.into())),
            None => status(StatusCode::NOT_FOUND),
        },
        Method::PUT => {
            let Ok(body) = Limited::new(request.into_body(), object::LARGEST).collect().await else {
                return status(StatusCode::PAYLOAD_TOO_LARGE);
            };
            let bytes = body.to_bytes().to_vec();
            let checked = blocking(move || Ok(object::check(&bytes).map(|_| bytes))).await;
            let Ok(Ok(bytes)) = checked else { return status(StatusCode::BAD_REQUEST) };
            match backend.put(&action, bytes).await {
                Ok(()) => status(StatusCode::NO_CONTENT),
                Err(_) => status(StatusCode::INSUFFICIENT_STORAGE),
            }
        }
        _ => {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, PUT"));
            response
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
