//! How a run ends, and what it is called then. A failure is never called a refusal, and nobody is said to have been told who was not.

use infraagent_api::{AgentRun, run::RunPhase};
use infraagent_tests::{eventually, model_server::Fault};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    lab::{CALM, Lab, actions, ending, phase, reason},
    model::{self, Plan},
    oracle,
};

/// An agent that asks a person when its autonomy is not enough.
fn asking(autonomy: &str) -> Value {
    json!({"guardrails": {"autonomy": autonomy, "escalation": {"target": "human"}}})
}

/// An agent that may restart every Deployment of its skill but one.
fn but_for_db() -> Value {
    json!({"guardrails": {"deniedActions": ["kubectl.rollout restart deployment/web-db"]}})
}

/// What the model of an outage says, again and again.
fn outage() -> Fault {
    Fault::status(503)
}

impl Lab<'_> {
    /// A run of a new agent of the same name, to its end.
    async fn run_of(&self, name: &str, plan: Plan, changes: Value) -> AgentRun {
        self.agent_with(name, plan, changes).await;
        self.order(name, name, json!({})).await;
        self.ended(name).await
    }

    /// Type and reason of the Events about runs of this agent.
    async fn told_about(&self, agent: &str) -> Vec<(String, String)> {
        let all = self.events_about(agent).await;
        all.into_iter().map(|event| (event.type_.unwrap_or_default(), event.reason.unwrap_or_default())).collect()
    }
}

/// What the record says of escalations: how many were sent, and the reason of the condition.
fn escalated(run: &AgentRun) -> (i32, String) {
    let guardrails = run.status.as_ref().unwrap().guardrails.as_ref();
    (guardrails.map_or(0, |guardrails| guardrails.escalations_triggered), reason(run, "Escalated"))
}

/// The statuses of the changes of a run.
fn changes(run: &AgentRun) -> Vec<&str> {
    actions(run).iter().filter(|entry| entry.checks.is_some()).map(|entry| entry.status.as_str()).collect()
}

#[tokio::test]
async fn without_a_model_a_run_has_failed_whatever_was_refused_proposed_or_done_before() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let (web, db) = (|| model::restart(&lab.namespace, "web"), || model::restart(&lab.namespace, "web-db"));
    let tier = json!({"model": {"tier": "fast", "timeout": "60s"}});
    let cases = [
        ("at-once", Plan::nothing().then(outage()), json!({}), vec![]),
        ("nobody-there", Plan::nothing(), tier, vec![]),
        ("after-a-refusal", Plan::calls([db()]).then(outage()), but_for_db(), vec!["blocked"]),
        ("after-a-proposal", Plan::calls([web()]).then(outage()), asking("recommend"), vec!["skipped"]),
        ("after-a-question", Plan::calls([web()]).then(outage()), asking("observe"), vec!["blocked"]),
        ("after-a-change", Plan::calls([web()]).then(outage()), json!({}), vec!["executed"]),
    ];
    for (name, plan, agent, expected) in cases {
        let run = lab.run_of(name, plan, agent).await;
        assert_eq!(ending(&run), (RunPhase::Failed, "ProviderFailed".to_owned()), "{name}: {:?}", run.status);
        assert_eq!(changes(&run), expected, "{name}");
    }
    oracle::check(&lab).await;
}

#[tokio::test]
async fn what_was_refused_is_blocked_only_if_nothing_at_all_was_done() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let (web, db) = (model::restart(&lab.namespace, "web"), model::restart(&lab.namespace, "web-db"));
    let observing = json!({"guardrails": {"autonomy": "observe"}});
    let cases = [
        ("only-refused", vec![db.clone()], but_for_db(), RunPhase::Blocked, 1),
        ("twice-refused", vec![db.clone(), db.clone()], but_for_db(), RunPhase::Blocked, 2),
        // It has nobody to ask.
        ("may-only-look", vec![web.clone()], observing, RunPhase::Blocked, 1),
        ("refused-and-looked", vec![db.clone(), model::look(&lab.namespace, "web")], but_for_db(), RunPhase::Succeeded, 1),
        ("refused-and-done", vec![db, web], but_for_db(), RunPhase::Succeeded, 1),
        ("did-nothing", vec![], json!({}), RunPhase::Succeeded, 0),
    ];
    for (name, calls, agent, expected, refused) in cases {
        let run = lab.run_of(name, Plan::calls(calls), agent).await;
        assert_eq!(ending(&run), (expected, "Completed".to_owned()), "{name}: {:?}", run.status);
        assert_eq!(run.status.as_ref().unwrap().guardrails.as_ref().unwrap().actions_blocked, refused, "{name}: {:?}", run.status);
        assert_eq!((escalated(&run), lab.told_about(name).await), ((0, String::new()), vec![]), "{name}: nobody was to be told");
    }
    let tally = oracle::check(&lab).await;
    assert_eq!((tally.executed, lab.deployments().get("web").await.unwrap().metadata.generation), (1, Some(2)), "{tally:?}");
}

