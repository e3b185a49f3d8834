//! `infraagent status`: what goes on in a cluster, on one page.

use std::{collections::BTreeMap, process::ExitCode};

use infraagent_api::{AgentRun, InfraAgent, InfraAgentPolicy, ModelTierConfig, agent::AgentPhase, policy::Suspend, run::RunPhase};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt as _, api::ListParams};
use serde::Serialize;

use super::{
    agents::holds_back,
    cluster::{Cluster, ListFlags, Scope, typed},
    output::{self, Output},
    paint::{BAD, BOLD, DIM, GOOD, ODD, age, clean, count, paint},
    replicas::Replicas,
    runs::{phase, why},
    table::Columns,
};

/// Arguments of `infraagent status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent status                 # of all namespaces
  infraagent status -n agents
  infraagent status -o json | jq .waiting

It reads with your own rights; what you may not read is named. For causes: `infraagent doctor`, `infraagent why-blocked RUN`.")]
pub struct Status {
    /// Namespace of the operator
    #[arg(long, value_name = "NAME", default_value = "infraagent-system", env = "INFRAAGENT_OPERATOR_NAMESPACE")]
    operator_namespace: String,
    /// Print the complete answer in this format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    cluster: ListFlags,
}

/// What goes on.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    cluster: String,
    namespace: Option<String>,
    operator: Option<Replicas>,
    agents: BTreeMap<AgentPhase, usize>,
    runs: BTreeMap<RunPhase, usize>,
    /// Runs that ended within a day, by how.
    last_day: BTreeMap<RunPhase, usize>,
    waiting: Vec<Waiting>,
    not_ready: Vec<NotReady>,
    /// Policies that suspend agents.
    suspended: Vec<String>,
    /// ModelTierConfigs that are not ready.
    models: Vec<NotReady>,
    /// What could not be read.
    unread: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    namespace: String,
    run: String,
    agent: String,
    reason: String,
    message: String,
    since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NotReady {
    namespace: String,
    name: String,
    why: String,
}

