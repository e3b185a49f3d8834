//! The API server guards the record, even against who may do everything: every kind of tampering is tried with an admin's rights, and
//! beside each what must stay possible.

use std::collections::BTreeSet;

use infraagent_api::AgentRun;
use infraagent_tests::control_plane;
use kube::{
    Api, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::crds::messages;

/// The fields of an entry that are written before anything happens, all of them.
fn intended(seq: usize) -> Value {
    json!({
        "seq": seq, "timestamp": "2026-02-03T04:05:06Z", "tool": "kubectl.rollout restart", "target": "deployment/web -n shop",
        "tier": "service-mutation", "action": "restart-deployment", "call": "kubectl.rollout restart deployment/web -n shop",
        "nonce": format!("n{seq}"), "checks": "declared=ok tier=ok", "preFlightCheck": {"autonomyCheck": "pass", "dataProtection": "pass"},
        "objectVersion": "77aa/1234", "decidedAgainst": "agent=12", "intentHash": format!("a{seq}"), "status": "intended",
    })
}

/// Every field that comes with the outcome.
fn outcome() -> Value {
    json!({
        "status": "executed", "reason": "done", "result": "restarted", "outcomeHash": "b",
        "reads": {"count": 1, "denied": 0, "calls": ["kubectl.get pods -n shop"], "digest": "d"},
        "escalation": {"channel": "oncall", "message": "restarted", "timestamp": "2026-02-03T04:05:07Z"},
    })
}

/// An entry with the fields of another object put over it; null removes.
fn but(mut entry: Value, changes: Value) -> Value {
    let fields = entry.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        fields.insert(key.clone(), value.clone());
    }
    fields.retain(|_, value| !value.is_null());
    entry
}

fn executed(seq: usize) -> Value {
    but(intended(seq), outcome())
}

/// A record on the API server, and what the API server said to attempts on it.
struct Record {
    runs: Api<AgentRun>,
    name: String,
    refusals: BTreeSet<String>,
}

impl Record {
    /// A fresh run in the given state.
    async fn begin(runs: &Api<AgentRun>, name: String, status: Value) -> Self {
        let run: AgentRun = serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {"agentRef": "forge", "environmentRef": "lab", "trigger": "manual"},
        }))
        .unwrap();
        runs.create(&PostParams::default(), &run).await.unwrap();
        let mut record = Self { runs: runs.clone(), name, refusals: BTreeSet::new() };
        record.accepts("begin", status).await;
        record
    }

    async fn write(&self, patch: Patch<Value>) -> Result<AgentRun, Error> {
        self.runs.patch_status(&self.name, &PatchParams::default().validation_strict(), &patch).await
    }

    /// Merges into the status, which must be accepted.
    async fn accepts(&mut self, what: &str, status: Value) {
        if let Err(error) = self.write(Patch::Merge(json!({"status": status}))).await {
            panic!("{what}: {error}");
        }
    }

    /// Merges into the status, which must be refused and change nothing.
    async fn refuses(&mut self, what: &str, status: Value) {
        self.refuses_patch(what, Patch::Merge(json!({"status": status}))).await;
    }

    async fn refuses_patch(&mut self, what: &str, patch: Patch<Value>) {
        let before = self.runs.get(&self.name).await.unwrap();
        match self.write(patch).await {
            Err(Error::Api(status)) if status.code == 422 => drop(self.refusals.insert(status.message)),
            other => panic!("{what} was not refused: {other:?}"),
        }
        assert_eq!(self.runs.get(&self.name).await.unwrap().metadata.resource_version, before.metadata.resource_version, "{what}");
    }
}

fn patch(operations: Value) -> Patch<Value> {
    Patch::Json(serde_json::from_value(operations).unwrap())
}

fn running(actions: &[Value]) -> Value {
    json!({
        "phase": "Running", "startTime": "2026-02-03T04:05:00Z", "holder": {"lease": "replica-a", "uid": "9c", "epoch": 1},
        "sequence": 7, "previous": {"uid": "0f", "head": "11aa"}, "model": "anthropic/claude",
        "skills": [{"name": "deployment-pipeline", "version": "0.1.0", "digest": "sha256:abcd"}],
        "findings": [{"severity": "critical", "resource": "deployment/web -n shop", "message": "image cannot be pulled"}],
        "actions": actions,
    })
}

const FINAL: [&str; 4] = ["Succeeded", "Failed", "Escalated", "Blocked"];

