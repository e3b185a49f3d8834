//! What of a record a receiver has not got yet: pure.

use infraagent_api::run::RunPhase;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::audit::chain;

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One entry.
    Entry,
    /// How the run ended.
    Head,
}

impl Kind {
    /// As items and metrics call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Head => "head",
        }
    }
}

/// A piece of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is about.
    pub kind: Kind,
    /// Namespace of the run.
    pub namespace: String,
    /// Name of the run.
    pub run: String,
    /// Its uid.
    pub run_uid: String,
    /// Name of the agent.
    pub agent: String,
    /// When it happened, as the record says.
    pub at: Option<Timestamp>,
    /// All of it, as one line of JSON.
    pub json: String,
}

/// How much of a run that is not over was sent. It is kept in memory only: whoever leads next sends the entries of such a run again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress(Vec<Sent>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sent {
    Intended,
    Sealed,
}

/// What is to be sent of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The items, in order.
    pub items: Vec<Item>,
    /// What was sent once these were.
    pub progress: Progress,
    /// The hash of its head if the run is over, empty if its record has none. Nothing follows then.
    pub head: Option<String>,
}

/// What a receiver has not got yet of an AgentRun, given as it stands on the API server.
///
/// # Errors
///
/// If it has no canonical form, which no record of this program's lacks.
pub fn pending(document: &Value, cluster: &str, known: &Progress) -> Result<Pending, super::super::Error> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, run, run_uid, agent) =
        (text("/metadata/namespace"), text("/metadata/name"), text("/metadata/uid"), text("/spec/agentRef"));
    let item = |kind: Kind, at: Option<&Value>, more: Value| {
        let at = at.and_then(Value::as_str).and_then(|at| at.parse().ok());
        let mut whole = json!({
            "version": 1, "kind": kind.as_str(), "cluster": cluster, "namespace": namespace, "run": run, "runUid": run_uid, "agent": agent,
        });
        if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), more) {
            let named = [("agentUid", "/spec/agentUid"), ("sequence", "/status/sequence")];
            let named = named.into_iter().filter_map(|(name, pointer)| Some((name.to_owned(), document.pointer(pointer)?.clone())));
            whole.extend(named);
            whole.extend(more);
        }
        let (namespace, run, run_uid, agent) = (namespace.clone(), run.clone(), run_uid.clone(), agent.clone());
        Item { kind, namespace, run, run_uid, agent, at, json: whole.to_string() }
    };
    let entries = document.pointer("/status/actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (mut items, mut progress) = (Vec::new(), Vec::with_capacity(entries.len()));
    let mut follows = None;
    for (seq, entry) in entries.iter().enumerate() {
        let state = if entry.get("outcomeHash").is_some() { Sent::Sealed } else { Sent::Intended };
        if known.0.get(seq).is_none_or(|sent| *sent < state) {
            let before = match &follows {
                Some(Value::String(before)) => before.clone(),
                Some(_) => String::new(),
                None => chain::run(document).map_err(super::super::Error::Canonical)?,
            };
            items.push(item(Kind::Entry, entry.get("timestamp"), json!({ "seq": seq, "follows": before, "entry": entry })));
        }
        progress.push(state);
        follows = Some(entry.get("intentHash").cloned().unwrap_or_default());
    }
    let phase = document.pointer("/status/phase").cloned().and_then(|phase| serde_json::from_value::<RunPhase>(phase).ok());
    let head = phase.is_some_and(RunPhase::is_terminal).then(|| text("/status/head/hash"));
    if head.is_some() {
        let head = document.pointer("/status/head").cloned().unwrap_or_default();
        items.push(item(
            Kind::Head,
            document.pointer("/status/completionTime"),
            json!({ "entries": entries.len(), "head": head, "record": without_entries(document) }),
        ));
    }
    Ok(Pending { items, progress: Progress(progress), head })
}

/// What hashes are made of, but the entries.
fn without_entries(document: &Value) -> Value {
    let mut metadata = Map::new();
    for name in ["name", "namespace", "uid", "creationTimestamp"] {
        if let Some(value) = document["metadata"].get(name) {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    let mut record = Map::new();
    record.insert("metadata".to_owned(), metadata.into());
    for name in ["apiVersion", "kind", "spec", "status"] {
        if let Some(value) = document.get(name) {
            record.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(status) = record.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("actions");
    }
    record.into()
}
