//! What a tool answers.

use serde::Serialize;
use serde_json::Value;

use crate::Result;

/// The answer of a tool: JSON for the model, and one line for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Goes to the model as data. The host caps it (64 KiB by default), so answer what matters.
    pub content: Value,
    /// One line for people, shown in the timeline of a run.
    pub summary: String,
}

impl Output {
    /// An answer of any serialisable value.
    pub fn new(content: &impl Serialize, summary: impl Into<String>) -> Result<Self> {
        Ok(Self { content: serde_json::to_value(content)?, summary: summary.into() })
    }

    /// An answer of one sentence, for model and people alike.
    pub fn text(summary: impl Into<String>) -> Self {
        let summary = summary.into();
        Self { content: Value::String(summary.clone()), summary }
    }
}
