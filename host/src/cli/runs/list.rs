//! `infraagent runs list`.

use std::{process::ExitCode, time::Duration};

use infraagent_api::{AgentRun, run::RunPhase};
use jiff::Timestamp;
use kube::{ResourceExt as _, api::ListParams};
use serde_json::Value;

use super::{phase, why};
use crate::{
    cli::{
        cluster::{ListFlags, Scope, Trouble, typed},
        output::{self, ListOutput, Output},
        paint::{age, grouped, lasted},
        table::Columns,
    },
    run::report::Tally,
};

/// Arguments of `infraagent runs list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent runs list -n agents
  infraagent runs list -A --phase Failed --limit 20
  infraagent runs list -n agents --agent forge -o wide
  infraagent runs list -n agents -o json | jq '.items[].status.usage.totalTokens'")]
pub struct List {
    /// Only runs of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only runs in this phase; may be given several times
    #[arg(long = "phase", value_name = "PHASE", value_parser = super::list::known_phase)]
    phases: Vec<RunPhase>,
    /// Only the newest
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Other ways to print them
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<ListOutput>,
    #[command(flatten)]
    cluster: ListFlags,
}

/// A phase, however it is capitalised.
pub(crate) fn known_phase(text: &str) -> Result<RunPhase, String> {
    let known = RunPhase::ALL.iter().find(|phase| phase.as_str().eq_ignore_ascii_case(text));
    known
        .copied()
        .ok_or_else(|| format!("the phases are {}", RunPhase::ALL.iter().map(|phase| phase.as_str()).collect::<Vec<_>>().join(", ")))
}

/// What is shown of a run in a list. A list holds thousands; their records are not kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    namespace: String,
    name: String,
    agent: String,
    phase: RunPhase,
    why: String,
    trigger: String,
    created: Timestamp,
    took: Option<Duration>,
    tally: Tally,
    tokens: Option<u64>,
    cost: String,
    model: String,
    holder: String,
}

impl Row {
    /// What is shown of a run, now.
    pub(crate) fn of(run: &AgentRun, now: Timestamp) -> Self {
        let status = run.status.clone().unwrap_or_default();
        let begun = status.start_time.as_ref().map(|time| time.0);
        let ended = status.completion_time.as_ref().map_or(now, |time| time.0);
        let spent = status.usage.as_ref().filter(|usage| usage.wall_clock_ms > 0);
        let took = match spent {
            Some(usage) => u64::try_from(usage.wall_clock_ms).ok().map(Duration::from_millis),
            None => begun.and_then(|begun| Duration::try_from(ended.duration_since(begun)).ok()),
        };
        Self {
            namespace: run.namespace().unwrap_or_default(),
            name: run.name_any(),
            agent: run.spec.agent_ref.clone(),
            phase: phase(run),
            why: why(run).map_or_else(String::new, |condition| condition.reason.clone()),
            trigger: run.spec.trigger.to_string(),
            created: run.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            took,
            tally: Tally::of(&status.actions),
            tokens: status.usage.as_ref().and_then(|usage| u64::try_from(usage.total_tokens).ok()),
            cost: status.usage.and_then(|usage| usage.estimated_cost).unwrap_or_default(),
            model: status.model.or_else(|| run.spec.model_used.clone()).unwrap_or_default(),
            holder: status.holder.map_or_else(String::new, |holder| holder.lease),
        }
    }
}

