//! Questions over HTTP. One place for what holds for every provider.
//!
//! # Guarantees
//!
//! * The key goes to the endpoint that it belongs to: redirects are not followed, whatever they point at, and nothing else can name an address.
//! * No text of this module shows the key: it is taken out of what a provider says, should it repeat it.
//! * One question takes at most [`TIMEOUT`]; a wait never reaches past the end of the run. Dropping the future cancels everything.
//! * At most [`MAX_REPLY`] bytes of a reply are read.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::{
    HeaderName, HeaderValue, StatusCode, Uri,
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER},
    response::Parts,
    uri::InvalidUri,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{timeout, timeout_at};
use url::Url;

use super::{
    connect::{self, Connector},
    endpoint::Endpoint,
    exchange::{self, Reply},
    retry::{self, Pace},
};
use crate::{
    audit::{Redactor, escape_terminal},
    causes::causes,
};

/// The longest time from the beginning of a question to the end of its reply.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// The largest reply, in bytes.
pub const MAX_REPLY: usize = 8 << 20;
/// How much of what a provider says about an error is repeated, in characters.
const MAX_MESSAGE: usize = 300;
/// How much of an error's body is read, in bytes.
const MAX_ERROR_BODY: usize = 64 << 10;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be made.
    #[error("no HTTP client for `{origin}` could be made: {message}")]
    Client {
        /// Whom it should have asked.
        origin: String,
        /// Why.
        message: String,
    },
    /// The question is too large, or cannot be written down.
    #[error("the question cannot be written as JSON: {0}")]
    Question(serde_json::Error),
    /// The provider was not reached, or the connection broke.
    #[error("`{origin}` could not be reached: {message}")]
    Network {
        /// Who was asked.
        origin: String,
        /// Why.
        message: String,
    },
    /// The provider took too long.
    #[error("`{origin}` did not answer within {} s", after.as_secs())]
    Timeout {
        /// Who was asked.
        origin: String,
        /// How long it had.
        after: Duration,
    },
    /// The provider refused, or failed.
    #[error("`{origin}` answered {status}: {message}")]
    Status {
        /// Who was asked.
        origin: String,
        /// The status.
        status: StatusCode,
        /// What the provider says about it.
        message: String,
    },
    /// The provider is somewhere else, or somebody wants the key.
    #[error("`{origin}` answered {status} and points at `{target}`: redirects are not followed, set `endpoint` to the final address")]
    Redirect {
        /// Who was asked.
        origin: String,
        /// The status.
        status: StatusCode,
        /// The origin that it points at.
        target: String,
    },
    /// The reply is too large.
    #[error("the reply of `{origin}` has more than {MAX_REPLY} bytes")]
    TooLarge {
        /// Who was asked.
        origin: String,
    },
    /// Asking again did not help.
    #[error("{last} (asked {tries} times)")]
    GaveUp {
        /// How often.
        tries: u32,
        /// What came of the last time.
        last: Box<Error>,
    },
    /// Asking again would be too late.
    #[error("{last} (asked {tries} times; the next try would be in {} s, after the end of the run)", wait.as_secs())]
    NoTime {
        /// How often.
        tries: u32,
        /// The wait that would have been needed.
        wait: Duration,
        /// What came of the last time.
        last: Box<Error>,
    },
}

impl Error {
    /// A stable word: what came of the last try, with the status of an answer as a number.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Client { .. } => "client",
            Self::Question(_) => "question",
            Self::Network { .. } => "network",
            Self::Timeout { .. } => "timeout",
            Self::Status { status, .. } => match status.as_u16() {
                400 => "400",
                401 => "401",
                403 => "403",
                404 => "404",
                413 => "413",
                422 => "422",
                429 => "429",
                500 => "500",
                502 => "502",
                503 => "503",
                504 => "504",
                529 => "529",
                other => {
                    if other >= 500 {
                        "5xx"
                    } else {
                        "4xx"
                    }
                }
            },
            Self::Redirect { .. } => "redirect",
            Self::TooLarge { .. } => "too-large",
            Self::GaveUp { tries: _, last } | Self::NoTime { tries: _, wait: _, last } => last.kind(),
        }
    }
}

