//! Every cause by a table: what the kubelet, the scheduler, the controllers and the registry say, and what the tools make of it.

use skills_sdk::prelude::*;

use super::world::{World, web};

/// Events of the pod start like this.
macro_rules! pod_event {
    ($reason:literal, $message:literal) => {
        concat!("type: Warning, reason: ", $reason, ", involvedObject: {kind: Pod, name: web-2-x, uid: p}, message: '", $message, "'\n")
    };
}

struct Case {
    what: &'static str,
    world: World,
    cause: &'static str,
    line: &'static str,
}

fn cases() -> Vec<Case> {
    let case = |what, cause, line, world| Case { what, world, cause, line };
    vec![
        case(
            "a wrong tag, told by the event",
            "image-not-found",
            "container app: the image registry.example/web:2 does not exist in the registry",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image \"x\"'}}}]}",
                events: concat!(
                    pod_event!(
                        "Failed",
                        "Failed to pull image \"x\": rpc error: code = NotFound desc = failed to resolve reference \"x\": x: not found"
                    ),
                    pod_event!("Failed", "Error: ErrImagePull"),
                    pod_event!("BackOff", "Back-off pulling image \"x\""),
                ),
                ..World::default()
            },
        ),
        case(
            "a wrong tag, told by the state",
            "image-not-found",
            "does not exist in the registry",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ErrImagePull, message: 'manifest unknown'}}}]}",
                ..World::default()
            },
        ),
        case(
            "a name that is none",
            "image-not-found",
            "is not valid",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: InvalidImageName, message: 'invalid reference format'}}}]}",
                ..World::default()
            },
        ),
        case(
            "no credentials",
            "image-refused",
            "the registry refuses the image registry.example/web:2",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ImagePullBackOff}}}]}",
                events: pod_event!(
                    "Failed",
                    "Failed to pull image: pull access denied, repository does not exist or may require authorization"
                ),
                ..World::default()
            },
        ),
        case(
            "a registry that does not answer",
            "image-pull",
            "cannot be pulled: dial tcp: i/o timeout",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ErrImagePull, message: 'dial tcp: i/o timeout'}}}]}",
                ..World::default()
            },
        ),
        case(
            "a crash loop",
            "crash-loop",
            "container app: exits with code 1: no such table (7 restarts)",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 7, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, reason: Error, message: 'no such table'}}}]}",
                ..World::default()
            },
        ),
        case(
            "a crash loop that runs right now",
            "crash-loop",
            "exits with code 139: segmentation fault (3 restarts)",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 3, state: {running: {}}, lastState: {terminated: {exitCode: 139}}}]}",
                ..World::default()
            },
        ),
        case(
            "a program that ends well",
            "crash-loop",
            "exits with code 0: it ends well, where it should run on",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 4, state: {terminated: {exitCode: 0}}}]}",
                ..World::default()
            },
        ),
        case(
            "an init container that fails",
            "crash-loop",
            "container migrate: exits with code 2",
            World {
                status: "{phase: Pending, initContainerStatuses: [{name: migrate, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 2}}}], containerStatuses: [{name: app, state: {waiting: {reason: PodInitializing}}}]}",
                ..World::default()
            },
        ),
        case(
            "a limit that is too small",
            "out-of-memory",
            "container app: killed at its memory limit of 256Mi (5 restarts)",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 5, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]}",
                limit: "{memory: 256Mi}",
                ..World::default()
            },
        ),
        case(
            "a node without memory",
            "out-of-memory",
            "killed for want of memory",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]}",
                ..World::default()
            },
        ),
        case(
            "a liveness probe",
            "liveness-probe",
            "killed by its liveness probe: HTTP probe failed with statuscode: 500 (6 restarts)",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 6, state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: Error}}}]}",
                events: concat!(
                    pod_event!("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"),
                    "type: Normal, reason: Killing, involvedObject: {kind: Pod, name: web-2-x, uid: p}, message: 'Container app failed liveness probe, will be restarted'\n",
                ),
                ..World::default()
            },
        ),
        case(
            "the liveness probe of another container",
            "crash-loop",
            "exits with code 137: killed by a signal, not for its memory",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 6, state: {running: {}}, lastState: {terminated: {exitCode: 137}}}]}",
                events: "type: Normal, reason: Killing, involvedObject: {kind: Pod, name: web-2-x, uid: p}, message: 'Container app-proxy failed liveness probe, will be restarted'\n",
                ..World::default()
            },
        ),
        case(
            "a startup probe that still tries",
            "startup-probe",
            "does not pass its startup probe: connection refused",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, started: false, state: {running: {}}}]}",
                events: pod_event!("Unhealthy", "Startup probe failed: connection refused"),
                ..World::default()
            },
        ),
        case(
            "a startup probe that gave up",
            "startup-probe",
            "killed by its startup probe",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 143}}}]}",
                events: "type: Normal, reason: Killing, involvedObject: {kind: Pod, name: web-2-x, uid: p}, message: 'Container app failed startup probe, will be restarted'\n",
                ..World::default()
            },
        ),
        case(
            "a readiness probe",
            "readiness-probe",
            "runs, but does not pass its readiness probe: HTTP probe failed with statuscode: 503",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, started: true, state: {running: {}}}]}",
                events: "type: Warning, reason: Unhealthy, involvedObject: {kind: Pod, name: web-2-x, uid: p, fieldPath: 'spec.containers{app}'}, message: 'Readiness probe failed: HTTP probe failed with statuscode: 503'\n",
                ..World::default()
            },
        ),
        case(
            "a container that nobody heard of for long",
            "readiness-probe",
            "is not ready, and no probe says why; its pod is from 2025-12-31T23:00:00Z",
            World {
                status: "{phase: Running, containerStatuses: [{name: app, started: true, state: {running: {}}}]}",
                created: "2025-12-31T23:00:00Z",
                ..World::default()
            },
        ),
        case(
            "a quota",
            "quota-exceeded",
            "exceeded quota: compute, requested: limits.memory=2Gi, used: limits.memory=7Gi, limited: limits.memory=8Gi",
            World {
                status: "{phase: Running, conditions: [{type: Ready, status: 'True'}]}",
                conditions: "[{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'pods \"web-2-y\" is forbidden: exceeded quota: compute, requested: limits.memory=2Gi, used: limits.memory=7Gi, limited: limits.memory=8Gi'}]",
                ..World::default()
            },
        ),
        case(
            "a policy",
            "pods-refused",
            "violates PodSecurity",
            World {
                status: "{phase: Running, conditions: [{type: Ready, status: 'True'}]}",
                conditions: "[{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'pods \"web-2-y\" is forbidden: violates PodSecurity \"restricted:latest\"'}]",
                ..World::default()
            },
        ),
        case(
            "no node",
            "unschedulable",
            "0/3 nodes are available: 3 Insufficient memory",
            World {
                status: "{phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes are available: 3 Insufficient memory.'}]}",
                ..World::default()
            },
        ),
        case(
            "a ConfigMap for the environment",
            "missing-reference",
            "container app: configmap \"web-flags\" not found",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: CreateContainerConfigError, message: 'configmap \"web-flags\" not found'}}}]}",
                ..World::default()
            },
        ),
        case(
            "a key of a Secret",
            "missing-reference",
            "couldn't find key password in Secret shop/web",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: CreateContainerConfigError, message: 'couldn''t find key password in Secret shop/web'}}}]}",
                ..World::default()
            },
        ),
        case(
            "a Secret for a volume",
            "missing-reference",
            "secret \"web-tls\" not found",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}",
                events: pod_event!("FailedMount", "MountVolume.SetUp failed for volume \"tls\" : secret \"web-tls\" not found"),
                ..World::default()
            },
        ),
        case(
            "a volume that is elsewhere",
            "volume-not-ready",
            "Multi-Attach error",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}",
                events: pod_event!("FailedAttachVolume", "Multi-Attach error for volume \"pvc-1\""),
                ..World::default()
            },
        ),
        case(
            "a command that does not exist",
            "cannot-start",
            "exec: \"serve\": executable file not found in $PATH",
            World {
                status: "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: RunContainerError, message: 'exec: \"serve\": executable file not found in $PATH'}}}]}",
                ..World::default()
            },
        ),
        case(
            "an eviction",
            "evicted",
            "The node was low on resource: ephemeral-storage",
            World {
                status: "{phase: Failed, reason: Evicted, message: 'The node was low on resource: ephemeral-storage.'}",
                ..World::default()
            },
        ),
        case(
            "nothing but the deadline",
            "progress-deadline",
            "has timed out progressing",
            World {
                conditions: "[{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: 'ReplicaSet \"web-2\" has timed out progressing.'}]",
                ..World::default()
            },
        ),
        case("somebody paused it", "paused", "the rollout is paused", World { paused: true, ..World::default() }),
    ]
}

