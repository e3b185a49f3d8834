//! What an agent needs before it runs, and that it says so.

use infraagent_api::{agent::AgentPhase, run::RunPhase};
use infraagent_tests::{eventually, model_server::Gate};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{Api, api::DeleteParams};
use serde_json::json;

use crate::{
    lab::{CALM, Lab, ending, phase},
    model::{self, Plan},
};

#[tokio::test]
async fn an_agent_is_not_ready_until_everything_that_it_names_is_there() {
    let lab = Lab::new(CALM).await;
    let accounts = Api::<ServiceAccount>::namespaced(lab.client.clone(), &lab.namespace);
    accounts.delete(crate::lab::LATE, &DeleteParams::default()).await.unwrap();
    let _replica = lab.operator.replica("one");
    // One agent per thing that is missing, and one that lacks nothing.
    lab.agent("whole", Plan::nothing()).await;
    lab.agent_with("no-account", Plan::nothing(), json!({"serviceAccountName": "late"})).await;
    lab.agent_with("no-environment", Plan::nothing(), json!({"environmentRef": "late"})).await;
    lab.agent_with("no-skill", Plan::nothing(), json!({"skills": [{"name": "fleet", "source": "configmap://late"}]})).await;
    lab.agent_with("no-tier", Plan::nothing(), json!({"model": {"tier": "reasoning"}})).await;
    lab.agent_says("whole", "Ready", "True", "Ready").await;
    let mut messages = vec![
        lab.agent_says("no-account", "Ready", "False", "ServiceAccountNotFound").await,
        lab.agent_says("no-environment", "Ready", "False", "EnvironmentNotFound").await,
    ];
    let skill = lab.not_ready("no-skill").await;
    assert!(skill.0.contains("NotFound"), "{skill:?}");
    messages.push(skill.1);
    for message in &messages {
        assert!(message.contains("late"), "{message}");
    }
    let tier = lab.not_ready("no-tier").await;
    assert!(tier.1.contains("reasoning"), "{tier:?}");
    for agent in ["no-account", "no-environment", "no-skill", "no-tier"] {
        let environment = if agent == "no-environment" { "late" } else { "lab" };
        lab.order(agent, agent, json!({"environmentRef": environment})).await;
        lab.run_that(agent, "waits with a reason", |run| {
            phase(run) == RunPhase::Pending && !crate::lab::reason(run, "Assigned").is_empty()
        })
        .await;
        assert_eq!(lab.agents().get(agent).await.unwrap().status.unwrap().phase, Some(AgentPhase::Error));
    }
    // What was missing appears: what was waiting runs.
    lab.apply(lab.object("core.infraagent.io/v1alpha1", "AgentEnvironment", "late", json!({"namespaces": {"apps": [lab.namespace]}})))
        .await;
    let fleet = Api::<ConfigMap>::namespaced(lab.client.clone(), &lab.namespace).get("fleet").await.unwrap();
    lab.apply(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": lab.namespace}, "data": fleet.data}),
    )
    .await;
    lab.apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": crate::lab::LATE, "namespace": lab.namespace}}))
        .await;
    lab.change_agent("no-tier", json!({"model": {"tier": "standard"}})).await;
    for agent in ["no-account", "no-environment", "no-skill", "no-tier"] {
        assert_eq!(ending(&lab.ended(agent).await), (RunPhase::Succeeded, "Completed".to_owned()), "{agent}");
        lab.agent_says(agent, "Ready", "True", "Ready").await;
    }
}

#[tokio::test]
async fn without_its_own_account_an_agent_does_nothing_even_in_the_middle_of_a_run() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let gate = Gate::default();
    let plan = Plan::calls([model::look(&lab.namespace, "web"), model::restart(&lab.namespace, "web")]).held(1, &gate);
    lab.agent("forge", plan).await;
    lab.order("first", "forge", json!({})).await;
    gate.reached().await;
    Api::<ServiceAccount>::namespaced(lab.client.clone(), &lab.namespace)
        .delete(crate::lab::ACCOUNT, &DeleteParams::default())
        .await
        .unwrap();
    gate.open();
    lab.ended("first").await;
    let web = lab.deployments().get("web").await.unwrap();
    assert_eq!(web.metadata.generation, Some(1), "nothing acted with another identity");
    lab.order("second", "forge", json!({})).await;
    let second = lab.run_that("second", "does not begin", |run| !crate::lab::reason(run, "Assigned").is_empty()).await;
    assert!(phase(&second) != RunPhase::Succeeded);
}

impl Lab<'_> {
    /// Waits until the agent is not ready. Returns the reason and the message.
    async fn not_ready(&self, agent: &str) -> (String, String) {
        let agents = &self.agents();
        eventually(&format!("{agent} is not ready"), || async move {
            let conditions = agents.get(agent).await.ok()?.status?.conditions;
            let ready = conditions.into_iter().find(|had| had.type_ == "Ready" && had.status == "False")?;
            Some((ready.reason, ready.message))
        })
        .await
    }
}
