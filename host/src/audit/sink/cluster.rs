//! The record as an AgentRun object on an API server, which itself refuses to shorten or edit it.
//!
//! A write is one JSON patch of `/status` whose first operation replaces `/metadata/resourceVersion`: whoever works with an old state is answered 409. It holds
//! only what changed: appended entries, entries that got their outcome, other fields as a whole.
//!
//! # Guarantees
//!
//! * A write that returns Ok was answered 200, or was found on the API server with every nonce and hash.
//! * When somebody else wrote the status, every later write fails: this process no longer holds the run.
//! * Nothing is written twice: whatever is repeated bears the same precondition.
//!
//! # Assumptions
//!
//! * The client has no retry layer of its own.
//!
//! # Caveats
//!
//! * A change of labels or annotations alone (`kubectl annotate`) also moves the resourceVersion. It is looked at, found harmless, and the write is repeated.
//! * After an answer that got lost nobody knows whether the write arrived: the object is read, and what stands there decides. If even that cannot be read, the
//!   write has failed, and the next one begins with the question.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, header::ACCEPT};
use infraagent_api::AgentRun;
use kube::{
    Api, Resource as _,
    api::{GetParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, PartialObjectMeta, Request},
};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, sleep, timeout},
};
use tracing::Instrument as _;

use crate::telemetry::metrics::Metrics;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long the last write of a run is tried: it is the only one that no later one makes up for.
const LAST_WRITE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a write is repeated at once after a look at the object.
const REPEATS: u32 = 3;
/// The whole object is not wanted back.
const ONLY_METADATA: HeaderValue = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
/// Who writes, in the object's managed fields.
const MANAGER: &str = "infraagent";

/// The record as an AgentRun object.
#[derive(Debug)]
pub struct ClusterSink {
    target: Target,
    /// Held during a write, also when whoever asked for it has gone.
    known: Arc<Mutex<Known>>,
    metrics: Option<Metrics>,
}

#[derive(Clone)]
struct Target {
    client: kube::Client,
    namespace: String,
    name: String,
    uid: String,
}

/// What is known of the object.
#[derive(Debug)]
struct Known {
    resource_version: String,
    /// The status that stands there, as JSON: a run waits for its model for minutes, and a text takes a third of the room.
    status: Box<str>,
    /// What was sent with this resourceVersion and not answered: it may stand there, or still arrive.
    unanswered: Vec<Value>,
    /// The object must be looked at before anything is sent.
    unsure: bool,
    version: u64,
    lost: Option<String>,
}

/// Why a record on an API server could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote it, or it is gone.
    #[error("AgentRun `{run}` is no longer held by this run: {why}")]
    ClaimLost {
        /// Namespace and name.
        run: String,
        /// What was found.
        why: String,
    },
    /// The API server said no.
    #[error("AgentRun `{run}` could not be written: {message}")]
    Refused {
        /// Namespace and name.
        run: String,
        /// What it said.
        message: String,
    },
    /// The API server wants to be asked later.
    #[error("AgentRun `{run}` could not be written yet: {message}")]
    Busy {
        /// Namespace and name.
        run: String,
        /// What it said.
        message: String,
    },
    /// Nobody knows whether the write arrived.
    #[error("AgentRun `{run}` could not be written, and not be read afterwards: {message}")]
    Unanswered {
        /// Namespace and name.
        run: String,
        /// Why not.
        message: String,
    },
    /// The object could not be created.
    #[error("AgentRun `{run}` could not be created: {message}")]
    NotCreated {
        /// Namespace and name.
        run: String,
        /// Why, and what to do.
        message: String,
    },
}

/// How a request ended.
enum Sent {
    /// 200, and the new resourceVersion.
    Done(String),
    /// 409: the object is not as it was.
    Conflict,
    /// It is known that nothing happened.
    Refused { message: String, for_now: bool },
    /// Nobody knows.
    Unanswered(String),
}

/// Whose hand a look at the object shows.
enum Found {
    /// Nobody wrote its status but this run.
    Own,
    /// Somebody else did.
    Foreign(String),
}

