//! The first look: every workload of every namespace that the agent may see, one line of cause each.

use skills_sdk::prelude::*;

use crate::actions::Watch;
use crate::evidence::Evidence;
use crate::view::object;
use crate::workload::{Rollout, kind_name};

/// The most objects of a kind that one look takes in.
const MOST: u32 = 2_000;

#[args]
pub struct FindArgs {
    /// Only this namespace; all that the agent may see if absent.
    namespace: Option<String>,
}

/// Lists every workload whose rollout does not get anywhere, with one line of cause each, and those that are still on their way.
#[tool(actions = [Watch])]
pub fn find_broken_rollouts(cx: &Cx<Self>, args: FindArgs) -> Result<Output> {
    let mut complete = true;
    let mut list = |resource: &str| {
        let query = Query::<Value>::of(Resource::new(resource)).namespace_or_all(args.namespace.as_deref());
        let found = cx.list_all(Watch, query, MOST)?;
        complete = complete && found.complete;
        Ok::<_, Error>(found.items)
    };
    let mut rollouts: Vec<Rollout> = Vec::new();
    for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
        rollouts.extend(list(kind.resource())?.into_iter().map(|object| Rollout::new(kind, object)));
    }
    let total = rollouts.len();
    rollouts.retain(|rollout| !rollout.is_done());

    let mut broken: Vec<Value> = Vec::new();
    let mut names = String::new();
    let mut progressing: Vec<String> = Vec::new();
    if !rollouts.is_empty() {
        let (replica_sets, pods, events) = (list("replicasets.apps")?, list("pods")?, list("events")?);
        let evidence = Evidence { replica_sets, pods, events, now_unix_ms: cx.now_unix_ms() };
        for rollout in rollouts {
            let Some(first) = evidence.causes(&rollout).into_iter().next() else {
                progressing.push(rollout.title());
                continue;
            };
            names.push_str(if names.is_empty() { ": " } else { ", " });
            names.push_str(&rollout.title());
            broken.push(object! {
                "kind": kind_name(rollout.kind),
                "namespace": rollout.namespace(),
                "name": rollout.name(),
                "cause": first.cause.kind.code(),
                "line": first.cause.line,
                "ready": rollout.ready(),
                "wanted": rollout.wanted(),
            });
        }
    }
    let summary = [&broken.len().to_string(), " of ", &total.to_string(), " workloads are broken", &names].concat();
    let healthy = total - broken.len() - progressing.len();
    Ok(Output { content: object! { "broken": broken, "progressing": progressing, "healthy": healthy, "complete": complete }, summary })
}
