//! The second look: everything about one workload that an engineer would want to see before touching it.

use skills_sdk::kinds::{Container, DaemonSet, Deployment, Event, Pod, ReplicaSet, ResourceQuota, StatefulSet};
use skills_sdk::prelude::*;

use crate::actions::{ReadLogs, Watch};
use crate::cause::{Kind, brief};
use crate::evidence::{Evidence, Found, in_order, is_about};
use crate::workload::{Rollout, kind_name};

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

/// What is read of a pod: more than the host's compact projection, which keeps no limits, and not when a container was started.
const POD: [&str; 8] = [
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/uid",
    "/metadata/ownerReferences",
    "/metadata/deletionTimestamp",
    "/spec/containers",
    "/spec/initContainers",
    "/status",
];

/// Arguments of `diagnose_rollout`.
#[args]
pub struct DiagnoseArgs {
    /// What it is.
    kind: WorkloadKind,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
}

#[output]
struct CauseLine {
    cause: &'static str,
    line: String,
    pods: Vec<String>,
}

#[output]
struct Revision {
    revision: String,
    wanted: u32,
    ready: u32,
    images: Vec<String>,
    created: String,
}

#[output]
struct PodLine {
    name: String,
    phase: String,
    ready: bool,
    restarts: u32,
    state: String,
}

#[output]
struct LogTail {
    pod: String,
    container: String,
    /// Of the container before its last restart.
    previous: bool,
    lines: Vec<String>,
}

/// Says why the rollout of one workload does not get anywhere: cause, conditions, revisions, pods, last log lines, events, quotas, and what to do next.
#[tool(actions = [Watch, ReadLogs])]
pub fn diagnose_rollout(cx: &Cx<Self>, args: DiagnoseArgs) -> Result<Output> {
    let DiagnoseArgs { kind, namespace, name } = args;
    let rollout: Rollout = match kind {
        WorkloadKind::Deployment => cx.get(Watch, Deployment::at(&namespace, name))?.into(),
        WorkloadKind::StatefulSet => cx.get(Watch, StatefulSet::at(&namespace, name))?.into(),
        WorkloadKind::DaemonSet => cx.get(Watch, DaemonSet::at(&namespace, name))?.into(),
    };
    let pods = cx.list_all(Watch, Pod::within(&namespace).labels(&rollout.labels).select(POD), MOST)?;
    let events = cx.list_all(Watch, Event::within(&namespace), MOST)?;
    let mut complete = pods.complete && events.complete;
    let replica_sets = if kind == WorkloadKind::Deployment {
        let found = cx.list_all(Watch, ReplicaSet::within(&namespace).labels(&rollout.labels), MOST)?;
        complete = complete && found.complete;
        found.items
    } else {
        Vec::new()
    };
    let evidence = Evidence { replica_sets, pods: pods.items, events: events.items, now_unix_ms: cx.now_unix_ms() };

    let causes = evidence.causes(&rollout);
    let logs = read_logs(cx, &namespace, &causes);
    let quotas = quotas(&cx.list_all(Watch, ResourceQuota::within(&namespace), MOST)?.items);
    let content = json!({
        "workload": about(&rollout),
        "verdict": verdict(&rollout, &causes),
        "nextStep": next_step(&rollout, &causes),
        "causes": causes.iter().map(CauseLine::of).collect::<Vec<_>>(),
        "conditions": conditions(&rollout),
        "revisions": evidence.revisions(&rollout).iter().take(TOLD).map(|set| Revision::of(set)).collect::<Vec<_>>(),
        "pods": evidence.pods(&rollout).iter().take(TOLD).map(|pod| PodLine::of(pod)).collect::<Vec<_>>(),
        "related": related(&evidence, &rollout, &causes, &logs),
        "logs": logs,
        "events": own_events(&evidence, &rollout),
        "quotas": quotas,
        "complete": complete,
    });
    let line = match causes.first() {
        Some(found) => [found.cause.kind.code(), ": ", &found.cause.line].concat(),
        None => verdict(&rollout, &causes).to_owned(),
    };
    Output::new(&content, [&rollout.title(), ": ", &line].concat())
}

fn verdict(rollout: &Rollout, causes: &[Found]) -> &'static str {
    match (rollout.is_done(), causes.is_empty()) {
        (true, _) => "healthy",
        (false, true) => "progressing",
        (false, false) => "broken",
    }
}

fn next_step(rollout: &Rollout, causes: &[Found]) -> &'static str {
    match causes.first() {
        Some(found) => found.cause.kind.next_step(),
        None if rollout.is_done() => "nothing: the newest revision runs everywhere",
        None => "nothing yet: the rollout is on its way; look again in some minutes",
    }
}

fn about(rollout: &Rollout) -> Value {
    json!({
        "kind": kind_name(rollout.kind),
        "namespace": rollout.namespace(),
        "name": rollout.meta.name,
        "revision": rollout.revision(),
        "wanted": rollout.wanted,
        "updated": rollout.updated,
        "ready": rollout.ready,
        "paused": rollout.paused,
        "images": images(&rollout.template.containers),
    })
}

fn images(containers: &[Container]) -> Vec<String> {
    containers.iter().map(|container| container.image.clone()).collect()
}