/// A failed try, and whether another may help.
struct Failed {
    error: Error,
    again: bool,
    asked_wait: Option<Duration>,
}

impl Failed {
    fn for_good(error: Error) -> Self {
        Self { error, again: false, asked_wait: None }
    }

    fn for_now(error: Error) -> Self {
        Self { error, again: true, asked_wait: None }
    }
}

/// Asks one method of one endpoint.
pub struct Transport {
    connector: &'static Connector,
    url: Url,
    to: Uri,
    origin: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    key: Option<SecretString>,
    pace: Pace,
    timeout: Duration,
}

/// How the key stands in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `x-api-key: <key>`
    XApiKey,
    /// `authorization: Bearer <key>`
    Bearer,
}

impl Transport {
    /// For one method of an endpoint.
    pub fn new(endpoint: &Endpoint, method: &[&str], key_header: KeyHeader) -> Result<Self, Error> {
        let (url, origin) = (endpoint.method(method), endpoint.origin());
        let failed = |message: String| Error::Client { origin: origin.clone(), message };
        let connector = Connector::shared(url.scheme() == "http").map_err(|error| failed(error.to_string()))?;
        let to = url.as_str().parse().map_err(|error: InvalidUri| failed(error.to_string()))?;
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let key = endpoint.key().map(|key| key.expose_secret());
        if let Some(key) = key {
            let (name, value) = match key_header {
                KeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), HeaderValue::from_str(key)),
                KeyHeader::Bearer => (http::header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
            };
            let mut value = value.map_err(|_| failed("the API key cannot be sent in a header".to_owned()))?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        Ok(Self { connector, to, url, origin, headers, key: endpoint.key().cloned(), pace: Pace::default(), timeout: TIMEOUT })
    }

