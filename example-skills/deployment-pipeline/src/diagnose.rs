//! The second look: everything about one workload that an engineer would want to see before touching it.

use skills_sdk::prelude::*;

use crate::actions::{ReadLogs, Watch};
use crate::cause::{Kind, brief};
use crate::evidence::{Evidence, Found, is_about, last_seen};
use crate::pods::{is_ready, words};
use crate::view::{View, object, told, views};
use crate::workload::{self, Rollout, kind_name};

/// The most objects of a kind that are taken in.
const MOST: u32 = 1_000;
/// The last lines of a log.
const LINES: u32 = 20;
/// How many logs are read.
const LOGS: usize = 2;
/// How many revisions, pods and events are told.
const TOLD: usize = 8;
/// How much of a line is told.
const LINE: usize = 300;

/// What is read of a pod: more than the host's compact projection, which keeps no images and limits.
const POD: [&str; 5] = ["/metadata", "/spec/containers", "/spec/initContainers", "/spec/nodeName", "/status"];

#[args]
pub struct DiagnoseArgs {
    /// What it is.
    kind: WorkloadKind,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
}

/// Says why the rollout of one workload does not get anywhere: cause, conditions, revisions, pods, last log lines, events, quotas, and what to do next.
#[tool(actions = [Watch, ReadLogs])]
pub fn diagnose_rollout(cx: &Cx<Self>, args: DiagnoseArgs) -> Result<Output> {
    let DiagnoseArgs { kind, namespace, name } = args;
    let target = Workload::new(kind, namespace, name);
    let rollout = Rollout::new(kind, cx.get_json(Watch, &target.object(), &[])?);
    let labels = rollout.labels();

    let mut complete = true;
    let mut list = |resource: &str, labels: &str, select: &[&str]| {
        let query = Query::<Value>::of(Resource::new(resource)).namespace(&target.namespace).select(select.iter().copied());
        let query = if labels.is_empty() { query } else { query.labels(labels) };
        let found = cx.list_all(Watch, query, MOST)?;
        complete = complete && found.complete;
        Ok::<_, Error>(found.items)
    };
    let evidence = Evidence {
        replica_sets: if kind == WorkloadKind::Deployment { list("replicasets.apps", &labels, &[])? } else { Vec::new() },
        pods: list("pods", &labels, &POD)?,
        events: list("events", "", &[])?,
        now_unix_ms: cx.now_unix_ms(),
    };
    let quotas = list("resourcequotas", "", &[])?;

    let causes = evidence.causes(&rollout);
    let logs = read_logs(cx, &target.namespace, &causes);
    let (verdict, next_step, line) = match causes.first() {
        Some(found) => ("broken", found.cause.kind.next_step(), [found.cause.kind.code(), ": ", &found.cause.line].concat()),
        None if rollout.is_done() => ("healthy", "nothing: the newest revision runs everywhere", "healthy".to_owned()),
        None => ("progressing", "nothing yet: the rollout is on its way; look again in some minutes", "progressing".to_owned()),
    };
    let content = object! {
        "workload": about(&rollout),
        "verdict": verdict,
        "nextStep": next_step,
        "causes": told(&causes, TOLD, |found| object! { "cause": found.cause.kind.code(), "line": found.cause.line.as_str(), "pods": found.pods.clone() }),
        "conditions": conditions(rollout.view()),
        "revisions": told(&evidence.revisions(&rollout), TOLD, |set| revision(*set)),
        "pods": told(&evidence.pods(&rollout), TOLD, |pod| pod_line(*pod)),
        "related": related(&evidence, &rollout, &causes, &logs),
        "logs": logs,
        "events": own_events(&evidence, &rollout),
        "quotas": told(&views(&quotas), TOLD, |quota| quota_line(*quota)),
        "complete": complete,
    };
    Ok(Output { content, summary: [&rollout.title(), ": ", &line].concat() })
}

fn about(rollout: &Rollout) -> Value {
    object! {
        "kind": kind_name(rollout.kind),
        "namespace": rollout.namespace(),
        "name": rollout.name(),
        "revision": workload::revision(rollout.view()),
        "wanted": rollout.wanted(),
        "updated": rollout.updated(),
        "ready": rollout.ready(),
        "paused": rollout.is_paused(),
        "images": images(rollout.view()),
    }
}

fn images(workload: View<'_>) -> Value {
    told(&workload.items("/spec/template/spec/containers"), TOLD, |container| Value::from(container.text("/image")))
}

fn revision(set: View<'_>) -> Value {
    object! {
        "revision": workload::revision(set),
        "wanted": set.number("/spec/replicas"),
        "ready": set.number("/status/readyReplicas"),
        "images": images(set),
        "created": set.text("/metadata/creationTimestamp"),
    }
}

