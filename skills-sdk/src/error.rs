//! The one error of a skill: what the host answers, and what a tool answers in its turn.

use std::fmt;
use std::time::Duration;

/// A result of the host or of a tool.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call had no result. A tool that ends with one passes it on to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The host decided against the call. Asking again changes nothing.
    Denied(Denial),
    /// There is no such object, or none that the agent may know of.
    NotFound(String),
    /// The object changed since it was looked at. Look again, then decide again.
    Conflict(String),
    /// The call, or the arguments of the tool, make no sense.
    Invalid(String),
    /// Not now.
    Unavailable {
        /// What is not available.
        message: String,
        /// When to ask again, if somebody said so.
        retry_after: Option<Duration>,
    },
    /// The run, or this tool call, has used up what it was given.
    BudgetExhausted(String),
    /// It took too long.
    Timeout,
    /// The host failed. The text is an incident id for the operator's log.
    Internal(String),
}

/// A decision against a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// A word of an open registry: `undeclared-action`, `out-of-scope`, `data-protection`, `approval-required`, ...
    pub code: String,
    /// The action that the call claimed.
    pub action: String,
    /// One sentence for people and models.
    pub message: String,
}

impl Error {
    /// For arguments that make no sense, or a world that does not fit the tool.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// For something that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// Whether the host decided against the call, for whatever reason.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(Denial { code, action, message }) if action.is_empty() => write!(f, "denied ({code}): {message}"),
            Self::Denied(Denial { code, action, message }) => write!(f, "action `{action}` denied ({code}): {message}"),
            Self::NotFound(message) => write!(f, "not found: {message}"),
            Self::Conflict(message) => write!(f, "conflict: {message}"),
            Self::Invalid(message) => write!(f, "invalid: {message}"),
            Self::Unavailable { message, retry_after: None } => write!(f, "unavailable: {message}"),
            Self::Unavailable { message, retry_after: Some(after) } => {
                write!(f, "unavailable: {message}; ask again in {} ms", after.as_millis())
            }
            Self::BudgetExhausted(message) => write!(f, "budget exhausted: {message}"),
            Self::Timeout => f.write_str("timed out"),
            Self::Internal(incident) => write!(f, "internal error of the host, incident `{incident}`"),
        }
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}
