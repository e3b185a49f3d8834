//! What came of a change, in the words of the record.

use infraagent_api::run::{ActionStatus, Reads};
use infraagent_sandbox::broker::{CallError, Receipt};

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MutationOutcome {
    /// It was done.
    Executed {
        /// What came of it.
        result: String,
    },
    /// It was tried and is known not to have happened.
    Failed {
        /// A code, such as `conflict`.
        reason: String,
        /// Why.
        message: String,
    },
    /// It was not tried.
    Skipped {
        /// A code, such as `shadow`.
        reason: String,
        /// Why.
        message: String,
    },
    /// It was tried, and nobody knows whether it happened.
    Unknown {
        /// A code, such as `timeout`.
        reason: String,
        /// Why nobody knows.
        message: String,
    },
}

impl MutationOutcome {
    /// The outcome that an executor's answer stands for. After a timeout or an internal error nobody knows whether the change happened.
    pub fn of(answer: &Result<Receipt, CallError>) -> Self {
        match answer {
            Ok(Receipt { audit_seq: _, changed, resource_version }) => {
                let what = if *changed { "changed" } else { "was already so" };
                let version = resource_version.as_ref().map_or_else(String::new, |version| format!(", now at version {version}"));
                Self::Executed { result: format!("{what}{version}") }
            }
            Err(error @ (CallError::Timeout | CallError::Internal(_))) => {
                Self::Unknown { reason: code(error).to_owned(), message: error.to_string() }
            }
            Err(
                error @ (CallError::Denied { .. }
                | CallError::NotFound(_)
                | CallError::Conflict(_)
                | CallError::Invalid(_)
                | CallError::Unavailable { .. }
                | CallError::BudgetExhausted(_)),
            ) => Self::Failed { reason: code(error).to_owned(), message: error.to_string() },
        }
    }
}

/// The word of the contract for an error.
pub(crate) fn code(error: &CallError) -> &str {
    match error {
        CallError::Denied { code, action: _, message: _ } => code,
        CallError::NotFound(_) => "not-found",
        CallError::Conflict(_) => "conflict",
        CallError::Invalid(_) => "invalid",
        CallError::Unavailable { message: _, retry_after_ms: _ } => "unavailable",
        CallError::BudgetExhausted(_) => "budget-exhausted",
        CallError::Timeout => "timeout",
        CallError::Internal(_) => "internal",
    }
}

/// An outcome before it is bounded.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ActionStatus,
    pub(crate) reason: Option<String>,
    pub(crate) result: String,
    pub(crate) reads: Option<Reads>,
}

impl Outcome {
    pub(crate) fn new(status: ActionStatus, reason: Option<&str>, result: impl Into<String>) -> Self {
        Self { status, reason: reason.map(str::to_owned), result: result.into(), reads: None }
    }
}

impl From<MutationOutcome> for Outcome {
    fn from(outcome: MutationOutcome) -> Self {
        match outcome {
            MutationOutcome::Executed { result } => Self::new(ActionStatus::Executed, None, result),
            MutationOutcome::Failed { reason, message } => Self::new(ActionStatus::Failed, Some(&reason), message),
            MutationOutcome::Skipped { reason, message } => Self::new(ActionStatus::Skipped, Some(&reason), message),
            MutationOutcome::Unknown { reason, message } => Self::new(ActionStatus::Unknown, Some(&reason), message),
        }
    }
}
