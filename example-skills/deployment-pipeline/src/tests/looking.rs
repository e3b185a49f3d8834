//! What the two tools that look tell, besides the cause.

use skills_sdk::prelude::*;
use skills_sdk::testing::Host;

use super::world::{World, web};
use crate::SKILL;

const CRASHING: &str = "{phase: Running, containerStatuses: [{name: app, restartCount: 7, state: {waiting: {reason: CrashLoopBackOff}}, \
                        lastState: {terminated: {exitCode: 1}}}]}";

#[test]
fn healthy_workloads_of_all_kinds_are_counted() {
    let host = Host::new(SKILL).namespace_group("apps", &["shop"]).yaml(
        "
{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: web}, spec: {replicas: 2}, status: {replicas: 2, updatedReplicas: 2, readyReplicas: 2}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: parked}, spec: {replicas: 0}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: shop, name: db}, spec: {replicas: 3}, status: {replicas: 3, currentReplicas: 3, readyReplicas: 3, currentRevision: a, updateRevision: a}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: shop, name: agent}, status: {desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: elsewhere, name: web}, spec: {replicas: 2}}
",
    );
    let host = host.install();
    let output = host.call("find_broken_rollouts", json!({})).unwrap();
    assert_eq!(output.content, json!({ "broken": [], "progressing": [], "healthy": 4, "complete": true }));
    assert_eq!(output.summary, "0 of 4 workloads are broken");
    assert_eq!(host.calls().len(), 3, "nothing is broken, so pods and events are not asked for");
}

#[test]
fn stateful_and_daemon_sets_are_diagnosed_by_their_own_pods() {
    for (kind, word, resource) in
        [("StatefulSet", "stateful-set", "replicas: 2"), ("DaemonSet", "daemon-set", "updateStrategy: {type: RollingUpdate}")]
    {
        let yaml = format!(
            "
{{apiVersion: apps/v1, kind: {kind}, metadata: {{namespace: shop, name: db, uid: s}}, spec: {{{resource}, selector: {{matchLabels: {{app: db}}}}}}, status: {{replicas: 1, currentReplicas: 1, readyReplicas: 0, desiredNumberScheduled: 2, numberReady: 0}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{namespace: shop, name: db-0, uid: p, labels: {{app: db}}, ownerReferences: [{{kind: {kind}, name: db, uid: s, controller: true}}]}}, status: {CRASHING}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{namespace: shop, name: stranger, uid: q, labels: {{app: db}}, ownerReferences: [{{kind: {kind}, name: db, uid: other, controller: true}}]}}, status: {CRASHING}}}
---
{{apiVersion: v1, kind: Event, metadata: {{namespace: shop, name: e}}, type: Warning, reason: FailedCreate, involvedObject: {{kind: {kind}, name: db, uid: s}}, message: 'pods \"db-1\" is forbidden: exceeded quota: storage'}}
"
        );
        let host = Host::new(SKILL).namespace_group("apps", &["shop"]).yaml(&yaml).install();
        let content = host.call("diagnose_rollout", json!({ "kind": word, "namespace": "shop", "name": "db" })).unwrap().content;
        let causes: Vec<&str> = content["causes"].as_array().unwrap().iter().map(|cause| cause["cause"].as_str().unwrap()).collect();
        assert_eq!(causes, ["quota-exceeded", "crash-loop"], "{kind}");
        assert_eq!(content["causes"][1]["pods"], json!(["db-0"]), "a pod of the same labels belongs to somebody else");
        assert_eq!(host.call("find_broken_rollouts", json!({})).unwrap().content["broken"][0]["kind"], word);
    }
}

