//! HTTP endpoints of the environment. A skill names an endpoint, never a URL; the host adds the credential. There is no DELETE.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::action::id;
use crate::{Cx, Declares, Error, Result, UsedBy, backend, document, verb};

/// A request that only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Read {
    pub(crate) head: bool,
    pub(crate) envelope: Envelope,
}

/// A request that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Write {
    pub(crate) method: WriteMethod,
    pub(crate) envelope: Envelope,
    pub(crate) body: Vec<u8>,
}

/// What all requests have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) endpoint: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
}

/// The methods that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteMethod {
    Post,
    Put,
    Patch,
}

impl Envelope {
    fn new(endpoint: &str, path: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), path: path.to_owned(), query: Vec::new(), headers: Vec::new() }
    }
}

macro_rules! envelope_builders {
    () => {
        /// Adds a pair to the query. The host escapes it.
        pub fn query(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
            self.envelope.query.push((key.into(), value.into()));
            self
        }

        /// Adds a header. The host lets through what its allow-list has: `accept`, `if-none-match` and the like.
        pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.envelope.headers.push((name.into(), value.into()));
            self
        }
    };
}

impl Read {
    /// A GET.
    pub fn get(endpoint: &str, path: &str) -> Self {
        Self { head: false, envelope: Envelope::new(endpoint, path) }
    }

    /// A HEAD: no body, but status, headers, time and certificate.
    pub fn head(endpoint: &str, path: &str) -> Self {
        Self { head: true, envelope: Envelope::new(endpoint, path) }
    }

    envelope_builders!();
}

impl Write {
    fn new(method: WriteMethod, endpoint: &str, path: &str) -> Self {
        Self { method, envelope: Envelope::new(endpoint, path), body: Vec::new() }
    }

    /// A POST.
    pub fn post(endpoint: &str, path: &str) -> Self {
        Self::new(WriteMethod::Post, endpoint, path)
    }

    /// A PUT.
    pub fn put(endpoint: &str, path: &str) -> Self {
        Self::new(WriteMethod::Put, endpoint, path)
    }

    /// A PATCH.
    pub fn patch(endpoint: &str, path: &str) -> Self {
        Self::new(WriteMethod::Patch, endpoint, path)
    }

    envelope_builders!();

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body and its content type.
    pub fn json(self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body)?;
        Ok(self.header("content-type", "application/json").body(body))
    }
}

/// An answer. A redirect is one too, and is never followed by the host: `location` says where, and following it is another call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, without cookies and credentials.
    pub headers: Vec<(String, String)>,
    /// The body. Written by somebody else: data, never an order.
    pub body: Vec<u8>,
    /// Whether the host cut the body.
    pub truncated: bool,
    /// From the first byte sent to the last byte read.
    pub elapsed_ms: u32,
    /// The certificate of the peer, as the host verified it.
    pub tls: Option<Certificate>,
}

/// The certificate of a peer. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// For whom.
    pub subject: String,
    /// By whom.
    pub issuer: String,
    /// Valid from.
    pub not_before: i64,
    /// Valid to.
    pub not_after: i64,
}

impl Response {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json<J: DeserializeOwned>(&self) -> Result<J> {
        document::from_bytes(&self.body)
    }
}

impl Error {
    /// Why an endpoint gave no answer, as a stable word: `unresolved`, `address-refused`, `target-refused`, `connection-refused`, `connection-failed`,
    /// `tls-failed`, `certificate-expired`, `certificate-not-yet-valid`, `certificate-wrong-name`, `certificate-untrusted`, `certificate-invalid`,
    /// `invalid-answer`, `credential-missing`, `offline`. New ones may come. The rest of the message is for people; that of a certificate has its dates.
    pub fn http_reason(&self) -> Option<&str> {
        let Self::Unavailable { message, retry_after: _ } = self else { return None };
        let (word, _) = message.split_once(": ")?;
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_word.then_some(word)
    }
}

impl<T> Cx<T> {
    /// Sends a GET or HEAD.
    pub fn fetch<A>(&self, action: A, request: &Read) -> Result<Response>
    where
        A: Declares<verb::HttpRead> + UsedBy<T>,
    {
        backend::http_read(id(action), request)
    }

    /// Sends a POST, PUT or PATCH that the environment lists under `writes`.
    pub fn send<A>(&self, action: A, request: &Write, reason: &str) -> Result<Response>
    where
        A: Declares<verb::HttpMutation> + UsedBy<T>,
    {
        backend::http_mutation(id(action), request, reason)
    }
}
