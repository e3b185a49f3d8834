//! What must not leave: known secrets in any usual encoding, and whatever looks like a credential.
//!
//! Used at the capability boundary, before a guest sees bytes (it could encode a secret anew), and again on everything that leaves the process.
//! A text is searched in time linear in its length, however many secrets are known. Redacting twice changes nothing.

mod known;
mod patterns;
mod shared;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use known::Known;
pub use shared::Redactors;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Finds secrets and replaces them.
#[derive(Debug, Default)]
pub struct Redactor {
    known: Known,
}

impl Redactor {
    /// A redactor that also knows these secrets. One of less than [`Redactor::MIN_SECRET`] bytes is no secret: it would be everywhere.
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self { known: Known::new(secrets) }
    }

    /// The shortest secret that is searched for, in bytes.
    pub const MIN_SECRET: usize = 4;

    /// The text without secrets.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut clean = Cow::Borrowed(text);
        // What is cut out can bring together a pattern that was not one before: look again until nothing is found.
        for _ in 0..8 {
            match self.pass(&clean) {
                Some(next) => clean = Cow::Owned(next),
                None => break,
            }
        }
        clean
    }

    /// Bytes without secrets. Bytes that are not UTF-8 are searched for known secrets only.
    pub fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        match std::str::from_utf8(bytes) {
            Ok(text) => match self.text(text) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            Err(_) => {
                let spans = merge(self.known.find(bytes));
                if spans.is_empty() { Cow::Borrowed(bytes) } else { Cow::Owned(replace(bytes, &spans)) }
            }
        }
    }

    /// Removes secrets from every text of a JSON value, and the values of members whose name says that they are credentials.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(members) => {
                // The list form that environment variables have: `{name: DB_PASSWORD, value: ...}`.
                let named = members.get("name").and_then(Value::as_str).is_some_and(patterns::names_a_credential);
                for (name, member) in std::mem::take(members) {
                    let credential = patterns::names_a_credential(&name) || (named && name == "value");
                    let member = self.member(credential, member);
                    insert(members, self.text(&name).into_owned(), member);
                }
            }
        }
    }

    /// A truth value and nothing are no credentials; an object is judged by the names of its own members.
    fn member(&self, credential: bool, mut value: Value) -> Value {
        match value {
            Value::Number(_) if credential => REDACTED.into(),
            Value::String(text) if credential && !text.is_empty() => REDACTED.into(),
            Value::Array(items) if credential => items.into_iter().map(|item| self.member(true, item)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                self.json(&mut value);
                value
            }
        }
    }

    /// One search of everything between markers; none if nothing was found.
    fn pass(&self, text: &str) -> Option<String> {
        let mut spans = Vec::new();
        let mut start = 0;
        // Nothing is searched for inside of or across a marker: it stays what it is.
        for end in text.match_indices(REDACTED).map(|(at, _)| at).chain([text.len()]) {
            if let Some(part) = text.get(start..end) {
                let found = self.known.find(part.as_bytes()).into_iter().chain(patterns::find(part));
                spans.extend(found.map(|(from, to)| (from + start, to + start)));
            }
            start = end + REDACTED.len();
        }
        let spans = merge(spans);
        if spans.is_empty() {
            return None;
        }
        // INVARIANT: every span begins and ends between characters, so what remains is UTF-8; should it not be, nothing of it is shown.
        Some(String::from_utf8(replace(text.as_bytes(), &widen(text, spans))).unwrap_or_else(|_| REDACTED.to_owned()))
    }
}

type Span = (usize, usize);

/// Sorted, without overlaps.
fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            Some(_) | None => merged.push((from, to)),
        }
    }
    merged
}

/// A secret of arbitrary bytes may begin inside of a character.
fn widen(text: &str, spans: Vec<Span>) -> Vec<Span> {
    merge(spans.into_iter().map(|(from, to)| (text.floor_char_boundary(from), text.ceil_char_boundary(to))).collect())
}

fn replace(bytes: &[u8], spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut start = 0;
    for (from, to) in spans {
        out.extend_from_slice(bytes.get(start..*from).unwrap_or_default());
        out.extend_from_slice(REDACTED.as_bytes());
        start = *to;
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
    out
}

/// Two names may look the same without their secrets.
fn insert(members: &mut Map<String, Value>, mut name: String, value: Value) {
    while members.contains_key(&name) {
        name.push('\'');
    }
    members.insert(name, value);
}
