//! What a real API server says too seldom to be waited for, from one that says it at once: logs of running containers, and every way to fail.

use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use futures::stream;
use infraagent_guard::call::{Get, Logs, Select, Workload::Deployment};
use serde_json::json;

use super::*;
use crate::{
    audit::MutationOutcome,
    broker::{
        kubernetes::{Access, EFFECT_TIMEOUT, Identity, Kubernetes, MAX_ANSWER},
        suite::reads::object,
    },
};

type Answers = dyn Fn(&Method, &str) -> Option<Response> + Send + Sync;

/// An API server that has a Deployment `web` and its pod, and says what a test wants it to say.
struct Mock {
    kubernetes: Kubernetes,
    seen: Arc<Mutex<Vec<(Method, String)>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Mock {
    async fn new(answers: impl Fn(&Method, &str) -> Option<Response> + Send + Sync + 'static) -> Self {
        let (seen, answers): (_, Arc<Answers>) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answers));
        let record = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let (method, uri) = (request.method().clone(), request.uri().to_string());
            record.lock().unwrap().push((method.clone(), uri.clone()));
            let answer = answers(&method, &uri).unwrap_or_else(|| usual(&uri));
            std::future::ready(answer)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let scope = Scope { cluster: "mock".to_owned(), run: "run-1".to_owned(), environment: "env-1".to_owned() };
        let identity = Identity { namespace: ns("shop"), service_account: named("agent"), run: named("run-1") };
        let access = Access::connect(&config).unwrap();
        Self { kubernetes: Kubernetes::new(&access, scope, identity, EFFECT_TIMEOUT).unwrap(), seen, server }
    }

    /// The requests that were made with this method.
    fn requests(&self, method: &Method) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|(seen, _)| seen == method).map(|(_, uri)| uri.clone()).collect()
    }

    async fn restart(&self) -> Result<Receipt, CallError> {
        let permit = Bench::new(&self.kubernetes).forced(restart(Deployment, "web")).await;
        self.kubernetes.try_change(&permit, 1).await
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Cluster for Kubernetes {
    fn scope(&self) -> Scope {
        self.scope().clone()
    }

    fn shop(&self) -> &str {
        "shop"
    }

    fn here(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn gather<P: Preconditions>(&self, context: &Context<'_, P>, screened: &Screened) -> Option<Facts> {
        self.facts(context, screened).await
    }

    async fn execute_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.try_read(permit).await
    }

    async fn execute(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError> {
        self.try_change(permit, seq).await
    }
}

fn answer(value: Value) -> Response {
    (StatusCode::OK, [("content-type", "application/json")], value.to_string()).into_response()
}

fn status(code: u16, message: &str, retry: u32) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code,
        "details": {"retryAfterSeconds": retry},
    });
    (StatusCode::from_u16(code).unwrap(), [("content-type", "application/json"), ("retry-after", "1")], body.to_string()).into_response()
}

fn usual(uri: &str) -> Response {
    let group = |name: &str, plural: &str, kind: &str| {
        json!({"metadata": {"name": name}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
            {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["get", "list", "patch"]},
        ]}]})
    };
    let discovery = |group: Value| json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [group]});
    let metadata = |name: &str| json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "5"});
    answer(match uri.split('?').next().unwrap() {
        "/api" => discovery(group("", "pods", "Pod")),
        "/apis" => discovery(group("apps", "deployments", "Deployment")),
        "/api/v1/namespaces/shop/serviceaccounts/agent" => json!({"kind": "ServiceAccount", "metadata": metadata("agent")}),
        "/apis/apps/v1/namespaces/shop/deployments/web" => {
            json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata("web")})
        }
        "/api/v1/namespaces/shop/pods/web-1" => json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": metadata("web-1"),
            "spec": {"containers": [{"name": "main"}, {"name": "side"}]},
            "status": {"containerStatuses": [{"name": "main", "restartCount": 3}, {"name": "side", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]},
        }),
        other => return status(404, &format!("{other} is not here"), 0),
    })
}