/// Shows.
pub async fn main(args: Status) -> anyhow::Result<ExitCode> {
    let Status { operator_namespace, output, cluster } = args;
    let (cluster, scope) = cluster.connect_everywhere().await?;
    let clocks = cluster.clocks().await?;
    let overview = look(&cluster, &scope, &operator_namespace, clocks.server).await?;
    match output {
        Some(output) => output::data(&overview, output)?,
        None => output::text(&page(&overview, clocks.server))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(cluster: &Cluster, scope: &Scope, operator_namespace: &str, now: Timestamp) -> anyhow::Result<Overview> {
    let namespace = match scope {
        Scope::One(namespace) => Some(namespace.clone()),
        Scope::All => None,
    };
    let mut overview = Overview { cluster: cluster.url.clone(), namespace, ..Overview::default() };
    let everything = ListParams::default();
    for agent in cluster.list::<InfraAgent>(scope, &everything).await? {
        overview.agent(&agent);
    }
    cluster
        .pages::<AgentRun>(scope, &everything, |object| match typed::<AgentRun>(object) {
            Ok(run) => overview.run(&run, now),
            Err(trouble) => overview.unread.push(trouble.to_string()),
        })
        .await?;
    overview.waiting.sort_by_key(|waiting| waiting.since);
    // What belongs to the platform may be hidden from a team.
    match Replicas::read(cluster, operator_namespace, now).await {
        Ok(replicas) => overview.operator = Some(replicas),
        Err(trouble) => overview.unread.push(trouble.to_string()),
    }
    match cluster.list::<InfraAgentPolicy>(&Scope::All, &everything).await {
        Ok(policies) => overview.suspended = policies.iter().filter_map(suspends).collect(),
        Err(trouble) => overview.unread.push(trouble.to_string()),
    }
    match cluster.list::<ModelTierConfig>(&Scope::All, &everything).await {
        Ok(models) => overview.models = models.iter().filter_map(not_ready).collect(),
        Err(trouble) => overview.unread.push(trouble.to_string()),
    }
    Ok(overview)
}

fn suspends(policy: &InfraAgentPolicy) -> Option<String> {
    let what = match policy.spec.suspend {
        Suspend::None => return None,
        Suspend::Mutations => "changes",
        Suspend::All => "everything",
    };
    Some(format!("InfraAgentPolicy {} suspends {what}", policy.name_any()))
}

fn not_ready(models: &ModelTierConfig) -> Option<NotReady> {
    let status = models.status.clone().unwrap_or_default();
    let tiers: Vec<String> = status.tier_status.iter().map(|(tier, how)| format!("{tier}: {how}")).collect();
    let why = if tiers.is_empty() { "no operator has looked at it yet".to_owned() } else { tiers.join("; ") };
    (status.ready != Some(true)).then(|| NotReady { namespace: String::new(), name: models.name_any(), why })
}

impl Overview {
    fn agent(&mut self, agent: &InfraAgent) {
        let phase = agent.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
        *self.agents.entry(phase).or_default() += 1;
        if let Some(why) = holds_back(agent) {
            self.not_ready.push(NotReady { namespace: agent.namespace().unwrap_or_default(), name: agent.name_any(), why });
        }
    }

    fn run(&mut self, run: &AgentRun, now: Timestamp) {
        let phase = phase(run);
        *self.runs.entry(phase).or_default() += 1;
        let ended = run.status.as_ref().and_then(|status| status.completion_time.as_ref());
        if ended.is_some_and(|ended| now.duration_since(ended.0) < SignedDuration::from_hours(24)) {
            *self.last_day.entry(phase).or_default() += 1;
        }
        if phase == RunPhase::Pending {
            let (reason, message) = why(run).map(|why| (why.reason.clone(), why.message.clone())).unwrap_or_default();
            self.waiting.push(Waiting {
                namespace: run.namespace().unwrap_or_default(),
                run: run.name_any(),
                agent: run.spec.agent_ref.clone(),
                reason,
                message,
                since: run.creation_timestamp().map(|time| time.0),
            });
        }
    }
}

/// `3 Ready, 1 Error`, or `none`.
fn counted<K: std::fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    let parts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn page(overview: &Overview, now: Timestamp) -> String {
    const MOST: usize = 20;
    let Overview { cluster, namespace, operator, agents, runs, last_day, waiting, not_ready, suspended, models, unread } = overview;
    let mut out = String::new();
    let line = |out: &mut String, name: &str, text: &str| out.push_str(&format!("{}{text}\n", paint(DIM, format!("{name:<10}"))));
    let of = namespace.as_ref().map(|namespace| format!(", namespace {}", clean(namespace))).unwrap_or_default();
    line(&mut out, "cluster", &format!("{}{of}", clean(cluster)));
    match operator {
        None => line(&mut out, "operator", &paint(ODD, "its Leases cannot be read")),
        Some(Replicas { leader, replicas }) => {
            let said = match leader {
                Some(held) if held.has_run_out => {
                    paint(BAD, format!("{} led, and is silent for {} s", clean(&held.holder), held.silent_seconds))
                }
                Some(held) => format!("{} leads", clean(&held.holder)),
                None => paint(BAD, "nobody leads: no run starts"),
            };
            let serving = replicas.iter().filter(|replica| replica.serves()).count();
            let style = if serving == 0 { BAD } else { GOOD };
            let taking = if serving == 1 { "1 replica takes runs".to_owned() } else { format!("{serving} replicas take runs") };
            line(&mut out, "operator", &format!("{said}; {}", paint(style, taking)));
            for replica in replicas {
                let text =
                    format!("{}  renewed {} s ago, takes runs: {}", clean(&replica.lease), replica.silent_seconds, replica.takes_runs);
                line(&mut out, "", &paint(if replica.serves() { DIM } else { ODD }, text));
            }
        }
    }
    line(&mut out, "agents", &counted(agents));
    line(&mut out, "runs", &counted(runs));
    line(&mut out, "last day", &counted(last_day));
    for said in suspended {
        line(&mut out, "platform", &paint(ODD, clean(said)));
    }
    for NotReady { namespace: _, name, why } in models {
        line(&mut out, "models", &paint(ODD, format!("ModelTierConfig {} is not ready: {}", clean(name), clean(why))));
    }
    let more = |out: &mut String, all: usize| {
        if all > MOST {
            out.push_str(&paint(DIM, format!("and {} more\n", all - MOST)));
        }
    };
    if !waiting.is_empty() {
        out.push_str(&format!("\n{}\n", paint(BOLD, format!("{} waiting", count(waiting.len() as u64, "run", "runs")))));
        let mut table = Columns::fitting(&["NAMESPACE", "RUN", "SINCE", "WHY", "MESSAGE"]);
        for Waiting { namespace, run, agent: _, reason, message, since } in waiting.iter().take(MOST) {
            let since = since.map(|since| age(since, now)).unwrap_or_default();
            table.row([namespace.as_str(), run, &since, reason, message]);
        }
        out.push_str(&table.text());
        more(&mut out, waiting.len());
    }
    if !not_ready.is_empty() {
        out.push_str(&format!("\n{}\n", paint(BOLD, format!("{} held back", count(not_ready.len() as u64, "agent", "agents")))));
        let mut table = Columns::fitting(&["NAMESPACE", "AGENT", "WHY"]);
        for NotReady { namespace, name, why } in not_ready.iter().take(MOST) {
            table.row([namespace, name, why]);
        }
        out.push_str(&table.text());
        more(&mut out, not_ready.len());
    }
    for what in unread {
        out.push_str(&format!("\n{} {}\n", paint(ODD, "not seen:"), clean(what)));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_says_what_goes_on_and_what_does_not() {
        let mut overview = Overview { cluster: "https://cluster".to_owned(), ..Overview::default() };
        let agent: InfraAgent = serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent", "metadata": { "name": "forge", "namespace": "agents" },
            "spec": { "description": "d", "schedule": {}, "skills": [{ "name": "s" }], "environmentRef": "e" },
            "status": { "phase": "Error", "conditions": [
                { "type": "Ready", "status": "False", "reason": "EnvironmentNotFound", "message": "there is none", "lastTransitionTime": "2026-11-22T10:00:00Z" },
            ] },
        }))
        .unwrap();
        overview.agent(&agent);
        let run: AgentRun = serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": { "name": "forge-1", "namespace": "agents", "creationTimestamp": "2026-11-22T10:00:00Z" },
            "spec": { "agentRef": "forge", "environmentRef": "e", "trigger": "manual" },
            "status": { "phase": "Pending", "conditions": [
                { "type": "Assigned", "status": "False", "reason": "AgentBusy", "message": "it is \u{1b}[1m not its turn", "lastTransitionTime": "2026-11-22T10:00:00Z" },
            ] },
        }))
        .unwrap();
        let now = "2026-11-22T10:05:00Z".parse().unwrap();
        overview.run(&run, now);
        overview.operator = Some(Replicas { leader: None, replicas: Vec::new() });
        overview.unread.push("user `jane` may not list infraagentpolicies".to_owned());
        let plain = anstream::adapter::strip_str(&page(&overview, now)).to_string();
        insta::assert_snapshot!(plain);
    }
}