#[test]
fn the_log_before_the_crash_is_read_and_events_of_what_it_mentions_are_related() {
    let world = World {
        status: CRASHING,
        events: "type: Normal, reason: Published, involvedObject: {kind: ConfigMap, name: web-flags, uid: c}, message: 'version 17'
                 type: Normal, reason: Published, involvedObject: {kind: ConfigMap, name: flags, uid: c2}, message: 'version 3'
                 type: Warning, reason: BackOff, count: 14, involvedObject: {kind: Pod, name: web-2-x, uid: p}, message: 'Back-off restarting'
                 type: Normal, reason: Pulled, involvedObject: {kind: Pod, name: web-2-x, uid: p}, message: 'Pulled'",
        ..World::default()
    };
    let host = world.host().pod_log("shop", "web-2-x", true, "starting\nFATAL: web-flags: version 17 is not there\n").install();
    let output = host.call("diagnose_rollout", web()).unwrap();
    assert_eq!(output.summary, "shop/web: crash-loop: container app: exits with code 1 (7 restarts)");
    let content = output.content;
    assert_eq!(
        content["logs"],
        json!([{ "pod": "web-2-x", "container": "app", "previous": true, "lines": ["starting", "FATAL: web-flags: version 17 is not there"] }])
    );
    assert_eq!(content["related"], json!(["2026-01-01T00:00:00Z Normal Published ConfigMap/web-flags x1: version 17"]));
    assert_eq!(
        content["events"],
        json!([
            "2026-01-01T00:00:02Z Warning BackOff Pod/web-2-x x14: Back-off restarting",
            "2026-01-01T00:00:03Z Normal Pulled Pod/web-2-x x1: Pulled",
        ]),
        "warnings first"
    );
    let logs = host.calls().into_iter().find(|call| call.function == "kubernetes-read.logs").unwrap();
    assert_eq!(logs.action.as_deref(), Some("read-logs"));
    assert_eq!(
        (&logs.arguments["container"], &logs.arguments["previous"], &logs.arguments["tail-lines"]),
        (&json!("app"), &json!(true), &json!(20))
    );
}

#[test]
fn a_log_that_cannot_be_read_does_not_hide_the_rest() {
    let host = World { status: CRASHING, ..World::default() }.host().deny("read-logs", "out-of-scope", "no").install();
    let content = host.call("diagnose_rollout", web()).unwrap().content;
    assert_eq!((&content["logs"], &content["causes"][0]["cause"]), (&json!([]), &json!("crash-loop")));
}

#[test]
fn revisions_pods_conditions_and_quotas_are_told() {
    let world = World {
        status: CRASHING,
        conditions: "[{type: Available, status: 'True'}, {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: late}]",
        ..World::default()
    };
    let quota = "{apiVersion: v1, kind: ResourceQuota, metadata: {namespace: shop, name: compute}, status: {hard: {limits.memory: 8Gi, pods: '20'}, used: {limits.memory: 7Gi}}}";
    let host = world.host().yaml(quota).install();
    let content = host.call("diagnose_rollout", web()).unwrap().content;
    let revisions: Vec<(&str, u64)> = content["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["revision"].as_str().unwrap(), it["ready"].as_u64().unwrap()))
        .collect();
    assert_eq!(revisions, [("2", 0), ("1", 2)], "the newest first");
    assert_eq!(content["revisions"][1]["images"], json!(["registry.example/web:1"]));
    assert_eq!(
        content["pods"],
        json!([{ "name": "web-2-x", "phase": "Running", "ready": false, "restarts": 7, "state": "CrashLoopBackOff", "node": "" }])
    );
    assert_eq!(content["conditions"], json!(["Progressing=False ProgressDeadlineExceeded: late"]));
    assert_eq!(content["quotas"], json!([{ "name": "compute", "used": ["limits.memory: 7Gi of 8Gi", "pods: 0 of 20"] }]));
    assert_eq!(content["workload"]["revision"], "2");
}

#[test]
fn every_page_is_read_and_a_missing_workload_is_an_error() {
    let host = World { status: CRASHING, ..World::default() }.host().page_size(1).install();
    assert_eq!(host.call("find_broken_rollouts", json!({ "namespace": "shop" })).unwrap().content["complete"], true);
    let error = host.call("diagnose_rollout", json!({ "kind": "deployment", "namespace": "shop", "name": "wbe" })).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(host.call("find_broken_rollouts", json!({ "namespace": "kube-system" })).unwrap_err().is_denied());
}
