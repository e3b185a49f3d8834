//! Which pods would end, and what garbage collection would take with them.

use std::collections::BTreeSet;

use infraagent_guard::{
    call::{Effect, Scalable, Workload},
    name::GroupResource,
};
use serde_json::Value;

use super::{ancestry::Ancestry, kind, missing};
use crate::broker::{object, world::World};

/// What would go.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    /// Pods that would end.
    pub(super) pods: Vec<Value>,
    /// Every pod of the namespace; empty if none would end.
    pub(super) all_pods: Vec<Value>,
    /// Uids of all objects that would be deleted: those pods, a target that is deleted, old revisions that a rollout may trim.
    pub(super) uids: BTreeSet<String>,
}

/// Which pods of a target end.
enum Ending {
    None,
    /// The target is the pod.
    Itself,
    /// Every pod that belongs to it.
    Owned,
    /// Pods of a StatefulSet with this ordinal or a higher one.
    From(i64),
}

impl Ending {
    /// Evidence from the target as it is.
    fn of(effect: &Effect, target: &Value) -> Self {
        let wanted = object::number(target, "/spec/replicas").unwrap_or(1);
        match effect {
            Effect::Restart(_) | Effect::Rollback(..) => Self::Owned,
            // Resuming lets a change of the template roll out that was held back.
            Effect::Pause(_, _, paused) => {
                if *paused {
                    Self::None
                } else {
                    Self::Owned
                }
            }
            Effect::Scale(scale) => match scale.kind {
                Scalable::StatefulSet => {
                    let start = object::number(target, "/spec/ordinals/start").unwrap_or(0);
                    Self::From(start.saturating_add(i64::from(scale.replicas)))
                }
                // Which pods of a Deployment go is the controller's choice: any may.
                Scalable::Deployment if i64::from(scale.replicas) < wanted => Self::Owned,
                Scalable::Deployment => Self::None,
            },
            Effect::Evict(..) => Self::Itself,
            Effect::Delete(victim) => {
                let (group, resource) = victim.kind.group_resource();
                if (group, resource) == ("", "pods") { Self::Itself } else { Self::Owned }
            }
            Effect::Cordon(..) | Effect::RequestSync(..) | Effect::Http(_) | Effect::Mcp(_) => Self::None,
        }
    }
}

/// Looks up what would go. The error is the missing rule.
pub(super) async fn doomed<W: World>(world: &W, ancestry: &mut Ancestry<'_, W>, effect: &Effect, target: &Value) -> Result<Doomed, String> {
    let mut doomed = Doomed::default();
    let namespace = object::namespace(target);
    let ending = Ending::of(effect, target);
    if matches!(effect, Effect::Delete(_)) {
        doomed.uids.insert(object::uid(target).to_owned());
    }
    if matches!(ending, Ending::None) {
        return Ok(doomed);
    }
    if matches!(ending, Ending::Itself) {
        doomed.uids.insert(object::uid(target).to_owned());
        doomed.pods.push(target.clone());
    }
    let pods = kind("", "pods")?;
    doomed.all_pods = world.list(&pods, Some(namespace)).await.map_err(missing)?;
    if matches!(ending, Ending::Owned) {
        trimmed(world, ancestry, effect, target, &mut doomed.uids).await?;
    }
    for pod in &doomed.all_pods {
        let ends = match ending {
            Ending::None | Ending::Itself => false,
            Ending::Owned => belongs(ancestry, pod, target).await?,
            Ending::From(first) => belongs(ancestry, pod, target).await? && ordinal(pod).is_none_or(|ordinal| ordinal >= first),
        };
        if ends {
            doomed.uids.insert(object::uid(pod).to_owned());
            doomed.pods.push(pod.clone());
        }
    }
    Ok(doomed)
}

/// Rolling a Deployment creates a revision, and the oldest empty ones go.
async fn trimmed<W: World>(
    world: &W,
    ancestry: &mut Ancestry<'_, W>,
    effect: &Effect,
    target: &Value,
    uids: &mut BTreeSet<String>,
) -> Result<(), String> {
    if object::kind(target) != "Deployment" {
        return Ok(());
    }
    let kind: GroupResource = kind("apps", "replicasets")?;
    let sets = world.list(&kind, Some(object::namespace(target))).await.map_err(missing)?;
    ancestry.remember(&kind, &sets);
    let rolls = match effect {
        Effect::Restart(target) => target.kind == Workload::Deployment,
        Effect::Rollback(..) | Effect::Pause(..) => true,
        Effect::Scale(_) | Effect::Evict(..) | Effect::Cordon(..) | Effect::RequestSync(..) => false,
        // What it owns is found by walking up.
        Effect::Delete(_) | Effect::Http(_) | Effect::Mcp(_) => false,
    };
    if rolls {
        let empty = |set: &&Value| object::is_owned_by(set, object::uid(target)) && object::number(set, "/spec/replicas") == Some(0);
        uids.extend(sets.iter().filter(empty).map(|set| object::uid(set).to_owned()));
    }
    Ok(())
}

async fn belongs<W: World>(ancestry: &mut Ancestry<'_, W>, pod: &Value, target: &Value) -> Result<bool, String> {
    let above = ancestry.above(pod).await;
    let target = BTreeSet::from([object::uid(target).to_owned()]);
    match above.unknown {
        _ if above.reaches(&target) => Ok(true),
        Some(missing) => Err(missing),
        None => Ok(false),
    }
}

/// The number at the end of the name of a pod of a StatefulSet.
fn ordinal(pod: &Value) -> Option<i64> {
    object::name(pod).rsplit_once('-')?.1.parse().ok()
}
