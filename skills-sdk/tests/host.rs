//! A skill that uses every capability, on the fake host.

use std::time::Duration;

use actions::{
    Analyze, CordonNode, LookAtNodes, PauseRollout, Probe, RestartDeployment, RollBack, ScaleDeployment, Sync, TidyUp, WatchWorkloads,
};
use skills_sdk::http::{Read, Response, Write};
use skills_sdk::kinds::{Deployment, Event, Job, Node, Pod, ReplicaSet};
use skills_sdk::kubernetes::{self, Condition, Disposable, Victim};
use skills_sdk::prelude::*;
use skills_sdk::testing::{Host, Installed};

skills_sdk::skill! { tools: [run, idle, shared::nested] }

/// Which capability to use.
#[args]
#[serde(rename_all = "kebab-case")]
enum Step {
    Describe,
    Nodes,
    Logs,
    Restart,
    Scale {
        /// How many pods.
        replicas: u32,
    },
    Pause,
    Evict,
    Delete,
    RollBack,
    Cordon,
    Sync,
    Fetch,
    Send,
    Mcp,
    Remember,
    Report,
}

/// Arguments of `run`.
#[args]
struct Run {
    /// What to do.
    step: Step,
}

/// Does one step.
///
/// Only for tests.
#[tool(actions = [
    Analyze, CordonNode, LookAtNodes, PauseRollout, Probe, RestartDeployment, RollBack, ScaleDeployment, Sync, TidyUp, WatchWorkloads,
])]
fn run(cx: &Cx<Self>, args: Run) -> Result<Output> {
    let web = Deployment::at("apps", "web");
    let answer = match args.step {
        Step::Describe => {
            let described = cx.describe(WatchWorkloads, web)?;
            let reasons: Vec<_> = described.events.iter().filter_map(|event: &Event| event.reason.clone()).collect();
            json!({ "wanted": described.object.wanted(), "rolledOut": described.object.is_rolled_out(), "events": reasons })
        }
        Step::Nodes => json!(cx.get(LookAtNodes, Node::named("n1"))?.is_ready()),
        Step::Logs => json!(cx.logs(WatchWorkloads, "apps", "web-1", &LogQuery::tail(2).previous())?.text),
        Step::Restart => {
            let receipt = cx.restart(RestartDeployment, &web, "stuck")?;
            let rolled_out = cx.wait(WatchWorkloads, &web, Condition::RolledOut, Duration::from_secs(5))?;
            json!({ "changed": receipt.changed, "rolledOut": rolled_out })
        }
        Step::Scale { replicas } => json!(cx.scale(ScaleDeployment, web, replicas, "load")?.changed),
        Step::Pause => {
            cx.pause(PauseRollout, "apps", "web", "look first")?;
            json!(cx.resume(PauseRollout, "apps", "web", "looked")?.changed)
        }
        Step::Evict => json!(cx.evict(TidyUp, &cx.get(WatchWorkloads, Pod::at("apps", "web-1"))?, "hot node")?.changed),
        Step::Delete => {
            let pod = cx.get(WatchWorkloads, Pod::at("apps", "web-1"))?;
            json!(cx.delete(TidyUp, &Victim::of(Disposable::Pod, &pod)?, None, "tidy")?.audit_seq)
        }
        Step::RollBack => json!(cx.rollback(RollBack, "apps", "web", 3, "broken")?.changed),
        Step::Cordon => json!(cx.cordon(CordonNode, "n1", true, "disk")?.changed),
        Step::Sync => json!(cx.request_sync(Sync, kubernetes::Sync::ArgoApplication, "apps", "shop", "drift")?.changed),
        Step::Fetch => {
            let response = cx.fetch(Probe, &Read::get("shop", "/health").query("deep", "yes"))?;
            json!({ "ok": response.is_success(), "type": response.header("Content-Type"), "body": response.json::<Value>()? })
        }
        Step::Send => json!(cx.send(Probe, &Write::post("shop", "/deploy").json(&json!({ "to": "prod" }))?, "release")?.status),
        Step::Mcp => cx.mcp_read(Analyze, "analyze", &json!({ "namespace": "apps" }))?,
        Step::Remember => {
            let before = cx.state().get("count")?;
            let count = before.as_ref().map_or(Ok(0), |entry| entry.json::<u64>())? + 1;
            let version = cx.state().put_json("count", &count, before.map(|entry| entry.version))?;
            json!({ "count": count, "version": version, "keys": cx.state().keys("c", 10)? })
        }
        Step::Report => {
            cx.log(Level::Warn, "looked", &[("pods", "3")])?;
            cx.finding(Severity::Critical, Some(web.into()), "web is down")?;
            json!(cx.now_unix_ms())
        }
    };
    Output::new(&answer, "done")
}

