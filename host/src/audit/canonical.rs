//! Canonical JSON (RFC 8785 without fractions): one text per value, so that a hash over it means the value.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::{Map, Value};

/// A value without canonical text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Numbers of a record are counts.
    #[error("`{0}` is not an integer")]
    Fraction(String),
    /// The value does not serialise.
    #[error("{0}")]
    Serialise(#[from] serde_json::Error),
}

/// The canonical text of a value.
pub(crate) fn text(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

/// The canonical text of an object that has these members.
pub(crate) fn object<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>) -> Result<String, Error> {
    let mut out = String::new();
    write_object(members.collect(), &mut out)?;
    Ok(out)
}

/// The members of something that serialises as an object; of anything else, none.
pub(crate) fn members<T: Serialize>(value: &T) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(value)? {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Ok(Map::new()),
    }
}

/// How many bytes a text takes in canonical JSON, without its quotes.
pub(crate) fn escaped_len(text: &str) -> usize {
    text.bytes().map(escaped_byte).sum()
}

/// How many bytes one byte of a text takes.
pub(crate) fn escaped_byte(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
        0x00..=0x1f => 6,
        _ => 1,
    }
}

fn write(value: &Value, out: &mut String) -> Result<(), Error> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) if number.is_i64() || number.is_u64() => out.push_str(&number.to_string()),
        Value::Number(number) => return Err(Error::Fraction(number.to_string())),
        Value::String(text) => quote(text, out)?,
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members.iter().collect(), out)?,
    }
    Ok(())
}

fn write_object(mut members: Vec<(&String, &Value)>, out: &mut String) -> Result<(), Error> {
    members.sort_by(|(a, _), (b, _)| by_utf16(a, b));
    out.push('{');
    for (index, (name, member)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(name, out)?;
        out.push(':');
        write(member, out)?;
    }
    out.push('}');
    Ok(())
}

/// The order of UTF-16 code units, which is that of bytes for all names of a record.
fn by_utf16(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// Appends a text in quotes.
pub(crate) fn quote(text: &str, out: &mut String) -> Result<(), Error> {
    if text.bytes().any(|byte| escaped_byte(byte) > 1) {
        // serde_json escapes exactly as RFC 8785 asks: the two-letter forms, else \u00xx in lower case, and nothing above 0x1f.
        out.push_str(&serde_json::to_string(text)?);
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_sorted_by_utf16_and_strings_escaped_shortest() {
        let value = json!({"b": [1, -2, true, null], "a": {"\u{20ac}": "\u{1}\n\"\\/é", "\u{1f600}": 1, "\u{fb33}": 2}});
        let text = text(&value).unwrap();
        assert_eq!(text, "{\"a\":{\"\u{20ac}\":\"\\u0001\\n\\\"\\\\/é\",\"\u{1f600}\":1,\"\u{fb33}\":2},\"b\":[1,-2,true,null]}");
    }

    #[test]
    fn a_fraction_has_no_canonical_text() {
        assert_eq!(text(&json!([1.5])).unwrap_err().to_string(), "`1.5` is not an integer");
    }

    #[test]
    fn escaped_length_is_what_serde_json_writes() {
        let every: String = (0..0x250u32).filter_map(char::from_u32).collect();
        assert_eq!(escaped_len(&every) + 2, serde_json::to_string(&every).unwrap().len());
    }
}