#[tokio::test]
async fn a_run_that_asked_for_a_person_is_escalated_and_the_person_was_told() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let plan = || Plan::calls([model::restart(&lab.namespace, "web")]);
    let loud = json!({"reporting": {"onSuccess": "escalate", "onFailure": "escalate"}});
    let cases = [
        ("asks", plan(), asking("observe"), RunPhase::Escalated, "blocked", "NeedsPerson"),
        ("proposes", plan(), asking("recommend"), RunPhase::Escalated, "skipped", "NeedsPerson"),
        ("does-and-tells", plan(), loud.clone(), RunPhase::Escalated, "executed", "RunEnded"),
        ("fails-and-tells", plan().then(outage()), loud, RunPhase::Failed, "executed", "RunFailed"),
    ];
    for (name, plan, agent, expected, change, event) in cases {
        let run = lab.run_of(name, plan, agent).await;
        assert_eq!((phase(&run), changes(&run)), (expected, vec![change]), "{name}: {:?}", run.status);
        assert_eq!(escalated(&run), (1, "Sent".to_owned()), "{name}: {:?}", run.status);
        assert_eq!(lab.told_about(name).await, [("Warning".to_owned(), event.to_owned())], "{name}");
        // An Event is no channel.
        assert!(actions(&run).iter().all(|entry| entry.escalation.is_none()), "{name}: {:?}", run.status);
    }
    // What the agent may do on its own needs nobody.
    let run = lab.run_of("may", plan(), asking("automate-safe")).await;
    assert_eq!((phase(&run), escalated(&run)), (RunPhase::Succeeded, (0, String::new())), "{:?}", run.status);
    assert_eq!(lab.told_about("may").await, []);
    oracle::check(&lab).await;
}

#[tokio::test]
async fn what_could_not_be_sent_is_not_called_sent() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    lab.refuse_events().await;
    let _replica = lab.operator.replica("one");
    let plan = || Plan::calls([model::restart(&lab.namespace, "web")]);
    let loud = json!({"reporting": {"onFailure": "escalate"}});
    let cases = [
        ("asks", plan(), asking("observe"), RunPhase::Escalated),
        ("proposes", plan(), asking("recommend"), RunPhase::Escalated),
        ("fails", plan().then(outage()), loud, RunPhase::Failed),
    ];
    for (name, plan, agent, expected) in cases {
        let run = lab.run_of(name, plan, agent).await;
        assert_eq!((phase(&run), escalated(&run)), (expected, (0, "NothingSent".to_owned())), "{name}: {:?}", run.status);
        assert!(actions(&run).iter().all(|entry| entry.escalation.is_none()), "{name}: {:?}", run.status);
        assert_eq!(lab.told_about(name).await, [], "{name}");
    }
    oracle::check(&lab).await;
}

impl Lab<'_> {
    /// From now on no Event can be written in this namespace.
    async fn refuse_events(&self) {
        let api = "admissionregistration.k8s.io/v1";
        let name = format!("silence-{}", self.namespace);
        let rule = json!({"apiGroups": ["", "events.k8s.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["events"]});
        self.apply(json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "false", "message": "silence"}]},
        }))
        .await;
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace}});
        self.apply(json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}},
        }))
        .await;
        let probe: Event = serde_json::from_value(json!({
            "metadata": {"generateName": "probe-"}, "type": "Normal", "reason": "Probe", "action": "Probe", "note": "is it silent?",
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "test", "reportingInstance": "test",
            "regarding": {"kind": "Namespace", "name": self.namespace, "namespace": self.namespace},
        }))
        .unwrap();
        let events = &Api::<Event>::namespaced(self.client.clone(), &self.namespace);
        let (probe, dry) = (&probe, &PostParams { dry_run: true, ..PostParams::default() });
        eventually("silence", || async move {
            let refused = events.create(dry, probe).await.err()?.to_string();
            assert!(refused.contains("silence"), "{refused}");
            Some(())
        })
        .await;
    }
}
