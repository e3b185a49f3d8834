//! How far the agent may go: autonomy, lists, escalation. And the parts of its spec that only need to make sense.

use infraagent_api::{
    agent::{EscalationTarget, Guardrails, InfraAgentSpec},
    environment::AgentEnvironmentSpec,
};
use infraagent_guard::{
    name::Namespace,
    pattern::{Glob, Pattern},
    policy::{Autonomy, Verb},
};
use infraagent_sandbox::notation::Entry;

use super::{Escalation, Findings, WarningKind, autonomy, environment::Resolved as Site, platform::Platform};
use crate::schedule;

const KNOWN_KEYS: &str = "autonomy, allowedActions, deniedActions, escalation, maxIterations, maxRetries";
const KNOWN_ESCALATION_KEYS: &str = "target, channelName, timeout, onTimeout";

/// The guardrails as the guard knows them.
pub(super) struct Resolved {
    pub(super) autonomy: Autonomy,
    pub(super) allowed: Option<Vec<Pattern>>,
    pub(super) denied: Vec<Pattern>,
    pub(super) escalation: Option<Escalation>,
}

pub(super) fn resolve(
    document: &str,
    agent: &InfraAgentSpec,
    environment: &AgentEnvironmentSpec,
    site: &Site,
    platform: &Platform,
    findings: &mut Findings,
) -> Resolved {
    let Guardrails { autonomy: asked, allowed_actions, denied_actions, escalation, max_iterations: _, max_retries: _, unknown } =
        &agent.guardrails;
    for key in unknown.keys() {
        findings.problem(document, format!("spec.guardrails.{key}"), format!("unknown field: known here are {KNOWN_KEYS}"));
    }
    for key in escalation.iter().flat_map(|escalation| escalation.unknown.keys()) {
        let message = format!("unknown field: known here are {KNOWN_ESCALATION_KEYS}");
        findings.problem(document, format!("spec.guardrails.escalation.{key}"), message);
    }
    let mut parse = |field: &str, entries: &[String]| -> Vec<Entry> {
        let parsed = entries.iter().enumerate().map(|(index, entry)| (index, Entry::parse(entry)));
        parsed.filter_map(|(index, entry)| findings.take(document, format!("spec.guardrails.{field}[{index}]"), entry)).collect()
    };
    let allowed = parse("allowedActions", allowed_actions);
    let denied = parse("deniedActions", denied_actions);

    let asked = autonomy(*asked);
    let effective = asked.min(platform.guard.ceiling);
    if effective < asked {
        findings.warn(
            WarningKind::Platform,
            format!("the platform's ceiling is `{}`: the agent's `{}` does not hold", effective.as_str(), asked.as_str()),
        );
    }
    for entry in &allowed {
        if let Some(why) = cannot_match(entry, site, Some(effective)) {
            findings.warn(WarningKind::Guardrail, format!("`spec.guardrails.allowedActions`: `{entry}` grants nothing: {why}"));
        }
    }
    for entry in &denied {
        // That nobody can do it anyway is no reason to doubt a denial; that no tool has this name is.
        if entry.verbs().is_empty() && !entry.is_effective() {
            findings
                .warn(WarningKind::Guardrail, format!("`spec.guardrails.deniedActions`: `{entry}` denies nothing: no tool has this name"));
        }
    }

    let escalation = escalation.as_ref().map(|escalation| {
        let path = "spec.guardrails.escalation.channelName";
        let channel = escalation.channel_name.clone();
        match (&escalation.target, &channel) {
            (EscalationTarget::Channel, None) => {
                findings.problem(document, path, "target is `channel`: name a channel of the AgentEnvironment")
            }
            (_, Some(name)) if !environment.channels.contains_key(name) => {
                let message =
                    format!("there is no channel `{name}` in {}: add it under `spec.channels`, or correct the name", site.document);
                findings.problem(document, path, message);
            }
            (EscalationTarget::Channel | EscalationTarget::Parent | EscalationTarget::Human, _) => {}
        }
        Escalation { target: escalation.target, channel, timeout: escalation.timeout.as_std(), on_timeout: escalation.on_timeout }
    });
    // A list whose entries mean nothing is still a list: it allows nothing.
    let allowed = (!allowed_actions.is_empty()).then(|| allowed.iter().flat_map(Entry::allows).cloned().collect());
    let denied = denied.iter().flat_map(Entry::denies).cloned().collect();
    Resolved { autonomy: asked, allowed, denied, escalation }
}

/// Why an entry matches nothing under contract, environment and autonomy, if so.
fn cannot_match(entry: &Entry, site: &Site, autonomy: Option<Autonomy>) -> Option<String> {
    if !entry.is_effective() {
        return Some("no call of a skill has this verb on this target".to_owned());
    }
    let tool = entry.as_str().split_whitespace().next().unwrap_or_default();
    if tool.starts_with("http.") && site.guard.endpoints.is_empty() {
        return Some("the environment has no endpoints".to_owned());
    }
    if let Some(rest) = tool.strip_prefix("mcp.") {
        let server = rest.split('.').next().unwrap_or_default();
        let known = |glob: Glob| site.guard.servers.keys().any(|name| glob.matches(name.as_str()));
        if !Glob::parse(server).is_ok_and(known) {
            return Some(format!("the environment has no MCP server `{server}`"));
        }
    }
    if let Some((_, _, Some(namespace), _)) = entry.kubernetes_target()
        && !site.guard.namespaces.iter().any(|known: &Namespace| namespace.matches(known.as_str()))
    {
        return Some(format!("namespace `{namespace}` is not part of the environment"));
    }
    // From `recommend` on, what is beyond the autonomy can still be proposed.
    if autonomy == Some(Autonomy::Observe)
        && !entry.verbs().is_empty()
        && entry.verbs().iter().all(|verb: &Verb| verb.tier().needs() > Autonomy::Observe)
    {
        return Some("the autonomy is `observe`, which changes nothing".to_owned());
    }
    None
}

/// The schedule starts no run here, but a run by hand is when its author looks at the screen.
pub(super) fn check_schedule(document: &str, agent: &InfraAgentSpec, findings: &mut Findings) {
    let schedule = &agent.schedule;
    if let Some(line) = &schedule.cron {
        findings.take(document, "spec.schedule.cron", schedule::ticking(line));
    }
    findings.take(document, "spec.schedule.timezone", schedule::time_zone(&schedule.timezone));
    if let Some(interval) = &schedule.interval
        && interval.as_std().as_secs() < 60
    {
        findings.problem(document, "spec.schedule.interval", format!("must be at least 60s, not `{interval}`: write for example `5m`"));
    }
}