/// Does nothing, and takes nothing.
#[tool]
fn idle() -> Result<Output> {
    Ok(Output::text("idle"))
}

mod shared {
    use super::*;

    /// Counts pods with the help of a function that several tools could share.
    #[tool(actions = [WatchWorkloads])]
    pub(super) fn nested(cx: &Cx<Self>) -> Result<Output> {
        Output::new(&count(cx)?, "counted")
    }

    fn count<T: Uses<WatchWorkloads>>(cx: &Cx<T>) -> Result<usize> {
        Ok(cx.list_all(WatchWorkloads, Pod::within("apps"), 2)?.items.len())
    }
}

const CLUSTER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { namespace: apps, name: web, uid: d1, generation: 2 }
spec: { replicas: 3 }
status: { observedGeneration: 2, replicas: 3, updatedReplicas: 3, availableReplicas: 2 }
---
{ apiVersion: v1, kind: Pod, metadata: { namespace: apps, name: web-1, uid: p1, resourceVersion: '7' } }
---
{ apiVersion: v1, kind: Pod, metadata: { namespace: apps, name: web-2 } }
---
{ apiVersion: v1, kind: Pod, metadata: { namespace: apps, name: web-3 } }
---
{ apiVersion: v1, kind: Pod, metadata: { namespace: kube-system, name: dns } }
---
{ apiVersion: v1, kind: Node, metadata: { name: n1 }, status: { conditions: [{ type: Ready, status: 'True' }] } }
---
{ apiVersion: v1, kind: Event, metadata: { namespace: apps, name: e2 }, involvedObject: { kind: Deployment, name: web, uid: d1 }, reason: Later, lastTimestamp: '2026-01-01T00:00:02Z' }
---
{ apiVersion: v1, kind: Event, metadata: { namespace: apps, name: e1 }, involvedObject: { kind: Deployment, name: web }, reason: Earlier, lastTimestamp: '2026-01-01T00:00:01Z' }
---
{ apiVersion: v1, kind: Event, metadata: { namespace: apps, name: e0 }, involvedObject: { kind: Deployment, name: web, uid: another }, reason: AnotherLife }
---
{ apiVersion: v1, kind: Event, metadata: { namespace: apps, name: e3 }, involvedObject: { kind: Pod, name: web }, reason: AnotherKind }
";

fn host() -> Host {
    Host::new(SKILL).yaml(CLUSTER)
}

fn step(host: &Installed, step: Value) -> Result<Value> {
    host.call("run", json!({ "step": step })).map(|output| output.content)
}

#[test]
fn describe_is_the_object_and_its_own_events_in_order() {
    let host = host().install();
    let described = step(&host, json!("describe")).unwrap();
    assert_eq!(described, json!({ "wanted": 3, "rolledOut": false, "events": ["Earlier", "Later"] }));
}

#[test]
fn reads_answer_what_is_there() {
    let host = host().pod_log("apps", "web-1", true, "one\ntwo\nthree\n").install();
    assert_eq!(step(&host, json!("nodes")), Ok(json!(true)));
    assert_eq!(step(&host, json!("logs")), Ok(json!("two\nthree\n")));
    assert_eq!(host.calls()[1].arguments["previous"], json!(true));
}

