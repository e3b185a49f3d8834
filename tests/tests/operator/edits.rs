//! Who edits an agent all the time has it looked at all the time; nothing else comes of it, and nobody else notices.

use infraagent_api::run::RunPhase;
use infraagent_tests::{AuditEvent, eventually};
use serde_json::json;

use crate::{
    lab::{CALM, Lab, ending},
    model::Plan,
};

const EDITS: i64 = 1000;
/// Meanwhile so many runs of each agent are ordered, one after the other.
const RUNS: usize = 3;

#[tokio::test]
async fn an_agent_that_is_edited_a_thousand_times_runs_and_so_does_its_neighbour() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    for agent in ["restless", "calm"] {
        lab.agent(agent, Plan::nothing()).await;
        lab.agent_says(agent, "Ready", "True", "Ready").await;
    }
    let edits = async {
        for edit in 0..EDITS {
            // Another one each time.
            lab.change_agent("restless", json!({"guardrails": {"maxRetries": edit % 2 + 1}})).await;
        }
    };
    let runs = async {
        for at in 0..RUNS {
            for agent in ["restless", "calm"] {
                let name = format!("{agent}-{at}");
                lab.order(&name, agent, json!({})).await;
                assert_eq!(ending(&lab.ended(&name).await), (RunPhase::Succeeded, "Completed".to_owned()), "{}", lab.operator.logs());
            }
        }
    };
    tokio::join!(edits, runs);

    let agents = &lab.agents();
    let restless = eventually("the last edit is looked at", || async move {
        let agent = agents.get("restless").await.ok()?;
        let status = agent.status.clone()?;
        (status.observed_generation == agent.metadata.generation && status.active_run.is_none()).then_some(agent)
    })
    .await;
    let generation = restless.metadata.generation.unwrap();
    assert!(generation >= EDITS, "{generation}");
    assert_eq!(lab.all_runs().await.len(), 2 * RUNS, "an edit orders no run");
    assert_eq!(restless.status.unwrap().run_count, i64::try_from(RUNS).unwrap());
    let of_status = |agent: &str| {
        let (agent, namespace) = (agent.to_owned(), lab.namespace.clone());
        move |event: &AuditEvent| {
            let is_it = event.object_ref.as_ref().is_some_and(|what| {
                what.resource == "infraagents" && what.subresource == "status" && what.name == agent && what.namespace == namespace
            });
            is_it && event.is_mutation() && event.is_success()
        }
    };
    let events = lab.plane.audit_events().await;
    let (many, few) = (
        events.iter().filter(|event| of_status("restless")(event)).count(),
        events.iter().filter(|event| of_status("calm")(event)).count(),
    );
    // One for each edit at most, a beginning and an end for each run, and what was said at first.
    let others = 2 * RUNS + 3;
    assert!(
        many <= usize::try_from(generation).unwrap() + others && few <= others,
        "{many} writes about {generation} edits, {few} about none"
    );
}
