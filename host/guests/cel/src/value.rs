//! Between JSON and CEL. Whole numbers become `int`, as they are in Kubernetes; `uint` only where `int` is too small.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Value as Cel,
    objects::{Key, Map},
};
use serde_json::{Number, Value as Json};

pub(crate) fn from_json(json: Json) -> Cel {
    match json {
        Json::Null => Cel::Null,
        Json::Bool(bool) => Cel::Bool(bool),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Cel::Int(int),
            (None, Some(uint)) => Cel::UInt(uint),
            (None, None) => number.as_f64().map_or(Cel::Null, Cel::Float),
        },
        Json::String(text) => Cel::String(Arc::new(text)),
        Json::Array(items) => Cel::List(Arc::new(items.into_iter().map(from_json).collect())),
        Json::Object(fields) => {
            let map: HashMap<Key, Cel> = fields.into_iter().map(|(key, value)| (Key::String(Arc::new(key)), from_json(value))).collect();
            Cel::Map(Map { map: Arc::new(map) })
        }
    }
}

/// None for what JSON cannot say: bytes, types, NaN.
pub(crate) fn to_json(value: &Cel) -> Option<Json> {
    match value {
        Cel::Null => Some(Json::Null),
        Cel::Bool(bool) => Some(Json::Bool(*bool)),
        Cel::Int(int) => Some(Json::from(*int)),
        Cel::UInt(uint) => Some(Json::from(*uint)),
        Cel::Float(float) => Number::from_f64(*float).map(Json::Number),
        Cel::String(text) => Some(Json::String(text.as_str().to_owned())),
        Cel::List(items) => items.iter().map(to_json).collect::<Option<_>>().map(Json::Array),
        Cel::Map(map) => {
            let fields = map.map.iter().map(|(key, value)| to_json(value).map(|value| (key.to_string(), value)));
            fields.collect::<Option<_>>().map(Json::Object)
        }
        Cel::Bytes(_) | Cel::Function(_, _) | Cel::Opaque(_) | Cel::Struct(_) => None,
    }
}
