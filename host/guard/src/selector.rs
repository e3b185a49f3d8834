//! Label and field selectors as typed values, so that what was decided on is what is sent. Their text is written here and read at the edge.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

name!(
    /// A key, path or value of a selector: at most 317 letters, digits, `-`, `_`, `.`, `:` and `/`, perhaps none. Nothing that could end a requirement.
    SelectorWord, "part of a selector", "letters, digits, `-`, `_`, `.`, `:`, `/`",
    |s| s.len() <= 317 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b))
);

/// Which labels an object carries: all of the requirements hold. Empty selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector(pub Vec<Requirement>);

/// Which fields an object has: all of the requirements hold. Empty selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector(pub Vec<FieldRequirement>);

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// `key=value`.
    Equals(SelectorWord, SelectorWord),
    /// `key!=value`.
    Differs(SelectorWord, SelectorWord),
    /// `key in (a,b)`.
    In(SelectorWord, Vec<SelectorWord>),
    /// `key notin (a,b)`.
    NotIn(SelectorWord, Vec<SelectorWord>),
    /// `key`.
    Exists(SelectorWord),
    /// `!key`.
    Absent(SelectorWord),
}

/// One requirement of a field selector: the field has this value, or has it not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Which field.
    pub path: SelectorWord,
    /// False for `!=`.
    pub equal: bool,
    /// The value.
    pub value: SelectorWord,
}

fn joined(parts: &[impl ToString]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.0))
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.0))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(key, value) => write!(f, "{key}={value}"),
            Self::Differs(key, value) => write!(f, "{key}!={value}"),
            Self::In(key, values) => write!(f, "{key} in ({})", joined(values)),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", joined(values)),
            Self::Exists(key) => write!(f, "{key}"),
            Self::Absent(key) => write!(f, "!{key}"),
        }
    }
}

impl fmt::Display for FieldRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.path, if self.equal { "=" } else { "!=" }, self.value)
    }
}
