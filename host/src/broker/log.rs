//! What skills log, on its way to the log of the program.

use infraagent_guard::{
    call::{LogLevel, LogLine},
    name::ToolName,
};

use crate::{audit::Redactor, telemetry::log::SKILL};

/// Writes a guest's log line to the program's log, redacted, as a value: it can never pass for a line of the host.
pub(super) fn write(tool: &ToolName, call: &str, line: &LogLine, redactor: &Redactor) {
    let LogLine { level, message, fields } = line;
    let message = redactor.text(message);
    let fields = fields.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
    // With their names: `password=...` is a secret whatever the value looks like, and a name can be one too.
    let fields = redactor.text(&fields);
    match level {
        LogLevel::Debug => tracing::debug!(target: SKILL, %tool, call, text = &*message, fields = &*fields, "skill log"),
        LogLevel::Info => tracing::info!(target: SKILL, %tool, call, text = &*message, fields = &*fields, "skill log"),
        LogLevel::Warn => tracing::warn!(target: SKILL, %tool, call, text = &*message, fields = &*fields, "skill log"),
        LogLevel::Error => tracing::error!(target: SKILL, %tool, call, text = &*message, fields = &*fields, "skill log"),
    }
}
