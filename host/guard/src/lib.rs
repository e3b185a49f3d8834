//! The decision: may this agent make this call, here and now?
//!
//! ```text
//! Claim --screen--> Screened --facts, decide--> Decision::{Allow(Permit), Propose(Proposal), Deny(Denial)}
//! ```
//!
//! This crate performs no I/O, reads no clock, keeps no state and depends on nothing, so it can be enumerated, and read in one sitting:
//! [`name`] (what a name may look like), [`call`] and [`selector`] (everything a skill can ask for), [`text`] (how a call is written down),
//! [`pattern`] (the agent's allow and deny lists), [`policy`] (who may do what), [`screen`](mod@screen) (all that can be decided without looking at the world), [`facts`]
//! (what was seen of the world), [`decide`](mod@decide) (consequences), [`permit`] (the proof that a call was allowed).
//!
//! # Guarantees
//!
//! * A [`Permit`] exists only because [`decide`](fn@decide) allowed exactly the call that it carries. Its fields are private, it cannot be cloned or built:
//!
//! ```compile_fail,E0451
//! # use infraagent_guard::{call::Mutation, permit::Permit};
//! fn forge(call: Mutation, honest: Permit<Mutation>) -> Permit<Mutation> {
//!     Permit { call, ..honest }
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use infraagent_guard::{call::Mutation, permit::Permit};
//! fn twice(permit: Permit<Mutation>) -> (Permit<Mutation>, Permit<Mutation>) {
//!     (permit.clone(), permit)
//! }
//! ```
//!
//! ```compile_fail,E0451
//! # use infraagent_guard::{call::Mutation, permit::{Permit, Proposal}};
//! fn propose(permit: Permit<Mutation>) -> Proposal {
//!     Proposal { permit }
//! }
//! ```
//!
//! ```compile_fail,E0639
//! # use infraagent_guard::call::HttpRequest;
//! fn unchecked(honest: HttpRequest) -> HttpRequest {
//!     HttpRequest { headers: vec![("x-http-method-override".into(), "DELETE".into())], ..honest }
//! }
//! ```
//!
//! * There is no value of [`Call`] that deletes or alters data, or reads a Secret.
//! * Whatever is unknown is denied.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

/// An enum whose every value has one stable text and, after `=>`, one more property.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $(#[$why:meta])* $property:ident: $of:ty {
        $($(#[$about:meta])* $variant:ident = $text:literal => $value:expr,)+
    }) => {
        words! { $(#[$doc])* $type { $($(#[$about])* $variant = $text,)+ } }

        impl $type {
            $(#[$why])*
            pub fn $property(self) -> $of {
                match self { $(Self::$variant => $value,)+ }
            }
        }
    };
    ($(#[$doc:meta])* $type:ident { $($(#[$about:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$about])* $variant,)+ }

        impl $type {
            /// Every value, in order.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The stable text: for people, the record and the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

/// A text that is checked once, and then has a type of its own. Shared: a call goes through many hands (claim, permit, record), and copying it costs no memory.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(alloc::sync::Arc<str>);

        impl $type {
            /// Accepts exactly what the type's description says; nothing is trimmed, folded or decoded.
            pub fn parse(input: &str) -> Result<Self, $crate::name::Invalid> {
                let valid: fn(&str) -> bool = $valid;
                if valid(input) { Ok(Self(input.into())) } else { Err($crate::name::Invalid::new($what, input, $expected)) }
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub mod call;
pub mod checks;
pub mod decide;
pub mod facts;
mod kinds;
pub mod name;
pub mod pattern;
pub mod permit;
pub mod policy;
pub mod screen;
pub mod selector;
pub mod text;
mod view;

pub use call::Call;
pub use checks::{Check, Checks, Code, Denial, Outcome};
pub use decide::{Decision, decide};
pub use facts::{Fact, Facts};
pub use permit::{Allowed, Permit, Proposal};
pub use policy::{Autonomy, Policy, Tier};
pub use screen::{Circumstances, Claim, Screened, screen};
