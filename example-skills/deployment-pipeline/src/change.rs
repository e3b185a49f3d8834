//! What can be done about a rollout. The host decides each call by the sheet, the agent's guardrails, and what the change would do to data.

use core::time::Duration;

use skills_sdk::kubernetes::Condition;
use skills_sdk::prelude::*;

use crate::actions::{PauseRollout, RestartWorkload, RollBack, ScaleWorkload, Watch};
use crate::evidence::{revision, revisions};
use crate::view::object;
use crate::workload::{Rollout, kind_name};

/// How long a tool waits for a rollout at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is left of a tool call for everything but waiting.
const RESERVE_MS: u32 = 3_000;

#[args]
pub struct RestartArgs {
    /// What it is.
    kind: WorkloadKind,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Why, in one sentence that names the evidence. People read it in the record.
    reason: String,
}

/// Replaces the pods of a workload one after the other, and waits until the new ones are ready.
#[tool(actions = [Watch, RestartWorkload])]
pub fn restart_workload(cx: &Cx<Self>, args: RestartArgs) -> Result<Output> {
    let RestartArgs { kind, namespace, name, reason } = args;
    let workload = Workload::new(kind, namespace, name);
    let receipt = cx.restart(RestartWorkload, &workload, &reason)?;
    outcome(cx, &workload, "restarted", &receipt, None)
}

#[args]
pub struct ScaleArgs {
    /// What it is. A daemon set cannot be scaled.
    kind: WorkloadKind,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// How many pods it should have.
    replicas: u32,
    /// Why, in one sentence that names the evidence. People read it in the record.
    reason: String,
}

/// Sets how many pods a deployment or stateful set has, and waits until they are ready.
#[tool(actions = [Watch, ScaleWorkload])]
pub fn scale_workload(cx: &Cx<Self>, args: ScaleArgs) -> Result<Output> {
    let ScaleArgs { kind, namespace, name, replicas, reason } = args;
    if kind == WorkloadKind::DaemonSet {
        return Err(Error::invalid("a daemon set has one pod per node and cannot be scaled"));
    }
    let workload = Workload::new(kind, namespace, name);
    let before = read(cx, &workload)?.wanted();
    let receipt = cx.scale(ScaleWorkload, &workload, replicas, &reason)?;
    outcome(cx, &workload, "scaled", &receipt, Some(("before", Value::from(before))))
}

#[args]
pub struct PauseArgs {
    /// The namespace of the deployment.
    namespace: String,
    /// Its name.
    name: String,
    /// True holds the rollout where it is, false lets it go on.
    paused: bool,
    /// Why, in one sentence that names the evidence. People read it in the record.
    reason: String,
}

/// Holds the rollout of a deployment where it is, or lets it go on.
#[tool(actions = [PauseRollout])]
pub fn pause_rollout(cx: &Cx<Self>, args: PauseArgs) -> Result<Output> {
    let PauseArgs { namespace, name, paused, reason } = args;
    let receipt =
        if paused { cx.pause(PauseRollout, &namespace, &name, &reason)? } else { cx.resume(PauseRollout, &namespace, &name, &reason)? };
    let done = match (receipt.changed, paused) {
        (true, true) => " is paused",
        (true, false) => " goes on",
        (false, true) => " was paused already",
        (false, false) => " was not paused",
    };
    let content = object! { "paused": paused, "changed": receipt.changed, "auditSeq": receipt.audit_seq };
    Ok(Output { content, summary: ["the rollout of ", &namespace, "/", &name, done].concat() })
}

#[args]
pub struct RollBackArgs {
    /// The namespace of the deployment.
    namespace: String,
    /// Its name.
    name: String,
    /// To which revision; the one before the current one if absent.
    to_revision: Option<u64>,
    /// Why, in one sentence that names the evidence. People read it in the record.
    reason: String,
}

