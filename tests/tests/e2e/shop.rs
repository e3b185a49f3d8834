//! An endpoint of an environment: it answers what it is told to, repeats the credential that it was given, and remembers who asked.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Response, Uri},
};
use tokio::task::JoinHandle;

/// A server on loopback. It ends when it is dropped.
pub(crate) struct Shop {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Stock {
    /// Stands in every answer, in a header and in the body.
    says: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Shop {
    pub(crate) async fn open(says: &str) -> Self {
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let stock = Stock { says: says.to_owned(), asked: Arc::clone(&asked) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(stock);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, asked, server }
    }

    /// Method and path of every request.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(Stock { says, asked }): State<Stock>, method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    asked.lock().unwrap().push((method.to_string(), uri.to_string()));
    let credential = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = if uri.path().contains("wrong") { 500 } else { 200 };
    let body = format!("harmless-body {says} harmless-end\nyou are `{credential}`\n");
    Response::builder().status(status).header("etag", format!("harmless-header {says} harmless-end")).body(Body::from(body)).unwrap()
}
