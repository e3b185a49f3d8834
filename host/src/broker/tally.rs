//! What the guardrails did in a run, counted; and what skills log, on its way to the log of the program.

use std::sync::atomic::{AtomicU32, Ordering};

use infraagent_api::names;
use infraagent_guard::{
    call::{LogLevel, LogLine, Severity},
    name::ToolName,
};

use crate::audit::Redactor;

/// Counters of one run.
#[derive(Debug, Default)]
pub struct Tally {
    checked: AtomicU32,
    refused: AtomicU32,
    proposed: AtomicU32,
    executed: AtomicU32,
}

impl Tally {
    /// A call was decided.
    pub fn checked(&self) {
        self.checked.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was refused.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was written down for a person.
    pub fn proposed(&self) {
        self.proposed.fetch_add(1, Ordering::Relaxed);
    }

    /// A change was made.
    pub fn executed(&self) {
        self.executed.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that were decided, refused, proposed, and changes that were made.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        Counts { checked: read(&self.checked), refused: read(&self.refused), proposed: read(&self.proposed), executed: read(&self.executed) }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were decided.
    pub checked: u32,
    /// Calls that were refused.
    pub refused: u32,
    /// Calls that were written down for a person.
    pub proposed: u32,
    /// Changes that were made.
    pub executed: u32,
}

/// The API's word for a severity.
pub fn severity(severity: Severity) -> names::Severity {
    match severity {
        Severity::Info => names::Severity::Info,
        Severity::Warning => names::Severity::Warning,
        Severity::Critical => names::Severity::Critical,
    }
}

/// Writes a guest's log line to the program's log, redacted, as a value: it can never pass for a line of the host.
pub fn log(tool: &ToolName, call: &str, line: &LogLine, redactor: &Redactor) {
    let LogLine { level, message, fields } = line;
    let message = redactor.text(message);
    let fields = fields.iter().map(|(key, value)| format!("{key}={}", redactor.text(value))).collect::<Vec<_>>().join(" ");
    match level {
        LogLevel::Debug => tracing::debug!(target: "skill", %tool, call, ?message, ?fields, "skill log"),
        LogLevel::Info => tracing::info!(target: "skill", %tool, call, ?message, ?fields, "skill log"),
        LogLevel::Warn => tracing::warn!(target: "skill", %tool, call, ?message, ?fields, "skill log"),
        LogLevel::Error => tracing::error!(target: "skill", %tool, call, ?message, ?fields, "skill log"),
    }
}
