//! The seam between the conversation and what executes tool calls.

use std::{future::Future, time::Instant};

use infraagent_api::AgentRunStatus;
use infraagent_guard::call::Finding;

use super::schema::InvalidArguments;
use crate::llm::{ToolCall, ToolStatus, Trust, arguments::Unreadable};

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended. `Blocked` when the host decided against something that the tool asked for and the tool gave up.
    pub status: ToolStatus,
    /// What the model is told, redacted.
    pub text: String,
    /// Where the text comes from: a skill's output is data from the world.
    pub trust: Trust,
    /// One line for people.
    pub summary: String,
    /// Why it did not end well; none if it did.
    pub why: Option<Why>,
}

/// Why a tool call did not end well, in one word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The host refused, or the skill itself says so.
    Told(&'static str),
    /// The sandbox ended the skill: a limit, a crash, a panic.
    Trapped(&'static str),
}

impl Why {
    /// The word.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Told(code) | Self::Trapped(code) => code,
        }
    }
}

impl Outcome {
    /// An error in the words of the host.
    pub fn error(text: impl Into<String>) -> Self {
        Self::host(ToolStatus::Error, text)
    }

    /// Words of the host.
    pub fn host(status: ToolStatus, text: impl Into<String>) -> Self {
        let text = text.into();
        let why = match status {
            ToolStatus::Ok => None,
            ToolStatus::Blocked => Some(Why::Told("blocked")),
            ToolStatus::Error => Some(Why::Told("error")),
        };
        Self { status, summary: text.clone(), text, trust: Trust::Host, why }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn because(self, code: &'static str) -> Self {
        Self { why: Some(Why::Told(code)), ..self }
    }
}

/// Why a call never ran. The model reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No skill of the run has such a tool.
    #[error("there is no tool `{}`: the tools are {}", name.chars().take(64).collect::<String>().escape_debug(), known.join(", "))]
    UnknownTool {
        /// What the model called.
        name: String,
        /// What it could have called.
        known: Vec<String>,
    },
    /// The arguments do not fit the tool's schema.
    #[error(transparent)]
    Arguments(#[from] InvalidArguments),
    /// The arguments are no JSON.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The reply that holds the call may end before its end, so the arguments may be half of what was meant.
    #[error("your reply was cut off, so none of its calls was carried out: say less, and call again")]
    CutOff,
}

impl Rejection {
    /// A stable word for the record: a tool that nobody declared was refused, arguments that do not fit are a mistake.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "unknown-tool",
            Self::Arguments(_) | Self::Unreadable(_) => "invalid-arguments",
            Self::CutOff => "reply-cut-off",
        }
    }
}

/// Executes tool calls. Arguments have passed the tool's schema when they arrive here.
///
/// # Guarantees that an implementation gives
///
/// * Each method leaves exactly one trace in the record.
/// * A call that is dropped starts nothing new; a change that is on its way is finished and recorded all the same.
pub trait Tools: Send + Sync {
    /// Runs a tool of a skill. `until` is the end of the run: nothing may begin after it.
    fn call(&self, call: &ToolCall, until: Instant) -> impl Future<Output = Outcome> + Send;

    /// How many entries (tool calls and changes together) the record still takes.
    fn entries_left(&self) -> u32;

    /// Records a finding of the model itself, after its scope was checked.
    fn finding(&self, call: &ToolCall, finding: Finding) -> impl Future<Output = Outcome> + Send;

    /// Records a call that never ran.
    fn rejected(&self, call: &ToolCall, why: &Rejection) -> impl Future<Output = ()> + Send;

    /// Called once after the calls of each turn: what is only in memory is written down. An error ends the run.
    fn turn_ended(&self) -> impl Future<Output = Result<(), RecordLost>> + Send;

    /// The record as it is now: the truth about what was executed and refused.
    fn record(&self) -> impl Future<Output = AgentRunStatus> + Send;
}

/// The record can no longer be written, so nothing more may happen.
#[derive(Debug, thiserror::Error)]
#[error("the record could not be written: {0}")]
pub struct RecordLost(pub String);