impl ClusterSink {
    /// Creates the object: its order, no status. The answer is the object as the API server keeps it, with the uid that the chain of the record begins with.
    pub async fn create(client: kube::Client, run: &AgentRun) -> Result<(Self, AgentRun), Error> {
        let namespace = run.metadata.namespace.clone().unwrap_or_default();
        let shown = format!("{namespace}/{}", run.metadata.name.as_deref().unwrap_or_default());
        let failed = |message: String| Error::NotCreated { run: shown.clone(), message };
        let api = Api::<AgentRun>::namespaced(client.clone(), &namespace);
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let created = timeout(REQUEST, api.create(&parameters, run))
            .await
            .map_err(|_| failed("the API server did not answer: if the object exists now, delete it".to_owned()))?
            .map_err(|error| match error {
                kube::Error::Api(status) if status.code == 404 => {
                    failed(format!("{}: install the definitions with `infraagent crds | kubectl apply --server-side -f -`, or write a file with --record-to", status.message))
                }
                other => failed(message(&other)),
            })?;
        let (Some(name), Some(uid), Some(resource_version)) =
            (created.metadata.name.clone(), created.metadata.uid.clone(), created.metadata.resource_version.clone())
        else {
            return Err(failed("the API server answered with an object without name, uid or resourceVersion".to_owned()));
        };
        if created.spec != run.spec {
            return Err(failed("the API server keeps another order than was given: install the definitions of this version".to_owned()));
        }
        Ok((Self::holding(client, &namespace, &name, &uid, resource_version), created))
    }

    /// Takes an object that exists, as it stands now, if it still is the one with this uid. The answer is that object.
    pub async fn hold(client: kube::Client, namespace: &str, name: &str, uid: &str) -> Result<(Self, AgentRun), Error> {
        let shown = format!("{namespace}/{name}");
        let lost = |why: &str| Error::ClaimLost { run: shown.clone(), why: why.to_owned() };
        let unreadable = |message: String| Error::Unanswered { run: shown.clone(), message };
        let kind = kube::core::ApiResource::erase::<AgentRun>(&());
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind);
        let mut found = match timeout(REQUEST, api.get(name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Err(lost("it was deleted")),
            Ok(Err(error)) => return Err(unreadable(message(&error))),
            Err(_) => return Err(unreadable(format!("no answer within {} s", REQUEST.as_secs()))),
        };
        if found.metadata.uid.as_deref() != Some(uid) {
            return Err(lost("it was deleted, and created anew"));
        }
        // Who changed what when is no part of the record.
        found.metadata.managed_fields = None;
        let resource_version = found.metadata.resource_version.clone().unwrap_or_default();
        let status = found.data.get("status").cloned().unwrap_or(Value::Null);
        let run: AgentRun = serde_json::to_value(found).and_then(serde_json::from_value).map_err(|error| unreadable(error.to_string()))?;
        let sink = Self::holding(client, namespace, name, uid, resource_version);
        sink.known.lock().await.status = text(&status);
        Ok((sink, run))
    }

    /// Takes an object that exists as it was seen, and asks for nothing. Should it have changed since then, the first write finds that out: it bears the
    /// resourceVersion that was seen, and whoever wrote the status meanwhile has the run.
    pub fn hold_as_seen(client: kube::Client, run: &AgentRun) -> Result<Self, Error> {
        let known_as = |text: &Option<String>| text.clone().unwrap_or_default();
        let metadata = &run.metadata;
        let (namespace, name, uid) = (known_as(&metadata.namespace), known_as(&metadata.name), known_as(&metadata.uid));
        let target = Target { client, namespace, name, uid };
        let status = serde_json::to_value(&run.status).map_err(|error| target.refused(error.to_string()))?;
        let known = Known::new(known_as(&metadata.resource_version), &status);
        Ok(Self { target, known: Arc::new(Mutex::new(known)), metrics: None })
    }

    /// A sink for an object without status that exists.
    fn holding(client: kube::Client, namespace: &str, name: &str, uid: &str, resource_version: String) -> Self {
        let target = Target { client, namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() };
        Self { target, known: Arc::new(Mutex::new(Known::new(resource_version, &Value::Null))), metrics: None }
    }

