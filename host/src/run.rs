//! One run of one agent: dereference, validate, converse, report.
//!
//! | step | file | may touch |
//! |---|---|---|
//! | [`dereference`] | the documents, Secrets and components that the run is made of | files, or a client |
//! | [`validate`] | custom resources and manifests become one [`ValidatedRun`] | nothing |
//! | [`prompt`] | what the model is told | nothing |
//! | [`converse`] | the model asks, [`tools::Tools`] answers, [`budget`] bounds both | provider, tools |
//! | [`report`] | what the record says about the whole run | nothing |
//!
//! Nothing here executes a call: a tool call goes to [`tools::Tools`], whose only implementation outside of tests is the sandbox in front of
//! the broker. Nothing here writes the record but [`close`].

pub mod assemble;
pub mod budget;
pub mod connection;
pub mod converse;
pub mod dereference;
pub mod event;
pub mod execute;
pub mod explain;
pub mod finding;
#[cfg(test)]
pub(crate) mod fixture;
pub mod freeze;
pub mod history;
pub mod lookup;
pub mod prompt;
pub mod report;
pub mod schema;
pub mod stop;
pub mod tools;
pub mod validate;
pub mod workshop;

use infraagent_api::run::{Head, RunPhase};
use jiff::Timestamp;

use self::{
    event::{Ended, Event, Observer, Started},
    report::Conclusion,
    stop::Stop,
    tools::Tools,
    validate::{ValidatedRun, Warning},
};
use crate::{
    audit::{self, Closing, Journal},
    llm::Provider,
};

/// Holds the conversation and draws the conclusion; `stop` says why it ends early. The record is not closed yet: see [`close`].
pub async fn execute<T: Tools>(
    run: &ValidatedRun,
    provider: &Provider,
    tools: &T,
    observer: &Observer,
    stop: impl Future<Output = Stop>,
) -> Conclusion {
    observer.tell(&Event::Started(started(run)));
    let transcript = converse::converse(run, provider, tools, observer, stop).await;
    let record = tools.record().await;
    let conclusion = report::conclude(run, &transcript, &record.actions, &record.findings, Timestamp::now());
    observer.tell(&Event::Ended(ended(&conclusion, &transcript)));
    conclusion
}

/// Closes the record: the findings of the report's lines, then everything that is said about the whole run. Also after the run's time is over.
pub async fn close(journal: &Journal, conclusion: Conclusion) -> Result<Head, audit::Error> {
    let Conclusion { phase, reason: _, report, findings, usage, guardrails, escalations: _, conditions, tally: _ } = conclusion;
    for finding in &findings {
        journal.report_finding(finding.severity, finding.resource.as_deref(), &finding.message).await?;
    }
    journal.finish(Closing { phase, report, usage, guardrails: Some(guardrails), conditions }).await
}

/// Closes the record of a run that could not start, so that nobody takes it for one that is still running.
pub async fn abandon(journal: &Journal, why: &str) -> Result<Head, audit::Error> {
    let closing = Closing { phase: RunPhase::Failed, conditions: vec![report::not_started(why, Timestamp::now())], ..Closing::default() };
    journal.finish(closing).await
}

fn started(run: &ValidatedRun) -> Started {
    Started {
        run: run.run.name.clone(),
        agent: format!("{}/{}", run.agent.namespace, run.agent.name),
        emoji: run.agent.emoji.clone(),
        environment: run.site.name.clone(),
        model: run.model.id(),
        autonomy: (run.effective_autonomy().as_str().to_owned(), run.policy().autonomy.as_str().to_owned()),
        skills: run.skills.iter().map(|skill| (format!("{} {}", skill.name, skill.version), skill.tools.len())).collect(),
        warnings: run
            .warnings
            .iter()
            .map(|Warning { kind: _, message }| message.clone())
            .chain(run.unsupported.iter().map(unsupported))
            .collect(),
    }
}

fn unsupported(field: &String) -> String {
    format!("{field}: is not supported yet and has no effect; calls that need it answer `unavailable`")
}

fn ended(conclusion: &Conclusion, transcript: &converse::Transcript) -> Ended {
    let Conclusion { phase, reason, report, findings: _, usage, guardrails: _, escalations: _, conditions: _, tally } = conclusion;
    Ended {
        phase: *phase,
        reason: reason.clone(),
        report: report.clone(),
        usage: transcript.usage,
        turns: transcript.turns,
        cost: usage.estimated_cost.clone(),
        took: transcript.took,
        changed: tally.changed,
        blocked: tally.blocked,
        proposed: tally.proposed,
    }
}

#[cfg(test)]
mod tests;
