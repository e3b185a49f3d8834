//! Objects as they came, with their fields looked up where they are needed.
//!
//! The kinds of the SDK are nicer to read, and seven of them with all their fields are 60 KB of a component. This skill looks at few fields of many kinds.

use skills_sdk::prelude::*;

static NOTHING: Value = Value::Null;

/// A place in an object. What is absent, or of another type than asked for, is empty: the API server has checked the object already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a Value);

impl<'a> View<'a> {
    /// The place below: `/status/phase`. Unlike a JSON pointer it leads through objects only, and knows no escapes.
    pub(crate) fn at(self, path: &str) -> Self {
        let mut place = self.0;
        for key in path.split('/').skip(1) {
            place = place.get(key).unwrap_or(&NOTHING);
        }
        Self(place)
    }

    /// The text there, or nothing.
    pub(crate) fn text(self, path: &str) -> &'a str {
        self.at(path).0.as_str().unwrap_or_default()
    }

    /// The number there, or 0.
    pub(crate) fn number(self, path: &str) -> u64 {
        self.at(path).0.as_u64().unwrap_or_default()
    }

    /// Whether it says true there.
    pub(crate) fn flag(self, path: &str) -> bool {
        self.at(path).0.as_bool() == Some(true)
    }

    /// Whether there is something.
    pub(crate) fn has(self, path: &str) -> bool {
        !self.at(path).0.is_null()
    }

    /// What the list there holds.
    pub(crate) fn items(self, path: &str) -> Vec<View<'a>> {
        views(self.at(path).0.as_array().map_or(&[], Vec::as_slice))
    }

    /// Names and texts of the object there.
    pub(crate) fn texts(self, path: &str) -> Vec<(&'a str, &'a str)> {
        let fields = self.at(path).0.as_object().into_iter().flatten();
        fields.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect()
    }

    /// The condition of this type, if it has the given status.
    pub(crate) fn condition(self, path: &str, r#type: &str, status: &str) -> Option<Self> {
        self.items(path).into_iter().find(|condition| condition.text("/type") == r#type && condition.text("/status") == status)
    }

    pub(crate) fn name(self) -> &'a str {
        self.text("/metadata/name")
    }

    /// The controller that the object belongs to.
    pub(crate) fn controller(self) -> Option<Self> {
        self.items("/metadata/ownerReferences").into_iter().find(|owner| owner.flag("/controller"))
    }
}

/// An object for the model.
///
/// `json!` is nicer to read, and serialises each value through code that is compiled for its type and can panic: 10 KB of WebAssembly here.
pub(crate) fn from_fields(fields: Vec<(&str, Value)>) -> Value {
    let mut object = Value::Object(Default::default());
    for (name, value) in fields {
        object[name] = value;
    }
    object
}

/// `object! { "name": value }`, for values that `Value::from` takes.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::view::from_fields(vec![$(($name, ::skills_sdk::prelude::Value::from($value))),*])
    };
}

pub(crate) use object;

/// The first of these, as the model sees them.
pub(crate) fn told<T>(all: &[T], most: usize, tell: impl Fn(&T) -> Value) -> Value {
    let mut told = Vec::new();
    for one in all.iter().take(most) {
        told.push(tell(one));
    }
    Value::Array(told)
}

/// Each of these objects.
pub(crate) fn views(objects: &[Value]) -> Vec<View<'_>> {
    objects.iter().map(View).collect()
}