/// Lists.
pub async fn main(args: List) -> anyhow::Result<ExitCode> {
    let List { agent, phases, limit, output, cluster } = args;
    let (cluster, scope) = cluster.connect().await?;
    let params = ListParams::default();
    let params = match &agent {
        Some(agent) => params.fields(&format!("spec.agentRef={agent}")),
        None => params,
    };
    let wanted = |run: &AgentRun| phases.is_empty() || phases.contains(&phase(run));
    let now = Timestamp::now();
    let (mut rows, mut objects, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    cluster
        .pages::<AgentRun>(&scope, &params, |object| match typed::<AgentRun>(object.clone()) {
            Ok(run) if wanted(&run) => {
                rows.push(Row::of(&run, now));
                if matches!(output, Some(ListOutput::Json | ListOutput::Yaml | ListOutput::Name)) {
                    objects.push((run.creation_timestamp().map(|time| time.0), object));
                }
            }
            Ok(_) => {}
            Err(trouble) => broken.push(trouble),
        })
        .await?;
    warn(&broken);
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.name.cmp(&a.name)));
    objects.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
    rows.truncate(limit.unwrap_or(usize::MAX));
    objects.truncate(limit.unwrap_or(usize::MAX));
    let objects: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
    match output {
        Some(ListOutput::Json) => output::objects(&objects, Output::Json)?,
        Some(ListOutput::Yaml) => output::objects(&objects, Output::Yaml)?,
        Some(ListOutput::Name) => output::names(&objects)?,
        None | Some(ListOutput::Wide) if rows.is_empty() => {
            let of = agent.map(|agent| format!(" of agent `{agent}`")).unwrap_or_default();
            anstream::eprintln!("no runs{of}{}", scope.shown());
        }
        None => output::text(&text(&rows, scope == Scope::All, false, now))?,
        Some(ListOutput::Wide) => output::text(&text(&rows, scope == Scope::All, true, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An object that cannot be read hides no other.
fn warn(broken: &[Trouble]) {
    for trouble in broken {
        anstream::eprintln!("warning: {}", crate::audit::escape_terminal(&trouble.to_string()));
    }
}

fn text(rows: &[Row], everywhere: bool, wide: bool, now: Timestamp) -> String {
    let mut header = vec!["NAME", "AGENT", "PHASE", "WHY", "TRIGGER", "CHANGED", "REFUSED", "PROPOSED", "TOOK", "AGE"];
    if everywhere {
        header.insert(0, "NAMESPACE");
    }
    if wide {
        header.extend(["TOKENS", "COST", "MODEL", "REPLICA"]);
    }
    let mut table = Columns::new(&header);
    for row in rows {
        let Row { namespace, name, agent, phase, why, trigger, created, took, tally, tokens, cost, model, holder } = row;
        let mut cells = Vec::new();
        if everywhere {
            cells.push(namespace.clone());
        }
        cells.extend([name, agent, phase.as_str(), why, trigger].map(str::to_owned));
        cells.extend([tally.changed, tally.blocked, tally.proposed].map(|number| number.to_string()));
        cells.push(took.map(lasted).unwrap_or_default());
        cells.push(age(*created, now));
        if wide {
            cells.push(tokens.map(grouped).unwrap_or_default());
            cells.extend([cost, model, holder].map(Clone::clone));
        }
        table.row(cells);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(name: &str, status: Value) -> AgentRun {
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": { "name": name, "namespace": "agents", "creationTimestamp": "2026-11-22T10:00:00Z" },
            "spec": { "agentRef": "forge", "environmentRef": "e", "trigger": "manual" }, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_run_is_a_line_that_says_how_it_stands() {
        let entry = |seq: i32, status: &str, tier: &str, checks: Value, reason: Value| {
            json!({
                "seq": seq, "timestamp": "2026-11-22T10:00:02Z", "tool": "t", "target": "x", "tier": tier, "call": "c", "nonce": "n",
                "intentHash": "h", "status": status, "checks": checks, "reason": reason,
            })
        };
        let runs = [
            run(
                "done",
                json!({
                    "phase": "Succeeded", "model": "anthropic/claude", "startTime": "2026-11-22T10:00:01Z", "completionTime": "2026-11-22T10:00:05Z",
                    "holder": { "lease": "infraagent-one", "uid": "u", "epoch": 1 },
                    "usage": { "totalTokens": 62282, "wallClockMs": 4356, "estimatedCost": "$0.21" },
                    "actions": [
                        entry(0, "executed", "read", Value::Null, Value::Null),
                        entry(1, "executed", "service-mutation", json!("action=pass"), Value::Null),
                        entry(2, "blocked", "service-mutation", json!("action=pass data=fail:data-protection"), json!("data-protection")),
                        entry(3, "skipped", "destructive-mutation", json!("autonomy=propose"), json!("proposed")),
                    ],
                }),
            ),
            run(
                "waits",
                json!({ "phase": "Pending", "conditions": [
                    { "type": "Assigned", "status": "False", "reason": "AgentBusy", "message": "m", "lastTransitionTime": "2026-11-22T10:00:00Z" },
                ]}),
            ),
            run("new", Value::Null),
        ];
        let now = "2026-11-22T10:10:00Z".parse().unwrap();
        let rows: Vec<Row> = runs.iter().map(|run| Row::of(run, now)).collect();
        insta::assert_snapshot!(text(&rows, true, true, now));
        insta::assert_snapshot!(text(&rows, false, false, now));
    }

    #[test]
    fn phases_are_known_in_any_case() {
        assert_eq!(known_phase("failed"), Ok(RunPhase::Failed));
        assert!(known_phase("Fail").unwrap_err().contains("Succeeded, Failed"));
    }
}
