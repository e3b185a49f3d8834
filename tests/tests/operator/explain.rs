//! `infraagent explain agent`: which of three documents bounds an agent, and that what it says is what a run finds.

use std::process::Output;

use infraagent_api::run::RunPhase;
use infraagent_tests::binary;
use serde_json::{Value, json};

use crate::{
    lab::{CALM, Lab, actions, phase},
    model::{self, Plan},
};

impl Lab<'_> {
    /// What is explained to somebody of these groups.
    async fn explain(&self, agent: &str, groups: &[&str], more: &[&str]) -> Output {
        let kubeconfig = self.plane.kubeconfig_as("curious", groups);
        let mut command = tokio::process::Command::new(binary());
        command.args(["explain", "agent", agent, "-n", &self.namespace, "--kubeconfig"]).arg(kubeconfig).args(more);
        command.output().await.unwrap()
    }

    async fn explained(&self, agent: &str) -> Value {
        let output = self.explain(agent, &["system:masters"], &["-o", "json"]).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Two policies, an environment and an agent, each of which is the strictest somewhere.
    async fn bounded(&self) -> (String, String) {
        let (base, strict) = (self.namespace.clone(), format!("strict-{}", self.namespace));
        let limits = json!({"tokenBudget": 40_000, "maxIterations": 50});
        self.policy(
            &base,
            json!({"maxAutonomy": "automate-destructive", "limits": limits, "dailyBudget": {"tokens": 900_000, "cost": "75"}}),
        )
        .await;
        self.policy(&strict, json!({"maxAutonomy": "recommend", "limits": {"timeout": "90s"}, "dailyBudget": {"tokens": 500_000}})).await;
        let changes =
            json!({"guardrails": {"autonomy": "automate-safe", "maxIterations": 7, "deniedActions": ["kubectl.rollout pause *"]}});
        self.agent_with("forge", Plan::calls([model::restart(&self.namespace, "web")]), changes).await;
        (base, strict)
    }
}

/// The bound of this name: what holds, from where, and instead of what.
fn bound(said: &Value, what: &str) -> (String, String, Vec<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let bounds = said["bounds"].as_array().unwrap_or_else(|| panic!("{said}"));
    let bound = bounds.iter().find(|bound| bound["what"] == what).unwrap_or_else(|| panic!("no bound `{what}`: {said:#}"));
    (text(&bound["holds"]), text(&bound["from"]), bound["insteadOf"].as_array().unwrap().iter().map(text).collect())
}

