//! Skills: package format, sources, checks.

pub mod cache;
pub mod load;
