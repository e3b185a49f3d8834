//! What an agent may do, and where each bound comes from. Pure: the same documents and the same rules as a run.

mod listed;

use std::{collections::BTreeMap, fmt::Display};

use infraagent_api::{InfraAgent, InfraAgentPolicy, policy::Suspend};
use jiff::Timestamp;
use serde::Serialize;

use self::listed::{Listed, listed};
use super::validate::{Invalid, ValidatedRun, autonomy_word};

/// What an agent may do, and where each bound comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Namespace and name.
    pub agent: String,
    /// Bounds of the whole run.
    pub bounds: Vec<Bound>,
    /// What its skills' actions come to.
    pub actions: Vec<ActionVerdict>,
    /// What should be looked at: entries that match nothing, fields without effect, skills that cannot be had.
    pub notes: Vec<String>,
}

/// One bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// What is bounded.
    pub what: String,
    /// What holds.
    pub holds: String,
    /// The field that makes it so.
    pub from: String,
    /// Fields that say more, and do not hold.
    pub instead_of: Vec<String>,
}

/// What one action of a skill comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionVerdict {
    /// The skill.
    pub skill: String,
    /// The tool.
    pub tool: String,
    /// The action of its sheet.
    pub action: String,
    /// Its tier.
    pub tier: String,
    /// `allowed` as far as is known before a call, `proposed` to a person, or `refused`.
    pub verdict: &'static str,
    /// Why, and by which field.
    pub because: String,
}

/// A value that a document asks for, or allows at most.
struct Said<T> {
    by: String,
    value: T,
}

/// Explains. `run` is what the documents come to; `policies` are those that hold in the agent's namespace; `missing` are skills that cannot be had.
pub fn explain(
    agent: &InfraAgent,
    policies: &[InfraAgentPolicy],
    run: Result<&ValidatedRun, &Invalid>,
    missing: &BTreeMap<String, String>,
    now: Timestamp,
) -> Explanation {
    let namespace = agent.metadata.namespace.as_deref().unwrap_or("default");
    let mut notes: Vec<String> = missing.iter().map(|(skill, why)| format!("skill `{skill}`: {why}")).collect();
    let mut actions = Vec::new();
    match run {
        Ok(run) => {
            notes.extend(run.warnings.iter().map(|warning| warning.message.clone()));
            notes.extend(run.unsupported.iter().map(|field| format!("{field}: has no effect yet")));
            actions = verdicts(run, policies, now);
        }
        Err(Invalid(problems)) => notes.extend(problems.iter().map(ToString::to_string)),
    }
    Explanation {
        agent: format!("{namespace}/{}", agent.metadata.name.as_deref().unwrap_or_default()),
        bounds: bounds(agent, policies, run.ok(), now),
        actions,
        notes,
    }
}

