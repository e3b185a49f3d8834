//! Label and field selectors, as `kubectl -l` and `--field-selector` take them.

use infraagent_guard::{
    call::{FieldRequirement, FieldSelector, LabelSelector, Requirement, SelectorWord},
    name::Invalid,
};

/// The most requirements in one selector, and its longest text.
const MAX_REQUIREMENTS: usize = 16;
const MAX_BYTES: usize = 1024;

/// Parses what `kubectl -l` takes: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. At most 16 requirements in 1 KiB.
pub fn labels(input: &str) -> Result<LabelSelector, Invalid> {
    parse("label selector", input, "requirements such as `app=web,tier in (a,b),!legacy`, at most 16 in 1 KiB", requirement)
        .map(LabelSelector)
}

/// Parses `path=value,path!=value`. `metadata.namespace` is refused: the namespace is a field of its own. At most 16 requirements in 1 KiB.
pub fn fields(input: &str) -> Result<FieldSelector, Invalid> {
    let expected = "requirements such as `status.phase=Pending`, at most 16 in 1 KiB, without metadata.namespace";
    parse("field selector", input, expected, field).map(FieldSelector)
}

/// Parses each part between commas that are not in parentheses.
fn parse<T>(what: &str, input: &str, expected: &str, part: fn(&str) -> Option<T>) -> Result<Vec<T>, Invalid> {
    let mut inside = false;
    let is_comma = |c: char| {
        inside = c == '(' || (inside && c != ')');
        c == ',' && !inside
    };
    let empty = input.trim_matches(' ').is_empty();
    let parts: Option<Vec<T>> =
        if empty { Some(Vec::new()) } else { input.split(is_comma).map(|text| part(text.trim_matches(' '))).collect() };
    let small = |parts: &Vec<T>| parts.len() <= MAX_REQUIREMENTS && input.len() <= MAX_BYTES;
    parts.filter(small).ok_or_else(|| Invalid::new(what, input, expected))
}

fn comparison(part: &str) -> Option<(&str, bool, &str)> {
    let unequal = part.split_once("!=").map(|(key, value)| (key, false, value));
    unequal.or_else(|| part.split_once("==").or_else(|| part.split_once('=')).map(|(key, value)| (key, true, value)))
}

fn requirement(part: &str) -> Option<Requirement> {
    let word = |text: &str, fits: fn(&str) -> bool| Some(text.trim_matches(' ')).filter(|text| fits(text)).and_then(word);
    let key = |text: &str| word(text, is_key);
    let value = |text: &str| word(text, is_value);
    let set = |set: &str| set.trim_matches(' ').strip_prefix('(')?.strip_suffix(')')?.split(',').map(value).collect::<Option<Vec<_>>>();
    if let Some((k, equal, v)) = comparison(part) {
        let (k, v) = (key(k)?, value(v)?);
        return Some(if equal { Requirement::Equals(k, v) } else { Requirement::Differs(k, v) });
    }
    if let Some((k, v)) = part.split_once(" notin ") {
        return Some(Requirement::NotIn(key(k)?, set(v)?));
    }
    if let Some((k, v)) = part.split_once(" in ") {
        return Some(Requirement::In(key(k)?, set(v)?));
    }
    part.strip_prefix('!').map_or_else(|| key(part).map(Requirement::Exists), |absent| key(absent).map(Requirement::Absent))
}

fn field(part: &str) -> Option<FieldRequirement> {
    let (path, equal, value) = comparison(part)?;
    let named = (1..=128).contains(&path.len()) && path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let fine = named && !path.eq_ignore_ascii_case("metadata.namespace") && value.len() <= 253;
    if fine { Some(FieldRequirement { path: word(path)?, equal, value: word(value)? }) } else { None }
}

fn word(text: &str) -> Option<SelectorWord> {
    SelectorWord::parse(text).ok()
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !name.is_empty() && is_value(name) && prefix.is_none_or(|p| (1..=253).contains(&p.len()) && p.bytes().all(inner))
}

fn is_value(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63 && value.bytes().all(inner) && edge(value.chars().next()) && edge(value.chars().last())
}