#[tokio::test]
async fn every_kind_of_tampering_is_refused_and_the_honest_write_beside_it_is_not() {
    let plane = control_plane();
    plane.install_crds().await;
    let runs = Api::<AgentRun>::namespaced(plane.admin().await, &plane.namespace("tampering").await);
    let mut open = messages("agentruns", "/properties/status");
    for refusals in [entries(&runs).await, facts_of_the_run(&runs).await, ends(&runs).await] {
        open.retain(|message| !refusals.iter().any(|said| said.contains(message)));
    }
    assert!(open.is_empty(), "no case for {open:?}");
}

/// The list of actions.
async fn entries(runs: &Api<AgentRun>) -> BTreeSet<String> {
    let (one, two) = (executed(0), intended(1));
    let mut record = Record::begin(runs, "entries".into(), running(&[one.clone(), two.clone()])).await;

    for field in [
        "timestamp",
        "tool",
        "target",
        "tier",
        "action",
        "call",
        "nonce",
        "checks",
        "preFlightCheck",
        "objectVersion",
        "decidedAgainst",
        "intentHash",
    ] {
        let other = match field {
            "timestamp" => json!("2026-02-03T04:05:07Z"),
            "tier" => json!("read"),
            "preFlightCheck" => json!({"autonomyCheck": "pass", "dataProtection": "fail"}),
            _ => json!("other"),
        };
        let sealed = but(executed(1), json!({field: other}));
        record.refuses(&format!("seal with another {field}"), json!({"actions": [one, sealed]})).await;
        if ["action", "checks", "preFlightCheck", "objectVersion", "decidedAgainst"].contains(&field) {
            let sealed = but(executed(1), json!({field: null}));
            record.refuses(&format!("seal without {field}"), json!({"actions": [one, sealed]})).await;
        }
    }
    let bare = json!({"action": null, "checks": null, "preFlightCheck": null, "objectVersion": null, "decidedAgainst": null});
    record.refuses("change an intent that stays open", json!({"actions": [one, but(two.clone(), json!({"call": "other"}))]})).await;
    record.refuses("give a result to an intent that stays open", json!({"actions": [one, but(two, json!({"result": "ok"}))]})).await;

    let two = executed(1);
    record.accepts("seal with every field of an outcome", json!({"actions": [one, two]})).await;
    record.accepts("append, with nothing but what is required", json!({"actions": [one, two, but(intended(2), bare.clone())]})).await;
    record
        .refuses(
            "add a field to an intent while sealing",
            json!({"actions": [one, two, but(but(executed(2), bare.clone()), json!({"checks": "declared=ok"}))]}),
        )
        .await;
    let three = but(executed(2), bare);
    record.accepts("seal it", json!({"actions": [one, two, three]})).await;
    record.accepts("append two at once", json!({"actions": [one, two, three, executed(3), intended(4)]})).await;
    let four = [executed(3), but(intended(4), json!({"status": "unknown"}))];
    let all = [&[one.clone(), two.clone(), three.clone()], four.as_slice()].concat();
    record.accepts("seal as unknown", json!({"actions": all})).await;

    for (what, changes) in [
        ("edit a sealed result", json!({"result": "nothing happened"})),
        ("edit a call", json!({"call": "kubectl.get nodes"})),
        ("edit an outcome hash", json!({"outcomeHash": "c"})),
        ("edit what was read", json!({"reads": {"count": 0}})),
        ("remove a result", json!({"result": null})),
        ("reopen", json!({"status": "intended"})),
        ("call it blocked", json!({"status": "blocked"})),
    ] {
        for seq in [0, 1, 3] {
            let mut actions = all.clone();
            actions[seq] = but(actions[seq].clone(), changes.clone());
            record.refuses(&format!("{what}, entry {seq}"), json!({"actions": actions})).await;
        }
    }
    let pick = |order: &[usize]| json!({"actions": order.iter().map(|&seq| all[seq].clone()).collect::<Vec<_>>()});
    record.refuses("drop the last", pick(&[0, 1, 2, 3])).await;
    record.refuses("drop the first", pick(&[1, 2, 3, 4])).await;
    record.refuses("drop one in the middle", pick(&[0, 1, 3, 4])).await;
    record.refuses("swap", pick(&[1, 0, 2, 3, 4])).await;
    record.refuses("reverse", pick(&[4, 3, 2, 1, 0])).await;
    record.refuses("repeat", pick(&[0, 1, 2, 3, 4, 4])).await;
    record.refuses("insert before", pick(&[0, 0, 1, 2, 3, 4])).await;
    record.refuses("empty the list", json!({"actions": []})).await;
    record.refuses("remove the list", json!({"actions": null})).await;
    let gap = [all.clone(), vec![executed(6)]].concat();
    record.refuses("leave a gap", json!({"actions": gap})).await;
    record.refuses_patch("replace in place", patch(json!([{"op": "replace", "path": "/status/actions/0/result", "value": "x"}]))).await;
    record.refuses_patch("remove in place", patch(json!([{"op": "remove", "path": "/status/actions/4"}]))).await;
    record.refusals
}