#[test]
fn each_cause_is_found_and_told_in_one_line() {
    for Case { what, world, cause, line } in cases() {
        let host = world.host().install();
        let output = host.call("find_broken_rollouts", json!({})).unwrap();
        let found = &output.content["broken"][0];
        assert_eq!(found["cause"], cause, "{what}: {found}");
        let told = found["line"].as_str().unwrap();
        assert!(told.contains(line), "{what}: {told}");
        assert!(!told.contains('\n'), "{what}: {told}");
        assert_eq!(output.summary, "1 of 1 workloads are broken: shop/web", "{what}");
    }
}

#[test]
fn the_diagnosis_names_the_same_cause_and_a_next_step() {
    for Case { what, world, cause, line } in cases() {
        let host = world.host().install();
        let content = host.call("diagnose_rollout", web()).unwrap().content;
        assert_eq!(content["verdict"], "broken", "{what}");
        assert_eq!(content["causes"][0]["cause"], cause, "{what}: {content}");
        assert!(content["causes"][0]["line"].as_str().unwrap().contains(line), "{what}: {content}");
        assert!(!content["nextStep"].as_str().unwrap().is_empty(), "{what}");
    }
}

#[test]
fn a_restart_is_recommended_only_where_it_can_help() {
    let helps = ["crash-loop", "liveness-probe", "startup-probe", "readiness-probe"];
    for Case { what, world, cause, line: _ } in cases() {
        let host = world.host().install();
        let content = host.call("diagnose_rollout", web()).unwrap().content;
        let recommended = content["nextStep"].as_str().unwrap().contains("restart_workload once");
        assert_eq!(recommended, helps.contains(&cause), "{what}");
    }
}

