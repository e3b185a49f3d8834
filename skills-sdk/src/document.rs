//! JSON that comes in: parsed once into a `Value`, then read by the type that is asked for.
//!
//! In few bytes: serde_json's own reader is compiled anew for each type, and its errors format floating-point numbers, 30 KB of WebAssembly. Here the text
//! is parsed by one function, and what was found is told by its kind only.

use std::fmt::{self, Display};

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Value, map};

use crate::{Error, Result};

/// Parses a document.
pub(crate) fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::Invalid(error.to_string()))
}

/// Reads a type from a document.
pub(crate) fn read<T: DeserializeOwned>(document: &Value) -> Result<T> {
    T::deserialize(Node(document)).map_err(|problem| Error::Invalid(problem.0))
}

/// Parses a document and reads a type from it.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T> {
    read(&parse(text)?)
}

/// Parses a document that crossed as bytes, and reads a type from it.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    from_str(std::str::from_utf8(bytes).map_err(|error| Error::Invalid(error.to_string()))?)
}

/// The fields of a struct that `#[args]` reads.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields(Value);

impl Fields {
    /// Takes an object. Unless it is `open`, every key must be known.
    pub fn read<'de, D: Deserializer<'de>>(deserializer: D, known: &[&str], open: bool) -> Result<Self, D::Error> {
        let document = <Value as serde::Deserialize>::deserialize(deserializer)?;
        match check(&document, known, open) {
            Ok(()) => Ok(Self(document)),
            Err(problem) => Err(serde::de::Error::custom(problem)),
        }
    }

    /// Reads a field. Only an option may be absent.
    pub fn field<T: DeserializeOwned, E: serde::de::Error>(&self, name: &str) -> Result<T, E> {
        let (value, absent) = self.0.get(name).map_or((&Value::Null, true), |value| (value, false));
        T::deserialize(Node(value)).map_err(|problem| E::custom(if absent { missing(name) } else { within(name, problem) }))
    }
}

#[inline(never)]
fn check(document: &Value, known: &[&str], open: bool) -> Result<(), Problem> {
    let Value::Object(fields) = document else { return Err(unexpected(document, &"an object")) };
    match fields.keys().find(|key| !open && !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Problem(["unknown field `", key, "`, expected one of: ", &known.join(", ")].concat())),
    }
}

#[cold]
fn missing(name: &str) -> Problem {
    Problem(["missing field `", name, "`"].concat())
}