#[test]
fn mutations_change_the_fake_cluster_and_are_recorded_with_their_reasons() {
    let host = host().waiting_ends(false).install();
    assert_eq!(step(&host, json!("restart")), Ok(json!({ "changed": true, "rolledOut": false })));
    assert_eq!(step(&host, json!({ "scale": { "replicas": 5 } })), Ok(json!(true)));
    assert_eq!(host.object("deployments.apps", Some("apps"), "web").unwrap()["spec"]["replicas"], json!(5));
    assert_eq!(step(&host, json!("pause")), Ok(json!(true)));
    assert_eq!(step(&host, json!("roll-back")), Ok(json!(true)));
    assert_eq!(step(&host, json!("cordon")), Ok(json!(true)));
    assert_eq!(step(&host, json!("sync")), Ok(json!(true)));
    assert_eq!(step(&host, json!("delete")), Ok(json!(8)));
    assert_eq!(host.object("pods", Some("apps"), "web-1"), None);
    assert!(step(&host, json!("evict")).unwrap_err().is_not_found());
    let restart = &host.calls()[0];
    assert_eq!((restart.function, restart.action.as_deref()), ("kubernetes-service-mutation.restart", Some("restart-deployment")));
    assert_eq!(restart.arguments, json!({ "target": "deployments.apps/apps/web", "reason": "stuck" }));
}

#[test]
fn the_sheet_bounds_what_the_types_cannot() {
    let host = host().install();
    let Err(Error::Denied(denial)) = step(&host, json!({ "scale": { "replicas": 6 } })) else { panic!("6 replicas are too many") };
    assert_eq!((denial.code.as_str(), denial.action.as_str()), ("target-not-covered", "scale-deployment"));

    let cx = Cx::<run>::new();
    assert!(cx.get(WatchWorkloads, Pod::at("kube-system", "dns")).unwrap_err().is_denied(), "another namespace");
    assert!(cx.get(WatchWorkloads, Job::at("apps", "import")).unwrap_err().is_denied(), "another kind");
    assert_eq!(cx.list_all(WatchWorkloads, Pod::all(), 10).unwrap().items.len(), 3, "a list without a namespace stays in scope");
    assert!(cx.list(WatchWorkloads, Pod::all().limit(501)).is_err());
}

#[test]
fn names_of_namespace_groups_are_resolved() {
    let host = Host::new(SKILL).yaml(CLUSTER).namespace_group("apps", &["kube-system"]).install();
    let cx = Cx::<run>::new();
    assert_eq!(cx.get(WatchWorkloads, Pod::at("kube-system", "dns")).unwrap().name(), "dns");
    assert!(step(&host, json!("restart")).unwrap_err().is_denied());
}

#[test]
fn scripted_errors_come_in_order_and_then_end() {
    let conflict = Error::Conflict("it changed".to_owned());
    let host = host().deny("restart-deployment", "cooldown", "four minutes to go").fail("restart-deployment", conflict.clone()).install();
    assert!(step(&host, json!("restart")).unwrap_err().is_denied());
    assert_eq!(step(&host, json!("restart")), Err(conflict));
    assert!(step(&host, json!("restart")).is_ok());
}

#[test]
fn endpoints_and_servers_answer_what_the_test_says() {
    let response = Response {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: b"{\"up\":true}".to_vec(),
        truncated: false,
        elapsed_ms: 12,
        tls: None,
    };
    let host = host().http("shop", "/health", response).mcp("k8sgpt", "analyze", json!({ "problems": [] })).install();
    assert_eq!(step(&host, json!("fetch")), Ok(json!({ "ok": true, "type": "application/json", "body": { "up": true } })));
    assert_eq!(step(&host, json!("mcp")), Ok(json!({ "problems": [] })));
    assert!(matches!(step(&host, json!("send")), Err(Error::Unavailable { .. })));
    assert_eq!(host.calls()[2].arguments["body"], json!("{\"to\":\"prod\"}"));
}