fn bounds(agent: &InfraAgent, policies: &[InfraAgentPolicy], run: Option<&ValidatedRun>, now: Timestamp) -> Vec<Bound> {
    let spec = &agent.spec;
    let of = |policy: &InfraAgentPolicy, field: &str| {
        format!("InfraAgentPolicy {} spec.{field}", policy.metadata.name.as_deref().unwrap_or_default())
    };
    let policy_says = |field: &str, value: fn(&InfraAgentPolicy) -> Option<i64>| -> Vec<Said<i64>> {
        policies.iter().filter_map(|policy| Some(Said { by: of(policy, field), value: value(policy)? })).collect()
    };
    let agent_says = |field: &str, value: i64| Said { by: format!("InfraAgent spec.{field}"), value };
    let mut bounds = Vec::new();

    let mut levels: Vec<Said<_>> =
        policies.iter().filter_map(|policy| Some(Said { by: of(policy, "maxAutonomy"), value: policy.spec.max_autonomy? })).collect();
    if levels.is_empty() {
        levels.push(Said { by: "no InfraAgentPolicy sets maxAutonomy".to_owned(), value: infraagent_api::names::Autonomy::Observe });
    }
    levels.insert(0, Said { by: "InfraAgent spec.guardrails.autonomy".to_owned(), value: spec.guardrails.autonomy });
    bounds.extend(strictest("autonomy", levels, |level| *level, ToString::to_string));

    let seconds = |duration: &infraagent_api::GoDuration| i64::try_from(duration.as_std().as_secs()).unwrap_or(i64::MAX);
    let plain = |number: &i64| number.to_string();
    let limit = |what: &str, own: Option<Said<i64>>, policy: Vec<Said<i64>>, unit: &str| {
        let all: Vec<_> = own.into_iter().chain(policy).collect();
        strictest(what, all, |value| *value, |value| format!("{}{unit}", plain(value)))
    };
    bounds.extend(limit(
        "tokens per run",
        Some(agent_says("model.tokenBudget", spec.model.token_budget)),
        policy_says("limits.tokenBudget", |policy| policy.spec.limits.as_ref()?.token_budget),
        "",
    ));
    bounds.extend(limit(
        "turns per run",
        Some(agent_says("guardrails.maxIterations", i64::from(spec.guardrails.max_iterations))),
        policy_says("limits.maxIterations", |policy| policy.spec.limits.as_ref()?.max_iterations.map(i64::from)),
        "",
    ));
    let timeouts = policies.iter().filter_map(|policy| {
        let timeout = policy.spec.limits.as_ref()?.timeout.as_ref()?;
        Some(Said { by: of(policy, "limits.timeout"), value: seconds(timeout) })
    });
    bounds.extend(limit("time per run", Some(agent_says("model.timeout", seconds(&spec.model.timeout))), timeouts.collect(), " s"));
    bounds.extend(limit(
        "tool calls and changes per run",
        Some(Said { by: "the size of a record".to_owned(), value: i64::from(super::budget::MAX_ENTRIES) }),
        policy_says("limits.maxActions", |policy| policy.spec.limits.as_ref()?.max_actions.map(i64::from)),
        "",
    ));
    bounds.extend(limit(
        "tokens per day, all agents of the namespace together",
        None,
        policy_says("dailyBudget.tokens", |policy| policy.spec.daily_budget.as_ref()?.tokens),
        "",
    ));
    let costs = policies.iter().filter_map(|policy| {
        let cost = policy.spec.daily_budget.as_ref()?.cost.clone()?;
        Some(Said { by: of(policy, "dailyBudget.cost"), value: cost })
    });
    let dollars = |cost: &infraagent_api::Dollars| format!("${cost}");
    bounds.extend(strictest(
        "cost per day, all agents of the namespace together",
        costs.collect(),
        infraagent_api::Dollars::nanos,
        dollars,
    ));

    let mut bound =
        |what: &str, holds: String, from: String| bounds.push(Bound { what: what.to_owned(), holds, from, instead_of: Vec::new() });
    if spec.paused {
        bound("changes", "none: the agent is paused".to_owned(), "InfraAgent spec.paused".to_owned());
    }
    for policy in policies {
        match policy.spec.suspend {
            Suspend::None => {}
            Suspend::Mutations => bound("changes", "none: suspended".to_owned(), of(policy, "suspend")),
            Suspend::All => bound("calls", "none: suspended".to_owned(), of(policy, "suspend")),
        }
        let lists =
            [("models", "allowedModels", &policy.spec.allowed_models), ("endpoints", "allowedEndpoints", &policy.spec.allowed_endpoints)];
        for list in lists {
            if let (what, field, Some(patterns)) = list {
                bound(what, format!("only {}", patterns.join(", ")), of(policy, field));
            }
        }
    }
    if let Some(run) = run {
        if let Some(window) = run.freeze(now) {
            bound("changes", format!("none: freeze window `{window}` is open"), "InfraAgentPolicy spec.freezeWindows".to_owned());
        }
        let places: Vec<String> = run.site.groups.values().flatten().cloned().collect();
        bound("namespaces", places.join(", "), format!("AgentEnvironment {} spec.namespaces", run.site.name));
        bound(
            "identity",
            format!("ServiceAccount {}/{}", run.agent.namespace, run.agent.service_account),
            "InfraAgent spec.serviceAccountName".to_owned(),
        );
        bound("model", run.model.id(), format!("InfraAgent spec.model.tier {}, ModelTierConfig", run.model.tier));
        for (what, list) in [("allowed", &run.lists.allowed), ("denied", &run.lists.denied)] {
            if !list.is_empty() {
                bound(&format!("{what} actions"), list.join(", "), format!("InfraAgent spec.guardrails.{what}Actions"));
            }
        }
    }
    bounds
}

