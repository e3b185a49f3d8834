//! The only way from the product to the API server, on which a test decides what becomes of each request.
//!
//! It speaks HTTP without TLS on loopback, so that it can see what it carries, and carries every header: who asks is still decided by the API server.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::body::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client,
    client::Body,
    config::{AuthInfo, Kubeconfig},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{ControlPlane, config_of};

/// What becomes of a request. Whatever is lost takes its connection with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does its answer.
    Arrive,
    /// It does not arrive.
    LoseRequest,
    /// It arrives; its answer does not.
    LoseAnswer,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub struct Passing {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Passing {
    /// Whether it carries out an intent: a change by an agent.
    pub fn is_effect(&self) -> bool {
        self.headers.contains_key("impersonate-extra-infraagent.io%2fintent")
    }

    /// Whether it writes the record of a run that exists.
    pub fn is_record(&self) -> bool {
        self.method == Method::PATCH && self.path.contains("/agentruns/") && self.path.contains("/status")
    }

    /// Whether it writes the intent of a change.
    pub fn is_intent(&self) -> bool {
        let has = |text: &str| self.body.windows(text.len()).any(|window| window == text.as_bytes());
        self.is_record() && has("\"objectVersion\"") && has("\"intended\"")
    }
}

type Judge = dyn Fn(Passing) -> BoxFuture<'static, Fate> + Send + Sync;

struct Shared {
    judge: Box<Judge>,
    client: Client,
    lost: AtomicU32,
}

/// A way to the API server. Nobody listens there any more when it is dropped.
pub struct Passage {
    kubeconfig: PathBuf,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

impl Passage {
    /// A way to the API server for whoever uses `kubeconfig`, whose credentials must be a token; `judge` is asked about every request.
    pub async fn open(
        plane: &ControlPlane,
        kubeconfig: &Path,
        judge: impl Fn(Passing) -> BoxFuture<'static, Fate> + Send + Sync + 'static,
    ) -> Self {
        let mut config = config_of(kubeconfig).await;
        // Whoever asks brings his credentials himself.
        config.auth_info = AuthInfo::default();
        config.default_retry = false;
        let client = Client::try_from(config).expect("a client");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");

        let mut behind = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let cluster = behind.clusters[0].cluster.as_mut().expect("a cluster");
        cluster.server = Some(format!("http://{address}"));
        cluster.certificate_authority_data = None;
        let path = plane.dir().join(format!("{}.kubeconfig", plane.unique("passage")));
        std::fs::write(&path, serde_json::to_vec(&behind).expect("JSON")).expect("the folder is writable");

        let shared = Arc::new(Shared { judge: Box::new(judge), client, lost: AtomicU32::new(0) });
        let carrier = Arc::clone(&shared);
        let listener = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&carrier)));
            }
        });
        Self { kubeconfig: path, shared, listener }
    }

    /// The kubeconfig that leads through here.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// How many requests or answers were lost so far.
    pub fn lost(&self) -> u32 {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage").field("kubeconfig", &self.kubeconfig).finish_non_exhaustive()
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| carry(request, Arc::clone(&shared)));
    // An error is how a connection is cut.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn carry(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, io::Error> {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), usize::MAX).await.map_err(io::Error::other)?;
    let passing = Passing { method: parts.method.clone(), path: parts.uri.to_string(), headers: parts.headers.clone(), body: body.clone() };
    let cut = || {
        shared.lost.fetch_add(1, Ordering::SeqCst);
        io::Error::from(io::ErrorKind::ConnectionAborted)
    };
    let fate = (shared.judge)(passing).await;
    if fate == Fate::LoseRequest {
        return Err(cut());
    }
    parts.headers.remove(header::HOST);
    let answer = shared.client.send(Request::from_parts(parts, Body::from(body.to_vec()))).await.map_err(io::Error::other)?;
    if fate == Fate::LoseAnswer {
        return Err(cut());
    }
    Ok(answer)
}
