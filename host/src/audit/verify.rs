//! The verifier: recomputes everything from the document alone, and says what it checked and never more.
//!
//! | word | says |
//! |---|---|
//! | consistent | every hash of the chain, `seq` and, in a closed record, the head follow from the content |
//! | authentic | and the head is signed by the given key |
//! | complete | and the record is closed and its head is the one that was expected |

use infraagent_api::run::RunPhase;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    bound, canonical,
    chain::{self, OUTCOME},
    document::Document,
    key::PublicKey,
};

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "answer", content = "why")]
pub enum Answer {
    /// It holds, and this was checked.
    Yes(String),
    /// It does not hold.
    No(String),
    /// It was not checked.
    NotChecked(String),
}

impl Answer {
    /// Whether it does not hold.
    pub fn is_no(&self) -> bool {
        match self {
            Self::No(_) => true,
            Self::Yes(_) | Self::NotChecked(_) => false,
        }
    }
}

/// The first entry that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadEntry {
    /// Its position.
    pub seq: usize,
    /// What differs.
    pub what: String,
}

/// What the verifier found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many entries there are.
    pub entries: usize,
    /// Entries without outcome.
    pub open: Vec<usize>,
    /// The phase is final and there is a head.
    pub closed: bool,
    /// The head that follows from the content of a closed record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Chain and seq.
    pub consistent: Answer,
    /// Signature.
    pub authentic: Answer,
    /// Closed, and the expected head.
    pub complete: Answer,
    /// The first bad entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<BadEntry>,
    /// What no look at this document alone can tell.
    pub never_checked: Vec<String>,
}

impl Report {
    /// Whether anything that was checked does not hold.
    pub fn refuted(&self) -> bool {
        [&self.consistent, &self.authentic, &self.complete].into_iter().any(Answer::is_no)
    }
}

/// Verifies a record. Without `key` the signature is not checked, without `head` completeness is not.
pub fn verify(document: &Document, key: Option<&PublicKey>, head: Option<&str>) -> Report {
    let status = document.value.get("status").unwrap_or(&Value::Null);
    let entries = status.get("actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let open: Vec<usize> = (0..).zip(entries).filter(|(_, entry)| entry.get("outcomeHash").is_none()).map(|(seq, _)| seq).collect();
    let phase = document.run.status.as_ref().and_then(|status| status.phase);
    let ended = phase.is_some_and(RunPhase::is_terminal);
    let closed = ended && status.get("head").is_some();

    let first_bad = first_bad(document, entries);
    let computed = if closed { chain::head(&document.value).ok() } else { None };
    let consistent = match &first_bad {
        Some(BadEntry { seq, what }) => Answer::No(format!("entry {seq}: {what}")),
        None => around(document, entries, &open, ended, computed.as_deref()),
    };
    let authentic = authentic(document, key, &consistent, computed.as_deref());
    let complete = complete(head, &consistent, &open, phase, computed.as_deref());
    Report {
        entries: entries.len(),
        open,
        closed,
        head: computed,
        consistent,
        authentic,
        complete,
        first_bad,
        never_checked: vec![
            "that no later run of this agent was removed: compare with a copy that was kept elsewhere".to_owned(),
            "labels, annotations and other metadata beside name, namespace and uid".to_owned(),
        ],
    }
}

fn first_bad(document: &Document, entries: &[Value]) -> Option<BadEntry> {
    let mut previous = match chain::run(&document.value) {
        Ok(hash) => hash,
        Err(error) => return Some(BadEntry { seq: 0, what: format!("the run's identity has no canonical form: {error}") }),
    };
    for (seq, entry) in entries.iter().enumerate() {
        match Value::as_object(entry).map(|entry| (check(seq, entry, &previous), entry)) {
            Some((Ok(hash), _)) => previous = hash,
            Some((Err(what), _)) => return Some(BadEntry { seq, what }),
            None => return Some(BadEntry { seq, what: "it is not an object".to_owned() }),
        }
    }
    None
}

/// Recomputes one entry. Returns its intentHash.
fn check(seq: usize, entry: &Map<String, Value>, previous: &str) -> Result<String, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let stated = entry.get("seq").and_then(Value::as_u64);
    if stated != u64::try_from(seq).ok() {
        let stated = stated.map_or_else(|| "no number".to_owned(), |stated| stated.to_string());
        return Err(format!("its seq is {stated}: entries were dropped, added or put in another order"));
    }
    let intent = chain::intent(previous, &chain::intent_text(entry).map_err(canonical_error)?);
    if text("intentHash") != Some(&intent) {
        return Err(
            "its intent (who, what, when, decided how) is not what intentHash was made of, or it does not follow the entry before it"
                .to_owned(),
        );
    }
    match text("outcomeHash") {
        None => {
            let extra: Vec<&str> = OUTCOME.into_iter().filter(|name| *name != "status" && entry.contains_key(*name)).collect();
            if text("status") != Some("intended") {
                return Err("it has an outcome without outcomeHash".to_owned());
            }
            if !extra.is_empty() {
                return Err(format!("it is intended but already has {}", extra.join(", ")));
            }
        }
        Some(_) if text("status") == Some("intended") => return Err("it has an outcomeHash but is said to be only intended".to_owned()),
        Some(stated) => {
            if stated != chain::outcome(&intent, &chain::outcome_text(entry).map_err(canonical_error)?) {
                return Err("its outcome (status, reason, result, reads, escalation) is not what outcomeHash was made of".to_owned());
            }
        }
    }
    Ok(intent)
}

