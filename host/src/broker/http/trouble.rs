//! Why an endpoint gave no answer: a stable word, then one sentence. A skill may act on the word; people read the sentence.
//!
//! Nothing here repeats what a peer or a resolver said: an error text is a way out for secrets and a way in for instructions. The dates and names of a
//! certificate are the exception; they are escaped, cut and redacted like everything else.

use std::fmt;

use infraagent_sandbox::broker::{CallError, Certificate};
use jiff::Timestamp;

use super::address::Kind;

/// Why an endpoint gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Its name has no address.
    #[error("unresolved: the name has no address")]
    Unresolved,
    /// It has no address that it may have.
    #[error("address-refused: its address is {kind}, and {}", if .kind.is_admitted(true) { "the endpoint is not `internal: true`" } else { "no endpoint may have such an address" })]
    Address {
        /// What is there.
        kind: Kind,
    },
    /// It is something that no endpoint may be.
    #[error("target-refused: it is {0}, which no endpoint may be")]
    Target(&'static str),
    /// Nobody listens there.
    #[error("connection-refused: nothing accepts connections there")]
    Refused,
    /// No connection, for any other reason.
    #[error("connection-failed: it cannot be reached")]
    Connection,
    /// Its certificate does not hold.
    #[error("{0}")]
    Certificate(Distrust),
    /// TLS failed although the certificate was fine, or before there was one.
    #[error("tls-failed: no agreement on an encrypted connection")]
    Tls,
    /// What came back is no answer.
    #[error("invalid-answer: it does not answer in HTTP, or broke off")]
    Answer,
    /// The credential that belongs to it cannot be attached.
    #[error("credential-missing: {0}")]
    Credential(String),
    /// The run does not reach out.
    #[error("offline: this run stays offline; start it with `--allow-http` to send GET and HEAD to the endpoints of the environment")]
    Offline,
}

/// A certificate that does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    /// Why.
    pub reason: Reason,
    /// What it says about itself, if that much can be read.
    pub certificate: Option<Certificate>,
}

/// Why a certificate does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is somebody else's.
    WrongName,
    /// Nobody vouches for its issuer.
    UnknownIssuer,
    /// Anything else: revoked, for another purpose, wrongly signed or encoded.
    Invalid,
}

impl Reason {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Expired => ("certificate-expired", "is expired"),
            Self::NotYetValid => ("certificate-not-yet-valid", "is not valid yet"),
            Self::WrongName => ("certificate-wrong-name", "is for another name"),
            Self::UnknownIssuer => ("certificate-untrusted", "is issued by nobody that is trusted here"),
            Self::Invalid => ("certificate-invalid", "is not valid"),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, sentence) = self.reason.words();
        write!(f, "{code}: its certificate {sentence}")?;
        if let Some(Certificate { subject, issuer, not_before, not_after }) = &self.certificate {
            let date = |seconds: i64| Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string());
            write!(f, " (subject `{subject}`, issuer `{issuer}`, valid from {} until {})", date(*not_before), date(*not_after))?;
        }
        Ok(())
    }
}

impl Trouble {
    /// As a guest may know it.
    pub fn about(&self, endpoint: &str) -> CallError {
        let text = self.to_string();
        // The word comes first, so that it can be told from the rest.
        let message = match text.split_once(": ") {
            Some((code, sentence)) => format!("{code}: endpoint `{endpoint}`: {sentence}"),
            None => text,
        };
        CallError::Unavailable { message, retry_after_ms: None }
    }
}