/// Brings a deployment back to an earlier revision, the one before if none is named, and waits until it runs. May need a person's approval.
#[tool(actions = [Watch, RollBack])]
pub fn roll_back(cx: &Cx<Self>, args: RollBackArgs) -> Result<Output> {
    let RollBackArgs { namespace, name, to_revision, reason } = args;
    let workload = Workload::new(WorkloadKind::Deployment, &namespace, &name);
    let rollout = read(cx, &workload)?;
    let query = Query::<Value>::of(Resource::new("replicasets.apps")).namespace(&namespace).labels(rollout.labels());
    let sets = cx.list_all(Watch, query, 500)?;
    let to_revision = target(&rollout, &sets.items, to_revision)?;
    let receipt = cx.rollback(RollBack, &namespace, &name, to_revision, &reason)?;
    outcome(cx, &workload, "rolled back", &receipt, Some(("toRevision", Value::from(to_revision))))
}

/// Which revision to go back to: one that a replica set of this deployment still holds, and that is not the current one.
fn target(rollout: &Rollout, sets: &[Value], asked: Option<u64>) -> Result<u64> {
    let current = revision(rollout.view());
    let mut held: Vec<u64> = revisions(sets, rollout).into_iter().filter_map(revision).collect();
    held.retain(|revision| Some(*revision) != current);
    let found = match asked {
        Some(asked) => held.iter().copied().find(|revision| *revision == asked),
        None => held.iter().copied().find(|revision| current.is_none_or(|current| *revision < current)),
    };
    found.ok_or_else(|| {
        let held: Vec<String> = held.iter().map(u64::to_string).collect();
        let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        Error::not_found([&rollout.title(), " has no such revision to go back to; it holds: ", &held].concat())
    })
}

/// Reads a workload as it is now.
fn read<T>(cx: &Cx<T>, workload: &Workload) -> Result<Rollout>
where
    Watch: skills_sdk::UsedBy<T>,
{
    Ok(Rollout::new(workload.kind, cx.get_json(Watch, &workload.object(), &[])?))
}

/// Waits for the rollout and tells how far it got. Whatever happens here, the change is made, so nothing after it is an error.
fn outcome<T>(cx: &Cx<T>, workload: &Workload, done: &str, receipt: &Receipt, detail: Option<(&str, Value)>) -> Result<Output>
where
    Watch: skills_sdk::UsedBy<T>,
{
    let left = Duration::from_millis(u64::from(cx.remaining().millis.saturating_sub(RESERVE_MS)));
    let rolled_out = cx.wait(Watch, workload.object(), Condition::RolledOut, left.min(PATIENCE)).unwrap_or(false);
    Ok(tell(workload, done, receipt, rolled_out, read(cx, workload).ok().as_ref(), detail))
}

/// The answer of a tool that changed something. Not generic, so that it is compiled once.
#[inline(never)]
fn tell(
    workload: &Workload,
    done: &str,
    receipt: &Receipt,
    rolled_out: bool,
    now: Option<&Rollout>,
    detail: Option<(&str, Value)>,
) -> Output {
    let title = [&workload.namespace, "/", &workload.name].concat();
    let progress = match now {
        Some(now) => [" (", &now.ready().to_string(), " of ", &now.wanted().to_string(), " ready)"].concat(),
        None => String::new(),
    };
    let summary = match (receipt.changed, rolled_out) {
        (false, _) => [&title, " was as wanted already", &progress].concat(),
        (true, true) => [&title, " ", done, " and rolled out", &progress].concat(),
        (true, false) => [&title, " ", done, ", but not rolled out yet: diagnose it again before doing anything else", &progress].concat(),
    };
    let mut content = object! {
        "workload": object! { "kind": kind_name(workload.kind), "namespace": workload.namespace.as_str(), "name": workload.name.as_str() },
        "done": done,
        "changed": receipt.changed,
        "rolledOut": rolled_out,
        "ready": now.map(Rollout::ready),
        "wanted": now.map(Rollout::wanted),
        "auditSeq": receipt.audit_seq,
    };
    if let Some((key, value)) = detail {
        content[key] = value;
    }
    Output { content, summary }
}
