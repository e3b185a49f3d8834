//! How objects are read from JSON, in few bytes.
//!
//! Derived deserialization costs 5 KB of WebAssembly per struct, 90 KB for a pod. Here a document is parsed once into a `Value`, and each field is a
//! look-up: absent and null are the default, another type than expected is an error that names the field.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Something else than expected.
#[derive(Debug)]
pub(crate) struct Mismatch {
    path: String,
    expected: &'static str,
}

impl Mismatch {
    #[cold]
    fn new(expected: &'static str) -> Box<Self> {
        Box::new(Self { path: String::new(), expected })
    }

    #[cold]
    fn at(mut self: Box<Self>, key: &str) -> Box<Self> {
        self.path.insert_str(0, key);
        self.path.insert(0, '.');
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` should be {}", self.path, self.expected)
    }
}

/// What can be read from JSON, in place: an early return then has nothing to drop, which is half of the code.
pub(crate) trait FromJson: Default {
    fn read(&mut self, value: &Value) -> Outcome;
}

/// The error is boxed since there is hardly ever one.
pub(crate) type Outcome = Result<(), Box<Mismatch>>;

/// Reads a field. Absent and null leave the default.
#[inline(never)]
pub(crate) fn field<T: FromJson>(slot: &mut T, object: &Value, key: &str) -> Outcome {
    match object.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(value) => slot.read(value).map_err(|mismatch| mismatch.at(key)),
    }
}

/// Reads an object.
pub(crate) fn read<T: FromJson>(value: &Value) -> crate::Result<T> {
    let mut document = T::default();
    match document.read(value) {
        Ok(()) => Ok(document),
        Err(mismatch) => Err(crate::Error::Invalid(mismatch.to_string())),
    }
}

/// The same, from whatever serde reads.
pub(crate) fn document<'de, T: FromJson, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let value = <Value as serde::Deserialize>::deserialize(deserializer)?;
    let mut document = T::default();
    match document.read(&value) {
        Ok(()) => Ok(document),
        Err(mismatch) => Err(serde::de::Error::custom(mismatch)),
    }
}

/// What is behind a part must be an object.
pub(crate) fn is_object(value: &Value) -> Outcome {
    if value.is_object() { Ok(()) } else { Err(Mismatch::new("an object")) }
}

impl FromJson for String {
    fn read(&mut self, value: &Value) -> Outcome {
        value.as_str().ok_or_else(|| Mismatch::new("text")).map(|text| self.push_str(text))
    }
}

impl FromJson for bool {
    fn read(&mut self, value: &Value) -> Outcome {
        value.as_bool().ok_or_else(|| Mismatch::new("true or false")).map(|flag| *self = flag)
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromJson for $type {
            fn read(&mut self, value: &Value) -> Outcome {
                let number = value.as_i64().and_then(|number| Self::try_from(number).ok());
                number.ok_or_else(|| Mismatch::new("a whole number")).map(|number| *self = number)
            }
        }
    )*};
}

integers!(u16, u32, i32, i64);

impl<T: FromJson> FromJson for Option<T> {
    fn read(&mut self, value: &Value) -> Outcome {
        self.insert(T::default()).read(value)
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn read(&mut self, value: &Value) -> Outcome {
        for value in value.as_array().ok_or_else(|| Mismatch::new("a list"))? {
            let mut item = T::default();
            let outcome = item.read(value);
            self.push(item);
            outcome?;
        }
        Ok(())
    }
}

impl<T: FromJson> FromJson for BTreeMap<String, T> {
    fn read(&mut self, value: &Value) -> Outcome {
        for (key, value) in value.as_object().ok_or_else(|| Mismatch::new("an object"))? {
            let outcome = self.entry(key.clone()).or_default().read(value);
            outcome.map_err(|mismatch| mismatch.at(key))?;
        }
        Ok(())
    }
}

impl FromJson for super::Time {
    fn read(&mut self, value: &Value) -> Outcome {
        self.0.read(value)
    }
}

impl FromJson for super::Quantity {
    /// People write plain numbers without quotes.
    fn read(&mut self, value: &Value) -> Outcome {
        match value {
            Value::String(text) => self.0.push_str(text),
            Value::Number(number) => self.0 = number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(Mismatch::new("a quantity like `250m` or `1Gi`"));
            }
        }
        Ok(())
    }
}

/// The name of a Rust field as Kubernetes writes it: `node_name` -> `nodeName`, `r#type` -> `type`. With its length, since it may be shorter.
pub(crate) const fn camel_case<const N: usize>(snake: &str) -> ([u8; N], usize) {
    let bytes = snake.as_bytes();
    let mut name = [0; N];
    let mut length = 0;
    let mut at = if bytes.len() > 2 && bytes[1] == b'#' { 2 } else { 0 };
    while at < bytes.len() {
        if bytes[at] == b'_' {
            at += 1;
            name[length] = bytes[at].to_ascii_uppercase();
        } else {
            name[length] = bytes[at];
        }
        length += 1;
        at += 1;
    }
    (name, length)
}

/// The key of a field.
macro_rules! key {
    ($field:ident) => {{
        const SNAKE: &str = stringify!($field);
        const CAMEL: ([u8; SNAKE.len()], usize) = $crate::kinds::json::camel_case(SNAKE);
        const KEY: &str = match ::core::str::from_utf8(CAMEL.0.split_at(CAMEL.1).0) {
            Ok(key) => key,
            Err(_) => panic!("field names are ASCII"),
        };
        KEY
    }};
}

pub(crate) use key;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinds::{Deployment, Pod};

    #[test]
    fn keys_are_written_as_kubernetes_writes_them() {
        assert_eq!(
            [key!(name), key!(node_name), key!(init_container_statuses), key!(r#type)],
            ["name", "nodeName", "initContainerStatuses", "type"]
        );
    }

    #[test]
    fn absent_and_null_fields_are_defaults() {
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "web", "labels": null }, "spec": null })).unwrap();
        assert_eq!(pod.metadata.name, "web");
        assert!(pod.metadata.labels.is_empty() && pod.spec.containers.is_empty());
        assert_eq!(pod.phase(), "Unknown");
    }

    #[test]
    fn a_field_of_another_type_is_an_error_that_names_it() {
        let error = serde_json::from_value::<Deployment>(json!({ "spec": { "replicas": "3" } })).unwrap_err();
        assert_eq!(error.to_string(), "`.spec.replicas` should be a whole number");
        let error = serde_json::from_value::<Deployment>(json!([])).unwrap_err();
        assert!(error.to_string().contains("an object"), "{error}");
    }
}
