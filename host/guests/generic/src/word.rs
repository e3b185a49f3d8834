//! Kinds as a sheet writes them.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::bindings::infraagent::skill::types::ResourceType;

/// An enum of the contract that is written as one of these words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $type:path { $($word:literal => $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        pub fn $name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
            use $type as Enum;
            match <&str as serde::Deserialize>::deserialize(deserializer)? {
                $($word => Ok(Enum::$variant),)+
                other => Err(serde::de::Error::custom(format_args!("`{}` is none of {}", other.escape_debug(), [$($word),+].join(", ")))),
            }
        }
    };
}
pub(crate) use words;

/// `deployments.apps`, or `pods` for the core group.
pub(crate) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResourceType, D::Error> {
    let word = <&str>::deserialize(deserializer)?;
    if word.is_empty() {
        return Err(D::Error::custom("the kind is empty"));
    }
    let (resource, group) = word.split_once('.').unwrap_or((word, ""));
    Ok(ResourceType { group: group.to_owned(), version: None, resource: resource.to_owned() })
}
