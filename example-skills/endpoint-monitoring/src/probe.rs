//! One request, and how it ended.

use skills_sdk::UsedBy;
use skills_sdk::http::{Read, Response};
use skills_sdk::prelude::*;

use crate::actions::Probe;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With an answer, whatever it says.
    Answered(Response),
    /// Without one, for a reason of the endpoint or of the way there: a stable word, and a sentence.
    Failed(String, String),
    /// It was not asked: the host, the guardrails or the platform do not let this agent.
    Refused(String),
}

/// Asks. An error is one of the agent or the run, after which there is no point in asking anybody else.
pub(crate) fn ask<T>(cx: &Cx<T>, request: &Read) -> Result<Outcome>
where
    Probe: UsedBy<T>,
{
    match cx.fetch(Probe, request) {
        Ok(response) => Ok(Outcome::Answered(response)),
        Err(Error::Timeout) => Ok(Outcome::Failed("timeout".to_owned(), "no answer in time".to_owned())),
        Err(Error::Denied(denial)) => Ok(Outcome::Refused(denial.message)),
        Err(error) => match error.http_reason() {
            Some(reason) if reason != "offline" => Ok(Outcome::Failed(reason.to_owned(), sentence(&error))),
            Some(_) | None => Err(error),
        },
    }
}

/// What follows the word.
fn sentence(error: &Error) -> String {
    match error {
        Error::Unavailable { message, .. } => message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest).to_owned(),
        other => other.to_string(),
    }
}
