//! Why a request to the API server did not succeed, and what of that a guest, a decision or the record is told.
//!
//! The words are the host's, the same as the snapshot's; of the API server's own words only those reach a guest that say why a change is invalid.

use http::StatusCode;
use infraagent_sandbox::broker::CallError;
use kube::core::Status;

use crate::{broker::world::WorldError, causes::causes};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The API server answered, and the answer is an error.
    #[error("the API server answers {}: {}", .0.code, .0.message)]
    Refused(Box<Status>),
    /// There is no connection, so nothing was sent.
    #[error("the API server cannot be reached: {0}")]
    Unreached(String),
    /// Something was sent, or may have been, and no whole answer came.
    #[error("the API server did not answer completely: {0}")]
    Lost(String),
    /// It took too long.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// The answer is beyond the cap.
    #[error("the answer of the API server is too large")]
    TooLarge,
    /// The answer is not what was asked for.
    #[error("the answer of the API server cannot be read: {0}")]
    Unreadable(String),
    /// The request could not be made.
    #[error("the request cannot be made: {0}")]
    Malformed(String),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            return Self::Refused(status);
        }
        let text = causes(&error);
        if is_refused_connection(&error) { Self::Unreached(text) } else { Self::Lost(text) }
    }
}

/// Nobody listened: then certainly nothing was sent. Any other error of the network may have come after the last byte was.
fn is_refused_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut current = Some(error);
    while let Some(error) = current {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        current = error.source();
    }
    false
}

impl Failure {
    /// From an answer that is an error.
    pub(super) fn of_body(status: StatusCode, body: &[u8]) -> Self {
        let known = serde_json::from_slice::<Status>(body).ok().filter(|known| known.code != 0);
        let text = String::from_utf8_lossy(body.get(..512).unwrap_or(body)).into_owned();
        Self::Refused(known.unwrap_or_else(|| Status::failure(&text, "").with_code(status.as_u16())).boxed())
    }

    /// What a look is told that needed `rule`, about `what`.
    pub(super) fn of_look(self, rule: &str, what: &str) -> WorldError {
        match self {
            Self::Refused(status) => match status.code {
                403 => WorldError::Forbidden { rule: rule.to_owned() },
                404 => WorldError::NotFound(what.to_owned()),
                401 => WorldError::Unavailable(format!("{rule}: the cluster does not accept the credentials of the kubeconfig")),
                code => WorldError::Unavailable(format!("{rule}: the API server answers {code}")),
            },
            Self::Unreached(_) | Self::Lost(_) => WorldError::Unavailable(format!("{rule}: the API server does not answer")),
            Self::TimedOut => WorldError::Unavailable(format!("{rule}: the API server does not answer in time")),
            Self::TooLarge => WorldError::Unavailable(format!("{rule}: there is too much")),
            Self::Unreadable(_) | Self::Malformed(_) => WorldError::Unavailable(format!("{rule}: the answer cannot be read")),
        }
    }

    /// What a guest is told whose read needed `rule`, about `what`.
    pub(super) fn of_read(self, rule: &str, what: &str) -> CallError {
        match self {
            Self::Refused(status) => match status.code {
                400 | 422 => CallError::Invalid(said(&status)),
                403 => forbidden(&status, rule),
                410 => CallError::Invalid("the list has changed since that page: start again without a token".to_owned()),
                429 => later(&status),
                _ => Self::Refused(status).of_look(rule, what).into(),
            },
            other @ (Self::Unreached(_) | Self::Lost(_) | Self::TimedOut | Self::TooLarge | Self::Unreadable(_) | Self::Malformed(_)) => {
                other.of_look(rule, what).into()
            }
        }
    }

    /// What a guest and the record are told of a change that needed `rule`, on `what`. Unless it is certain that nothing happened, the error is one after which
    /// nobody knows.
    pub(super) fn of_change(self, rule: &str, what: &str) -> CallError {
        match self {
            Self::Refused(status) => match status.code {
                400 | 422 => CallError::Invalid(said(&status)),
                401 => CallError::Unavailable {
                    message: "the cluster does not accept the credentials of the kubeconfig".to_owned(),
                    retry_after_ms: None,
                },
                403 => forbidden(&status, rule),
                404 => CallError::NotFound(format!("`{what}` does not exist")),
                409 => CallError::Conflict(format!("`{what}` has changed since it was looked at: read it again")),
                429 => later(&status),
                // The API server gave up: what it asked of its store may be done all the same.
                504 => CallError::Timeout,
                code if code < 500 => CallError::Invalid(said(&status)),
                code => CallError::Internal(format!("api-server-{code}")),
            },
            Self::Unreached(_) => {
                CallError::Unavailable { message: "the API server cannot be reached, so nothing was sent".to_owned(), retry_after_ms: None }
            }
            Self::Malformed(why) => CallError::Invalid(why),
            Self::TimedOut => CallError::Timeout,
            Self::Lost(_) => CallError::Internal("answer-lost".to_owned()),
            Self::TooLarge | Self::Unreadable(_) => CallError::Internal("answer-unreadable".to_owned()),
        }
    }
}

/// The API server's words, cut.
fn said(status: &Status) -> String {
    let mut text: String = status.message.chars().take(400).collect();
    if text.len() < status.message.len() {
        text.push('…');
    }
    text
}

/// Not now. Without a hint: in a second, as the API server's own clients do.
fn later(status: &Status) -> CallError {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds).max(1);
    CallError::Unavailable { message: "the API server has too much to do".to_owned(), retry_after_ms: Some(seconds.saturating_mul(1000)) }
}

/// Roles and admission policies both refuse with 403; only a missing role can be granted.
fn forbidden(status: &Status, rule: &str) -> CallError {
    let denied = |message: String| CallError::Denied { code: "forbidden".to_owned(), action: String::new(), message };
    if status.message.contains("cannot impersonate") {
        return denied(format!("this host may not act as the agent's service account: {}", said(status)));
    }
    if status.message.contains("ValidatingAdmissionPolicy") || status.message.contains("admission webhook") {
        return denied(format!("an admission policy of the cluster refuses it: {}", said(status)));
    }
    WorldError::Forbidden { rule: rule.to_owned() }.into()
}
