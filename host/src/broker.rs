//! The only door: decide, record the intent, execute, record the outcome.

mod change;
mod condition;
pub mod cooldown;
pub mod facts;
mod object;
mod paging;
mod projection;
pub mod snapshot;
pub mod state;
pub mod world;

#[cfg(test)]
mod suite;