fn canonical_error(error: canonical::Error) -> String {
    format!("it has no canonical form: {error}")
}

/// What surrounds the entries: bounds, phase, head.
fn around(document: &Document, entries: &[Value], open: &[usize], ended: bool, computed: Option<&str>) -> Answer {
    const MEMBERS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    let no = |why: &str| Answer::No(why.to_owned());
    let strange = document.value.as_object().and_then(|members| members.keys().find(|name| !MEMBERS.contains(&name.as_str())));
    if let Some(name) = strange {
        return Answer::No(format!("the document has a member `{}` that no record has", super::escape_terminal(name)));
    }
    if entries.len() > usize::try_from(bound::ENTRIES).unwrap_or(usize::MAX) {
        return no("it has more entries than a record can have");
    }
    let head = document.value.pointer("/status/head");
    let spare =
        head.and_then(Value::as_object).and_then(|head| head.keys().find(|name| !["hash", "signature", "keyId"].contains(&name.as_str())));
    if let Some(name) = spare {
        return Answer::No(format!("the head has a member `{}` that no head has", super::escape_terminal(name)));
    }
    match (ended, head) {
        (false, None) => {
            Answer::Yes(format!("{}: the chain was recomputed; it is not closed, so there is no head to compare", count(entries.len())))
        }
        (false, Some(_)) => no("it has a head but its phase is not final: it was reopened"),
        (true, None) => no("its phase is final but it has no head: the head was removed, or the phase was changed"),
        (true, Some(_)) if !open.is_empty() => no("its phase is final but an entry has no outcome"),
        (true, Some(head)) if head.get("hash").and_then(Value::as_str) == computed && computed.is_some() => {
            Answer::Yes(format!("{}: chain and head were recomputed", count(entries.len())))
        }
        (true, Some(_)) => no(
            "the head does not follow from the content: something outside of the entries was changed (phase, report, findings, usage, times, spec), or entries at the end are missing or added",
        ),
    }
}

fn count(entries: usize) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}

fn authentic(document: &Document, key: Option<&PublicKey>, consistent: &Answer, computed: Option<&str>) -> Answer {
    let Some(key) = key else {
        return Answer::NotChecked("give --key to check who signed it".to_owned());
    };
    if consistent.is_no() {
        return Answer::No("the content is not what was signed".to_owned());
    }
    let member = |name: &str| document.value.pointer(&format!("/status/head/{name}")).and_then(Value::as_str);
    let Some(computed) = computed else {
        return Answer::No("it is not closed: only the head of a closed record is signed".to_owned());
    };
    let Some(signature) = member("signature") else {
        return Answer::No("it is not signed".to_owned());
    };
    if let Some(id) = member("keyId").filter(|id| *id != key.id()) {
        return Answer::No(format!("it says that key {} signed it; the given key is {}", super::escape_terminal(id), key.id()));
    }
    if member("keyId").is_none() || !key.verifies(&chain::signed_text(computed), signature) {
        return Answer::No(format!("the signature is not that of key {} for this content", key.id()));
    }
    Answer::Yes(format!("signed by key {}", key.id()))
}

fn complete(expected: Option<&str>, consistent: &Answer, open: &[usize], phase: Option<RunPhase>, computed: Option<&str>) -> Answer {
    if consistent.is_no() {
        return Answer::No("the content is not what was written".to_owned());
    }
    match (computed, expected) {
        (None, _) => match open.last() {
            Some(seq) => Answer::No(format!("readable, not closed: the last intent has no outcome (entry {seq})")),
            None => Answer::No("readable, not closed: the run did not end in this record".to_owned()),
        },
        (Some(_), None) => {
            let phase = phase.map_or("closed", RunPhase::as_str);
            Answer::NotChecked(format!("it is closed ({phase}); give --head to check that this is the end that was reported"))
        }
        (Some(computed), Some(expected)) if computed == expected => Answer::Yes("closed, and its head is the expected one".to_owned()),
        (Some(computed), Some(expected)) => Answer::No(format!("its head is {computed}, expected was {expected}")),
    }
}
