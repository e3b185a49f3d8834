//! Label and field selectors, parsed, so that what was decided on is what is sent.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{
    call::{FieldSelector, LabelSelector, Requirement},
    name::Invalid,
};

/// The most requirements in one selector, and its longest text.
const MAX_REQUIREMENTS: usize = 16;
const MAX_BYTES: usize = 1024;

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let domain = |p: &str| {
        (1..=253).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    };
    !name.is_empty() && is_value(name) && prefix.is_none_or(domain)
}

fn is_value(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63 && value.bytes().all(inner) && edge(value.chars().next()) && edge(value.chars().last())
}

impl LabelSelector {
    /// Parses what `kubectl -l` takes: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. At most 16 requirements in 1 KiB.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let bad = || Invalid::new("label selector", input, "requirements such as `app=web,tier in (a,b),!legacy`, at most 16 in 1 KiB");
        let mut requirements = Vec::new();
        for part in split(input).ok_or_else(bad)? {
            requirements.push(requirement(part).ok_or_else(bad)?);
        }
        if requirements.len() > MAX_REQUIREMENTS || input.len() > MAX_BYTES { Err(bad()) } else { Ok(Self(requirements)) }
    }
}

/// Splits at commas outside of parentheses. None if the parentheses do not match.
fn split(input: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0usize);
    for (at, c) in input.char_indices() {
        match c {
            '(' => depth = depth.checked_add(1)?,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(input.get(start..at)?.trim_matches(' '));
                start = at.checked_add(1)?;
            }
            _ => {}
        }
    }
    let last = input.get(start..)?.trim_matches(' ');
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    (depth == 0).then_some(parts)
}

fn requirement(part: &str) -> Option<Requirement> {
    let key = |key: &str| Some(key.trim_matches(' ')).filter(|key| is_key(key)).map(ToOwned::to_owned);
    let value = |value: &str| Some(value.trim_matches(' ')).filter(|value| is_value(value)).map(ToOwned::to_owned);
    let set = |set: &str| set.trim_matches(' ').strip_prefix('(')?.strip_suffix(')')?.split(',').map(value).collect::<Option<Vec<_>>>();
    if let Some((k, v)) = part.split_once("!=") {
        return Some(Requirement::Differs(key(k)?, value(v)?));
    }
    if let Some((k, v)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::Equals(key(k)?, value(v)?));
    }
    if let Some((k, v)) = part.split_once(" notin ") {
        return Some(Requirement::NotIn(key(k)?, set(v)?));
    }
    if let Some((k, v)) = part.split_once(" in ") {
        return Some(Requirement::In(key(k)?, set(v)?));
    }
    part.strip_prefix('!').map_or_else(|| key(part).map(Requirement::Exists), |absent| key(absent).map(Requirement::Absent))
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(key, value) => write!(f, "{key}={value}"),
            Self::Differs(key, value) => write!(f, "{key}!={value}"),
            Self::In(key, values) => write!(f, "{key} in ({})", values.join(",")),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(",")),
            Self::Exists(key) => f.write_str(key),
            Self::Absent(key) => write!(f, "!{key}"),
        }
    }
}

impl FieldSelector {
    /// Parses `path=value,path!=value`. `metadata.namespace` is refused: the namespace is a field of its own. At most 16 requirements in 1 KiB.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(
                "field selector",
                input,
                "requirements such as `status.phase=Pending`, at most 16 in 1 KiB, without metadata.namespace",
            )
        };
        let mut requirements = Vec::new();
        for part in input.split(',').map(|part| part.trim_matches(' ')).filter(|_| !input.trim_matches(' ').is_empty()) {
            let (path, equal, value) = match part.split_once("!=") {
                Some((path, value)) => (path, false, value),
                None => part.split_once("==").or_else(|| part.split_once('=')).map(|(path, value)| (path, true, value)).ok_or_else(bad)?,
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'/');
            let named = !path.is_empty() && path.len() <= 128 && path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
            if !named || path.eq_ignore_ascii_case("metadata.namespace") || value.len() > 253 || !value.bytes().all(plain) {
                return Err(bad());
            }
            requirements.push((path.to_owned(), equal, value.to_owned()));
        }
        if requirements.len() > MAX_REQUIREMENTS || input.len() > MAX_BYTES { Err(bad()) } else { Ok(Self(requirements)) }
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (path, equal, value) in &self.0 {
            let comma = if core::mem::take(&mut first) { "" } else { "," };
            write!(f, "{comma}{path}{}{value}", if *equal { "=" } else { "!=" })?;
        }
        Ok(())
    }
}
