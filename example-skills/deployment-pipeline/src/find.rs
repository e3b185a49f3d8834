//! The first look: every workload of every namespace that the agent may see, one line of cause each.

use skills_sdk::kinds::{DaemonSet, Deployment, Event, Pod, ReplicaSet, StatefulSet};
use skills_sdk::prelude::*;

use crate::actions::Watch;
use crate::evidence::Evidence;
use crate::workload::{Rollout, kind_name};

/// The most objects of a kind that one look takes in.
const MOST: u32 = 2_000;

/// Arguments of `find_broken_rollouts`.
#[args]
pub struct FindArgs {
    /// Only this namespace; all that the agent may see if absent.
    namespace: Option<String>,
}

#[output]
struct Broken {
    kind: &'static str,
    namespace: String,
    name: String,
    cause: &'static str,
    line: String,
    ready: u32,
    wanted: u32,
}

/// Lists every workload whose rollout does not get anywhere, with one line of cause each, and those that are still on their way.
#[tool(actions = [Watch])]
pub fn find_broken_rollouts(cx: &Cx<Self>, args: FindArgs) -> Result<Output> {
    let namespace = args.namespace.as_deref();
    let deployments = cx.list_all(Watch, Deployment::all().namespace_or_all(namespace), MOST)?;
    let stateful_sets = cx.list_all(Watch, StatefulSet::all().namespace_or_all(namespace), MOST)?;
    let daemon_sets = cx.list_all(Watch, DaemonSet::all().namespace_or_all(namespace), MOST)?;
    let mut complete = deployments.complete && stateful_sets.complete && daemon_sets.complete;

    let mut rollouts: Vec<Rollout> = Vec::new();
    rollouts.extend(deployments.items.into_iter().map(Rollout::from));
    rollouts.extend(stateful_sets.items.into_iter().map(Rollout::from));
    rollouts.extend(daemon_sets.items.into_iter().map(Rollout::from));
    let total = rollouts.len();
    rollouts.retain(|rollout| !rollout.is_done());

    let mut broken: Vec<Broken> = Vec::new();
    let mut progressing: Vec<String> = Vec::new();
    if !rollouts.is_empty() {
        let replica_sets = cx.list_all(Watch, ReplicaSet::all().namespace_or_all(namespace), MOST)?;
        let pods = cx.list_all(Watch, Pod::all().namespace_or_all(namespace), MOST)?;
        let events = cx.list_all(Watch, Event::all().namespace_or_all(namespace), MOST)?;
        complete = complete && replica_sets.complete && pods.complete && events.complete;
        let evidence = Evidence { replica_sets: replica_sets.items, pods: pods.items, events: events.items, now_unix_ms: cx.now_unix_ms() };
        for rollout in rollouts {
            let title = rollout.title();
            match Broken::of(rollout, &evidence) {
                Some(found) => broken.push(found),
                None => progressing.push(title),
            }
        }
    }

    let healthy = total - broken.len() - progressing.len();
    let names: Vec<String> = broken.iter().map(|found| [&found.namespace, "/", &found.name].concat()).collect();
    let count = [&broken.len().to_string(), " of ", &total.to_string(), " workloads are broken"].concat();
    let summary = if names.is_empty() { count } else { [&count, ": ", &names.join(", ")].concat() };
    Output::new(&json!({ "broken": broken, "progressing": progressing, "healthy": healthy, "complete": complete }), summary)
}

impl Broken {
    fn of(rollout: Rollout, evidence: &Evidence) -> Option<Self> {
        let first = evidence.causes(&rollout).into_iter().next()?;
        Some(Self {
            kind: kind_name(rollout.kind),
            namespace: rollout.namespace().to_owned(),
            ready: rollout.ready,
            wanted: rollout.wanted,
            name: rollout.meta.name,
            cause: first.cause.kind.code(),
            line: first.cause.line,
        })
    }
}
