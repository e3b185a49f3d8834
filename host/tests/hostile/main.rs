//! Hostile guests through the whole chain: component, sandbox, door, guard, record, snapshot.
//!
//! Each case ends the same way: the guest got a named error, a friendly neighbour in the same run was served during and after the attack, the record verifies
//! and says what happened, and the cluster is as it was unless a change was really allowed.

#![expect(unreachable_pub, reason = "modules of one test binary")]

mod chain;
mod consequences;
mod effects;
mod endpoints;
mod forged;
mod guest;
mod leaks;
mod loading;
mod program;
mod rules;
#[expect(dead_code, reason = "shared with the sandbox's own tests, which use all of it")]
#[path = "../../sandbox/tests/support/mod.rs"]
mod support;
mod telling;