    /// The same, and each write is counted.
    #[must_use]
    pub fn counted(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Namespace and name.
    pub fn shown(&self) -> String {
        self.target.shown()
    }

    /// Whether the run is still held by this process: an error if somebody else wrote its status, or if nobody can tell.
    pub(super) async fn held(&self) -> Result<(), super::Error> {
        let mut known = self.known.lock().await;
        if let Some(why) = &known.lost {
            return Err(self.target.lost(why).0.into());
        }
        match self.target.look(&mut known).await {
            Ok(Found::Own) => {
                known.unsure = false;
                Ok(())
            }
            Ok(Found::Foreign(why)) => Err(self.target.lose(&mut known, why).0.into()),
            Err(message) => Err(Error::Unanswered { run: self.shown(), message }.into()),
        }
    }

    /// Writes what is new. Not interrupted when the future is dropped.
    pub(super) async fn write(&self, version: u64, run: &AgentRun) -> Result<(), super::Error> {
        let status = serde_json::to_value(&run.status).map_err(|error| self.target.refused(error.to_string()))?;
        let last = run.status.as_ref().and_then(|status| status.phase).is_some_and(|phase| phase.is_terminal());
        let known = Arc::clone(&self.known).lock_owned().await;
        let target = self.target.clone();
        // A request on its way is seen to its end, whatever becomes of whoever asked: else nobody would know what stands there.
        let began = Instant::now();
        let written = tokio::spawn(async move { target.write(known, version, status, last).await }.in_current_span()).await?;
        if let Some(metrics) = &self.metrics {
            metrics.record_written(began.elapsed(), written.is_ok());
        }
        Ok(written?)
    }
}

/// As short as it can be kept.
fn text(status: &Value) -> Box<str> {
    status.to_string().into_boxed_str()
}

impl Known {
    fn new(resource_version: String, status: &Value) -> Self {
        Self { resource_version, status: text(status), unanswered: Vec::new(), unsure: false, version: 0, lost: None }
    }

    /// The status that stands there; null before the first write. It was JSON when it was kept.
    fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or_default()
    }

    /// The object has this status at this resourceVersion, so nothing that was sent with an older one can arrive any more.
    fn is_at(&mut self, resource_version: String, status: &Value) {
        (self.resource_version, self.status) = (resource_version, text(status));
        self.unanswered.clear();
    }
}

