//! The sandbox from outside: components built for the contract, a recording broker, and every limit with a guest that tries it.

#[path = "../support/mod.rs"]
#[expect(unreachable_pub, reason = "shared between test binaries")]
mod support;

mod admission;
mod calls;
mod compat;
mod limits;
mod manifest;
mod notation;
mod slices;
mod worlds;
