//! Runs that wait, and runs that ended without having begun: what of.

use infraagent_api::{AgentRun, policy::Suspend};

use super::{Documents, Reason};
use crate::cli::{program, runs::condition};

/// What a waiting run waits for.
pub(super) fn waits(run: &AgentRun, documents: &Documents) -> Reason {
    let what = run.metadata.name.clone().unwrap_or_default();
    let assigned = condition(run, "Assigned");
    let Some(assigned) = assigned else {
        return Reason {
            entry: None,
            what,
            is: "waits",
            check: None,
            code: "NotLookedAt".to_owned(),
            means: "no operator has looked at it yet".to_owned(),
            said: None,
            bounds: Vec::new(),
            change: format!(
                "if that does not change within seconds: is an operator running, and does it look after this namespace? `{} status`",
                program::name()
            ),
        };
    };
    if assigned.status == "True" {
        return Reason {
            entry: None,
            what,
            is: "waits",
            check: None,
            code: assigned.reason.clone(),
            means: "a replica has it, and begins".to_owned(),
            said: Some(assigned.message.clone()),
            bounds: Vec::new(),
            change: "nothing".to_owned(),
        };
    }
    let (means, bounds, change) = grounds(&assigned.reason, documents);
    Reason {
        entry: None,
        what,
        is: "waits",
        check: None,
        code: assigned.reason.clone(),
        means: means.to_owned(),
        said: Some(assigned.message.clone()),
        bounds,
        change,
    }
}

/// Why a run failed that could have been kept from it by a change of a document.
pub(super) fn failed(run: &AgentRun, documents: &Documents) -> Option<Reason> {
    let complete = condition(run, "Complete").filter(|condition| condition.status != "True")?;
    let change = match complete.reason.as_str() {
        "RateLimited" => {
            "order another run; what it waited for stands in its condition Assigned, and spec.startingDeadline of the agent says how long it may wait"
        }
        "Cancelled" => "nothing: somebody ended it",
        "Interrupted" => "nothing: its replica was gone; if nothing was intended it is tried again",
        "AgentNotFound" | "AgentReplaced" => "order a run of an agent that exists",
        "NotStarted" => "do what the message says, and order another run",
        _ => "look at what was said, and at the last lines of its timeline (`runs logs`)",
    };
    let bounds = match complete.reason.as_str() {
        "RateLimited" => deadline(documents),
        _ => Vec::new(),
    };
    let waited = condition(run, "Assigned").filter(|assigned| assigned.status == "False");
    let waited = waited.map(|assigned| format!("; it waited for {}: {}", assigned.reason, assigned.message)).unwrap_or_default();
    Some(Reason {
        entry: None,
        what: run.metadata.name.clone().unwrap_or_default(),
        is: "failed",
        check: None,
        code: complete.reason.clone(),
        means: "the run ended without a report".to_owned(),
        said: Some(format!("{}{waited}", complete.message)),
        bounds,
        change: change.to_owned(),
    })
}

fn deadline(documents: &Documents) -> Vec<String> {
    let deadline = documents.agent.as_ref().and_then(|agent| agent.spec.starting_deadline.as_ref());
    let deadline = deadline.map_or_else(|| "not set, so the default holds".to_owned(), ToString::to_string);
    vec![format!("InfraAgent spec.startingDeadline: {deadline}")]
}

