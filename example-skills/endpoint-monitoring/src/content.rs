//! Whether an answer says what it should.

use skills_sdk::http::{Read, Response};
use skills_sdk::prelude::*;

use crate::health::Problem;
use crate::probe::{self, Outcome};
use crate::site;

/// How much of an unexpected value is told.
const TOLD: usize = 200;

#[args]
pub struct ContentArgs {
    /// The endpoint's name in the environment.
    endpoint: String,
    /// The path below its URL; its health path if absent.
    path: Option<String>,
    /// The status that is expected; any of 200 to 299 if absent.
    status: Option<u16>,
    /// Texts that must be in the answer.
    contains: Option<Vec<String>>,
    /// Texts that must not be in it.
    lacks: Option<Vec<String>>,
    /// What must stand where in an answer that is JSON.
    json: Option<Vec<JsonCheck>>,
}

/// One place of a JSON document.
#[args]
pub struct JsonCheck {
    /// Where, as a JSON pointer: /status or /checks/0/name.
    pointer: String,
    /// What must stand there.
    equals: Value,
}

/// Compares the answer of one endpoint with what is expected: its status, texts that must or must not be in it, and values of a JSON document.
#[tool(actions = [Probe])]
pub fn check_content(cx: &Cx<Self>, args: ContentArgs) -> Result<Output> {
    let ContentArgs { endpoint, path, status, contains, lacks, json } = args;
    let endpoint = site::endpoint(cx, &endpoint)?;
    let path = path.unwrap_or(endpoint.path);
    let outcome = probe::ask(cx, &Read::get(&endpoint.name, &path))?;
    let mut problems = Vec::new();
    let mut content = json!({ "endpoint": endpoint.name, "path": path });
    match outcome {
        Outcome::Refused(why) => {
            return Ok(Output { content: json!({ "endpoint": endpoint.name, "asExpected": null, "why": why }), summary: why });
        }
        Outcome::Failed(reason, sentence) => problems.push(Problem::new(Severity::Critical, reason, sentence)),
        Outcome::Answered(response) => {
            content["status"] = response.status.into();
            content["truncated"] = response.truncated.into();
            let expected = status.map_or(response.is_success(), |status| status == response.status);
            if !expected {
                problems.push(wrong("status", ["the status is ", &response.status.to_string()].concat()));
            }
            problems.extend(texts(&response, &contains.unwrap_or_default(), &lacks.unwrap_or_default()));
            problems.extend(values(&response, &json.unwrap_or_default()));
        }
    }
    content["asExpected"] = problems.is_empty().into();
    content["problems"] = problems.iter().map(Problem::told).collect();
    let summary = match problems.as_slice() {
        [] => [&endpoint.name, &path, " answers as expected"].concat(),
        [first, rest @ ..] => {
            [endpoint.name.as_str(), &path, ": ", &first.message, if rest.is_empty() { "" } else { ", and more" }].concat()
        }
    };
    Ok(Output { content, summary })
}

fn wrong(code: &str, message: String) -> Problem {
    Problem::new(Severity::Warning, code, message)
}

/// In an answer that was cut, nothing can be said to be missing.
fn texts(response: &Response, contains: &[String], lacks: &[String]) -> Vec<Problem> {
    let body = response.text();
    let mut problems = Vec::new();
    for text in contains.iter().filter(|text| !body.contains(text.as_str())) {
        let (code, words) = if response.truncated { ("cut", "` is not in the part that was read") } else { ("missing", "` is missing") };
        problems.push(wrong(code, ["`", brief(text), words].concat()));
    }
    for text in lacks.iter().filter(|text| body.contains(text.as_str())) {
        problems.push(wrong("unwanted", ["`", brief(text), "` should not be there"].concat()));
    }
    problems
}

fn values(response: &Response, checks: &[JsonCheck]) -> Vec<Problem> {
    if checks.is_empty() {
        return Vec::new();
    }
    if response.truncated {
        return vec![wrong("cut", "the document is larger than what is read of it".to_owned())];
    }
    let Ok(document) = response.json::<Value>() else { return vec![wrong("no-json", "the answer is not JSON".to_owned())] };
    let mut problems = Vec::new();
    for JsonCheck { pointer, equals } in checks {
        match document.pointer(pointer) {
            Some(value) if value == equals => {}
            Some(value) => problems.push(wrong("different", [pointer, " is ", brief(&value.to_string())].concat())),
            None => problems.push(wrong("missing", [pointer, " is not there"].concat())),
        }
    }
    problems
}

fn brief(text: &str) -> &str {
    &text[..text.floor_char_boundary(TOLD)]
}
