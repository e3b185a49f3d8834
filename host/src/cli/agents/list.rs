//! `infraagent agents list`.

use std::process::ExitCode;

use infraagent_api::InfraAgent;
use jiff::Timestamp;
use kube::{ResourceExt as _, api::ListParams};
use serde_json::Value;

use super::{condition, holds_back};
use crate::cli::{
    cluster::{ListFlags, Scope, typed},
    output::{self, ListOutput, Output},
    paint::{age, until},
    table::Columns,
};

/// Arguments of `infraagent agents list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent agents list -n agents
  infraagent agents list -A -o wide
  infraagent agents list -A -o name")]
pub struct List {
    /// Other ways to print them
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<ListOutput>,
    #[command(flatten)]
    cluster: ListFlags,
}

/// Lists.
pub async fn main(args: List) -> anyhow::Result<ExitCode> {
    let List { output, cluster } = args;
    let (cluster, scope) = cluster.connect().await?;
    let mut objects: Vec<Value> = Vec::new();
    cluster.pages::<InfraAgent>(&scope, &ListParams::default(), |object| objects.push(object)).await?;
    match output {
        Some(ListOutput::Json) => output::objects(&objects, Output::Json)?,
        Some(ListOutput::Yaml) => output::objects(&objects, Output::Yaml)?,
        Some(ListOutput::Name) => output::names(&objects)?,
        None | Some(ListOutput::Wide) => {
            let agents = objects.into_iter().map(typed).collect::<Result<Vec<InfraAgent>, _>>()?;
            if agents.is_empty() {
                anstream::eprintln!("no agents{}", scope.shown());
            } else {
                output::text(&text(&agents, scope == Scope::All, output.is_some(), Timestamp::now()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(agents: &[InfraAgent], everywhere: bool, wide: bool, now: Timestamp) -> String {
    let mut header = vec!["NAME", "PHASE", "AUTONOMY", "SCHEDULE", "NEXT", "LAST", "RUNS", "FAILURES", "AGE", "WHY"];
    if everywhere {
        header.insert(0, "NAMESPACE");
    }
    if wide {
        header.extend(["MODE", "TIER", "ENVIRONMENT", "SKILLS", "ACTIVE RUN", "LAST RUN"]);
    }
    let mut table = Columns::new(&header);
    for agent in agents {
        let spec = &agent.spec;
        let status = agent.status.clone().unwrap_or_default();
        let mut cells = Vec::new();
        if everywhere {
            cells.push(agent.namespace().unwrap_or_default());
        }
        cells.push(agent.name_any());
        cells.push(status.phase.unwrap_or_default().to_string());
        cells.push(spec.guardrails.autonomy.to_string());
        cells.push(schedule(agent));
        cells.push(status.next_run_time.map(|time| until(time.0, now)).unwrap_or_default());
        cells.push(status.last_run_time.map(|time| age(time.0, now)).unwrap_or_default());
        cells.push(status.run_count.to_string());
        cells.push(status.consecutive_failures.to_string());
        cells.push(agent.creation_timestamp().map(|time| age(time.0, now)).unwrap_or_default());
        cells.push(why(agent));
        if wide {
            cells.extend([spec.mode.to_string(), spec.model.tier.to_string(), spec.environment_ref.clone()]);
            cells.push(spec.skills.iter().map(|skill| skill.name.as_str()).collect::<Vec<_>>().join(","));
            cells.push(status.active_run.map(|active| active.name).unwrap_or_default());
            cells.push(status.last_run_name.unwrap_or_default());
        }
        table.row(cells);
    }
    table.text()
}

/// `0 * * * * Europe/Berlin`, `every 5m`, and what else wakes it.
fn schedule(agent: &InfraAgent) -> String {
    let schedule = &agent.spec.schedule;
    let zone = if schedule.timezone == "UTC" { String::new() } else { format!(" {}", schedule.timezone) };
    let own = match (&schedule.cron, &schedule.interval) {
        (Some(cron), _) => format!("{cron}{zone}"),
        (None, Some(interval)) => format!("every {interval}"),
        (None, None) => String::new(),
    };
    let mut kinds: Vec<&str> = schedule.triggers.iter().map(|trigger| trigger.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    [own].into_iter().filter(|own| !own.is_empty()).chain(kinds.into_iter().map(str::to_owned)).collect::<Vec<_>>().join(", ")
}

/// The first word of what holds it back.
fn why(agent: &InfraAgent) -> String {
    if holds_back(agent).is_none() {
        return String::new();
    }
    if agent.spec.paused { "Paused".to_owned() } else { condition(agent, "Ready").map(|ready| ready.reason.clone()).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agent(name: &str, spec: Value, status: Value) -> InfraAgent {
        let mut whole =
            json!({ "description": "d", "schedule": {}, "skills": [{ "name": "s" }, { "name": "t" }], "environmentRef": "site" });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent",
            "metadata": { "name": name, "namespace": "agents", "creationTimestamp": "2026-11-21T10:00:00Z" }, "spec": whole, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn an_agent_is_a_line_that_says_when_it_runs_and_what_holds_it_back() {
        let condition = |status: &str, reason: &str| {
            json!([
                { "type": "Ready", "status": status, "reason": reason, "message": "m\u{1b}[2J", "lastTransitionTime": "2026-11-22T10:00:00Z" },
            ])
        };
        let agents = [
            agent(
                "hourly",
                json!({ "schedule": { "cron": "0 * * * *", "timezone": "Europe/Berlin" }, "guardrails": { "autonomy": "automate-safe" } }),
                json!({
                    "phase": "Running", "runCount": 12, "consecutiveFailures": 1, "lastRunTime": "2026-11-22T09:00:00Z", "nextRunTime": "2026-11-22T11:00:00Z",
                    "lastRunName": "hourly-1", "activeRun": { "name": "hourly-2", "uid": "u" }, "conditions": condition("True", "Ready"),
                }),
            ),
            agent(
                "woken",
                json!({ "schedule": { "interval": "5m", "triggers": [{ "type": "webhook", "source": "alerts" }] } }),
                json!({
                    "phase": "Error", "runCount": 0, "consecutiveFailures": 0, "conditions": condition("False", "EnvironmentNotFound"),
                }),
            ),
            agent("resting", json!({ "paused": true }), Value::Null),
        ];
        let now = "2026-11-22T10:10:00Z".parse().unwrap();
        insta::assert_snapshot!(text(&agents, true, true, now));
        insta::assert_snapshot!(text(&agents, false, false, now));
        assert_eq!(holds_back(&agents[1]).unwrap(), "EnvironmentNotFound: m\u{1b}[2J");
    }
}
