//! `infraagent agents run`: orders a run. The operator makes it; a shadow run is made here, since an order cannot ask for one.

use std::{collections::BTreeSet, io::IsTerminal as _, process::ExitCode, time::Duration};

use anyhow::bail;
use futures::StreamExt as _;
use infraagent_api::{
    ANNOTATION_RUN_NOW, AgentRun, AgentRunSpec, InfraAgent, LABEL_AGENT, ObjectMeta,
    names::Mode,
    run::{RECORD_VERSION, RunTrigger},
};
use jiff::Timestamp;
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;

use super::holds_back;
use crate::cli::{
    cluster::{Cluster, Flags, Scope},
    output,
    paint::clean,
    program,
    runs::{
        exit_code,
        follow::{self, Told},
        phase,
    },
};

/// Arguments of `infraagent agents run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent agents run forge -n agents
  infraagent agents run forge -n agents -f          # and see what it does
  infraagent agents run forge -n agents --shadow    # decide and record everything, change nothing

Prints the name of the run. With --wait or -f the exit code is that of the run:
0 it Succeeded or Escalated, 1 it Failed, 3 it was Blocked; 2 it could not be ordered, or nobody took the order.")]
pub struct Run {
    /// Name of the InfraAgent
    #[arg(value_name = "AGENT")]
    name: String,
    /// Make the run a shadow run: it decides and records everything, and changes nothing
    #[arg(long)]
    shadow: bool,
    /// Wait until it has ended
    #[arg(short, long)]
    wait: bool,
    /// Show what happens in it until it has ended
    #[arg(short, long)]
    follow: bool,
    /// How long the operator may take to take the order
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    #[command(flatten)]
    cluster: Flags,
}

/// Orders.
pub async fn main(args: Run) -> anyhow::Result<ExitCode> {
    let Run { name, shadow, wait, follow, timeout, cluster } = args;
    let cluster = Cluster::connect(&cluster).await?;
    let agent = cluster.get::<InfraAgent>(&name).await?;
    if let Some(why) = holds_back(&agent) {
        anstream::eprintln!("the run will wait: {}", clean(&why));
    }
    let run = if shadow {
        cluster.create(&shadow_run(&agent, Timestamp::now())).await?.name_any()
    } else {
        ordered(&cluster, &agent, Duration::from_secs(timeout)).await?
    };
    // A program that asked for the name gets nothing else in the same stream.
    if follow && !std::io::stdout().is_terminal() {
        anstream::eprintln!("{}", clean(&run));
    } else {
        output::text(&clean(&run))?;
    }
    if follow {
        let ended = follow::to_the_end(&cluster, &run, &mut Told::default()).await?;
        return Ok(exit_code(phase(&ended)));
    }
    if wait {
        let ended = follow::end(&cluster, &run).await?;
        anstream::eprintln!("{} is over: {}", clean(&run), phase(&ended));
        return Ok(exit_code(phase(&ended)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Annotates the agent, and waits until the operator has made a run of that.
async fn ordered(cluster: &Cluster, agent: &InfraAgent, timeout: Duration) -> anyhow::Result<String> {
    let name = agent.name_any();
    let before = orders(cluster, agent).await?.into_iter().map(|run| run.name_any()).collect::<BTreeSet<_>>();
    cluster.merge::<InfraAgent>(&name, &json!({ "metadata": { "annotations": { ANNOTATION_RUN_NOW: "true" } } })).await?;
    let taken = async {
        let mut changes = std::pin::pin!(cluster.follow::<InfraAgent>(&name));
        while let Some(seen) = changes.next().await {
            let Some(agent) = seen? else { bail!("the agent `{name}` was deleted") };
            // The annotation goes when the run is there.
            if agent.annotations().get(ANNOTATION_RUN_NOW).is_none_or(|value| value != "true") {
                return Ok(());
            }
        }
        bail!("the agent `{name}` can no longer be watched")
    };
    match tokio::time::timeout(timeout, taken).await {
        Ok(taken) => taken?,
        Err(_) => bail!(
            "the order stands, and no operator has taken it within {} s: is one running, and does it look after namespace `{}`? `{} status` shows it",
            timeout.as_secs(),
            cluster.namespace,
            program::name()
        ),
    }
    let mut new = orders(cluster, agent).await?;
    new.retain(|run| !before.contains(&run.name_any()));
    new.sort_by_key(|run| (run.creation_timestamp(), run.name_any()));
    match new.into_iter().next() {
        Some(run) => Ok(run.name_any()),
        None => bail!("the order was taken, and its run is gone already"),
    }
}

/// The runs that the operator made of orders to this agent.
async fn orders(cluster: &Cluster, agent: &InfraAgent) -> anyhow::Result<Vec<AgentRun>> {
    let params = ListParams::default().fields(&format!("spec.agentRef={}", agent.name_any()));
    let mut runs = cluster.list::<AgentRun>(&Scope::One(cluster.namespace.clone()), &params).await?;
    let uid = agent.uid();
    // A run that somebody made by hand says nothing of the agent's uid, or has another name.
    let uid8: String = uid.clone().unwrap_or_default().chars().take(8).collect();
    runs.retain(|run| {
        run.spec.trigger == RunTrigger::Manual
            && run.spec.retry_of.is_none()
            && run.spec.agent_uid == uid
            && run.name_any().contains(&format!("-{uid8}-"))
    });
    Ok(runs)
}

/// A run of the agent in which nothing is changed. Its name cannot be taken for one of the operator's.
fn shadow_run(agent: &InfraAgent, now: Timestamp) -> AgentRun {
    let name = agent.name_any();
    let stem = name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned();
    let unique: String = uuid::Uuid::new_v4().simple().to_string().chars().take(4).collect();
    let metadata = ObjectMeta {
        name: Some(format!("{stem}.shadow-{}-{unique}", now.as_second())),
        namespace: agent.namespace(),
        labels: Some([(LABEL_AGENT.to_owned(), stem)].into()),
        ..ObjectMeta::default()
    };
    let spec = AgentRunSpec {
        agent_ref: name,
        agent_uid: agent.uid(),
        environment_ref: agent.spec.environment_ref.clone(),
        trigger: RunTrigger::Manual,
        model_used: None,
        mode: Mode::Shadow,
        retry_of: None,
        attempt: 1,
        input: None,
        approval_ref: None,
        record_version: RECORD_VERSION,
    };
    AgentRun { metadata, spec, status: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_shadow_run_is_none_of_the_operators() {
        let agent = |name: &str| InfraAgent {
            metadata: ObjectMeta { name: Some(name.to_owned()), uid: Some("1a2b3c4d-0000".to_owned()), ..ObjectMeta::default() },
            ..InfraAgent::default()
        };
        // As the admission policy for runs that are made by hand has it.
        let operators = regex::Regex::new(r"-[0-9a-f]{8}-[^.]*$|-r[0-9]+$").unwrap();
        assert!(operators.is_match("forge-1a2b3c4d-77") && operators.is_match("forge-r2"));
        for name in ["forge", "a-1a2b3c4d-b", &"x".repeat(253)] {
            let run = shadow_run(&agent(name), Timestamp::from_second(1_763_862_031).unwrap());
            let made = run.name_any();
            assert!(!operators.is_match(&made) && made.len() <= 253, "{made}");
            assert_eq!((run.spec.mode, run.spec.agent_ref.as_str()), (Mode::Shadow, name));
        }
    }
}