#[tokio::test]
async fn it_names_the_document_that_each_bound_comes_from() {
    let lab = Lab::new(CALM).await;
    let (base, strict) = lab.bounded().await;
    let said = lab.explained("forge").await;
    assert_eq!(said["agent"], json!(format!("{}/forge", lab.namespace)));
    let of = |policy: &str, field: &str| format!("InfraAgentPolicy {policy} spec.{field}");
    let owned = |text: &str| text.to_owned();
    assert_eq!(
        bound(&said, "autonomy"),
        (
            owned("recommend"),
            of(&strict, "maxAutonomy"),
            vec![
                owned("automate-safe (InfraAgent spec.guardrails.autonomy)"),
                format!("automate-destructive ({})", of(&base, "maxAutonomy"))
            ]
        )
    );
    assert_eq!(
        bound(&said, "tokens per run"),
        (owned("40000"), of(&base, "limits.tokenBudget"), vec![owned("50000 (InfraAgent spec.model.tokenBudget)")])
    );
    assert_eq!(
        bound(&said, "turns per run"),
        (owned("7"), owned("InfraAgent spec.guardrails.maxIterations"), vec![format!("50 ({})", of(&base, "limits.maxIterations"))])
    );
    assert_eq!(
        bound(&said, "time per run"),
        (owned("90 s"), of(&strict, "limits.timeout"), vec![owned("600 s (InfraAgent spec.model.timeout)")])
    );
    let day = "per day, all agents of the namespace together";
    assert_eq!(
        bound(&said, &format!("tokens {day}")),
        (owned("500000"), of(&strict, "dailyBudget.tokens"), vec![format!("900000 ({})", of(&base, "dailyBudget.tokens"))])
    );
    assert_eq!(bound(&said, &format!("cost {day}")), (owned("$75"), of(&base, "dailyBudget.cost"), vec![]));
    assert_eq!(bound(&said, "namespaces"), (lab.namespace.clone(), owned("AgentEnvironment lab spec.namespaces"), vec![]));
    assert_eq!(
        bound(&said, "identity"),
        (format!("ServiceAccount {}/worker", lab.namespace), owned("InfraAgent spec.serviceAccountName"), vec![])
    );
    assert_eq!(
        bound(&said, "denied actions"),
        (owned("kubectl.rollout pause *"), owned("InfraAgent spec.guardrails.deniedActions"), vec![])
    );
    // The same for people.
    let output = lab.explain("forge", &["system:masters"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    for expected in ["recommend", "spec.maxAutonomy", &strict, "spec.guardrails.maxIterations", "AgentEnvironment", "spec.dailyBudget.cost"]
    {
        assert!(text.contains(expected), "`{expected}` is missing: {text}");
    }
}

#[tokio::test]
async fn what_it_says_of_an_action_is_what_becomes_of_it() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let (_, strict) = lab.bounded().await;
    let verdict = |said: &Value, action: &str| {
        let actions = said["actions"].as_array().unwrap();
        let found = actions.iter().find(|known| known["action"] == action).unwrap_or_else(|| panic!("no action `{action}`: {said:#}"));
        found["verdict"].as_str().unwrap().to_owned()
    };
    let _replica = lab.operator.replica("one");
    let restarted = async |run: &str| {
        lab.order(run, "forge", json!({})).await;
        let run = lab.ended(run).await;
        let change = actions(&run).iter().find(|entry| entry.checks.is_some()).unwrap_or_else(|| panic!("{:?}", run.status)).clone();
        (phase(&run), change.status.as_str().to_owned())
    };
    let said = lab.explained("forge").await;
    assert_eq!((verdict(&said, "look"), verdict(&said, "restart")), ("allowed".to_owned(), "proposed".to_owned()));
    assert_eq!(restarted("proposed").await, (RunPhase::Succeeded, "skipped".to_owned()));
    lab.policy(&strict, json!({"maxAutonomy": "automate-safe"})).await;
    let said = lab.explained("forge").await;
    assert_eq!((verdict(&said, "look"), verdict(&said, "restart")), ("allowed".to_owned(), "allowed".to_owned()));
    assert_eq!(restarted("allowed").await, (RunPhase::Succeeded, "executed".to_owned()));
    lab.policy(&strict, json!({"maxAutonomy": "automate-safe", "suspend": "mutations"})).await;
    let said = lab.explained("forge").await;
    assert_eq!((verdict(&said, "look"), verdict(&said, "restart")), ("allowed".to_owned(), "refused".to_owned()));
    assert!(bound(&said, "changes").1.contains(&strict), "{said:#}");
    assert_eq!(restarted("refused").await, (RunPhase::Blocked, "blocked".to_owned()));
}

#[tokio::test]
async fn it_asks_with_the_rights_of_who_asks_and_writes_nothing() {
    let lab = Lab::new(CALM).await;
    lab.bounded().await;
    let counted = lab.plane.audit_events().await.len();
    let output = lab.explain("forge", &["nobodies"], &[]).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty() && text.contains("may not get infraagents"), "{output:?}");
    let output = lab.explain("missing", &["system:masters"], &[]).await;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("missing"), "{output:?}");
    let output = lab.explain("forge", &["system:masters"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let events = lab.plane.audit_events().await;
    let by_curious =
        events[counted..].iter().filter(|event| event.impersonated_user.as_ref().is_some_and(|user| user.username == "curious"));
    // The tests of this process share the name; nobody of them writes.
    let (mutations, reads): (Vec<_>, Vec<_>) = by_curious.partition(|event| event.is_mutation() && event.verb != "impersonate");
    assert!(mutations.is_empty() && !reads.is_empty(), "{mutations:?}");
}