/// Conditions that are not as they should be: only failure is good news when it is absent.
fn conditions(rollout: &Rollout) -> Vec<String> {
    let odd = rollout.conditions.iter().filter(|condition| condition.is_true() == (condition.r#type == "ReplicaFailure"));
    odd.map(|condition| {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        brief(&[&condition.r#type, "=", &condition.status, " ", reason, ": ", message].concat(), LINE)
    })
    .collect()
}

/// What the containers wrote that a cause points at, before their last restart if there was one. A log that cannot be read is no reason to say nothing.
fn read_logs<T>(cx: &Cx<T>, namespace: &str, causes: &[Found]) -> Vec<LogTail>
where
    ReadLogs: Declares<verb::Logs> + skills_sdk::UsedBy<T>,
{
    let told = causes.iter().filter(|found| {
        matches!(found.cause.kind, Kind::CrashLoop | Kind::OutOfMemory | Kind::LivenessProbe | Kind::StartupProbe | Kind::ReadinessProbe)
    });
    let mut tails = Vec::new();
    for (pod, container) in told.filter_map(|found| found.cause.at.as_ref()).take(LOGS) {
        for previous in [true, false] {
            let query = LogQuery::tail(LINES).container(container);
            let query = if previous { query.previous() } else { query };
            let Ok(log) = cx.logs(ReadLogs, namespace, pod, &query) else { continue };
            let lines: Vec<String> = log.text.lines().map(|line| brief(line, LINE)).collect();
            if !lines.is_empty() {
                tails.push(LogTail { pod: pod.clone(), container: container.clone(), previous, lines });
                break;
            }
        }
    }
    tails
}

/// Events of the workload, its revisions and its pods, the latest first.
fn own_events(evidence: &Evidence, rollout: &Rollout) -> Vec<String> {
    let (revisions, pods) = (evidence.revisions(rollout), evidence.pods(rollout));
    let own = |event: &&Event| {
        is_about(event, &rollout.meta)
            || revisions.iter().any(|set| is_about(event, &set.metadata))
            || pods.iter().any(|pod| is_about(event, &pod.metadata))
    };
    let events = in_order(evidence.events.iter().filter(own));
    let of = |warning: bool| events.iter().rev().filter(move |event| event.is_warning() == warning);
    of(true).chain(of(false)).take(TOLD).map(|event| event_line(event)).collect()
}

/// Events of other objects that causes or logs mention by name: the ConfigMap that a container misses, and that somebody published since.
fn related(evidence: &Evidence, rollout: &Rollout, causes: &[Found], logs: &[LogTail]) -> Vec<String> {
    let lines: Vec<&str> = causes
        .iter()
        .map(|found| found.cause.line.as_str())
        .chain(logs.iter().flat_map(|log| log.lines.iter().map(String::as_str)))
        .collect();
    let mentioned = |event: &&Event| {
        let Some(name) = event.involved_object.name.as_deref() else { return false };
        let other = name != rollout.meta.name && !evidence.pods.iter().any(|pod| pod.metadata.name == name);
        other && lines.iter().any(|line| mentions(line, name))
    };
    in_order(evidence.events.iter().filter(mentioned)).iter().rev().take(TOLD).map(|event| event_line(event)).collect()
}

/// Whether a line names an object: as a word, so that `api` is not found in `rapid`.
fn mentions(line: &str, name: &str) -> bool {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).any(|word| word.trim_matches('.') == name)
}

fn event_line(event: &Event) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let seen = event.last_seen().map(|time| time.0.as_str()).unwrap_or_default();
    let (about, times) = (&event.involved_object, event.times().to_string());
    let line = [
        seen,
        " ",
        &text(&event.r#type),
        " ",
        &text(&event.reason),
        " ",
        &text(&about.kind),
        "/",
        &text(&about.name),
        " x",
        &times,
        ": ",
        &text(&event.message),
    ];
    brief(&line.concat(), LINE)
}

/// What a namespace may use, as `used of hard`.
fn quotas(quotas: &[ResourceQuota]) -> Vec<Value> {
    let told = quotas.iter().map(|quota| {
        let lines = quota.status.hard.iter().map(|(resource, hard)| {
            let used = quota.status.used.get(resource).map_or("0", |used| used.0.as_str());
            [resource, ": ", used, " of ", &hard.0].concat()
        });
        json!({ "name": quota.metadata.name, "used": lines.collect::<Vec<_>>() })
    });
    told.collect()
}

impl CauseLine {
    fn of(found: &Found) -> Self {
        Self { cause: found.cause.kind.code(), line: found.cause.line.clone(), pods: found.pods.clone() }
    }
}

impl Revision {
    fn of(set: &ReplicaSet) -> Self {
        Self {
            revision: set.metadata.annotations.get(crate::workload::REVISION).cloned().unwrap_or_default(),
            wanted: set.spec.replicas.unwrap_or(0),
            ready: set.status.ready_replicas,
            images: images(&set.spec.template.spec.containers),
            created: set.metadata.creation_timestamp.as_ref().map(|time| time.0.clone()).unwrap_or_default(),
        }
    }
}

impl PodLine {
    fn of(pod: &Pod) -> Self {
        let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
        let waiting = statuses.filter_map(|status| status.state.waiting.as_ref()?.reason.clone()).next();
        Self {
            name: pod.metadata.name.clone(),
            phase: pod.phase().to_owned(),
            ready: pod.is_ready(),
            restarts: pod.restarts(),
            state: waiting.or_else(|| pod.status.reason.clone()).unwrap_or_else(|| pod.phase().to_owned()),
        }
    }
}
