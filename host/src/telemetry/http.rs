//! The two small servers, each on a listener of its own: health for the kubelet, metrics for Prometheus.
//!
//! They answer GET and nothing else, take no body, and know nothing that an attacker in the cluster must not see: no text of the world is in a metric.
//! Plain HTTP: a NetworkPolicy says who may scrape.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use super::{
    health::{Answer, Health},
    metrics::{self, Metrics},
};

/// How long open connections may take after the end: somebody may hold one without asking anything.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves `/healthz` and `/readyz` until `shutdown`. 200 with one line per part, or 503 with what is wrong.
pub async fn serve_health(
    listener: TcpListener,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|State(health): State<Arc<Health>>| async move { told(health.alive()) }))
        .route("/readyz", get(|State(health): State<Arc<Health>>| async move { told(health.ready()) }))
        .with_state(health);
    serve(listener, router, shutdown).await
}

/// Serves `/metrics` in the text format of Prometheus until `shutdown`.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(|State(metrics): State<Metrics>| async move { text(&metrics) })).with_state(metrics);
    serve(listener, router, shutdown).await
}

fn told(Answer { good, text }: Answer) -> Response {
    (if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text).into_response()
}

fn text(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let (ended, mut is_over) = watch::channel(false);
    let signal = async move {
        shutdown.await;
        ended.send_replace(true);
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(signal);
    let farewell = async {
        // An error says that the server, which holds the other end, is gone already.
        let _ = is_over.wait_for(|over| *over).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        served = async { served.await } => served,
        () = farewell => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        sync::oneshot,
        task::JoinHandle,
    };

    use super::*;

    /// A server, and what ends it.
    struct Running {
        at: SocketAddr,
        stop: oneshot::Sender<()>,
        served: JoinHandle<io::Result<()>>,
    }

    async fn start<F: Future<Output = io::Result<()>> + Send + 'static>(
        serve: impl FnOnce(TcpListener, oneshot::Receiver<()>) -> F,
    ) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        Running { at, stop, served: tokio::spawn(serve(listener, stopped)) }
    }

    async fn ask(at: SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    async fn end(stopped: oneshot::Receiver<()>) {
        let _ = stopped.await;
    }

    #[tokio::test]
    async fn health_is_told_as_a_status_with_reasons() {
        let health = Health::new();
        let gate = health.gate("lease");
        let server = start({
            let health = Arc::clone(&health);
            move |listener, stopped| serve_health(listener, health, end(stopped))
        })
        .await;
        assert_eq!(ask(server.at, "GET /healthz").await.0, 200);
        let (status, text) = ask(server.at, "GET /readyz").await;
        assert!(status == 503 && text.contains("[-] lease failed: not yet"), "{text}");
        gate.open();
        assert_eq!(ask(server.at, "GET /readyz").await.0, 200);
        drop(health.task("dispatch", Duration::from_secs(60)));
        let (status, text) = ask(server.at, "GET /healthz").await;
        assert!(status == 503 && text.contains("[-] dispatch failed: ended"), "{text}");
        assert_eq!(ask(server.at, "POST /healthz").await.0, 405);
        assert_eq!(ask(server.at, "GET /metrics").await.0, 404, "metrics have a port of their own");
        server.stop.send(()).unwrap();
        server.served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn metrics_are_told_as_prometheus_reads_them() {
        let metrics = Metrics::new().unwrap();
        metrics.leads(true);
        let server = start({
            let metrics = metrics.clone();
            move |listener, stopped| serve_metrics(listener, metrics, end(stopped))
        })
        .await;
        let (status, text) = ask(server.at, "GET /metrics").await;
        assert!(
            status == 200 && text.contains("content-type: text/plain; version=0.0.4") && text.contains("\ninfraagent_leader 1\n"),
            "{text}"
        );
        metrics.leads(false);
        assert!(ask(server.at, "GET /metrics").await.1.contains("\ninfraagent_leader 0\n"));
        assert_eq!(ask(server.at, "GET /healthz").await.0, 404);
        server.stop.send(()).unwrap();
        server.served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_holds_a_connection_does_not_hold_the_process() {
        let server = start(|listener, stopped| serve_health(listener, Health::new(), end(stopped))).await;
        let mut half = TcpStream::connect(server.at).await.unwrap();
        half.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        assert_eq!(ask(server.at, "GET /healthz").await.0, 200, "others are answered meanwhile");
        server.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(60), server.served)
            .await
            .expect("it ends although a connection is open")
            .unwrap()
            .unwrap();
    }
}