#[test]
fn memory_is_compare_and_swap() {
    let host = host().remembered("count", "41").install();
    assert_eq!(step(&host, json!("remember")), Ok(json!({ "count": 42, "version": 2, "keys": ["count"] })));
    let state = Cx::<run>::new().state();
    assert!(matches!(state.put("count", b"0", Some(1)), Err(Error::Conflict(_))));
    assert!(matches!(state.put("count", b"0", None), Err(Error::Conflict(_))));
    assert!(matches!(state.remove("count", Some(1)), Err(Error::Conflict(_))));
    assert_eq!(state.remove("count", Some(2)), Ok(()));
}

#[test]
fn findings_and_log_lines_are_kept() {
    let host = host().now_unix_ms(7).install();
    assert_eq!(step(&host, json!("report")), Ok(json!(7)));
    let findings = host.findings();
    assert_eq!(findings[0].about, Some(ObjectRef::namespaced("deployments.apps", "apps", "web")));
    assert_eq!((findings[0].severity, findings[0].message.as_str()), (Severity::Critical, "web is down"));
    assert_eq!(host.log_lines()[0].fields, [("pods".to_owned(), "3".to_owned())]);
}

#[test]
fn arguments_are_checked_before_the_tool_runs() {
    let host = host().install();
    for arguments in
        [json!({ "step": { "scale": { "replicas": "3" } } }), json!({ "step": { "scale": {} } }), json!({ "stop": 1 }), json!([])]
    {
        let error = host.call("run", arguments).unwrap_err();
        assert!(error.to_string().contains("arguments of `run`"), "{error}");
    }
    assert!(host.call("idle", json!({ "speed": 1 })).is_err());
    assert!(host.call("walk", json!({})).is_err());
    assert_eq!(host.call("idle", json!({})).unwrap().summary, "idle");
    assert_eq!(host.call("nested", json!({})).unwrap().content, json!(2));
    assert_eq!(host.calls().len(), 1, "only `nested` asked the host for something");
}

#[test]
fn a_tool_is_described_with_its_actions_and_a_schema_without_references() {
    let tools = (SKILL.describe)();
    assert_eq!(tools[0].description, "Does one step.\nOnly for tests.");
    assert_eq!(tools[0].actions.len(), 11);
    assert_eq!(tools[2].actions, ["watch-workloads"]);
    let schema = tools[0].input_schema.to_string();
    assert!(!schema.contains("$ref") && !schema.contains("$schema"), "{schema}");
    assert_eq!(tools[1].input_schema, json!({ "type": "object", "description": "No arguments.", "additionalProperties": false }));
}

#[test]
fn without_a_host_calls_say_what_is_missing() {
    let error = Cx::<run>::new().site::<Value>().unwrap_err();
    assert!(error.to_string().contains("testing::Host"), "{error}");
}

#[test]
fn a_victim_is_what_was_read_and_nothing_else() {
    let replica_set = ReplicaSet::default();
    assert!(Victim::of(Disposable::Pod, &replica_set).is_err(), "another kind");
    assert!(Victim::of(Disposable::ReplicaSet, &replica_set).is_err(), "without uid");
}

#[test]
fn evict_takes_the_pod_that_was_read_and_not_its_successor() {
    let host = host().install();
    let cx = Cx::<run>::new();
    let mut pod = cx.get(WatchWorkloads, Pod::at("apps", "web-1")).unwrap();
    pod.metadata.uid = Some("an earlier life".to_owned());
    assert!(matches!(cx.evict(TidyUp, &pod, "hot node"), Err(Error::Conflict(_))));
    pod.metadata.uid = None;
    assert!(matches!(cx.evict(TidyUp, &pod, "hot node"), Err(Error::Invalid(_))));
    assert_eq!(step(&host, json!("evict")), Ok(json!(true)));
    assert_eq!(host.object("pods", Some("apps"), "web-1"), None);
}
