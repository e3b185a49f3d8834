//! Runs skill components: admission, limits, bindings, and one door to the world.

pub mod broker;
pub mod manifest;