/// What is said once about a run, and by whom it is held.
async fn facts_of_the_run(runs: &Api<AgentRun>) -> BTreeSet<String> {
    let mut record = Record::begin(runs, "facts".into(), json!({"phase": "Pending"})).await;
    record.accepts("start", running(&[])).await;
    for (what, change) in [
        ("go back to Pending", json!({"phase": "Pending"})),
        ("remove the phase", json!({"phase": null})),
        ("move the start", json!({"startTime": "2026-02-03T04:00:00Z"})),
        ("remove the start", json!({"startTime": null})),
        ("change the number", json!({"sequence": 8})),
        ("remove the number", json!({"sequence": null})),
        ("point at another run before", json!({"previous": {"uid": "0e"}})),
        ("forget the run before", json!({"previous": null})),
        ("change the model", json!({"model": "anthropic/other"})),
        ("remove the model", json!({"model": null})),
        ("change the skills", json!({"skills": []})),
        ("remove the skills", json!({"skills": null})),
        (
            "edit a finding",
            json!({"findings": [{"severity": "info", "resource": "deployment/web -n shop", "message": "image cannot be pulled"}]}),
        ),
        ("drop a finding", json!({"findings": []})),
        ("remove the findings", json!({"findings": null})),
        ("remove the holder", json!({"holder": null})),
        ("another holder of the same epoch", json!({"holder": {"lease": "replica-b", "uid": "9d", "epoch": 1}})),
        ("another holder of an older epoch", json!({"holder": {"lease": "replica-b", "uid": "9d", "epoch": 0}})),
        ("the same holder, an older epoch", json!({"holder": {"epoch": 0}})),
        ("sign before the end", json!({"head": {"hash": "cc", "signature": "c2ln", "keyId": "k1"}})),
    ] {
        record.refuses(what, change).await;
    }
    record.accepts("another holder of a new epoch", json!({"holder": {"lease": "replica-b", "uid": "9d", "epoch": 2}})).await;
    record.refuses("back to the first holder", json!({"holder": {"lease": "replica-a", "uid": "9c", "epoch": 1}})).await;
    let finding = json!({"severity": "info", "message": "pulled again"});
    let first = running(&[])["findings"][0].clone();
    record.refuses("put a finding before the first", json!({"findings": [finding, first]})).await;
    record.accepts("append a finding", json!({"findings": [first, finding]})).await;
    record.accepts("count", json!({"usage": {"tokensIn": 1, "totalTokens": 1}, "guardrails": {"checksPerformed": 1}})).await;
    record.accepts("count further", json!({"usage": {"tokensIn": 2, "totalTokens": 2}, "guardrails": {"checksPerformed": 2}})).await;
    record.refusals
}

/// How a run ends, and that it stays so.
async fn ends(runs: &Api<AgentRun>) -> BTreeSet<String> {
    let mut refusals = BTreeSet::new();
    for phase in FINAL {
        let mut record = Record::begin(runs, format!("ends-{}", phase.to_lowercase()), running(&[executed(0), intended(1)])).await;
        let end = |status: Value| {
            but(status, json!({"phase": phase, "head": {"hash": "cc", "signature": "c2ln", "keyId": "k1"}, "report": "done"}))
        };
        record.refuses("end with an open intent", end(json!({}))).await;
        record
            .accepts(
                "end, and seal the open intent",
                end(json!({"actions": [executed(0), but(intended(1), json!({"status": "unknown"}))]})),
            )
            .await;
        for (what, change) in [
            ("forge a later entry", json!({"actions": [executed(0), but(intended(1), json!({"status": "unknown"})), executed(2)]})),
            ("resolve the unknown", json!({"actions": [executed(0), executed(1)]})),
            ("reopen the run", json!({"phase": "Running"})),
            ("end it otherwise", json!({"phase": if phase == "Failed" { "Succeeded" } else { "Failed" }})),
            ("sign anew", json!({"head": {"hash": "dd"}})),
            ("remove the signature", json!({"head": null})),
            ("edit the report", json!({"report": "nothing happened"})),
            ("add a finding", json!({"findings": [running(&[])["findings"][0], {"severity": "info", "message": "late"}]})),
            ("count less", json!({"usage": {"tokensIn": 0}})),
            ("a new holder", json!({"holder": {"lease": "replica-b", "uid": "9d", "epoch": 2}})),
            ("a condition", json!({"conditions": []})),
        ] {
            record.refuses(&format!("{phase}: {what}"), change).await;
        }
        refusals.append(&mut record.refusals);
    }
    refusals
}