fn pod_line(pod: View<'_>) -> Value {
    let mut restarts = 0;
    let mut state = pod.text("/status/reason");
    for status in ["/status/containerStatuses", "/status/initContainerStatuses"].into_iter().flat_map(|statuses| pod.items(statuses)) {
        restarts += status.number("/restartCount");
        if state.is_empty() {
            state = status.text("/state/waiting/reason");
        }
    }
    let phase = pod.text("/status/phase");
    let state = if state.is_empty() { phase } else { state };
    object! { "name": pod.name(), "phase": phase, "ready": is_ready(pod), "restarts": restarts, "state": state, "node": pod.text("/spec/nodeName") }
}

/// What a namespace may use, as `used of hard`.
fn quota_line(quota: View<'_>) -> Value {
    let lines = quota.texts("/status/hard").into_iter().map(|(resource, hard)| {
        let used = quota.at("/status/used").0.get(resource).and_then(Value::as_str).unwrap_or("0");
        Value::from([resource, ": ", used, " of ", hard].concat())
    });
    object! { "name": quota.name(), "used": Value::Array(lines.collect()) }
}

/// Conditions that are not as they should be: only failure is good news when it is absent.
fn conditions(workload: View<'_>) -> Value {
    let mut odd = workload.items("/status/conditions");
    odd.retain(|condition| (condition.text("/status") == "True") == (condition.text("/type") == "ReplicaFailure"));
    told(&odd, TOLD, |condition| {
        let text = |path| condition.text(path);
        Value::from(brief(&[text("/type"), "=", text("/status"), " ", text("/reason"), ": ", text("/message")].concat(), LINE))
    })
}

/// What the containers wrote that a cause points at, before their last restart if there was one. A log that cannot be read is no reason to say nothing.
fn read_logs<T>(cx: &Cx<T>, namespace: &str, causes: &[Found]) -> Vec<Value>
where
    ReadLogs: Declares<verb::Logs> + skills_sdk::UsedBy<T>,
{
    let telling = [Kind::CrashLoop, Kind::OutOfMemory, Kind::LivenessProbe, Kind::StartupProbe, Kind::ReadinessProbe];
    let mut tails = Vec::new();
    for (pod, container) in
        causes.iter().filter(|found| telling.contains(&found.cause.kind)).filter_map(|found| found.cause.at.as_ref()).take(LOGS)
    {
        for previous in [true, false] {
            let query = LogQuery::tail(LINES).container(container);
            let query = if previous { query.previous() } else { query };
            let Ok(log) = cx.logs(ReadLogs, namespace, pod, &query) else { continue };
            let lines: Vec<Value> = log.text.lines().map(|line| Value::from(brief(line, LINE))).collect();
            if !lines.is_empty() {
                tails.push(
                    object! { "pod": pod.as_str(), "container": container.as_str(), "previous": previous, "lines": Value::Array(lines) },
                );
                break;
            }
        }
    }
    tails
}

/// Events of the workload, its revisions and its pods: warnings first, the latest first.
fn own_events(evidence: &Evidence, rollout: &Rollout) -> Value {
    let mut own = evidence.revisions(rollout);
    own.append(&mut evidence.pods(rollout));
    own.push(rollout.view());
    let of = |warning: bool| {
        evidence.events(&|event| (event.text("/type") == "Warning") == warning && own.iter().any(|object| is_about(event, *object)))
    };
    let mut events = of(false);
    events.append(&mut of(true));
    events.reverse();
    told(&events, TOLD, event_line)
}

/// Events of other objects that causes or logs mention by name: the ConfigMap that a container misses, and that somebody published since.
fn related(evidence: &Evidence, rollout: &Rollout, causes: &[Found], logs: &[Value]) -> Value {
    let mut lines: Vec<&str> = causes.iter().map(|found| found.cause.line.as_str()).collect();
    for log in logs {
        lines.extend(View(log).items("/lines").iter().map(|line| line.text("")));
    }
    let mut events = evidence.events(&|event| {
        let name = event.text("/involvedObject/name");
        let other = name != rollout.name() && !evidence.pods.iter().any(|pod| View(pod).name() == name);
        other && lines.iter().any(|line| words(line).any(|word| word == name))
    });
    events.reverse();
    told(&events, TOLD, event_line)
}

fn event_line(event: &View<'_>) -> Value {
    let (text, about) = (|path| event.text(path), event.at("/involvedObject"));
    let times = event.number("/series/count").max(event.number("/count")).max(1).to_string();
    let about = [about.text("/kind"), "/", about.text("/name"), " x", &times].concat();
    Value::from(brief(&[last_seen(*event), " ", text("/type"), " ", text("/reason"), " ", &about, ": ", text("/message")].concat(), LINE))
}
