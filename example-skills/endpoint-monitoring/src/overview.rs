//! The first look: every endpoint of the site, one request each.

use skills_sdk::http::Read;
use skills_sdk::prelude::*;

use crate::health::{self, SLOW_MS};
use crate::probe::{self, Outcome};
use crate::site::{self, Endpoint};

/// What one request may take, and a little more.
const RESERVE_MS: u32 = 11_000;
/// How long a finding may be.
const FINDING: usize = 600;

#[args]
pub struct OverviewArgs {
    /// Milliseconds from which on an answer is slow; 2000 if absent.
    slow_ms: Option<u32>,
}

/// Asks every endpoint of the environment once, at its health path, and tells status, latency, days until its certificate ends, and what is wrong. Reports a
/// finding for each endpoint that is not well.
#[tool(actions = [Probe])]
pub fn check_endpoints(cx: &Cx<Self>, args: OverviewArgs) -> Result<Output> {
    let slow_ms = args.slow_ms.unwrap_or(SLOW_MS);
    let (mut told, mut well, mut unwell, mut left) = (Vec::new(), 0, Vec::new(), Vec::new());
    let all = site::endpoints(cx)?;
    for Endpoint { name, path } in &all {
        if cx.remaining().millis < RESERVE_MS {
            left.push(name.as_str());
            continue;
        }
        let outcome = probe::ask(cx, &Read::get(name, path))?;
        let now = cx.now_unix_ms();
        let problems = health::problems(&outcome, slow_ms, now);
        let state = health::state(&outcome, &problems);
        match state {
            "well" => well += 1,
            "not-asked" => left.push(name.as_str()),
            _ => unwell.push([name, " (", &problems[0].code, ")"].concat()),
        }
        if let Some(worst) = problems.first() {
            let all: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
            let message = ["endpoint ", name, ": ", &worst.code, ": ", &all.join("; ")].concat();
            // The report may be full: then the answer still tells.
            let _ = cx.finding(worst.severity, None, &message[..message.floor_char_boundary(FINDING)]);
        }
        let mut line = json!({ "endpoint": name, "path": path, "state": state });
        let told_problems: Vec<Value> = problems.iter().map(health::Problem::told).collect();
        match &outcome {
            Outcome::Answered(response) => {
                line["status"] = response.status.into();
                line["ms"] = response.elapsed_ms.into();
                if let Some(certificate) = &response.tls {
                    line["certificateDays"] = health::days_left(certificate, now).into();
                }
                if let Some(location) = response.header("location") {
                    line["redirectsTo"] = location.into();
                }
            }
            Outcome::Failed(..) => {}
            Outcome::Refused(why) => line["why"] = why.as_str().into(),
        }
        if !told_problems.is_empty() {
            line["problems"] = Value::Array(told_problems);
        }
        told.push(line);
    }
    let mut summary = [&well.to_string(), " of ", &all.len().to_string(), " endpoints are well"].concat();
    for (words, names) in [("; not well: ", unwell.join(", ")), ("; not asked: ", left.join(", "))] {
        if !names.is_empty() {
            summary.push_str(words);
            summary.push_str(&names);
        }
    }
    let content = json!({ "endpoints": told, "well": well, "notAsked": left, "complete": left.is_empty() });
    Ok(Output { content, summary })
}
