//! Runs skill components: admission, limits, bindings, and one door to the world.
//!
//! The way of a skill through this crate: [`manifest`] (what it says about itself), [`admission`] (may it be compiled), [`compiled`] (proof that native code is our own),
//! [`engine`] (loads it), [`instance`] (one fresh, bounded instance per tool call), capabilities (the guest's words become a call), [`broker`] (the door).
//!
//! Nothing here holds a client, a credential or a key, opens a file or a socket, or decides anything.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bindings;
mod capabilities;
mod compat;
mod contract;
mod processor;
mod scan;
mod session;

pub mod admission;
pub mod broker;
pub mod compiled;
pub mod describe;
pub mod engine;
pub mod instance;
pub mod limits;
pub mod manifest;
pub mod notation;
pub mod outcome;
pub mod pure;
