//! Two writers of one record: whoever comes second has lost the claim, writes nothing, and does nothing any more.

use infraagent_tests::{
    model_server::{Gate, Reply, Script},
    skill,
};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::lab::Lab;

#[tokio::test]
async fn a_run_whose_record_somebody_else_has_taken_over_writes_nothing_and_does_nothing_more() {
    let lab = Lab::new().await;
    lab.apply(lab.agent(json!({"model": {"tier": "reasoning", "timeout": "5m"}}))).await;
    let gate = Gate::default();
    let turn = |paused: bool| Reply::default().calls("pause_rollout", lab.set_paused(paused)[0]["arguments"].clone());
    let script = Script::held(&gate, [turn(true), turn(false), Reply::says("That is all.")]);
    let mut talking = lab.converse(&skill("deployment-pipeline"), script);
    talking.reached(&gate).await;
    gate.open();
    // The first change is made and recorded; the model thinks about the second.
    talking.reached(&gate).await;
    assert!(lab.is_paused().await);
    let name = lab.record().await.metadata.name.unwrap();
    let taken = json!({"status": {"holder": {"lease": "replica-b", "uid": "9d", "epoch": 7}}});
    lab.runs().patch_status(&name, &PatchParams::default(), &Patch::Merge(taken)).await.unwrap();
    let before = lab.record().await;
    gate.open();
    let ended = talking.ended().await;

    assert_ne!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("no longer held by this run: somebody else wrote its status"), "{}", ended.said);
    assert!(lab.is_paused().await, "the second change was made: {}", ended.said);
    assert_eq!(lab.record().await, before, "nothing more was written");
    let changes = lab.changes().await;
    assert_eq!((changes.len(), changes[0].status.as_str()), (1, "executed"));
    assert_eq!(lab.noted().await, [(lab.intent(changes[0].seq).await, 200)]);
}
