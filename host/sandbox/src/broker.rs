//! The only door out of the sandbox. Whatever a guest asks for, log lines and findings included, becomes one [`Request`] to a [`Broker`].

use std::{fmt, future::Future, pin::Pin};

use infraagent_guard::{call::Call, name::ActionId};

/// What a guest asks for, parsed.
#[derive(Debug)]
pub enum Request {
    /// A well-formed call.
    Call {
        /// The action that the guest claims; none for ambient calls.
        action: Option<ActionId>,
        /// The call.
        call: Call,
    },
    /// Something that never became a call. It is refused, and the refusal is recorded.
    Malformed {
        /// Interface and function, such as `kubernetes-read.get`.
        function: &'static str,
        /// What is wrong, with the input escaped and cut.
        message: String,
    },
}

/// Decides, records and executes one call. One broker serves one tool call.
pub trait Broker: Send + Sync {
    /// Answers a request. Dropping the future cancels it.
    fn perform(&self, request: Request) -> Answering<'_>;
}

/// The answer to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send + 'a>>;

/// What came of a call. Each kind of call has its kind of answer; any other is an internal error.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// For log, finding, state remove.
    Done,
    /// For the clock: Unix milliseconds.
    Time(u64),
    /// For site, get and MCP: JSON text.
    Json(String),
    /// For list.
    Page(Page),
    /// For logs: the text, and whether it was cut.
    Text(String, bool),
    /// For wait: false when the time was over.
    Reached(bool),
    /// For mutations of the cluster.
    Receipt(Receipt),
    /// For http.
    Response(Response),
    /// For state get: bytes and version.
    Entry(Option<(Vec<u8>, u64)>),
    /// For state put.
    Version(u64),
    /// For state keys.
    Keys(Vec<String>),
}

/// A page of objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// A JSON array.
    pub items: String,
    /// How many items are in it.
    pub count: u32,
    /// A handle for the next page.
    pub continue_token: Option<String>,
    /// The byte cap cut the page.
    pub truncated: bool,
}

/// What was written to the record for a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's number.
    pub audit_seq: u32,
    /// False if the object was already as wished.
    pub changed: bool,
    /// The object's version afterwards.
    pub resource_version: Option<String>,
}

/// The answer of an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers without credentials and cookies.
    pub headers: Vec<(String, String)>,
    /// The body, redacted.
    pub body: Vec<u8>,
    /// The body was cut.
    pub truncated: bool,
    /// From the first byte sent to the last byte read.
    pub elapsed_ms: u32,
    /// The peer's certificate.
    pub tls: Option<Certificate>,
}

/// A certificate as it was verified. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// From when.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
}

/// Why a call did not succeed, as the guest may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The host decided against it.
    Denied {
        /// A stable word.
        code: String,
        /// The action that was claimed, or nothing.
        action: String,
        /// One sentence.
        message: String,
    },
    /// The object does not exist.
    NotFound(String),
    /// The object changed in between.
    Conflict(String),
    /// The call makes no sense.
    Invalid(String),
    /// Not now.
    Unavailable {
        /// Why.
        message: String,
        /// When to try again.
        retry_after_ms: Option<u32>,
    },
    /// Nothing is left.
    BudgetExhausted(String),
    /// It took too long.
    Timeout,
    /// Opaque incident id.
    Internal(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { code, action: _, message } => write!(f, "denied ({code}): {message}"),
            Self::NotFound(what) => write!(f, "not found: {what}"),
            Self::Conflict(what) => write!(f, "conflict: {what}"),
            Self::Invalid(what) => write!(f, "invalid: {what}"),
            Self::Unavailable { message, retry_after_ms: _ } => write!(f, "unavailable: {message}"),
            Self::BudgetExhausted(what) => write!(f, "budget exhausted: {what}"),
            Self::Timeout => f.write_str("timed out"),
            Self::Internal(incident) => write!(f, "internal error, incident {incident}"),
        }
    }
}

impl std::error::Error for CallError {}
