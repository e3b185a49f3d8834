//! Write skills for InfraAgent.

extern crate self as skills_sdk;

mod action;
mod backend;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod cx;
mod error;
mod export;
pub mod http;
pub mod kinds;
pub mod kubernetes;
pub mod mcp;
mod output;
pub mod prelude;
mod reference;
pub mod sheet;
pub mod state;
#[cfg(any(not(target_arch = "wasm32"), feature = "describe"))]
pub mod testing;
pub mod tool;
pub mod verb;

pub use action::{Action, Declares, Remembers, UsedBy, Uses};
pub use cx::{Budget, Cx, Level, Severity};
pub use error::{Denial, Error, Result};
pub use output::Output;
pub use reference::{ObjectRef, Ref, Resource, Workload, WorkloadKind};
pub use skills_sdk_macros::{args, output, skill, tool};

pub use schemars;
pub use serde;
pub use serde_json;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use export::private as __private;