    /// With a header that is always the same.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
        self
    }

    /// With another patience.
    pub fn with_patience(mut self, pace: Pace, timeout: Duration) -> Self {
        (self.pace, self.timeout) = (pace, timeout);
        self
    }

    /// Whom it asks.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A text of the provider, for an error: without secrets and control characters, and bounded.
    pub fn quoted(&self, text: &str) -> String {
        // Made when there is something to say: errors are rare, and runs that wait are many.
        let redactor = Redactor::new(self.key.iter().map(|key| key.expose_secret()));
        let clean = redactor.text(text);
        let short: String = clean.trim().chars().take(MAX_MESSAGE).collect();
        escape_terminal(&short).into_owned()
    }

    /// Asks, and asks again where that may help, until `until`. The question is written anew for each try, so that nothing of it is kept while it is waited for an
    /// answer, which takes minutes.
    pub async fn ask(&self, question: impl Fn() -> serde_json::Result<String>, until: Instant) -> Result<Vec<u8>, Error> {
        let mut tries = 0;
        loop {
            let written = question().map_err(Error::Question)?;
            let Failed { error, again, asked_wait } = match self.try_once(written).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            tries += 1;
            if !again {
                return Err(error);
            }
            if tries > self.pace.retries {
                return Err(Error::GaveUp { tries, last: Box::new(error) });
            }
            // Without chance all clients wait the same: worse, but no error.
            let wait = self.pace.wait(tries, asked_wait, getrandom::u32().unwrap_or_default());
            if Instant::now().checked_add(wait).is_none_or(|next| next >= until) {
                return Err(Error::NoTime { tries, wait, last: Box::new(error) });
            }
            tracing::warn!(%error, tries, ?wait, "the model is asked again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_once(&self, question: String) -> Result<Vec<u8>, Failed> {
        let until = tokio::time::Instant::now() + self.timeout;
        let asked = async {
            let connecting = Box::pin(self.connector.connect(&self.to));
            let stream = timeout(connect::TIMEOUT, connecting)
                .await
                .map_err(|_| self.unreached(&format!("no connection within {} s", connect::TIMEOUT.as_secs())))?;
            let stream = stream.map_err(|error| self.unreached(&causes(&*error)))?;
            let sent = exchange::question(&self.to, &self.headers, &question);
            drop(question);
            exchange::send(stream, sent).await.map_err(|error| self.network(&error))
        };
        let begun = timeout_at(until, asked).await.map_err(|_| Failed::for_now(self.late()))??;
        let room = |status: StatusCode| match status {
            _ if status.is_success() => MAX_REPLY,
            _ if status.is_redirection() => 0,
            _ => MAX_ERROR_BODY,
        };
        let Reply { head: Parts { status, headers, .. }, body } =
            Box::pin(begun.read(room, until)).await.map_err(|error| self.network(&error))?;
        if status.is_success() {
            let body = body.map_err(|error| self.network(&error))?;
            return body.ok_or_else(|| Failed::for_good(Error::TooLarge { origin: self.origin.clone() }));
        }
        if status.is_redirection() {
            let target = headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|to| self.url.join(to).ok());
            let target = target.map_or_else(|| "nothing".to_owned(), |target| target.origin().ascii_serialization());
            return Err(Failed::for_good(Error::Redirect { origin: self.origin.clone(), status, target }));
        }
        let asked_wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked_wait = asked_wait.and_then(|value| retry::retry_after(value, Timestamp::now()));
        // The status is what counts; a body that cannot be read takes nothing from it.
        let body = body.ok().flatten().unwrap_or_default();
        let message = self.quoted(&message(&body));
        let error = Error::Status { origin: self.origin.clone(), status, message };
        Err(Failed { error, again: retry::is_temporary(status), asked_wait })
    }

    fn network(&self, error: &exchange::Error) -> Failed {
        match error {
            exchange::Error::Late(_) => Failed::for_now(self.late()),
            exchange::Error::Io(_) | exchange::Error::Reply(_) => self.unreached(&causes(error)),
        }
    }

    fn unreached(&self, why: &str) -> Failed {
        Failed::for_now(Error::Network { origin: self.origin.clone(), message: self.quoted(why) })
    }

    fn late(&self) -> Error {
        Error::Timeout { origin: self.origin.clone(), after: self.timeout }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// What a provider says about an error, wherever it puts it.
fn message(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let found = ["/error/message", "/error", "/message", "/detail"].into_iter().find_map(|at| json.pointer(at)?.as_str());
    found.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_wherever_it_is() {
        for (body, text) in [
            (r#"{"type":"error","error":{"type":"x","message":"no credit"}}"#, "no credit"),
            (r#"{"error":"no model"}"#, "no model"),
            (r#"{"detail":"not found"}"#, "not found"),
            (r#"{"message":"slow down"}"#, "slow down"),
            ("<html>", "<html>"),
            (r#"{"error":{"code":1}}"#, r#"{"error":{"code":1}}"#),
            ("", ""),
        ] {
            assert_eq!(message(body.as_bytes()), text);
        }
    }

    #[test]
    fn what_a_provider_says_is_quoted_without_the_key_and_bounded() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = Endpoint::new("openai", Some("http://127.0.0.1:1"), Some("canary-5f1e-key".into())).unwrap();
        let transport = Transport::new(&endpoint, &["x"], KeyHeader::Bearer).unwrap();
        assert_eq!(transport.quoted("wrong key canary-5f1e-key\u{1b}[2J"), "wrong key [redacted]\\u{1b}[2J");
        assert!(transport.quoted(&"x".repeat(10_000)).len() <= MAX_MESSAGE);
        assert!(!format!("{transport:?} {:?}", transport.headers).contains("canary"));
    }
}
