//! Who sent a delivery. Each source has one secret, in the Secret `infraagent-webhook-<source>` of the operator's namespace:
//!
//! | key | value |
//! |---|---|
//! | `type` | `bearer`: `Authorization: Bearer <secret>`; `github`: `X-Hub-Signature-256: sha256=<HMAC of the body>`; `slack`: `X-Slack-Signature: v0=<HMAC of "v0:<time>:<body>">` with `X-Slack-Request-Timestamp` |
//! | `secret` | the token, or the key of the HMAC (SHA-256); at least 16 characters |
//! | `namespaces` | optional: only agents of these namespaces are started; comma-separated |
//!
//! Everything is compared in constant time.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header::AUTHORIZATION};
use k8s_openapi::ByteString;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::operator::trigger::hex;

/// The shortest secret, in bytes.
const MIN_SECRET: usize = 16;
/// How far the time of a signature may be from now, in seconds.
const TOLERANCE: u64 = 300;

/// How a source proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Github,
    Slack,
}

/// What a delivery proves beyond who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing: whoever has the token can say anything at any time.
    Token,
    /// The body is the sender's; when it was sent is not known.
    Body,
    /// The body is the sender's, and was sent at this time, in seconds since 1970.
    Timed(i64),
}

/// The secret of a source.
#[derive(Debug)]
pub(super) struct Credential {
    scheme: Scheme,
    secret: SecretString,
    namespaces: Option<Vec<String>>,
}

/// A Secret that authenticates nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// A key is missing, or is no text.
    #[error("it has no key `{0}` with a text")]
    Missing(&'static str),
    /// The type is unknown.
    #[error("`type` must be bearer, github or slack")]
    Type,
    /// The secret could be guessed.
    #[error("`secret` must have at least {MIN_SECRET} characters")]
    Short,
}

impl Credential {
    /// From the data of a Secret.
    pub(super) fn parse(data: &BTreeMap<String, ByteString>) -> Result<Self, Unusable> {
        let text = |key: &'static str| {
            let ByteString(bytes) = data.get(key)?;
            // A file that was made by an editor ends with a line break.
            std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']))
        };
        let scheme = match text("type").ok_or(Unusable::Missing("type"))? {
            "bearer" => Scheme::Bearer,
            "github" => Scheme::Github,
            "slack" => Scheme::Slack,
            _ => return Err(Unusable::Type),
        };
        let secret = text("secret").ok_or(Unusable::Missing("secret"))?;
        if secret.len() < MIN_SECRET {
            return Err(Unusable::Short);
        }
        let namespaces = text("namespaces").map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        Ok(Self { scheme, secret: secret.into(), namespaces })
    }

    /// A credential whose secret nobody knows.
    pub(super) fn nobody() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self { scheme: Scheme::Github, secret: hex(&secret).into(), namespaces: None })
    }

    /// The secret itself, for the redactor.
    pub(super) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Whether agents of this namespace may be started.
    pub(super) fn reaches(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|names| names.iter().any(|name| name == namespace))
    }

    /// What the delivery proves; nothing if it is not the sender's, or too old, or from the future. `now` in seconds since 1970.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Option<Proof> {
        match self.scheme {
            Scheme::Bearer => {
                let token = only(headers, AUTHORIZATION.as_str())?;
                let (word, token) = token.split_once(' ')?;
                // Over both, so that neither length nor content shows in the time that it takes.
                let expected = mac(b"bearer", [self.secret.expose_secret().as_bytes()])?.finalize().into_bytes();
                let given = mac(b"bearer", [token.trim_start().as_bytes()])?;
                (word.eq_ignore_ascii_case("bearer") && given.verify(&expected).is_ok()).then_some(Proof::Token)
            }
            Scheme::Github => {
                let given = unhex(only(headers, "x-hub-signature-256")?.strip_prefix("sha256=")?)?;
                self.mac([body])?.verify_slice(&given).ok().map(|()| Proof::Body)
            }
            Scheme::Slack => {
                let stamp = only(headers, "x-slack-request-timestamp")?;
                let given = unhex(only(headers, "x-slack-signature")?.strip_prefix("v0=")?)?;
                self.mac([b"v0:".as_slice(), stamp.as_bytes(), b":", body])?.verify_slice(&given).ok()?;
                let sent: i64 = stamp.parse().ok()?;
                (sent.abs_diff(now) <= TOLERANCE).then_some(Proof::Timed(sent))
            }
        }
    }

    fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Hmac<Sha256>> {
        mac(self.secret.expose_secret().as_bytes(), parts)
    }
}

fn mac<'a>(key: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    parts.into_iter().for_each(|part| mac.update(part));
    Some(mac)
}

/// The value of a header that is there once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