/// Something else than expected.
#[derive(Debug)]
struct Problem(String);

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    #[cold]
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Char(_) | Unexpected::Str(_) => "text",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "a list",
            Unexpected::Map => "an object",
            _ => "something else",
        };
        Self(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

/// A place in a document.
#[derive(Clone, Copy)]
struct Node<'a>(&'a Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Object(fields) => visitor.visit_map(Entries { rest: fields.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        let (variant, content) = match self.0 {
            Value::String(variant) => (variant, None),
            Value::Object(fields) if fields.len() == 1 => {
                fields.iter().next().map(|(variant, content)| (variant, Some(content))).ok_or_else(unknown)?
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return Err(unknown()),
        };
        visitor.visit_enum(Variant { variant, content })
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match (self.0.as_u64(), self.0.as_i64()) {
            (Some(number), _) => visitor.visit_u64(number),
            (None, Some(number)) => visitor.visit_i64(number),
            (None, None) => Err(unexpected(self.0, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Value::Object(fields) => visitor.visit_map(Entries { rest: fields.iter(), current: None }),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_map(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_string(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    // What is rare may cost more.
    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

#[cold]
fn unexpected(found: &Value, expected: &dyn Expected) -> Problem {
    let found = match found {
        Value::Null => Unexpected::Unit,
        Value::Bool(flag) => Unexpected::Bool(*flag),
        Value::Number(_) => Unexpected::Unsigned(0),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    };
    Problem::invalid_type(found, expected)
}

#[cold]
fn unknown() -> Problem {
    Problem::custom("expected the name of a variant, or an object with it as its only key")
}

struct Items<'de>(std::slice::Iter<'de, Value>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Problem;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Problem> {
        self.0.next().map(|value| seed.deserialize(Node(value))).transpose()
    }
}

struct Entries<'de> {
    rest: map::Iter<'de>,
    current: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Problem> {
        self.current = self.rest.next().map(|(key, value)| (key.as_str(), value));
        self.current.map(|(key, _)| seed.deserialize(BorrowedStrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        let Some((key, value)) = self.current else { return Err(Problem::custom("a value was asked for before its key")) };
        seed.deserialize(Node(value)).map_err(|problem| within(key, problem))
    }
}

/// Names the field.
#[cold]
fn within(key: &str, Problem(problem): Problem) -> Problem {
    Problem(["`", key, "`: ", &problem].concat())
}

struct Variant<'de> {
    variant: &'de str,
    content: Option<&'de Value>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Problem> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.variant))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(Problem::custom("this variant has no content")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Problem> {
        seed.deserialize(self.node()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.node()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        self.node()?.deserialize_any(visitor)
    }
}

impl<'de> Variant<'de> {
    fn node(&self) -> Result<Node<'de>, Problem> {
        self.content.map(Node).ok_or_else(|| Problem::custom("this variant has content"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{from_str, read};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Everything {
        text: String,
        small: u8,
        signed: i64,
        float: f64,
        flag: bool,
        absent: Option<u32>,
        nothing: Option<u32>,
        some: Option<u32>,
        list: Vec<Wrapped>,
        map: BTreeMap<String, Value>,
        unit: Choice,
        tuple: Choice,
        record: Choice,
        pair: (u8, String),
        #[serde(default)]
        preset: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(u16);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        JustName,
        Pair(u8, u8),
        NamedParts { of: String },
    }

    fn everything() -> Value {
        json!({
            "text": "t", "small": 255, "signed": -3, "float": 1.5, "flag": true, "nothing": null, "some": 7, "list": [1, 2], "map": { "a": [null] },
            "unit": "just-name", "tuple": { "pair": [1, 2] }, "record": { "named-parts": { "of": "x" } }, "pair": [1, "b"],
        })
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let document = everything();
        assert_eq!(read::<Everything>(&document).unwrap(), serde_json::from_value(document.clone()).unwrap());
        assert_eq!(from_str::<Everything>(&document.to_string()).unwrap(), serde_json::from_value(document).unwrap());
    }

    #[test]
    fn errors_name_the_field_and_what_was_found() {
        for (field, value, expected) in [
            ("text", json!(3), "`text`: expected a string, found a number"),
            ("small", json!(256), "`small`: expected u8, found a number"),
            ("small", json!("3"), "`small`: expected u8, found text"),
            ("signed", json!(1.5), "`signed`: expected i64, found a number"),
            ("flag", json!({}), "`flag`: expected a boolean, found an object"),
            ("list", json!([1, "x"]), "`list`: expected u16, found text"),
            ("map", json!([]), "`map`: expected a map, found a list"),
            ("unit", json!("other"), "`unit`: unknown variant `other`, expected one of `just-name`, `pair`, `named-parts`"),
            ("unit", json!({ "just-name": 1 }), "`unit`: this variant has no content"),
            ("tuple", json!("pair"), "`tuple`: this variant has content"),
            ("unit", json!(1), "`unit`: expected the name of a variant, or an object with it as its only key"),
        ] {
            let mut document = everything();
            document[field] = value;
            assert_eq!(read::<Everything>(&document).unwrap_err().to_string(), format!("invalid: {expected}"));
        }
    }

    #[test]
    fn missing_and_unknown_fields_are_named() {
        let mut document = everything();
        document.as_object_mut().unwrap().remove("small");
        assert_eq!(read::<Everything>(&document).unwrap_err().to_string(), "invalid: missing field `small`");
        document = everything();
        document["smal"] = json!(1);
        assert!(read::<Everything>(&document).unwrap_err().to_string().contains("unknown field `smal`"));
        assert!(from_str::<Everything>("{").is_err());
    }
}