fn logs(container: Option<&str>, tail_lines: u32) -> Logs {
    let container = container.map(|name| infraagent_guard::name::Container::parse(name).unwrap());
    Logs { namespace: ns("shop"), pod: named("web-1"), container, tail_lines, since_seconds: None, previous: false }
}

#[tokio::test]
async fn a_log_is_the_last_lines_within_the_bytes() {
    let lines: String = (1..=5000).map(|line| format!("line {line} {}\n", "x".repeat(200))).collect();
    let mock = Mock::new(move |_, uri| {
        let tail = uri.split("tailLines=").nth(1)?.split('&').next()?.parse::<usize>().unwrap();
        let all: Vec<&str> = lines.lines().collect();
        Some((StatusCode::OK, all[all.len() - tail..].join("\n") + "\n").into_response())
    })
    .await;
    let bench = Bench::new(&mock.kubernetes);
    let Ok(Answer::Text(text, cut)) = bench.read("read", Read::Logs(logs(None, 3))).await else { panic!() };
    assert_eq!((text.lines().count(), cut, text.starts_with("line 4998 "), text.ends_with("x\n")), (3, true, true, true));
    let Ok(Answer::Text(text, cut)) = bench.read("read", Read::Logs(logs(None, 2000))).await else { panic!() };
    assert!(text.len() <= 256 << 10 && text.len() > 255 << 10 && cut, "{}", text.len());
    assert!(text.lines().last().unwrap().starts_with("line 5000 "), "the newest lines are kept");
    let asked = mock.requests(&Method::GET).into_iter().find(|uri| uri.contains("/log")).unwrap();
    assert_eq!(asked, "/api/v1/namespaces/shop/pods/web-1/log?container=main&tailLines=4&limitBytes=16777216");
}

