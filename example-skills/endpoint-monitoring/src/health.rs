//! What an outcome means. Pure: outcomes and a time in, problems out.

use skills_sdk::http::{Certificate, Response};
use skills_sdk::prelude::*;

use crate::probe::Outcome;

/// From how many days on a certificate should be renewed, and from how many on it must be.
pub(crate) const RENEW_DAYS: i64 = 21;
const URGENT_DAYS: i64 = 7;
/// An answer that takes longer is slow, if nobody says otherwise.
pub(crate) const SLOW_MS: u32 = 2_000;

const DAY: i64 = 86_400;

/// What is wrong with an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// A stable word.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, code: code.into(), message: message.into() }
    }

    pub(crate) fn told(&self) -> Value {
        json!({ "severity": word(self.severity), "code": self.code, "message": self.message })
    }
}

/// The severity as the record writes it.
pub(crate) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// Where an endpoint stands.
pub(crate) fn state(outcome: &Outcome, problems: &[Problem]) -> &'static str {
    match outcome {
        Outcome::Refused(_) => "not-asked",
        Outcome::Answered(_) | Outcome::Failed(..) if problems.iter().any(|problem| problem.severity == Severity::Critical) => "down",
        Outcome::Answered(_) | Outcome::Failed(..) if problems.is_empty() => "well",
        Outcome::Answered(_) | Outcome::Failed(..) => "degraded",
    }
}

/// Everything that is wrong, the worst first.
pub(crate) fn problems(outcome: &Outcome, slow_ms: u32, now_unix_ms: u64) -> Vec<Problem> {
    let mut found = Vec::new();
    match outcome {
        Outcome::Refused(_) => {}
        Outcome::Failed(reason, sentence) => found.push(Problem::new(severity_of(reason), reason, sentence)),
        Outcome::Answered(response) => {
            found.extend(status(response));
            if response.elapsed_ms > slow_ms {
                let message = [&response.elapsed_ms.to_string(), " ms, more than ", &slow_ms.to_string()].concat();
                found.push(Problem::new(Severity::Warning, "slow", message));
            }
            found.extend(response.tls.as_ref().and_then(|certificate| expiry(certificate, now_unix_ms)));
        }
    }
    found.sort_by_key(|problem| match problem.severity {
        Severity::Critical => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    });
    found
}

/// What is the environment's mistake is no outage.
fn severity_of(reason: &str) -> Severity {
    match reason {
        "address-refused" | "target-refused" | "credential-missing" => Severity::Warning,
        _ => Severity::Critical,
    }
}

/// A redirect is an answer: whoever can give one is there.
fn status(response: &Response) -> Option<Problem> {
    let code = response.status;
    let severity = match code {
        0..400 => return None,
        400..500 => Severity::Warning,
        _ => Severity::Critical,
    };
    Some(Problem::new(severity, ["http-", &code.to_string()].concat(), ["answers with status ", &code.to_string()].concat()))
}

/// Days until a certificate ends: a day that has begun does not count.
pub(crate) fn days_left(certificate: &Certificate, now_unix_ms: u64) -> i64 {
    let now = i64::try_from(now_unix_ms / 1000).unwrap_or(i64::MAX);
    (certificate.not_after.saturating_sub(now)).div_euclid(DAY)
}

/// A certificate that ends soon.
pub(crate) fn expiry(certificate: &Certificate, now_unix_ms: u64) -> Option<Problem> {
    let days = days_left(certificate, now_unix_ms);
    let severity = match days {
        ..URGENT_DAYS => Severity::Critical,
        URGENT_DAYS..RENEW_DAYS => Severity::Warning,
        RENEW_DAYS.. => return None,
    };
    let message = ["its certificate ends in ", &days.to_string(), " days (issued by ", &certificate.issuer, ")"].concat();
    Some(Problem::new(severity, "certificate-ends", message))
}
