#![doc = include_str!("../ARCHITECTURE.md")]
#![deny(unsafe_code)]

pub mod audit;
pub mod broker;
mod causes;
pub mod cel;
pub mod cli;
pub mod clock;
pub mod compile;
pub mod llm;
pub mod operator;
pub mod run;
pub mod schedule;
pub mod skill;
pub mod telemetry;

/// How this program calls itself when it asks others.
const USER_AGENT: &str = concat!("infraagent/", env!("CARGO_PKG_VERSION"));
