//! A closer look at one endpoint: several samples, so that one slow answer is not taken for a slow service.

use skills_sdk::http::Read;
use skills_sdk::prelude::*;

use crate::health::{self, Problem, SLOW_MS};
use crate::probe::{self, Outcome};
use crate::site;

/// The most samples of one look.
const MOST: u32 = 5;

#[args]
pub struct SingleArgs {
    /// The endpoint's name in the environment.
    endpoint: String,
    /// The path below its URL; its health path if absent.
    path: Option<String>,
    /// How many times it is asked, 1 to 5; 3 if absent.
    samples: Option<u32>,
    /// Milliseconds from which on an answer is slow; 2000 if absent.
    slow_ms: Option<u32>,
}

/// Asks one endpoint several times: status, smallest, middle and largest latency, where it redirects to, and what is wrong.
#[tool(actions = [Probe])]
pub fn check_endpoint(cx: &Cx<Self>, args: SingleArgs) -> Result<Output> {
    let SingleArgs { endpoint, path, samples, slow_ms } = args;
    let endpoint = site::endpoint(cx, &endpoint)?;
    let samples = samples.unwrap_or(3);
    if !(1..=MOST).contains(&samples) {
        return Err(Error::invalid("samples must be 1 to 5"));
    }
    let path = path.unwrap_or(endpoint.path);
    let request = Read::get(&endpoint.name, &path);
    let (mut latencies, mut statuses, mut last) = (Vec::new(), Vec::new(), None);
    for _ in 0..samples {
        let outcome = probe::ask(cx, &request)?;
        match &outcome {
            Outcome::Answered(response) => {
                latencies.push(response.elapsed_ms);
                statuses.push(response.status.to_string());
            }
            Outcome::Failed(reason, _) => statuses.push(reason.clone()),
            Outcome::Refused(_) => {}
        }
        // A sample that went wrong tells more than those that went well.
        let replaces = |kept: &Outcome| health::problems(kept, u32::MAX, cx.now_unix_ms()).is_empty();
        let stop = matches!(outcome, Outcome::Refused(_)) || matches!(&outcome, Outcome::Failed(reason, _) if reason == "timeout");
        if last.as_ref().is_none_or(replaces) {
            last = Some(outcome);
        }
        if stop {
            break;
        }
    }
    let Some(outcome) = last else { return Err(Error::invalid("samples must be 1 to 5")) };

    latencies.sort_unstable();
    let middle = latencies.get(latencies.len() / 2).copied();
    let slow_ms = slow_ms.unwrap_or(SLOW_MS);
    let mut problems = health::problems(&outcome, u32::MAX, cx.now_unix_ms());
    if let Some(middle) = middle.filter(|middle| *middle > slow_ms) {
        let message = ["the middle of ", &latencies.len().to_string(), " samples is ", &middle.to_string(), " ms"].concat();
        problems.push(Problem::new(Severity::Warning, "slow", message));
    }
    let state = health::state(&outcome, &problems);
    let mut content = json!({
        "endpoint": endpoint.name, "path": path, "state": state, "samples": statuses,
        "ms": { "least": latencies.first(), "middle": middle, "most": latencies.last() },
        "problems": problems.iter().map(Problem::told).collect::<Vec<_>>(),
    });
    match &outcome {
        Outcome::Answered(response) => {
            for name in ["location", "retry-after", "server", "content-type"] {
                if let Some(value) = response.header(name) {
                    content[name] = value.into();
                }
            }
        }
        Outcome::Failed(..) => {}
        Outcome::Refused(why) => content["why"] = why.as_str().into(),
    }
    let detail = problems.first().map_or_else(String::new, |worst| [", ", &worst.code].concat());
    Ok(Output { content, summary: [&endpoint.name, &path, " is ", state, &detail].concat() })
}
