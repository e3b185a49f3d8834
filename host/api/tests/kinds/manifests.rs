//! Manifests, of the original release and of ours, decode, pass the strict check and come back as they were.

use std::fmt::Debug;

use infraagent_api::{
    ActionApproval, AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy, ModelTierConfig,
    agent::{ConcurrencyPolicy, EscalationTarget, OnTimeout, ReportRule, TriggerKind},
    check,
    environment::{CredentialKind, DataKind, WriteMethod},
    names::{Autonomy, Mode, ModelTier, Severity, Tier, WriteTier},
    policy::Suspend,
    run::{ActionStatus, RunPhase, RunTrigger},
};
use kube::CustomResourceExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::data;

/// Decodes and encodes; whatever the manifest says must still be said afterwards (defaults may be added).
fn round_trip<K: CustomResourceExt + DeserializeOwned + Serialize + PartialEq + Debug>(name: &str) -> K {
    let written = data(name);
    assert_eq!(check::<K>(&written), [], "{name}");
    let decoded: K = serde_json::from_value(written.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let encoded = serde_json::to_value(&decoded).unwrap();
    said(&written, &encoded, name);
    assert_eq!(check::<K>(&encoded), [], "{name}, encoded");
    assert_eq!(serde_json::from_value::<K>(encoded).unwrap(), decoded, "{name}");
    decoded
}

fn said(written: &Value, encoded: &Value, path: &str) {
    match (written, encoded) {
        (Value::Object(written), Value::Object(encoded)) => {
            for (key, value) in written {
                let path = format!("{path}.{key}");
                said(value, encoded.get(key).unwrap_or_else(|| panic!("{path} is lost")), &path);
            }
        }
        (Value::Array(written), Value::Array(encoded)) => {
            assert_eq!(written.len(), encoded.len(), "{path}");
            written
                .iter()
                .zip(encoded)
                .enumerate()
                .for_each(|(index, (written, encoded))| said(written, encoded, &format!("{path}[{index}]")));
        }
        _ => assert_eq!(written, encoded, "{path}"),
    }
}

#[test]
fn an_agent_of_the_original_release_says_all_it_said() {
    let forge: InfraAgent = round_trip("agent-forge.yaml");
    let spec = forge.spec;
    assert_eq!(spec.schedule.cron.as_deref(), Some("*/5 * * * *"));
    assert_eq!(
        spec.schedule.triggers.iter().map(|trigger| trigger.kind).collect::<Vec<_>>(),
        [TriggerKind::Webhook, TriggerKind::KubernetesEvent]
    );
    assert_eq!((spec.model.tier, spec.model.token_budget, spec.model.timeout.as_std().as_secs()), (ModelTier::Standard, 20_000, 180));
    assert_eq!(spec.guardrails.autonomy, Autonomy::AutomateSafe);
    assert_eq!((spec.guardrails.allowed_actions.len(), spec.guardrails.denied_actions.len()), (5, 2));
    let escalation = spec.guardrails.escalation.unwrap();
    assert_eq!((escalation.target, escalation.on_timeout), (EscalationTarget::Channel, OnTimeout::Cancel));
    assert_eq!(escalation.channel_name.as_deref(), Some("oncall"));
    assert_eq!(spec.reporting.on_finding, ReportRule::Notify);
    assert!(!spec.observability.tracing);
}

#[test]
fn every_source_and_schedule_of_the_original_release_is_understood() {
    let watchman: InfraAgent = round_trip("agent-watchman-light.yaml");
    assert_eq!(watchman.spec.schedule.interval.unwrap().as_std().as_secs(), 300);
    assert_eq!(watchman.spec.schedule.timezone, "Europe/Berlin");
    assert_eq!(watchman.spec.model.timeout.as_std().as_secs(), 90);
    let tribune: InfraAgent = round_trip("agent-tribune.yaml");
    assert_eq!(tribune.spec.skills.len(), 2);
    assert_eq!(tribune.spec.model.token_budget, 50_000);
}

#[test]
fn an_agent_can_use_what_is_new() {
    let agent: InfraAgent = round_trip("agent-new.yaml");
    assert_eq!((agent.spec.mode, agent.spec.concurrency_policy), (Mode::Shadow, ConcurrencyPolicy::Replace));
    assert_eq!(agent.spec.service_account_name.as_deref(), Some("promoter"));
    assert_eq!(agent.spec.starting_deadline.unwrap().as_std().as_secs(), 600);
}

#[test]
fn an_environment_says_what_a_post_means_and_what_is_data() {
    let environment: AgentEnvironment = round_trip("environment.yaml");
    let spec = environment.spec;
    let write = &spec.endpoints["github"].writes[0];
    assert_eq!((write.method, write.tier), (WriteMethod::Post, WriteTier::ServiceMutation));
    assert_eq!(spec.endpoints["backups"].data, Some(DataKind::ObjectStorage));
    assert!(spec.endpoints["alertmanager"].internal && !spec.endpoints["grafana"].internal);
    assert_eq!(spec.credentials["github-pat"].kind, CredentialKind::Token);
    assert_eq!(spec.data_resources.databases[0].kind, "cnpg.io/Cluster");
    let groups: Vec<_> = spec.namespaces.groups().map(|(name, members)| (name, members.len())).collect();
    assert_eq!(groups, [("monitoring", 1), ("apps", 2), ("system", 2), ("staging", 1)]);
    assert_eq!(spec.mcp_servers["k8sgpt"].tools[0].name, "analyze");
}

#[test]
fn a_model_has_one_base_url_under_either_name() {
    let models: ModelTierConfig = round_trip("models.yaml");
    assert_eq!(models.spec.tiers[0].cost_per_million_input.as_ref().unwrap().nanos(), 800_000_000);
    assert_eq!(models.spec.tiers[2].url(), Some("http://ollama.models:11434"));
    let mut other = models.spec.tiers[2].clone();
    other.base_url = other.endpoint.take();
    assert_eq!(other.url(), Some("http://ollama.models:11434"));
    assert_eq!(serde_json::to_value(&other).unwrap()["baseURL"], "http://ollama.models:11434");
}

#[test]
fn a_policy_tells_nothing_allowed_from_nothing_said() {
    let policy: InfraAgentPolicy = round_trip("policy.yaml");
    assert_eq!((policy.spec.max_autonomy, policy.spec.suspend), (Some(Autonomy::AutomateSafe), Suspend::None));
    let silent: InfraAgentPolicy = serde_json::from_value(serde_json::json!({ "metadata": {}, "spec": {} })).unwrap();
    let strict: InfraAgentPolicy =
        serde_json::from_value(serde_json::json!({ "metadata": {}, "spec": { "allowedEndpoints": [] } })).unwrap();
    assert_eq!((silent.spec.allowed_endpoints, silent.spec.max_autonomy), (None, None));
    assert_eq!(strict.spec.allowed_endpoints, Some(Vec::new()));
    assert_eq!(serde_json::to_value(&strict.spec).unwrap()["allowedEndpoints"], serde_json::json!([]));
}

#[test]
fn a_record_comes_back_whole() {
    let run: AgentRun = round_trip("run.yaml");
    assert_eq!(run.spec.trigger, RunTrigger::Scheduled);
    let status = run.status.unwrap();
    assert_eq!(status.phase, Some(RunPhase::Succeeded));
    assert_eq!(
        status.actions.iter().map(|action| action.status).collect::<Vec<_>>(),
        [ActionStatus::Executed, ActionStatus::Executed, ActionStatus::Blocked]
    );
    assert_eq!(status.findings[0].severity, Severity::Critical);
    assert_eq!(status.actions[0].reads.as_ref().unwrap().denied, 1);
}

#[test]
fn a_record_of_the_original_release_still_decodes_but_nobody_can_write_one() {
    let written = data("run-original.yaml");
    let run: AgentRun = serde_json::from_value(written.clone()).unwrap();
    let action = &run.status.unwrap().actions[0];
    assert_eq!((action.tier, action.intent_hash.as_str()), (Tier::DataMutation, ""));
    let missing: Vec<_> = check::<AgentRun>(&written).into_iter().map(|problem| problem.path).collect();
    assert_eq!(missing, ["call", "nonce", "intentHash"].map(|key| format!("status.actions[0].{key}")));
}

#[test]
fn an_approval_is_bound_to_one_call() {
    let approval: ActionApproval = round_trip("approval.yaml");
    assert_eq!(approval.spec.request.call, "kubectl.delete pod/web-1 -n shop");
    assert_eq!(approval.spec.decision.unwrap().by, "alice@example.com");
}