#[test]
fn what_only_needs_time_is_not_broken() {
    let young = [
        "{phase: Pending}",
        "{phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}",
        "{phase: Running, containerStatuses: [{name: app, started: true, state: {running: {}}}]}",
    ];
    for status in young {
        let host = World { status, ..World::default() }.host().install();
        let output = host.call("find_broken_rollouts", json!({})).unwrap();
        assert_eq!(output.content, json!({ "broken": [], "progressing": ["shop/web"], "healthy": 0, "complete": true }), "{status}");
        assert_eq!(host.call("diagnose_rollout", web()).unwrap().content["verdict"], "progressing", "{status}");
    }
}

#[test]
fn events_of_an_earlier_object_of_the_same_name_do_not_count() {
    let host = World {
        status: "{phase: Running, containerStatuses: [{name: app, started: true, state: {running: {}}}]}",
        events: "type: Warning, reason: Unhealthy, involvedObject: {kind: Pod, name: web-2-x, uid: earlier}, message: 'Readiness probe failed: 503'",
        ..World::default()
    };
    let host = host.host().install();
    assert_eq!(host.call("find_broken_rollouts", json!({})).unwrap().content["progressing"], json!(["shop/web"]));
}

#[test]
fn the_cause_that_explains_most_comes_first() {
    let host = World {
        status: "{phase: Running, containerStatuses: [{name: app, restartCount: 7, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1}}}]}",
        conditions: "[{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]",
        ..World::default()
    };
    let host = host.host().install();
    let content = host.call("diagnose_rollout", web()).unwrap().content;
    let causes: Vec<&str> = content["causes"].as_array().unwrap().iter().map(|cause| cause["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["crash-loop", "progress-deadline"]);
    assert_eq!(content["causes"][0]["pods"], json!(["web-2-x"]));
}
