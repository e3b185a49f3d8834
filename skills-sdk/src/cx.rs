//! The context of a tool call: every capability is a method of it.
//!
//! A file per interface of the contract adds its methods: [`kubernetes`](crate::kubernetes), [`http`](crate::http), [`mcp`](crate::mcp),
//! [`state`](crate::state), and here those that need no action.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::reference::ObjectRef;
use crate::{Result, backend, document};

/// The context of one call of the tool `T`. It weighs nothing.
pub struct Cx<T> {
    tool: PhantomData<fn() -> T>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the skill's author.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What went wrong.
    Error,
}

/// What is left of this tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Time on the wall.
    pub millis: u32,
    /// Time on the processor.
    pub cpu_millis: u32,
    /// Calls of the host.
    pub host_calls: u32,
    /// Bytes that may leave through http and mcp.
    pub bytes_out: u32,
}

impl<T> Cx<T> {
    /// The context for a tool. `#[tool]` makes it; a native test may, to call a tool's function directly.
    #[expect(clippy::new_without_default, reason = "there is no default tool")]
    pub const fn new() -> Self {
        Self { tool: PhantomData }
    }

    /// What the environment says about this site, without secrets: endpoints, namespace groups, capabilities.
    ///
    /// Deserialize it into what you need, or into `serde_json::Value`.
    pub fn site<S: DeserializeOwned>(&self) -> Result<S> {
        document::from_str(&backend::site()?)
    }

    /// Reports something worth knowing: it is recorded with the run, and perhaps sent to people.
    ///
    /// `about` must be in scope of the agent; the message has at most 1 KiB.
    pub fn finding(&self, severity: Severity, about: Option<ObjectRef>, message: impl AsRef<str>) -> Result<()> {
        backend::finding(severity, about.as_ref(), message.as_ref())
    }

    /// A line for the log of the run, with fields. Limited by number and size: past the limit it answers an error.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) -> Result<()> {
        backend::log(level, message, fields)
    }

    /// Milliseconds since 1970.
    pub fn now_unix_ms(&self) -> u64 {
        backend::now_unix_ms()
    }

    /// What is left of this tool call.
    pub fn remaining(&self) -> Budget {
        backend::remaining()
    }
}

impl<T> Clone for Cx<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cx<T> {}

impl<T> fmt::Debug for Cx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cx")
    }
}
