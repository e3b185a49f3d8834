//! How a model server misbehaves.

use std::{convert::Infallible, io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Response, StatusCode},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use super::{Wire, error, response};

/// What happens in place of a reply.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error of the vendor, such as 429, 500 or 529.
    Status {
        /// The status.
        code: u16,
        /// The value of `Retry-After`.
        #[serde(default)]
        retry_after: Option<String>,
        /// What the vendor says about it.
        #[serde(default)]
        message: Option<String>,
    },
    /// A redirect.
    Redirect {
        /// The status, such as 307.
        code: u16,
        /// Where to.
        to: String,
    },
    /// Any body.
    Raw {
        /// The status.
        code: u16,
        /// A text, or JSON.
        body: Value,
    },
    /// A body that ends in the middle.
    Truncated,
    /// A body of so many bytes.
    Oversized {
        /// How many.
        bytes: usize,
    },
    /// A body that never ends, one byte at a time.
    Drip {
        /// Milliseconds between two bytes.
        every_ms: u64,
    },
    /// No answer at all.
    Hang,
}

impl Fault {
    /// An error without `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, message: None }
    }

    /// An error with `Retry-After`.
    pub fn retry_after(code: u16, value: &str) -> Self {
        Self::Status { code, retry_after: Some(value.to_owned()), message: None }
    }

    pub(super) async fn response(&self, wire: Wire) -> Response<Body> {
        let status = |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::NOT_IMPLEMENTED);
        let json = &[("content-type", "application/json")];
        match self {
            Self::Status { code, retry_after, message } => {
                let mut response = error(wire, status(*code), message.as_deref().unwrap_or("this is what the script wants"));
                if let Some(value) = retry_after.as_ref().and_then(|value| value.parse().ok()) {
                    response.headers_mut().insert("retry-after", value);
                }
                response
            }
            Self::Redirect { code, to } => response(status(*code), &[("location", to)], Body::empty()),
            Self::Raw { code, body } => {
                let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
                response(status(*code), json, Body::from(text))
            }
            Self::Truncated => {
                let pieces =
                    [Ok(Bytes::from_static(b"{\"id\": \"x\", \"content\": [")), Err(io::Error::other("the script cuts it off here"))];
                response(StatusCode::OK, json, Body::from_stream(stream::iter(pieces)))
            }
            Self::Oversized { bytes } => response(StatusCode::OK, json, Body::from(vec![b' '; *bytes])),
            Self::Drip { every_ms } => {
                let every = Duration::from_millis(*every_ms);
                let drops = stream::repeat(()).then(move |()| async move {
                    tokio::time::sleep(every).await;
                    Ok::<_, Infallible>(Bytes::from_static(b" "))
                });
                response(StatusCode::OK, json, Body::from_stream(drops))
            }
            Self::Hang => std::future::pending().await,
        }
    }
}
