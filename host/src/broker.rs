//! The only door: decide, record the intent, execute, record the outcome.

pub mod cooldown;
pub mod facts;
mod object;
pub mod snapshot;
pub mod world;