#[tokio::test]
async fn a_log_that_is_shorter_than_asked_for_is_whole_and_one_that_is_not_there_says_why() {
    let mock = Mock::new(|_, uri| {
        let path = uri.split('?').next()?;
        match (path.ends_with("/log"), uri.contains("container=side"), uri.contains("previous=true")) {
            (true, false, false) => Some((StatusCode::OK, "one\ntwo\n").into_response()),
            (true, _, _) => Some(status(400, "the API server's words", 0)),
            (false, _, _) => None,
        }
    })
    .await;
    let bench = Bench::new(&mock.kubernetes);
    assert_eq!(bench.read("read", Read::Logs(logs(None, 2))).await, Ok(Answer::Text("one\ntwo\n".to_owned(), false)));
    let invalid = async |logs: Logs| match bench.read("read", Read::Logs(logs)).await {
        Err(CallError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(invalid(logs(Some("side"), 2)).await, "container `side` in pod `web-1` is waiting to start: ContainerCreating");
    assert_eq!(
        invalid(Logs { previous: true, ..logs(None, 2) }).await,
        "previous terminated container `main` in pod `web-1` was not found"
    );
    assert_eq!(invalid(logs(Some("other"), 2)).await, "`web-1` has no container `other`, only `main`, `side`");
    let seconds = Logs { since_seconds: Some(60), ..logs(None, 2) };
    bench.read("read", Read::Logs(seconds)).await.unwrap();
    assert!(mock.requests(&Method::GET).iter().any(|uri| uri.contains("sinceSeconds=60")));
}

#[tokio::test]
async fn whatever_the_api_server_says_to_a_change_it_is_asked_once() {
    for (code, failed) in [
        (400, true),
        (403, true),
        (404, true),
        (409, true),
        (413, true),
        (422, true),
        (429, true),
        (500, false),
        (502, false),
        (503, false),
        (504, false),
    ] {
        let mock = Mock::new(move |method, _| (method == Method::PATCH).then(|| status(code, "no", 3))).await;
        let outcome = mock.restart().await;
        assert_eq!(mock.requests(&Method::PATCH).len(), 1, "{code}");
        match (code, &outcome) {
            (400 | 413 | 422, Err(CallError::Invalid(_)))
            | (403, Err(CallError::Denied { .. }))
            | (404, Err(CallError::NotFound(_)))
            | (409, Err(CallError::Conflict(_)))
            | (429, Err(CallError::Unavailable { message: _, retry_after_ms: Some(3000) }))
            | (504, Err(CallError::Timeout))
            | (500 | 502 | 503, Err(CallError::Internal(_))) => {}
            other => panic!("{other:?}"),
        }
        // After a server's own error nobody knows.
        assert_eq!(matches!(MutationOutcome::of(&outcome), MutationOutcome::Failed { .. }), failed, "{code}");
        assert_eq!(matches!(MutationOutcome::of(&outcome), MutationOutcome::Unknown { .. }), !failed, "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_object_leaves_an_unknown_outcome() {
    let mock = Mock::new(|method, _| (method == Method::PATCH).then(|| (StatusCode::OK, "<html>").into_response())).await;
    assert!(matches!(mock.restart().await, Err(CallError::Internal(_))));
    assert_eq!(mock.requests(&Method::PATCH).len(), 1);
}

#[tokio::test]
async fn a_change_carries_what_was_observed_and_who_asks() {
    let mock = Mock::new(|method, _| (method == Method::PATCH).then(|| answer(json!({"metadata": {"resourceVersion": "6"}})))).await;
    assert_eq!(mock.restart().await, Ok(Receipt { audit_seq: 1, changed: true, resource_version: Some("6".to_owned()) }));
    let asked = mock.requests(&Method::PATCH);
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    let (path, rest) = asked.split_once("?timeout=").unwrap();
    let (patience, rest) = rest.split_once("ms").unwrap();
    assert_eq!((path, rest), ("/apis/apps/v1/namespaces/shop/deployments/web", "&fieldManager=infraagent"));
    let patience = std::time::Duration::from_millis(patience.parse().unwrap());
    assert!(patience > std::time::Duration::ZERO && patience < EFFECT_TIMEOUT, "the API server gives up first");
}

/// An answer that never ends, and counts what is taken of it.
fn endless(taken: &Arc<AtomicUsize>) -> Response {
    let (taken, chunk) = (Arc::clone(taken), Bytes::from(vec![b' '; 1 << 20]));
    let chunks = stream::repeat_with(move || {
        taken.fetch_add(chunk.len(), Ordering::SeqCst);
        Ok::<_, Infallible>(chunk.clone())
    });
    Body::from_stream(chunks).into_response()
}

#[tokio::test]
async fn an_answer_without_end_is_read_up_to_the_cap_and_then_given_up() {
    for part in ["/apis", "/pods/web-1", "PATCH"] {
        let taken = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&taken);
        let mock = Mock::new(move |method, uri| {
            let is_it = method.as_str() == part || (method == Method::GET && uri.split('?').next().unwrap().ends_with(part));
            is_it.then(|| endless(&count))
        })
        .await;
        let pod = Get { object: object("pods", Some("shop"), "web-1"), select: Select::default() };
        if part == "PATCH" {
            let outcome = mock.restart().await;
            assert!(matches!(MutationOutcome::of(&outcome), MutationOutcome::Unknown { .. }), "nobody knows: {outcome:?}");
        } else {
            let outcome = Bench::new(&mock.kubernetes).read("read", Read::Get(pod)).await;
            assert!(matches!(&outcome, Err(CallError::Unavailable { message, .. }) if message.contains("too much")), "{part}: {outcome:?}");
        }
        // What is on the way in buffers comes on top.
        let taken = taken.load(Ordering::SeqCst);
        assert!((MAX_ANSWER..MAX_ANSWER + (32 << 20)).contains(&taken), "{part}: {taken}");
    }
    // Neighbour: large, and below the cap.
    let note = "x".repeat(4 << 20);
    let large = json!({"metadata": {"resourceVersion": "6", "annotations": {"note": note}}});
    let mock = Mock::new(move |method, _| (method == Method::PATCH).then(|| answer(large.clone()))).await;
    assert!(mock.restart().await.unwrap().changed);
}