impl Target {
    async fn write(&self, mut known: OwnedMutexGuard<Known>, version: u64, status: Value, last: bool) -> Result<(), Error> {
        let known = &mut *known;
        if version <= known.version {
            return Ok(());
        }
        let until = Instant::now() + LAST_WRITE;
        loop {
            let ended = match &known.lost {
                Some(why) => Err(self.lost(why)),
                None => self.try_to_write(known, &status).await,
            };
            match ended {
                Ok(()) => {
                    known.version = version;
                    return Ok(());
                }
                Err((error, for_now)) if last && for_now && Instant::now() < until => {
                    tracing::warn!(%error, "the end of the record could not be written yet");
                    sleep(PAUSE).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// One write, and what belongs to it. The error says whether a later try could succeed.
    async fn try_to_write(&self, known: &mut Known, status: &Value) -> Result<(), (Error, bool)> {
        for _ in 0..REPEATS {
            if known.unsure {
                match self.look(known).await {
                    Ok(Found::Own) => known.unsure = false,
                    Ok(Found::Foreign(why)) => return Err(self.lose(known, why)),
                    Err(message) => return Err((Error::Unanswered { run: self.shown(), message }, true)),
                }
            }
            let operations = difference(&known.status(), status);
            if operations.is_empty() {
                return Ok(());
            }
            match self.send(&known.resource_version, operations).await {
                Sent::Done(resource_version) => {
                    known.is_at(resource_version, status);
                    return Ok(());
                }
                Sent::Refused { message, for_now: true } => return Err((Error::Busy { run: self.shown(), message }, true)),
                Sent::Refused { message, for_now: false } => return Err((Error::Refused { run: self.shown(), message }, false)),
                Sent::Conflict => known.unsure = true,
                Sent::Unanswered(message) => {
                    tracing::warn!(run = %self.shown(), message, "a write of the record was not answered");
                    known.unsure = true;
                    if !known.unanswered.contains(status) {
                        known.unanswered.push(status.clone());
                    }
                }
            }
        }
        Err((Error::Unanswered { run: self.shown(), message: "it changes all the time".to_owned() }, true))
    }

    async fn send(&self, resource_version: &str, operations: Vec<Value>) -> Sent {
        let precondition = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": resource_version });
        let all: Vec<Value> = std::iter::once(precondition).chain(operations).collect();
        let refused = |message: String| Sent::Refused { message, for_now: false };
        let patch = match serde_json::from_value(Value::Array(all)) {
            Ok(patch) => Patch::<()>::Json(patch),
            Err(error) => return refused(error.to_string()),
        };
        // A definition of an older version would drop fields in silence.
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }.validation_strict();
        let request = Request::new(AgentRun::url_path(&(), Some(&self.namespace)));
        let mut request = match request.patch_subresource("status", &self.name, &parameters, &patch) {
            Ok(request) => request,
            Err(error) => return refused(error.to_string()),
        };
        request.headers_mut().insert(ACCEPT, ONLY_METADATA);
        match timeout(REQUEST, self.client.request::<PartialObjectMeta<AgentRun>>(request)).await {
            Ok(Ok(answer)) => match answer.metadata.resource_version {
                Some(resource_version) => Sent::Done(resource_version),
                None => Sent::Unanswered("the answer has no resourceVersion".to_owned()),
            },
            Ok(Err(kube::Error::Api(status))) => match status.code {
                // A look says why.
                404 | 409 => Sent::Conflict,
                429 => Sent::Refused { message: status.message.clone(), for_now: true },
                400..500 => refused(status.message.clone()),
                // A time-out of the store may have written all the same.
                _ => Sent::Unanswered(status.message.clone()),
            },
            Ok(Err(error)) => Sent::Unanswered(message(&error)),
            Err(_) => Sent::Unanswered(format!("no answer within {} s", REQUEST.as_secs())),
        }
    }

    /// Reads the object and compares it, entry by entry with nonces and hashes, with what is known and with the writes that may have arrived. What is known is
    /// brought up to date.
    async fn look(&self, known: &mut Known) -> Result<Found, String> {
        let kind = kube::core::ApiResource::erase::<AgentRun>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let found = match timeout(REQUEST, api.get_with(&self.name, &GetParams::default())).await {
            Ok(Ok(found)) => found,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(Found::Foreign("it was deleted".to_owned())),
            Ok(Err(error)) => return Err(message(&error)),
            Err(_) => return Err(format!("no answer within {} s", REQUEST.as_secs())),
        };
        let Some(resource_version) = found.metadata.resource_version else { return Err("it has no resourceVersion".to_owned()) };
        if found.metadata.uid.as_deref() != Some(&self.uid) {
            return Ok(Found::Foreign("it was deleted, and created anew".to_owned()));
        }
        let status = found.data.get("status").unwrap_or(&Value::Null);
        if *status == known.status() {
            // What was sent with the same resourceVersion may still arrive; with an older one it cannot.
            if resource_version != known.resource_version {
                known.is_at(resource_version, status);
            }
            Ok(Found::Own)
        } else if known.unanswered.contains(status) {
            known.is_at(resource_version, status);
            Ok(Found::Own)
        } else {
            Ok(Found::Foreign("somebody else wrote its status".to_owned()))
        }
    }

    fn lose(&self, known: &mut Known, why: String) -> (Error, bool) {
        let error = self.lost(&why);
        known.lost = Some(why);
        error
    }

    fn lost(&self, why: &str) -> (Error, bool) {
        (Error::ClaimLost { run: self.shown(), why: why.to_owned() }, false)
    }

    fn refused(&self, message: String) -> Error {
        Error::Refused { run: self.shown(), message }
    }

    fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client: _, namespace, name, uid } = self;
        f.debug_struct("Target").field("namespace", namespace).field("name", name).field("uid", uid).finish_non_exhaustive()
    }
}

/// What the API server said, without the debug output that kube adds.
fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The operations that turn one status into the other. Lists that only grow are not sent anew.
fn difference(old: &Value, new: &Value) -> Vec<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return if old == new { Vec::new() } else { vec![json!({ "op": "add", "path": "/status", "value": new })] };
    };
    let mut operations = Vec::new();
    for (name, value) in new {
        match (old.get(name), value) {
            (Some(known), value) if known == value => {}
            (Some(Value::Array(known)), Value::Array(items)) if known.len() <= items.len() => {
                grown(&format!("/status/{name}"), known, items, &mut operations);
            }
            // `add` also replaces a member that is there.
            (Some(_) | None, value) => operations.push(json!({ "op": "add", "path": format!("/status/{name}"), "value": value })),
        }
    }
    operations.extend(gone(old, new).map(|name| json!({ "op": "remove", "path": format!("/status/{name}") })));
    operations
}

fn grown(path: &str, known: &[Value], items: &[Value], operations: &mut Vec<Value>) {
    for (index, item) in items.iter().enumerate() {
        match known.get(index) {
            Some(known) if known == item => {}
            Some(_) => operations.push(json!({ "op": "replace", "path": format!("{path}/{index}"), "value": item })),
            None => operations.push(json!({ "op": "add", "path": format!("{path}/-"), "value": item })),
        }
    }
}

fn gone<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> impl Iterator<Item = &'a String> {
    old.keys().filter(|name| !new.contains_key(*name))
}

#[cfg(test)]
mod live;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
