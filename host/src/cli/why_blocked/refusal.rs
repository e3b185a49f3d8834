//! Entries of a record that were refused or only proposed: what each check rests on.

use std::collections::BTreeSet;

use infraagent_api::{
    AgentRun,
    names::{Autonomy, Tier},
    policy::Suspend,
    run::{ActionRecord, ActionStatus},
};
use infraagent_guard::checks::{Check, Code};

use super::{Documents, Reason};
use crate::{
    cli::runs::follow::{is_change, what},
    run::report::PROPOSED,
};

/// Every entry that was refused, proposed or denied by the cluster, and every refused read, each with its grounds.
pub(super) fn refusals(run: &AgentRun, documents: &Documents) -> Vec<Reason> {
    let entries = run.status.as_ref().map(|status| status.actions.as_slice()).unwrap_or_default();
    let mut reasons = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if is_change(entry) {
            reasons.extend(change(entry, documents));
            continue;
        }
        let inside: Vec<&ActionRecord> = entries.iter().skip(at + 1).take_while(|entry| is_change(entry)).collect();
        let reads = reads(entry, documents);
        // A tool that ended with a refusal inside of it is explained by that.
        let explained = !reads.is_empty() || inside.iter().any(|inside| change(inside, documents).is_some());
        reasons.extend(reads);
        if entry.status == ActionStatus::Blocked && !explained {
            let code = entry.reason.clone().unwrap_or_default();
            reasons.push(reason(entry, "refused", None, &code, documents));
        }
    }
    reasons
}

fn change(entry: &ActionRecord, documents: &Documents) -> Option<Reason> {
    let code = entry.reason.clone().unwrap_or_default();
    let (is, code) = match entry.status {
        ActionStatus::Blocked => ("refused", code),
        ActionStatus::Skipped if code == PROPOSED => ("proposed", Code::ApprovalRequired.as_str().to_owned()),
        ActionStatus::Failed if code == FORBIDDEN => ("refused", code),
        ActionStatus::Failed | ActionStatus::Skipped | ActionStatus::Intended | ActionStatus::Executed | ActionStatus::Unknown => {
            return None;
        }
    };
    let (check, code) = match first_failure(entry.checks.as_deref().unwrap_or_default()) {
        Some((check, failed)) => (Some(check), failed),
        None if is == "proposed" => (Some(Check::Autonomy), code),
        None => (None, code),
    };
    Some(reason(entry, is, check, &code, documents))
}

/// The refused reads of a tool call, each code once.
fn reads(entry: &ActionRecord, documents: &Documents) -> Vec<Reason> {
    let mut codes = BTreeSet::new();
    let mut reasons = Vec::new();
    for call in entry.reads.iter().flat_map(|reads| &reads.calls) {
        let Some((call, code)) = call.rsplit_once(" denied:").filter(|(_, code)| !code.contains(' ')) else { continue };
        if codes.insert(code.to_owned()) {
            let mut reason = reason(entry, "refused", None, code, documents);
            reason.what = format!("{call} (in {})", entry.tool);
            reasons.push(reason);
        }
    }
    reasons
}

/// The first `check=fail:code` of the checks of an entry.
fn first_failure(checks: &str) -> Option<(Check, String)> {
    checks.split(' ').find_map(|word| {
        let (check, outcome) = word.split_once('=')?;
        let code = outcome.strip_prefix("fail:")?;
        let check = Check::ALL.into_iter().find(|known| known.as_str() == check)?;
        Some((check, code.to_owned()))
    })
}

/// The cluster's own refusal: the right is missing.
const FORBIDDEN: &str = "forbidden";

fn reason(entry: &ActionRecord, is: &'static str, check: Option<Check>, code: &str, documents: &Documents) -> Reason {
    let known = Code::ALL.into_iter().find(|known| known.as_str() == code);
    let (bounds, change) = match known {
        Some(known) => grounds(known, entry, documents),
        None => others(code, documents),
    };
    let said = entry.result.clone().or_else(|| entry.pre_flight_check.as_ref()?.reason.clone());
    Reason {
        entry: Some(entry.seq),
        what: what(entry),
        is,
        check: check.map(|check| check.as_str().to_owned()),
        code: code.to_owned(),
        means: meaning(code).to_owned(),
        // What only repeats the meaning says nothing more.
        said: said.filter(|said| !said.is_empty() && said != meaning(code)),
        bounds,
        change,
    }
}

/// What a code means, in a sentence.
pub(crate) fn meaning(code: &str) -> &'static str {
    if let Some(known) = Code::ALL.into_iter().find(|known| known.as_str() == code) {
        return known.message();
    }
    match code {
        FORBIDDEN => "the cluster itself refuses it: the agent's ServiceAccount lacks the right",
        "unknown-tool" => "no skill of the run has such a tool",
        "invalid-arguments" => "the model's arguments do not fit the tool",
        "reply-cut-off" => "the model's reply was cut off, so none of its calls was carried out",
        "not-recorded" => "the intent could not be written down, so nothing was done",
        _ => "the skill or its host ended the call with this word",
    }
}

