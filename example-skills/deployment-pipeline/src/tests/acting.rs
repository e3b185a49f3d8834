//! What the tools that change something ask for, and what they make of the answer.

use skills_sdk::prelude::*;
use skills_sdk::testing::{Call, Installed};

use super::world::World;

fn changes(host: &Installed) -> Vec<Call> {
    host.calls().into_iter().filter(|call| call.function.contains("mutation")).collect()
}

fn web(more: Value) -> Value {
    let mut arguments = json!({ "namespace": "shop", "name": "web", "reason": "because of the log" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

#[test]
fn a_restart_is_one_call_with_its_reason_and_waits() {
    let host = World::default().host().install();
    let output = host.call("restart_workload", web(json!({ "kind": "deployment" }))).unwrap();
    assert_eq!(output.summary, "shop/web restarted and rolled out (2 of 2 ready)");
    assert_eq!(output.content["rolledOut"], true);
    let changes = changes(&host);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].function, changes[0].action.as_deref()), ("kubernetes-service-mutation.restart", Some("restart-workload")));
    assert_eq!(changes[0].arguments, json!({ "target": "deployments.apps/shop/web", "reason": "because of the log" }));
    let wait = host.calls().into_iter().find(|call| call.function == "kubernetes-read.wait").unwrap();
    assert_eq!(
        (&wait.arguments["condition"], &wait.arguments["timeout-ms"]),
        (&json!("rolled-out"), &json!(27_000)),
        "within what is left of the call"
    );
}

#[test]
fn a_restart_that_does_not_roll_out_says_so() {
    let host = World::default().host().waiting_ends(false).install();
    let output = host.call("restart_workload", web(json!({ "kind": "deployment" }))).unwrap();
    assert_eq!(output.content["rolledOut"], false);
    assert!(output.summary.contains("not rolled out yet: diagnose it again"), "{}", output.summary);
}

#[test]
fn what_fails_after_the_change_does_not_hide_the_change() {
    let host = World::default().host().fail("watch", Error::Timeout).fail("watch", Error::Timeout).install();
    let output = host.call("restart_workload", web(json!({ "kind": "deployment" }))).unwrap();
    assert_eq!(
        (&output.content["changed"], &output.content["auditSeq"], &output.content["ready"]),
        (&json!(true), &json!(1), &Value::Null)
    );
}

#[test]
fn a_denied_change_is_the_answer_and_nothing_else_is_tried() {
    let host = World::default().host().deny("restart-workload", "precondition", "the rollout is paused").install();
    let error = host.call("restart_workload", web(json!({ "kind": "deployment" }))).unwrap_err();
    assert_eq!(error.to_string(), "action `restart-workload` denied (precondition): the rollout is paused");
    assert_eq!(host.calls().len(), 1);
}

#[test]
fn scaling_tells_the_count_before() {
    let host = World::default().host().install();
    let output = host.call("scale_workload", web(json!({ "kind": "deployment", "replicas": 5 }))).unwrap();
    assert_eq!((&output.content["before"], &output.content["changed"]), (&json!(2), &json!(true)));
    assert_eq!(host.object("deployments.apps", Some("shop"), "web").unwrap()["spec"]["replicas"], 5);
    let again = host.call("scale_workload", web(json!({ "kind": "deployment", "replicas": 5 }))).unwrap();
    assert!(again.summary.contains("was as wanted already"), "{}", again.summary);
}

#[test]
fn scaling_without_a_count_or_beyond_the_sheet_changes_nothing() {
    let host = World::default().host().install();
    for (what, arguments) in [
        ("missing", json!({ "kind": "deployment" })),
        ("text", json!({ "kind": "deployment", "replicas": "3" })),
        ("negative", json!({ "kind": "deployment", "replicas": -1 })),
        ("daemon set", json!({ "kind": "daemon-set", "replicas": 3 })),
    ] {
        let error = host.call("scale_workload", web(arguments)).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{what}: {error}");
    }
    assert!(host.call("scale_workload", web(json!({ "kind": "deployment", "replicas": 21 }))).unwrap_err().is_denied());
    assert_eq!(host.object("deployments.apps", Some("shop"), "web").unwrap()["spec"]["replicas"], 2);
}

#[test]
fn pause_and_resume_are_one_action() {
    let host = World::default().host().install();
    let paused = host.call("pause_rollout", web(json!({ "paused": true }))).unwrap();
    assert_eq!(paused.summary, "the rollout of shop/web is paused");
    assert_eq!(host.call("pause_rollout", web(json!({ "paused": true }))).unwrap().summary, "the rollout of shop/web was paused already");
    assert_eq!(host.call("pause_rollout", web(json!({ "paused": false }))).unwrap().summary, "the rollout of shop/web goes on");
    assert!(changes(&host).iter().all(|call| call.action.as_deref() == Some("pause-rollout")));
}

#[test]
fn a_roll_back_goes_to_the_revision_before() {
    let host = World::default().host().install();
    let output = host.call("roll_back", web(json!({}))).unwrap();
    assert_eq!(output.content["toRevision"], 1);
    assert_eq!(changes(&host)[0].arguments["to-revision"], 1);
    assert_eq!(changes(&host)[0].function, "kubernetes-destructive-mutation.rollback");
}

#[test]
fn a_roll_back_to_what_is_not_there_asks_for_nothing() {
    let host = World::default().host().install();
    for revision in [2, 7] {
        let error = host.call("roll_back", web(json!({ "to_revision": revision }))).unwrap_err();
        assert_eq!(error.to_string(), "not found: shop/web has no such revision to go back to; it holds: 1");
    }
    assert!(changes(&host).is_empty());
}

#[test]
fn a_proposal_reaches_the_model_as_it_is() {
    let host = World::default().host().deny("roll-back", "approval-required", "written down for a person").install();
    let error = host.call("roll_back", web(json!({}))).unwrap_err();
    assert_eq!(error.to_string(), "action `roll-back` denied (approval-required): written down for a person");
}
