//! `infraagent why-blocked`: why a run waits, or why something in it was refused or only proposed; which field of which document makes it so, and what to change.

mod refusal;
mod wait;

use std::{process::ExitCode, sync::Arc};

use infraagent_api::{AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy, run::RunPhase};
use serde::Serialize;

pub(crate) use self::refusal::meaning;
use super::{
    cluster::{Cluster, Flags},
    output::{self, Output},
    paint::{BAD, BOLD, DIM, NOTE, ODD, clean, paint, wrapped},
    runs::phase,
};
use crate::run::dereference::cluster::{Governing, Reader};

/// Arguments of `infraagent why-blocked`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent why-blocked forge-1a2b3c4d-5678 -n agents
  infraagent why-blocked forge-1a2b3c4d-5678 -n agents -o json | jq '.reasons[].change'

What was decided stands in the record; what bounds it is read from the documents as they are now, with your own rights.
Nothing is changed. Exit codes: 0 something is held back and it says why, or nothing is.")]
pub struct WhyBlocked {
    /// Name of the AgentRun
    #[arg(value_name = "RUN")]
    name: String,
    /// Print the complete answer in this format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    cluster: Flags,
}

/// The documents that bound a run, as far as they can be read.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    agent: Option<InfraAgent>,
    environment: Option<AgentEnvironment>,
    policies: Vec<InfraAgentPolicy>,
    /// What of this could not be read.
    unread: Option<String>,
}

impl Documents {
    fn agent(&self, field: &str) -> String {
        let metadata = self.agent.as_ref().map(|agent| &agent.metadata);
        let name = metadata.and_then(|metadata| metadata.name.as_deref()).unwrap_or("?");
        format!("InfraAgent {name} spec.{field}")
    }

    fn environment(&self, field: &str) -> String {
        let name = self.environment.as_ref().and_then(|environment| environment.metadata.name.clone());
        let name = name.or_else(|| Some(self.agent.as_ref()?.spec.environment_ref.clone()));
        format!("AgentEnvironment {} spec.{field}", name.as_deref().unwrap_or("?"))
    }

    /// What the policies say in a field.
    fn policies(&self, field: &str, value: impl Fn(&InfraAgentPolicy) -> Option<String>) -> Vec<String> {
        let said = |policy: &InfraAgentPolicy| {
            Some(format!("InfraAgentPolicy {} spec.{field}: {}", policy.metadata.name.as_deref().unwrap_or_default(), value(policy)?))
        };
        self.policies.iter().filter_map(said).collect()
    }
}

/// Why something is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reason {
    /// Number of the entry, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<i32>,
    /// What was asked for.
    what: String,
    /// `waits`, `refused`, `proposed` or `failed`.
    is: &'static str,
    /// The check that did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<String>,
    /// The word of the record, or of the condition.
    code: String,
    /// What the word means.
    means: String,
    /// What was said about it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
    /// Documents, fields and values that make it so.
    bounds: Vec<String>,
    /// What to change.
    change: String,
}

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    run: String,
    phase: RunPhase,
    reasons: Vec<Reason>,
    /// What could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Answers.
pub async fn main(args: WhyBlocked) -> anyhow::Result<ExitCode> {
    let WhyBlocked { name, output, cluster } = args;
    let cluster = Cluster::connect(&cluster).await?;
    let run = cluster.get::<AgentRun>(&name).await?;
    let documents = documents(&cluster, &run.spec.agent_ref).await;
    let answer = answer(&run, &documents, &cluster.namespace);
    match output {
        Some(output) => output::data(&answer, output)?,
        None => output::text(&page(&answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn documents(cluster: &Cluster, agent: &str) -> Documents {
    let reader = Reader::new(cluster.client.clone(), &cluster.namespace, agent);
    let agent = match reader.agent().await {
        Ok(agent) => agent,
        Err(error) => return Documents { unread: Some(error.to_string()), ..Documents::default() },
    };
    match reader.governing_of(agent.clone()).await {
        Ok(Governing { agent, environment, policies }) => {
            let (environment, policies) = (Some(Arc::unwrap_or_clone(environment)), Arc::unwrap_or_clone(policies));
            Documents { agent: Some(agent), environment, policies, unread: None }
        }
        Err(error) => Documents { agent: Some(agent), unread: Some(error.to_string()), ..Documents::default() },
    }
}

fn answer(run: &AgentRun, documents: &Documents, namespace: &str) -> Answer {
    let phase = phase(run);
    let mut reasons = match phase {
        RunPhase::Pending => vec![wait::waits(run, documents)],
        RunPhase::Failed => wait::failed(run, documents).into_iter().collect(),
        RunPhase::Running | RunPhase::Succeeded | RunPhase::Escalated | RunPhase::Blocked => Vec::new(),
    };
    reasons.extend(refusal::refusals(run, documents));
    let name = run.metadata.name.as_deref().unwrap_or_default();
    Answer { run: format!("{namespace}/{name}"), phase, reasons, note: documents.unread.clone() }
}

fn page(answer: &Answer) -> String {
    let Answer { run, phase, reasons, note } = answer;
    let mut out = format!("{}  {}\n", paint(BOLD, clean(run)), paint(DIM, phase));
    if reasons.is_empty() {
        let said = if phase.is_terminal() {
            "nothing of it was refused or held back"
        } else {
            "nothing of it has been refused or held back so far"
        };
        out.push_str(&format!("\n{said}\n"));
    }
    for reason in reasons {
        let Reason { entry, what, is, check, code, means, said, bounds, change } = reason;
        let style = if matches!(*is, "refused" | "failed") { BAD } else { ODD };
        let number = entry.map(|entry| format!("{} ", paint(DIM, format!("#{entry}")))).unwrap_or_default();
        out.push_str(&format!("\n{number}{}  {}\n", paint(BOLD, clean(what)), paint(style, is)));
        let mut line = |name: &str, text: &str| {
            for (at, part) in wrapped(&clean(text), 100).into_iter().enumerate() {
                let name = if at == 0 { name } else { "" };
                out.push_str(&format!("  {}{part}\n", paint(DIM, format!("{name:<10}"))));
            }
        };
        let check = check.as_ref().map(|check| format!("check `{check}`: ")).unwrap_or_default();
        line("why", &format!("{check}{code}: {means}"));
        if let Some(said) = said {
            line("said", said);
        }
        for (at, bound) in bounds.iter().enumerate() {
            line(if at == 0 { "bound by" } else { "" }, bound);
        }
        line("change", change);
    }
    if let Some(note) = note {
        out.push_str(&format!("\n{} {}\n", paint(NOTE, "note:"), clean(note)));
    }
    out
}

#[cfg(test)]
mod tests;
