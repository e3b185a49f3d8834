//! What came of a tool call: an answer or a named failure, what it used, and what it wrote to its streams.

use std::time::Duration;

use crate::{
    broker::CallError,
    limits::{Limit, Limits},
};

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a failed tool call must be told"]
pub struct ToolOutcome {
    /// The answer, or why there is none.
    pub result: Result<Output, Failure>,
    /// What it used.
    pub usage: Usage,
    /// What a guest of the compat profile wrote to its standard streams: escaped and capped.
    pub log: String,
}

/// A tool's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// JSON text for the model: data, never instructions.
    pub content: String,
    /// One line for people, escaped.
    pub summary: String,
}

/// What a tool call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time on the processor, the broker's left out.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// The most linear memory at any time, in bytes.
    pub peak_memory: u64,
    /// Calls to the host.
    pub host_calls: u32,
    /// Bytes that calls carried out.
    pub egress: u64,
    /// Lines of log.
    pub log_lines: u32,
}

/// Why a tool call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A limit was reached.
    #[error("the skill {explanation} (limit `{limit}`)")]
    Limit {
        /// Which one.
        limit: Limit,
        /// What was too much and what to do.
        explanation: String,
    },
    /// The code did what WebAssembly does not allow.
    #[error("the skill crashed: {kind}{detail}")]
    Trap {
        /// A stable word.
        kind: &'static str,
        /// More, escaped; or nothing.
        detail: String,
    },
    /// The code panicked, and said why.
    #[error("the skill panicked: {message}")]
    Panic {
        /// Its words, escaped and cut.
        message: String,
    },
    /// The tool answered an error.
    #[error("the tool failed: {0}")]
    Guest(CallError),
    /// The host refused a call that cannot answer an error.
    #[error("the host refused a call: {0}")]
    Refused(CallError),
    /// The answer is not what the contract says.
    #[error("the tool's answer is not usable: {0}")]
    BadAnswer(String),
    /// The skill has no such tool.
    #[error("the skill has no tool `{0}`")]
    UnknownTool(String),
    /// A fault of the host.
    #[error("internal error of the sandbox: {0}")]
    Internal(String),
}

impl Failure {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit { limit, explanation: _ } => limit.code(),
            Self::Trap { kind: _, detail: _ } => "trap",
            Self::Panic { message: _ } => "panic",
            Self::Guest(_) => "guest-error",
            Self::Refused(_) => "refused",
            Self::BadAnswer(_) => "bad-answer",
            Self::UnknownTool(_) => "unknown-tool",
            Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn limit(limit: Limit, limits: &Limits) -> Self {
        Self::Limit { limit, explanation: limit.explain(limits) }
    }
}

/// Ends a guest from inside a host function.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stop(pub(crate) Failure);

/// Text of a guest as it may be shown: control characters (line ends, terminal sequences, direction marks) escaped, cut at `max` bytes.
pub fn printable(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let hidden =
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if hidden {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        if shown.len() > max {
            while shown.len() > max {
                shown.pop();
            }
            shown.push('…');
            break;
        }
    }
    shown
}