/// The level of autonomy that a tier needs.
const fn needed(tier: Tier) -> Autonomy {
    match tier {
        Tier::Read => Autonomy::Observe,
        Tier::ServiceMutation => Autonomy::AutomateSafe,
        Tier::DestructiveMutation | Tier::DataMutation => Autonomy::AutomateDestructive,
    }
}

/// Entries of a list, as many as a person reads.
fn listed(entries: &[String]) -> String {
    const MOST: usize = 8;
    let shown: Vec<&str> = entries.iter().take(MOST).map(String::as_str).collect();
    let more = entries.len().saturating_sub(MOST);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Documents and fields behind a refusal of the guard, and what to change.
fn grounds(code: Code, entry: &ActionRecord, documents: &Documents) -> (Vec<String>, String) {
    let action = entry.action.as_deref().unwrap_or("?");
    let sheet = |field: &str| format!("action sheet of the skill (actions.yaml), action `{action}`{field}");
    let agent = documents.agent.as_ref();
    match code {
        Code::UndeclaredAction | Code::MissingAction | Code::NotThisTool | Code::StateNotDeclared => (
            vec!["action sheet of the skill (actions.yaml)".to_owned()],
            "the skill asks for something that its sheet does not declare for this tool: its author declares it and publishes a new version".to_owned(),
        ),
        Code::VerbNotCovered => (
            vec![sheet(": kubernetes.verb, http.methods, mcp.tools")],
            "the skill uses the action for something else than it declares: its author declares an action for it".to_owned(),
        ),
        Code::TargetNotCovered | Code::NodeNotCovered => (
            vec![sheet(": resources, namespaces, names, replicas, endpoints, paths, nodes"), documents.environment("namespaces (groups that the sheet names)")],
            "let the action cover the target in the sheet, or add the namespace to the group in the environment".to_owned(),
        ),
        Code::NotListed | Code::WrongTier => (
            vec![documents.environment("endpoints"), documents.environment("mcpServers")],
            "list the method and path, or the tool, in the environment, with the tier that it has".to_owned(),
        ),
        Code::TierNotGranted | Code::ApprovalRequired => autonomy(entry, documents),
        Code::OutOfScope => {
            let groups = documents.environment.as_ref().map(|environment| serde_json::to_string(&environment.spec.namespaces).unwrap_or_default());
            let groups = groups.map(|groups| format!(": {groups}")).unwrap_or_default();
            (
                vec![format!("{}{groups}", documents.environment("namespaces")), documents.environment("endpoints")],
                "add the namespace or endpoint to the environment, if the agent should reach it".to_owned(),
            )
        }
        Code::DenyListed => {
            let entries = agent.map(|agent| format!(": {}", listed(&agent.spec.guardrails.denied_actions))).unwrap_or_default();
            (vec![format!("{}{entries}", documents.agent("guardrails.deniedActions"))], "remove or narrow the entry that matches, if the agent should do this".to_owned())
        }
        Code::NotAllowListed => {
            let entries = agent.map(|agent| format!(": {}", listed(&agent.spec.guardrails.allowed_actions))).unwrap_or_default();
            let text = format!("add an entry that matches, for example `{}`; or remove the list, which then restricts nothing", super::clean(&entry.tool));
            (vec![format!("{}{entries}", documents.agent("guardrails.allowedActions"))], text)
        }
        Code::Suspended => {
            let mut bounds = documents.policies("suspend", |policy| match policy.spec.suspend {
                Suspend::None => None,
                word @ (Suspend::Mutations | Suspend::All) => Some(word.to_string()),
            });
            if agent.is_some_and(|agent| agent.spec.paused) {
                bounds.push(format!("{}: true", documents.agent("paused")));
            }
            let text = if bounds.is_empty() {
                "it is not suspended any more: order another run"
            } else {
                "resume the agent, or ask the platform team to lift the suspension; it holds from the next call on"
            };
            (bounds, text.to_owned())
        }
        Code::Frozen => (
            documents.policies("freezeWindows", |policy| {
                let names: Vec<String> = policy.spec.freeze_windows.iter().map(|window| serde_json::to_string(window).unwrap_or_default()).collect();
                (!names.is_empty()).then(|| listed(&names))
            }),
            "wait until the window is over, or ask the platform team to change it".to_owned(),
        ),
        Code::EndpointNotAllowed => (
            documents.policies("allowedEndpoints", |policy| policy.spec.allowed_endpoints.as_deref().map(listed)),
            "ask the platform team to allow the endpoint".to_owned(),
        ),
        Code::BudgetExhausted => {
            let mut bounds = Vec::new();
            if let Some(agent) = agent {
                bounds.push(format!("{}: {}", documents.agent("model.timeout"), agent.spec.model.timeout));
            }
            bounds.extend(documents.policies("limits.maxActions", |policy| Some(policy.spec.limits.as_ref()?.max_actions?.to_string())));
            bounds.extend(documents.policies("limits.timeout", |policy| Some(policy.spec.limits.as_ref()?.timeout.as_ref()?.to_string())));
            bounds.push("the size of a record: 128 tool calls and changes per run".to_owned());
            (bounds, "raise the limit that was reached, or let the agent do less per run".to_owned())
        }
        Code::DataProtection => (
            vec!["data protection, which no document configures".to_owned(), documents.environment("dataResources (what is declared as data)")],
            "nothing lifts this: change the workload so that no data would go (the reason names what would), or do it yourself".to_owned(),
        ),
        Code::DataImpact => {
            let (mut bounds, text) = autonomy_for(Autonomy::AutomateDestructive, documents);
            bounds.insert(0, sheet(": dataImpact: possible"));
            (bounds, text)
        }
        Code::Unknown => (
            vec!["ClusterRole infraagent-facts: what the operator may look at".to_owned()],
            "grant what is named as missing by a ClusterRole with the label `infraagent.io/facts: \"true\"` (get and list); what cannot be looked at is refused".to_owned(),
        ),
        Code::TargetAbsent | Code::TargetChanged => {
            (vec!["the target in the cluster, as it was at that moment".to_owned()], "nothing: order another run, which looks anew".to_owned())
        }
        Code::Precondition => (
            vec![sheet(": preConditions")],
            "wait until the condition holds, or correct it in the sheet".to_owned(),
        ),
        Code::Cooldown => (
            vec![sheet(": cooldown")],
            "wait until the cooldown of this target is over, or shorten it in the sheet".to_owned(),
        ),
        Code::Malformed => (Vec::new(), "the skill or the model asked for something that is no call: look at what was said".to_owned()),
    }
}

fn autonomy(entry: &ActionRecord, documents: &Documents) -> (Vec<String>, String) {
    autonomy_for(needed(entry.tier), documents)
}

/// Which documents keep the autonomy below a level.
fn autonomy_for(needed: Autonomy, documents: &Documents) -> (Vec<String>, String) {
    let (mut bounds, mut changes) = (Vec::new(), Vec::new());
    if let Some(agent) = &documents.agent {
        let own = agent.spec.guardrails.autonomy;
        if own < needed {
            let field = documents.agent("guardrails.autonomy");
            bounds.push(format!("{field}: {own}"));
            changes.push(format!("set {field} to {needed}"));
        }
    }
    let said = documents.policies("maxAutonomy", |policy| policy.spec.max_autonomy.map(|level| level.to_string()));
    let low =
        documents.policies("maxAutonomy", |policy| policy.spec.max_autonomy.filter(|level| *level < needed).map(|level| level.to_string()));
    if said.is_empty() && documents.unread.is_none() && needed > Autonomy::Observe {
        bounds.push("no InfraAgentPolicy of the namespace sets maxAutonomy, so agents only observe".to_owned());
        changes.push(format!("ask the platform team for a policy with spec.maxAutonomy {needed}"));
    }
    if !low.is_empty() {
        changes.push(format!("ask the platform team to raise spec.maxAutonomy to {needed}"));
    }
    bounds.extend(low);
    if changes.is_empty() {
        changes.push(if documents.unread.is_some() {
            format!("it needs autonomy {needed}, of the agent and of every InfraAgentPolicy")
        } else {
            "the documents allow it by now: order another run".to_owned()
        });
    }
    (bounds, changes.join(", and "))
}

/// The same for words that are not the guard's.
fn others(code: &str, documents: &Documents) -> (Vec<String>, String) {
    match code {
        FORBIDDEN => {
            let account = documents.agent.as_ref().map(|agent| {
                let name = agent.metadata.name.clone().unwrap_or_default();
                agent.spec.service_account_name.clone().unwrap_or_else(|| format!("infraagent-{name}"))
            });
            let account = account.map(|account| format!(" {account}")).unwrap_or_default();
            (
                vec![format!("roles of the ServiceAccount{account}")],
                "bind a role to it that allows what is named as missing (deploy/agent-roles.yaml has some, tier by tier)".to_owned(),
            )
        }
        "unknown-tool" => (
            vec![documents.agent("skills")],
            "add a skill with such a tool, if the agent should have it; otherwise nothing: the model is told".to_owned(),
        ),
        "invalid-arguments" | "reply-cut-off" => (Vec::new(), "nothing: the model is told, and may call again".to_owned()),
        _ => (Vec::new(), "look at what was said".to_owned()),
    }
}
