//! What a sender is told.

use std::time::Duration;

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::json;

use super::payload::Invalid;

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The runs that it starts exist.
    Accepted {
        /// How many agents have a trigger of this source.
        agents: usize,
        /// How many runs were created now.
        triggered: usize,
    },
    /// The body says nothing.
    Invalid(Invalid),
    /// The body did not come.
    Incomplete,
    /// The sender is not known, or is not who he says.
    Unauthorized,
    /// There is nothing at this path.
    NotFound,
    /// Not a POST.
    NotPost,
    /// The body is too long.
    TooLarge,
    /// There is no room now.
    Busy {
        /// When to come again.
        again: Duration,
    },
    /// The API server cannot be asked now, or too long was thought about it.
    Unavailable,
}

impl Answer {
    /// The value of the label `result`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted { agents: _, triggered: _ } => "accepted",
            Self::Invalid(_) | Self::Incomplete => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not-found",
            Self::NotPost => "not-post",
            Self::TooLarge => "too-large",
            Self::Busy { again: _ } => "busy",
            Self::Unavailable => "unavailable",
        }
    }

    /// As HTTP says it.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let error = |message: &str| json!({ "status": self.as_str(), "error": message });
        let (status, body) = match self {
            Self::Accepted { agents, triggered } => {
                (StatusCode::ACCEPTED, json!({ "status": "accepted", "agents": agents, "triggered": triggered }))
            }
            Self::Invalid(invalid) => (StatusCode::BAD_REQUEST, error(&invalid.to_string())),
            Self::Incomplete => (StatusCode::BAD_REQUEST, error("the body did not come in time")),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, error("the sender could not be authenticated")),
            Self::NotFound => (StatusCode::NOT_FOUND, error("only /webhook/<source> is here")),
            Self::NotPost => (StatusCode::METHOD_NOT_ALLOWED, error("only POST is taken here")),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, error("a body may have 1 MiB")),
            Self::Busy { again: _ } => (StatusCode::TOO_MANY_REQUESTS, error("there is no room now: come again")),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, error("it cannot be said now: come again")),
        };
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Busy { again } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(again.as_secs().max(1)));
            }
            Self::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Self::NotPost => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Accepted { agents: _, triggered: _ } | Self::Invalid(_) | Self::Incomplete | Self::NotFound | Self::TooLarge => {}
        }
        response
    }
}
