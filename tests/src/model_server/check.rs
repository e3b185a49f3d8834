//! Small steps of looking at JSON as a strict server does.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A value, or what is wrong with it.
pub(super) type Checked<T = ()> = Result<T, String>;

/// An object with all required members and no others than those that are known.
pub(super) fn object<'v>(value: &'v Value, at: &str, required: &[&str], optional: &[&str]) -> Checked<&'v Map<String, Value>> {
    let members = value.as_object().ok_or_else(|| format!("{at}: must be an object"))?;
    if let Some(unknown) = members.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str())) {
        return Err(format!("{at}.{unknown}: extra inputs are not permitted"));
    }
    match required.iter().find(|key| !members.contains_key(**key)) {
        Some(missing) => Err(format!("{at}.{missing}: field required")),
        None => Ok(members),
    }
}

/// A text that is not blank.
pub(super) fn text<'v>(members: &'v Map<String, Value>, key: &str, at: &str) -> Checked<&'v str> {
    let text = members.get(key).and_then(Value::as_str).ok_or_else(|| format!("{at}.{key}: must be a string"))?;
    if text.trim().is_empty() { Err(format!("{at}.{key}: must contain non-whitespace text")) } else { Ok(text) }
}

/// A list with something in it.
pub(super) fn list<'v>(value: &'v Value, at: &str) -> Checked<&'v [Value]> {
    match value.as_array() {
        Some(items) if !items.is_empty() => Ok(items),
        Some(_) => Err(format!("{at}: must not be empty")),
        None => Err(format!("{at}: must be a list")),
    }
}

/// A whole number of at least 1.
pub(super) fn count(members: &Map<String, Value>, key: &str, at: &str) -> Checked {
    match members.get(key).map(|value| value.as_u64().filter(|count| *count > 0)) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(format!("{at}.{key}: must be a whole number of at least 1")),
    }
}

/// A name of letters, digits, `_` and `-`.
pub(super) fn name<'v>(members: &'v Map<String, Value>, key: &str, at: &str, most: usize) -> Checked<&'v str> {
    let name = text(members, key, at)?;
    let fits = name.len() <= most && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits { Ok(name) } else { Err(format!("{at}.{key}: must match ^[a-zA-Z0-9_-]{{1,{most}}}$")) }
}

/// No two of them are equal.
pub(super) fn unique<'v>(names: impl IntoIterator<Item = &'v str>, what: &str) -> Checked {
    let mut counts = BTreeMap::<&str, u32>::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    match counts.into_iter().find(|(_, count)| *count > 1) {
        Some((name, _)) => Err(format!("{what}: `{name}` appears more than once")),
        None => Ok(()),
    }
}
