//! The hashes of a record, computed from its JSON: the journal that writes and the verifier that reads share these few functions.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::canonical::{self, Error};

/// Members of an entry that come with its outcome.
pub(crate) const OUTCOME: [&str; 5] = ["status", "reason", "result", "reads", "escalation"];
const INTENT_HASH: &str = "intentHash";
const OUTCOME_HASH: &str = "outcomeHash";
const LABEL: &str = "infraagent audit v1 ";

/// SHA-256 of the labelled text, which is given in parts.
pub(crate) fn hash(label: &str, text: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in [LABEL, label, "\n"].iter().chain(text) {
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize())
}

/// SHA-256 of plain bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&digest(bytes))
}

/// SHA-256 of plain bytes.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// In lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// What is signed for a head.
pub(crate) fn signed_text(head: &str) -> String {
    format!("{LABEL}head\n{head}")
}

/// The hash of the run's identity: where the chain starts.
pub(crate) fn run(document: &Value) -> Result<String, Error> {
    let metadata = &document["metadata"];
    let identity = json!({
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "spec": document["spec"],
    });
    Ok(hash("run", &[&canonical::text(&identity)?]))
}

/// The canonical text of an entry's intent.
pub(crate) fn intent_text(entry: &Map<String, Value>) -> Result<String, Error> {
    let is_intent = |name: &str| !OUTCOME.contains(&name) && name != INTENT_HASH && name != OUTCOME_HASH;
    canonical::object(entry.iter().filter(|(name, _)| is_intent(name)))
}

/// The canonical text of an entry's outcome.
pub(crate) fn outcome_text(entry: &Map<String, Value>) -> Result<String, Error> {
    canonical::object(entry.iter().filter(|(name, _)| OUTCOME.contains(&name.as_str())))
}

/// The intentHash that follows this one.
pub(crate) fn intent(previous: &str, text: &str) -> String {
    hash("intent", &[previous, "\n", text])
}

/// The outcomeHash of an entry.
pub(crate) fn outcome(intent_hash: &str, text: &str) -> String {
    hash("outcome", &[intent_hash, "\n", text])
}

/// Bytes of a sealed entry in canonical JSON, from the bytes of its two texts: one object instead of two, and both hashes.
pub(crate) fn sealed_len(intent_text: usize, outcome_text: usize) -> usize {
    const HASHES: usize = r#","intentHash":"","outcomeHash":"""#.len() + 2 * 64;
    (intent_text + outcome_text + HASHES).saturating_sub("}{".len()) + ",".len()
}

/// The hash of a closed run's head.
pub(crate) fn head(document: &Value) -> Result<String, Error> {
    let mut status = document["status"].as_object().cloned().unwrap_or_default();
    status.remove("head");
    let actions = status.remove("actions").unwrap_or_default();
    let entries: Vec<Value> = actions
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|entry| json!([entry[INTENT_HASH], entry[OUTCOME_HASH]]))
        .collect();
    Ok(hash("head", &[&canonical::text(&json!({"run": run(document)?, "entries": entries, "status": status}))?]))
}