/// What a reason of the condition Assigned means, what makes it so, and what to change.
fn grounds(reason: &str, documents: &Documents) -> (&'static str, Vec<String>, String) {
    let agent = documents.agent.as_ref();
    let name = agent.and_then(|agent| agent.metadata.name.clone()).unwrap_or_default();
    let program = program::name();
    match reason {
        "AgentBusy" => {
            let active = agent.and_then(|agent| agent.status.as_ref()?.active_run.as_ref()).map(|active| active.name.clone());
            let bounds = active.iter().map(|active| format!("InfraAgent {name} status.activeRun: {active}")).collect();
            let active = active.unwrap_or_else(|| "RUN".to_owned());
            (
                "another run of the same agent goes on, or is before it",
                bounds,
                format!("wait, or end the other: `{program} runs cancel {active}`"),
            )
        }
        "BackOff" => {
            ("it is a retry, which waits longer with every attempt", vec!["--retry-pause of the operator".to_owned()], "wait".to_owned())
        }
        "Paused" => {
            let mut bounds = documents.policies("suspend", |policy| (policy.spec.suspend == Suspend::All).then(|| "all".to_owned()));
            let paused = agent.is_some_and(|agent| agent.spec.paused);
            if paused {
                bounds.insert(0, format!("InfraAgent {name} spec.paused: true"));
            }
            let change = if paused {
                format!("`{program} agents resume {name}`")
            } else {
                "ask the platform team to lift the suspension".to_owned()
            };
            ("the agent is paused", bounds, change)
        }
        "NoReplica" => (
            "no replica of the operator takes runs now",
            vec!["Leases of the replicas in the operator's namespace".to_owned()],
            format!("start a replica, or one that knows this record's layout: `{program} status` shows those that there are"),
        ),
        "DailyBudget" => {
            let mut bounds =
                documents.policies("dailyBudget.tokens", |policy| Some(policy.spec.daily_budget.as_ref()?.tokens?.to_string()));
            bounds.extend(
                documents.policies("dailyBudget.cost", |policy| Some(format!("${}", policy.spec.daily_budget.as_ref()?.cost.clone()?))),
            );
            (
                "what the agents of the namespace may use today is used up",
                bounds,
                "wait until midnight (UTC), or ask the platform team for more".to_owned(),
            )
        }
        "ClusterLimit" => (
            "as many runs go on in the cluster as there may be",
            vec!["--max-concurrent-runs of the operator".to_owned()],
            format!("wait, end another run (`{program} runs list -A --phase Running`), or raise the limit"),
        ),
        "ClusterRateLimit" => (
            "as many runs began in the cluster within the hour as there may be",
            vec!["--max-runs-per-hour-cluster of the operator".to_owned()],
            "wait, or raise the limit".to_owned(),
        ),
        "AgentRateLimit" => (
            "as many runs of this agent began within the hour as there may be",
            vec!["--max-runs-per-hour-per-agent of the operator".to_owned()],
            "wait, or raise the limit".to_owned(),
        ),
        "EnvironmentNotFound" => (
            "the agent's environment does not exist",
            vec![format!("InfraAgent {name} spec.environmentRef")],
            "create it, or correct the reference".to_owned(),
        ),
        "ModelTierNotFound" => (
            "there is no model",
            vec!["ModelTierConfig".to_owned()],
            "create one that maps the agent's tier to a provider and a model".to_owned(),
        ),
        "PolicyInvalid" => (
            "a policy of the platform has no meaning",
            vec!["InfraAgentPolicy".to_owned()],
            "ask the platform team to correct what is named".to_owned(),
        ),
        "NotAccepted" => (
            "the agent, or what it refers to, has no meaning",
            vec![format!("InfraAgent {name}, condition Accepted")],
            "correct what is named".to_owned(),
        ),
        "ServiceAccountNotFound" => (
            "the ServiceAccount that the agent acts as does not exist",
            vec![format!("InfraAgent {name} spec.serviceAccountName")],
            "create it and bind roles to it, or correct the reference".to_owned(),
        ),
        "EnvironmentNotReady" => (
            "the agent's environment cannot be used",
            vec![format!("InfraAgent {name} spec.environmentRef")],
            "correct what is named".to_owned(),
        ),
        "NoPrice" => (
            "a policy limits the cost per day, and the model has no price",
            vec!["ModelTierConfig spec.tiers[].costPerMillionInput, costPerMillionOutput".to_owned()],
            "add the price, or ask the platform team to lift the limit".to_owned(),
        ),
        _ => ("the operator holds it back", vec![format!("InfraAgent {name}, condition Ready")], "do what the message says".to_owned()),
    }
}
