//! One object on an API server that can be told to misbehave: the order of its doings is the point, its rules are tested on a real one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, patch},
};
use serde_json::{Value, json};

use super::ClusterSink;

pub(super) const UID: &str = "run-1";

/// What happens to the next request for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It does not arrive, and there is no answer.
    RequestLost,
    /// It arrives only after the next look at the object. Its own answer is lost.
    Late,
    /// It arrives, and so does the answer, after a while.
    Slow,
    /// Somebody else has written the status before it arrives.
    Foreign,
    /// Somebody has annotated the object before it arrives.
    Annotated,
    /// Somebody has deleted the object, and created another one.
    Recreated,
    /// Not now.
    TooMany,
    /// Never.
    Forbidden,
}

#[derive(Debug, Default)]
pub(super) struct Object {
    value: Value,
    next: VecDeque<Scenario>,
    late: Option<Value>,
    /// Whether looks are answered.
    pub(super) deaf: bool,
    /// Every patch that was asked for.
    pub(super) patches: Vec<Vec<Value>>,
    looks: usize,
}

pub(super) struct Server {
    object: Arc<Mutex<Object>>,
    pub(super) sink: ClusterSink,
    url: String,
}

type Shared = State<Arc<Mutex<Object>>>;

impl Server {
    pub(super) async fn start() -> Self {
        let run = super::super::super::tests::support::run(UID);
        let mut value = serde_json::to_value(&run).unwrap();
        value["metadata"]["resourceVersion"] = json!("1");
        value.as_object_mut().unwrap().remove("status");
        let object = Arc::new(Mutex::new(Object { value, ..Object::default() }));
        let base = "/apis/core.infraagent.io/v1alpha1/namespaces/agents/agentruns/web-watch-1";
        let router = Router::new().route(base, get(look)).route(&format!("{base}/status"), patch(write)).with_state(Arc::clone(&object));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let sink = connect(&url);
        Self { object, sink, url }
    }

    /// Another holder of the same object, as it was at the beginning.
    pub(super) fn another(&self) -> ClusterSink {
        connect(&self.url)
    }

    /// Somebody else writes the status.
    pub(super) fn put_status(&self, status: Value) {
        let mut object = self.object();
        object.value["status"] = status;
        object.bump();
    }

    /// Somebody annotates the object.
    pub(super) fn annotate(&self) {
        let mut object = self.object();
        object.value["metadata"]["annotations"]["note"] = json!("seen");
        object.bump();
    }

    pub(super) fn client(&self) -> kube::Client {
        client(&self.url)
    }

    pub(super) fn object(&self) -> MutexGuard<'_, Object> {
        self.object.lock().unwrap()
    }

    /// What happens to the next writes.
    pub(super) fn next(&self, scenarios: &[Scenario]) {
        self.object().next.extend(scenarios);
    }

    /// How many patches were asked for, and how often the object was read.
    pub(super) fn counts(&self) -> (usize, usize) {
        let object = self.object();
        (object.patches.len(), object.looks)
    }

    pub(super) fn value(&self) -> Value {
        self.object().value.clone()
    }
}

fn client(url: &str) -> kube::Client {
    let mut config = kube::Config::new(url.parse().unwrap());
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

fn connect(url: &str) -> ClusterSink {
    ClusterSink::holding(client(url), "agents", "web-watch-1", UID, "1".to_owned())
}

impl Object {
    fn version(&self) -> u64 {
        self.value["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }

    fn bump(&mut self) {
        self.value["metadata"]["resourceVersion"] = json!((self.version() + 1).to_string());
    }

    /// As the API server does: the patch is applied to what is there, then the version that came out of it is compared with the one that is there.
    fn apply(&mut self, body: &Value) -> Result<(), (u16, String)> {
        let patch: json_patch::Patch = serde_json::from_value(body.clone()).unwrap();
        let mut changed = self.value.clone();
        json_patch::patch(&mut changed, &patch).map_err(|error| (422, error.to_string()))?;
        if changed["metadata"]["resourceVersion"] != self.value["metadata"]["resourceVersion"] {
            return Err((409, "the object has been modified".to_owned()));
        }
        self.value = changed;
        self.bump();
        Ok(())
    }

    fn answer(&self) -> Response {
        Json(json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": self.value["metadata"]})).into_response()
    }
}

fn status(code: u16, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Test", "code": code});
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

async fn look(State(object): Shared) -> Response {
    let mut object = object.lock().unwrap();
    object.looks += 1;
    if object.deaf {
        return status(503, "nobody is there");
    }
    let answer = Json(object.value.clone()).into_response();
    if let Some(late) = object.late.take() {
        object.apply(&late).unwrap();
    }
    answer
}

async fn write(State(object): Shared, Json(body): Json<Value>) -> Response {
    let scenario = {
        let mut object = object.lock().unwrap();
        object.patches.push(body.as_array().unwrap().clone());
        object.next.pop_front()
    };
    if scenario == Some(Scenario::Slow) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut object = object.lock().unwrap();
    match scenario {
        Some(Scenario::AnswerLost) => {
            let (code, message) = object.apply(&body).err().unwrap_or((504, "the store did not answer in time".to_owned()));
            return status(code, &message);
        }
        Some(Scenario::RequestLost) => return status(504, "the store did not answer in time"),
        Some(Scenario::Late) => {
            object.late = Some(body);
            return status(504, "the store did not answer in time");
        }
        Some(Scenario::TooMany) => return status(429, "too many requests"),
        Some(Scenario::Forbidden) => return status(403, "you may not"),
        Some(Scenario::Foreign) => {
            object.value["status"]["phase"] = json!("Failed");
            object.bump();
        }
        Some(Scenario::Annotated) => {
            object.value["metadata"]["annotations"] = json!({"note": "seen"});
            object.bump();
        }
        Some(Scenario::Recreated) => {
            object.value["metadata"]["uid"] = json!("another");
            object.bump();
        }
        Some(Scenario::Slow) | None => {}
    }
    match object.apply(&body) {
        Ok(()) => object.answer(),
        Err((code, message)) => status(code, &message),
    }
}
