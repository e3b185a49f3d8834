//! Write skills for InfraAgent.
//!
//! A skill is a WebAssembly component: a few tools that a model may call, and an *action sheet* that says what they may ask the host for. It has no
//! file, socket, clock or environment variable of its own. Whatever it does crosses to the host as one typed call, and the host decides each call
//! against the sheet, the agent's guardrails and the platform's policy, records it, and only then acts.
//!
//! ```text
//! my-skill/
//!   SKILL.md       name, description and instructions for the model: the open Agent Skills format
//!   actions.yaml   the action sheet
//!   Cargo.toml     crate-type = ["cdylib", "rlib"], and one dependency: skills-sdk
//!   src/lib.rs     the tools
//! ```
//!
//! # A walk through a skill
//!
//! The sheet declares two actions. Each is one target: verbs on resources of Kubernetes, methods on an endpoint, or tools of an MCP server.
//!
//! ```yaml
#![doc = include_str!("../examples/walkthrough/actions.yaml")]
//! ```
//!
//! The tools. [`skill!`] makes a type of each action, in `mod actions`: `restart-deployment` is `actions::RestartDeployment`. [`tool`](macro@tool) makes
//! a tool of a function: its doc comment is what the model reads, `actions` is what it may use. Every capability is a method of [`Cx`], and the verbs
//! take the action that they claim.
//!
//! ```ignore
#![doc = include_str!("../examples/walkthrough/lib.rs")]
//! ```
//!
//! `cargo test` runs such tests natively, on the fake host of [`testing`]. `infraagent skill build` makes the component.
//!
//! # What does not compile
//!
//! * a verb with an action that does not declare it in `actions.yaml`,
//! * an action that the tool does not list,
//! * an action that is not in the sheet, or a sheet with an unknown key,
//! * [`Cx::state`] in a skill whose sheet does not say `state: true`.
//!
//! The messages name the place and say what to write there. **But the compiler is not the wall.** Whoever writes the bounds by hand gets any call
//! compiled. Such a component is refused when it is admitted, because its imports are compared with its sheet before anything is compiled; and a call
//! that claims what it should not is denied when it is made. This crate only tells an honest author early.
//!
//! # Sharing code between tools
//!
//! A shared function says which actions it uses, and each tool that calls it must list them:
//!
//! ```ignore
//! fn pods_of<T: Uses<WatchPods>>(cx: &Cx<T>, namespace: &str) -> Result<Vec<Pod>> {
//!     Ok(cx.list_all(WatchPods, Pod::within(namespace), 500)?.items)
//! }
//! ```
//!
//! # Errors, panics, limits
//!
//! Tools answer [`Result`]: the host's errors and those of serde_json pass through `?` and reach the model. A panic ends the call, and its message goes
//! to the log of the run. Each call of a tool is a fresh instance with its own limits of memory, time, calls and bytes; nothing is kept in between
//! but [`state`]. There are no threads and no async: calls of the host wait for their answer.
//!
//! # How it is built
//!
//! `infraagent skill build` runs cargo twice in the directory of the skill, and makes a component of each module:
//!
//! ```text
//! cargo rustc --release --target wasm32-unknown-unknown --crate-type cdylib                                  # ships: exports skill.invoke
//! cargo rustc --release --target wasm32-unknown-unknown --crate-type cdylib --features skills-sdk/describe   # asked once for tools and schemas, then discarded
//! ```
//!
//! Both with `CARGO_ENCODED_RUSTFLAGS` that remap the paths of the machine (`--remap-path-prefix`), since panics carry file names.
//! Imports that the tools never call are not in the component. The describer imports nothing; schemas do not ship.

mod action;
mod backend;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod cx;
mod document;
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
