//! What people edit while a run goes on holds on its next call: policies, guardrails, the environment, the agent itself.

use infraagent_tests::{
    model_server::{Gate, Reply, Script},
    skill,
};
use serde_json::{Value, json};

use super::lab::Lab;

/// One edit while the model thinks, then the attempt to let a paused rollout go on, then a look.
struct Step {
    what: &'static str,
    edit: Value,
    /// Why the change is refused; None: it is made.
    change: Option<&'static str>,
    /// Why the look is refused.
    look: Option<&'static str>,
}

#[tokio::test]
async fn the_next_call_is_measured_against_the_documents_as_they_are_then() {
    let lab = Lab::new().await;
    let agent = |changes: Value, guardrails: Value| {
        let mut agent = lab.agent(changes);
        agent["spec"]["model"] = json!({"tier": "reasoning", "timeout": "10m", "tokenBudget": 5_000_000});
        agent["spec"]["guardrails"] = json!({"autonomy": "automate-safe", "maxIterations": 30});
        agent["spec"]["guardrails"].as_object_mut().unwrap().extend(guardrails.as_object().unwrap().clone());
        agent
    };
    let step = |what, edit, change, look| Step { what, edit, change, look };
    let (everything, nothing) = (json!({}), json!({}));
    let policy = |changes: Value| {
        let mut spec = json!({"maxAutonomy": "automate-safe"});
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        lab.policy(spec)
    };
    let plain = || agent(everything.clone(), nothing.clone());
    let steps = [
        step("a kill switch for changes", policy(json!({"suspend": "mutations"})), Some("suspended"), None),
        step("a kill switch for everything", policy(json!({"suspend": "all"})), Some("suspended"), Some("suspended")),
        step("a lower ceiling", policy(json!({"maxAutonomy": "observe"})), Some("tier-not-granted"), None),
        step("the policy as it was", policy(json!({})), None, None),
        step("a denial", agent(json!({}), json!({"deniedActions": ["kubectl.rollout resume *"]})), Some("deny-listed"), None),
        step("a list of what is allowed", agent(json!({}), json!({"allowedActions": ["kubectl.get *"]})), Some("not-allow-listed"), None),
        step("less autonomy", agent(json!({}), json!({"autonomy": "observe"})), Some("tier-not-granted"), None),
        step("a paused agent", agent(json!({"paused": true}), json!({})), Some("suspended"), None),
        step("the agent as it was", plain(), None, None),
        step(
            "an environment elsewhere",
            lab.environment(json!({"namespaces": {"apps": ["elsewhere"]}})),
            Some("target-not-covered"),
            Some("forbidden"),
        ),
        step("the environment as it was", lab.environment(json!({})), None, None),
    ];
    lab.apply(plain()).await;
    let gate = Gate::default();
    let replies = steps.iter().map(|_| {
        let mut reply = Reply::default();
        // What is decided upon a change is never old, and holds for the look after it.
        for call in [lab.set_paused(false)[0].clone(), json!({"name": "find_broken_rollouts", "arguments": {}})] {
            reply = reply.calls(call["name"].as_str().unwrap(), call["arguments"].clone());
        }
        reply
    });
    let mut talking = lab.converse(&skill("deployment-pipeline"), Script::held(&gate, replies.chain([Reply::says("That is all.")])));
    for step in &steps {
        talking.reached(&gate).await;
        lab.set_paused_by_hand(true).await;
        lab.apply(step.edit.clone()).await;
        gate.open();
    }
    talking.reached(&gate).await;
    gate.open();
    let ended = talking.ended().await;
    let actions = lab.record().await.status.unwrap().actions;
    let told = |tool: &str| -> Vec<(String, Option<String>)> {
        let entries = actions.iter().filter(|entry| entry.tool.starts_with(tool));
        entries.map(|entry| (entry.status.as_str().to_owned(), entry.reason.clone())).collect()
    };
    let (changes, looks) = (told("kubectl.rollout resume"), told("find_broken_rollouts"));
    assert_eq!((changes.len(), looks.len()), (steps.len(), steps.len()), "{actions:?}\n{}", ended.said);
    let blocked = |code: &str| ("blocked".to_owned(), Some(code.to_owned()));
    for (at, step) in steps.iter().enumerate() {
        let expected = step.change.map_or(("executed".to_owned(), None), blocked);
        assert_eq!(changes[at], expected, "{}", step.what);
        let expected = step.look.map_or(("executed".to_owned(), None), blocked);
        assert_eq!(looks[at], expected, "{}", step.what);
    }
    let made = steps.iter().filter(|step| step.change.is_none()).count();
    assert_eq!(lab.noted().await.len(), made, "one request for each change that was made");
    assert_eq!(lab.verify().await["authentic"]["answer"], "yes");
}