#[tokio::test]
async fn the_status_cannot_be_removed_or_reached_past_its_subresource() {
    let plane = control_plane();
    plane.install_crds().await;
    let runs = Api::<AgentRun>::namespaced(plane.admin().await, &plane.namespace("status").await);
    let mut record = Record::begin(&runs, "status".into(), running(&[executed(0)])).await;
    record.refuses_patch("remove the status", patch(json!([{"op": "remove", "path": "/status"}]))).await;
    record.refuses_patch("merge the status away", Patch::Merge(json!({"status": null}))).await;
    record.refuses_patch("replace it by an empty one", patch(json!([{"op": "replace", "path": "/status", "value": {}}]))).await;
    let open = messages("agentruns", "");
    let root = open.iter().find(|message| message.contains("it cannot be removed")).unwrap();
    assert!(record.refusals.iter().any(|said| said.contains(root)), "{:?}", record.refusals);

    // PUT without a status, on the subresource and on the object.
    let mut bare = runs.get(&record.name).await.unwrap();
    let kept = bare.status.take();
    let refused = runs.replace_status(&record.name, &PostParams::default(), &bare).await;
    assert!(matches!(&refused, Err(Error::Api(status)) if status.code == 422), "{refused:?}");
    runs.replace(&record.name, &PostParams::default(), &bare).await.unwrap();
    runs.patch(&record.name, &PatchParams::default(), &Patch::Merge(json!({"status": null}))).await.unwrap();
    assert_eq!(runs.get(&record.name).await.unwrap().status, kept, "a write to the object does not touch the status");
    record.accepts("append", json!({"actions": [executed(0), executed(1)]})).await;
}

#[tokio::test]
async fn a_write_against_an_old_version_is_a_conflict_and_changes_nothing() {
    let plane = control_plane();
    plane.install_crds().await;
    let runs = Api::<AgentRun>::namespaced(plane.admin().await, &plane.namespace("conflict").await);
    let record = Record::begin(&runs, "conflict".into(), running(&[])).await;
    let append = |version: &str, seq: usize| {
        patch(json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status/actions/-", "value": executed(seq)},
        ]))
    };
    let version = runs.get(&record.name).await.unwrap().metadata.resource_version.unwrap();
    let written = record.write(append(&version, 0)).await.unwrap();
    assert_eq!(written.status.unwrap().actions.len(), 1);
    // The second of two holders had read the same version.
    let late = record.write(append(&version, 1)).await;
    assert!(matches!(&late, Err(Error::Api(status)) if status.code == 409), "{late:?}");
    let now = runs.get(&record.name).await.unwrap();
    assert_eq!(now.status.unwrap().actions.len(), 1);
    record.write(append(&now.metadata.resource_version.unwrap(), 1)).await.unwrap();
}

/// The rules are priced by the API server both before (by the bounds of the schema) and while they run: the fullest record must still pass.
#[tokio::test]
async fn the_fullest_record_can_still_be_sealed_and_holds_no_entry_more() {
    let plane = control_plane();
    plane.install_crds().await;
    let runs = Api::<AgentRun>::namespaced(plane.admin().await, &plane.namespace("bounds").await);
    let full = |seq: usize| but(executed(seq), json!({"result": "r".repeat(700), "checks": "c".repeat(200)}));
    let mut record = Record::begin(&runs, "bounds".into(), running(&(0..126).map(full).collect::<Vec<_>>())).await;
    record.write(patch(json!([{"op": "add", "path": "/status/actions/-", "value": intended(126)}]))).await.unwrap();
    record.write(patch(json!([{"op": "replace", "path": "/status/actions/126", "value": executed(126)}]))).await.unwrap();
    record.write(patch(json!([{"op": "add", "path": "/status/actions/-", "value": full(127)}]))).await.unwrap();
    let size = serde_json::to_vec(&runs.get(&record.name).await.unwrap()).unwrap().len();
    assert!(size > 128 << 10, "{size} bytes are no full record");
    record.refuses_patch("one entry more", patch(json!([{"op": "add", "path": "/status/actions/-", "value": executed(128)}]))).await;
    record.accepts("end", json!({"phase": "Succeeded", "report": "x".repeat(16_384), "head": {"hash": "cc"}})).await;
}