/// The smallest of what is said holds; the others are named.
fn strictest<T, K: Ord>(what: &str, said: Vec<Said<T>>, key: impl Fn(&T) -> K, show: impl Fn(&T) -> String) -> Option<Bound> {
    let holds = said.iter().enumerate().min_by_key(|(_, said)| key(&said.value)).map(|(at, _)| at)?;
    let others = said.iter().enumerate().filter(|(at, _)| *at != holds);
    let instead_of = others.map(|(_, said)| format!("{} ({})", show(&said.value), said.by)).collect();
    let strictest = said.get(holds)?;
    Some(Bound { what: what.to_owned(), holds: show(&strictest.value), from: strictest.by.clone(), instead_of })
}

fn verdicts(run: &ValidatedRun, policies: &[InfraAgentPolicy], now: Timestamp) -> Vec<ActionVerdict> {
    use infraagent_guard::policy::{Autonomy, Suspend as Suspension, Tier};
    let autonomy = run.effective_autonomy();
    let policy = run.policy();
    let suspension = policy.platform.suspend;
    let frozen = run.freeze(now);
    let named = |wanted: Suspend| {
        let policy = policies.iter().find(|policy| policy.spec.suspend == wanted);
        policy.map_or_else(
            || "the agent is paused".to_owned(),
            |policy| format!("InfraAgentPolicy {} spec.suspend", policy.metadata.name.as_deref().unwrap_or_default()),
        )
    };
    let judge = |tier: Tier| -> (&'static str, String) {
        let needed = match tier {
            Tier::Read => Autonomy::Observe,
            Tier::ServiceMutation => Autonomy::AutomateSafe,
            Tier::DestructiveMutation => Autonomy::AutomateDestructive,
        };
        match (suspension, frozen) {
            (Suspension::All, _) => return ("refused", named(Suspend::All)),
            (Suspension::Mutations, _) if tier > Tier::Read => return ("refused", named(Suspend::Mutations)),
            (Suspension::Nothing | Suspension::Mutations, Some(window)) if tier > Tier::Read => {
                return ("refused", format!("freeze window `{window}`"));
            }
            (Suspension::Nothing | Suspension::Mutations, _) => {}
        }
        let has: &dyn Display = &autonomy_word(autonomy);
        if autonomy >= needed {
            ("allowed", format!("needs {}, the agent has {has}", autonomy_word(needed)))
        } else if autonomy == Autonomy::Observe {
            ("refused", format!("needs {}, the agent has {has}", autonomy_word(needed)))
        } else {
            ("proposed", format!("needs {}, the agent has {has}", autonomy_word(needed)))
        }
    };
    let mut all = Vec::new();
    for skill in &run.skills {
        for tool in &skill.tools {
            for action in &tool.actions {
                let (verdict, mut because) = judge(action.tier);
                let verdict = match listed(&policy, &action.id) {
                    Listed::Everything => verdict,
                    Listed::Some => {
                        because += ", and only what its allowedActions list";
                        verdict
                    }
                    Listed::Nothing => {
                        because = "InfraAgent spec.guardrails.allowedActions list nothing of it".to_owned();
                        "refused"
                    }
                };
                all.push(ActionVerdict {
                    skill: skill.name.clone(),
                    tool: tool.name.clone(),
                    action: action.id.clone(),
                    tier: super::validate::tier_word(action.tier).to_string(),
                    verdict,
                    because,
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::fixture;

    fn named(name: &str, spec: serde_json::Value) -> InfraAgentPolicy {
        let mut policy = fixture::policy();
        policy["metadata"]["name"] = json!(name);
        policy["spec"] = spec;
        fixture::object(policy)
    }

    fn explained(agent: impl FnOnce(&mut InfraAgent), policies: Vec<InfraAgentPolicy>) -> Explanation {
        let mut own: InfraAgent = fixture::object(fixture::agent());
        agent(&mut own);
        let run = fixture::run(|documents| documents.agent["spec"] = json!(own.spec));
        explain(&own, &policies, Ok(&run), &BTreeMap::new(), Timestamp::UNIX_EPOCH)
    }

    fn find<'a>(explanation: &'a Explanation, what: &str) -> &'a Bound {
        explanation.bounds.iter().find(|bound| bound.what == what).unwrap_or_else(|| panic!("{what}: {explanation:#?}"))
    }

    #[test]
    fn the_strictest_value_holds_and_says_where_it_stands() {
        let policies = vec![
            named("a", json!({ "maxAutonomy": "recommend", "limits": { "tokenBudget": 900 } })),
            named(
                "b",
                json!({ "maxAutonomy": "automate-destructive", "limits": { "tokenBudget": 700 }, "dailyBudget": { "tokens": 5, "cost": "2.50" } }),
            ),
        ];
        let explanation = explained(|agent| agent.spec.model.token_budget = 800, policies);
        let tokens = find(&explanation, "tokens per run");
        assert_eq!((tokens.holds.as_str(), tokens.from.as_str()), ("700", "InfraAgentPolicy b spec.limits.tokenBudget"));
        assert_eq!(tokens.instead_of, ["800 (InfraAgent spec.model.tokenBudget)", "900 (InfraAgentPolicy a spec.limits.tokenBudget)"]);
        let autonomy = find(&explanation, "autonomy");
        assert_eq!((autonomy.holds.as_str(), autonomy.from.as_str()), ("recommend", "InfraAgentPolicy a spec.maxAutonomy"));
        assert_eq!(find(&explanation, "cost per day, all agents of the namespace together").holds, "$2.50");
    }

    #[test]
    fn without_a_policy_agents_observe_and_the_explanation_says_why() {
        let explanation = explained(|_| (), Vec::new());
        let autonomy = find(&explanation, "autonomy");
        assert_eq!((autonomy.holds.as_str(), autonomy.from.as_str()), ("observe", "no InfraAgentPolicy sets maxAutonomy"));
    }

    #[test]
    fn a_kill_switch_is_a_bound_of_its_own() {
        let explanation = explained(|agent| agent.spec.paused = true, vec![named("stop", json!({ "suspend": "mutations" }))]);
        let changes: Vec<_> = explanation.bounds.iter().filter(|bound| bound.what == "changes").map(|bound| bound.from.as_str()).collect();
        assert_eq!(changes, ["InfraAgent spec.paused", "InfraAgentPolicy stop spec.suspend"]);
    }

    #[test]
    fn every_action_has_a_verdict() {
        let explanation = explained(|_| (), vec![fixture::object(fixture::policy())]);
        let run = fixture::run(|_| ());
        let actions: usize = run.skills.iter().flat_map(|skill| &skill.tools).map(|tool| tool.actions.len()).sum();
        assert_eq!(explanation.actions.len(), actions);
        assert!(explanation.actions.iter().any(|action| action.verdict == "allowed" && action.tier == "read"));
    }

    #[test]
    fn what_the_agents_own_list_leaves_out_is_refused() {
        let policies = || vec![fixture::object(fixture::policy())];
        let listed = explained(|agent| agent.spec.guardrails.allowed_actions = vec!["kubectl.get *".to_owned()], policies());
        let of = |explanation: &Explanation, tier: &str| -> Vec<(&'static str, String)> {
            let mine = explanation.actions.iter().filter(|action| action.tier == tier);
            mine.map(|action| (action.verdict, action.because.clone())).collect()
        };
        let reads = of(&listed, "read");
        assert!(!reads.is_empty() && reads.iter().all(|(verdict, why)| *verdict == "allowed" && why.contains("only what")), "{reads:?}");
        let changes = of(&listed, "service-mutation");
        assert!(!changes.is_empty(), "{listed:?}");
        assert!(changes.iter().all(|(verdict, why)| *verdict == "refused" && why.contains("allowedActions list nothing")), "{changes:?}");
        // Without a list it has what its autonomy gives.
        let free = of(&explained(|_| (), policies()), "service-mutation");
        assert!(free.iter().all(|(verdict, why)| *verdict != "refused" && !why.contains("allowedActions")), "{free:?}");
    }
}
