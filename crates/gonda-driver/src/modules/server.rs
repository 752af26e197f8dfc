//! The module proxy on loopback: HTTP around a [`ModuleStore`].

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::record::ProxyRecord;
use super::request::{Part, Request};
use super::store::{Answer, ModuleStore, ProxySettings, lock};
use super::upstream::Miss;
use crate::go_cache::{self, SharedGoCache};
use crate::{Error, Kind, Result};

/// Where a job's `go` asks for the standard library of the machine that builds, with POST ([`Beside::asked`]).
pub(crate) const STD: &str = "/std";

/// A `go` of a job waits for the standard library of the machine that builds; it is told whether that is there.
pub(crate) type Asked = oneshot::Sender<bool>;

/// What a job finds beside modules, at the same address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// A Go build cache that machines share, below [`go_cache::PREFIX`].
    pub(crate) go_cache: Option<Arc<SharedGoCache>>,
    /// Who answers those that ask at [`STD`].
    pub(crate) asked: Option<mpsc::Sender<Asked>>,
}

/// A module proxy; it stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    store: ModuleStore,
    beside: Beside,
    record: Arc<Mutex<ProxyRecord>>,
    /// One for each listener.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Proxy {
    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of GOPROXY for a job. With `direct`, which only an open network makes sense of, Go goes on with a module's
    /// own repository where the user's GOPROXY list would.
    #[must_use]
    pub fn goproxy(&self, direct: bool) -> String {
        if direct && self.store.ends_in_direct() { format!("{},direct", self.url()) } else { self.url() }
    }

    /// Where a job's helper finds the Go build cache that machines share, if there is one.
    pub(crate) fn go_cache_url(&self) -> Option<String> {
        self.beside.go_cache.as_ref().map(|_| format!("{}{}", self.url(), go_cache::PREFIX))
    }

    /// Answers on a listener that is bound to this proxy's address: in a network namespace, for example. Must be called
    /// within tokio's runtime, which answers in the background.
    ///
    /// # Errors
    ///
    /// When the listener can't be used.
    pub fn answer_on(&self, listener: TcpListener) -> Result<()> {
        listener.set_nonblocking(true).map_err(no_listener)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(no_listener)?;
        let served =
            Served { store: self.store.clone(), beside: self.beside.clone(), record: Arc::clone(&self.record) };
        let task = tokio::spawn(accept(listener, served));
        lock(&self.tasks).push(task);
        Ok(())
    }

    /// What was asked so far.
    #[must_use]
    pub fn record(&self) -> ProxyRecord {
        lock(&self.record).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for task in lock(&self.tasks).iter() {
            task.abort();
        }
    }
}

/// Opens a store and serves it; see [`ModuleStore::open`] and [`ModuleStore::serve`].
///
/// # Errors
///
/// As theirs.
pub async fn serve(settings: ProxySettings) -> Result<Proxy> {
    ModuleStore::open(settings)?.serve().await
}

impl ModuleStore {
    /// Serves the store to one job, on a free port of 127.0.0.1. Needs tokio's runtime, which answers in the background.
    ///
    /// # Errors
    ///
    /// When nothing can be bound.
    pub async fn serve(&self) -> Result<Proxy> {
        self.serve_with(Beside::default()).await
    }

    /// The same, with more at its address.
    #[allow(clippy::unused_async, reason = "a runtime must be there")]
    pub(crate) async fn serve_with(&self, beside: Beside) -> Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_listener)?;
        let proxy = self.proxy_at(listener.local_addr().map_err(no_listener)?, beside);
        proxy.answer_on(listener)?;
        Ok(proxy)
    }

    /// A proxy for one job that will be given its listeners ([`Proxy::answer_on`]).
    #[must_use]
    pub(crate) fn proxy_at(&self, address: SocketAddr, beside: Beside) -> Proxy {
        Proxy { address, store: self.clone(), beside, record: Arc::default(), tasks: Mutex::default() }
    }
}

fn no_listener(error: io::Error) -> Error {
    Error::new(Kind::Machine, "could not listen on loopback for gonda's module proxy").because(error)
}

/// What a proxy's connections share.
#[derive(Clone)]
struct Served {
    store: ModuleStore,
    beside: Beside,
    record: Arc<Mutex<ProxyRecord>>,
}

async fn accept(listener: tokio::net::TcpListener, served: Served) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, most likely: that passes.
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    continue;
                };
                let served = served.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let served = served.clone();
                        async move { Ok::<_, Infallible>(respond(request, &served).await) }
                    });
                    // A client that goes away is no concern of ours.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

type Body = BoxBody<Bytes, io::Error>;

async fn respond(request: hyper::Request<Incoming>, served: &Served) -> Response<Body> {
    let Served { store, beside, record } = served;
    if let (Some(go_cache), true) = (&beside.go_cache, request.uri().path().starts_with(go_cache::PREFIX)) {
        let response = go_cache::answer(request, go_cache::PREFIX, &**go_cache).await;
        return response.map(|body| body.map_err(|never| match never {}).boxed());
    }
    if let (Some(asked), STD, &Method::POST) = (&beside.asked, request.uri().path(), request.method()) {
        let (answer, answered) = oneshot::channel();
        let there = asked.send(answer).await.is_ok() && answered.await.unwrap_or(false);
        return plain(if there { StatusCode::OK } else { StatusCode::NOT_FOUND }, "the standard library");
    }
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "a module proxy is asked with GET");
    }
    let Some(wanted) = Request::parse(request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "not a request to a module proxy");
    };
    let kind = match &wanted {
        Request::Latest(_) | Request::Query(..) | Request::File(_, Part::Info) => "application/json",
        Request::File(_, Part::Zip) => "application/zip",
        _ => "text/plain; charset=utf-8",
    };
    match store.answer(&wanted, record).await {
        Ok(Answer::Bytes(bytes)) => with_type(Response::new(full(bytes)), kind),
        Ok(Answer::File(file)) => match send_file(&file).await {
            Ok(response) => with_type(response, kind),
            Err(error) => {
                plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("could not read the module store: {error}"))
            }
        },
        // Go shows the text of these answers below its own message.
        Err(Miss::NotFound(text)) => plain(StatusCode::NOT_FOUND, &text),
        Err(Miss::Failed(text)) => plain(StatusCode::BAD_GATEWAY, &text),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = with_type(Response::new(full(format!("{text}\n").into_bytes())), "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

fn with_type(mut response: Response<Body>, kind: &'static str) -> Response<Body> {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

async fn send_file(path: &std::path::Path) -> io::Result<Response<Body>> {
    let file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    let frames = stream::try_unfold(Box::pin(file), |mut file: Pin<Box<tokio::fs::File>>| async move {
        let mut buffer = vec![0; 128 * 1024];
        let length = file.read(&mut buffer).await?;
        buffer.truncate(length);
        Ok((length > 0).then(|| (Frame::data(Bytes::from(buffer)), file)))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}
