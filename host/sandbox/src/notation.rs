//! Texts that people and skills write, parsed once into the guard's values: entries of allow and deny lists ([`Entry`]), label and field selectors ([`labels`],
//! [`fields`]). The guard knows the values only, so that what it decides on has one spelling.

mod entry;
mod kind;
mod selector;

pub use entry::{ClusterTarget, Entry};
pub use selector::{fields, labels};
