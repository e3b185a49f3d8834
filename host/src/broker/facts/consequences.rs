//! One function per consequence: what was looked at, and what follows. Each stops at the first impact; an unknown on the way is kept unless an impact is found.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use infraagent_guard::{
    call::{Effect, Scalable},
    facts::Fact,
};
use serde_json::Value;

use super::{ancestry::Above, ancestry::Ancestry, data::DataResource, kind, missing, operators, victims::Doomed};
use crate::broker::{object, world::World};

/// The most kinds that are listed at the same time.
const AT_ONCE: usize = 8;

/// A pod that ends owns a claim.
pub(super) fn ephemeral_volume(doomed: &Doomed) -> Fact {
    let owns_claim =
        |pod: &Value| object::items(pod, "/spec/volumes").iter().any(|volume| volume.get("ephemeral").is_some_and(|e| !e.is_null()));
    if doomed.pods.iter().any(owns_claim) { Fact::Impact } else { Fact::Clear }
}

/// The pods that end are the last that use a claim already marked for deletion.
pub(super) async fn terminating_claim<W: World>(world: &W, doomed: &Doomed, namespace: &str) -> Fact {
    let used: BTreeSet<&str> = doomed.pods.iter().flat_map(claims).collect();
    if used.is_empty() {
        return Fact::Clear;
    }
    let held: BTreeSet<&str> =
        doomed.all_pods.iter().filter(|pod| !doomed.uids.contains(object::uid(pod)) && holds(pod)).flat_map(claims).collect();
    let listed = match kind("", "persistentvolumeclaims") {
        Ok(kind) => world.list(&kind, Some(namespace)).await.map_err(missing),
        Err(why) => Err(why),
    };
    match listed {
        Err(missing) => Fact::Unknown(missing),
        Ok(listed) => {
            let lost =
                |claim: &Value| object::is_terminating(claim) && used.contains(object::name(claim)) && !held.contains(object::name(claim));
            if listed.iter().any(lost) { Fact::Impact } else { Fact::Clear }
        }
    }
}

/// Names of the claims that a pod uses.
fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    object::items(pod, "/spec/volumes")
        .iter()
        .map(|volume| object::text(volume, "/persistentVolumeClaim/claimName"))
        .filter(|name| !name.is_empty())
}

/// A pod that is over or about to end keeps no claim.
fn holds(pod: &Value) -> bool {
    !object::is_terminating(pod) && !matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A StatefulSet deletes its claims when it is scaled down, or with itself.
pub(super) fn claim_retention(effect: &Effect, target: &Value, doomed: &Doomed) -> Fact {
    let deletes = |when: &str| object::text(target, &format!("/spec/persistentVolumeClaimRetentionPolicy/{when}")) == "Delete";
    let impact = match effect {
        Effect::Scale(scale) => {
            let wanted = object::number(target, "/spec/replicas").unwrap_or(1);
            let down = i64::from(scale.replicas) < wanted || !doomed.pods.is_empty();
            scale.kind == Scalable::StatefulSet && down && deletes("whenScaled")
        }
        Effect::Delete(victim) => victim.kind.group_resource() == ("apps", "statefulsets") && deletes("whenDeleted"),
        Effect::Restart(_)
        | Effect::Pause(..)
        | Effect::Evict(..)
        | Effect::Cordon(..)
        | Effect::RequestSync(..)
        | Effect::Rollback(..)
        | Effect::Http(_)
        | Effect::Mcp(_) => false,
    };
    if impact { Fact::Impact } else { Fact::Clear }
}

/// A claim or custom resource belongs to something that would be deleted.
pub(super) async fn dependants<W: World>(world: &W, ancestry: &mut Ancestry<'_, W>, doomed: &Doomed, namespace: &str) -> Fact {
    if doomed.uids.is_empty() {
        return Fact::Clear;
    }
    let mut kinds = match kind("", "persistentvolumeclaims") {
        Ok(claims) => vec![claims],
        Err(why) => return Fact::Unknown(why),
    };
    let mut fact = Fact::Clear;
    for kind in ancestry.kinds().iter().filter(|kind| kind.namespaced && kind.is_custom() && !is_derived(kind)) {
        if kind.listable {
            kinds.push(kind.resource.clone());
        } else {
            // What is there cannot be seen, so nobody can say that it depends on nothing.
            fact = fact.or(Fact::Unknown(format!("list {}, which cannot be listed", kind.resource)));
        }
    }
    // A cluster can have a hundred custom kinds, each an answer to wait for.
    let lists = futures::stream::iter(kinds).map(|kind| async move { world.list(&kind, Some(namespace)).await }).buffered(AT_ONCE);
    let mut lists = std::pin::pin!(lists);
    while let Some(listed) = lists.next().await {
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                fact = fact.or(Fact::Unknown(missing(error)));
                continue;
            }
        };
        for value in listed.iter().filter(|value| !doomed.uids.contains(object::uid(value))) {
            let above = ancestry.above(value).await;
            if above.reaches(&doomed.uids) {
                return Fact::Impact;
            }
            if let Some(missing) = above.unknown {
                fact = fact.or(Fact::Unknown(missing));
            }
        }
    }
    fact
}

/// Custom resources that are written anew from what runs, and owned by pods or replica sets by design. They stand for no data; without this list nothing could
/// be restarted in a cluster with such a controller.
fn is_derived(kind: &crate::broker::world::ServedKind) -> bool {
    matches!(
        (kind.resource.group(), kind.resource.resource()),
        // One per pod: docs.cilium.io, CiliumEndpoint
        ("cilium.io", "ciliumendpoints")
        // Results of policies and scans: kyverno.io (policy reports), aquasecurity.github.io/trivy-operator
        | ("wgpolicyk8s.io", "policyreports")
        | ("reports.kyverno.io", "ephemeralreports")
        | ("aquasecurity.github.io", "vulnerabilityreports" | "configauditreports" | "exposedsecretreports" | "sbomreports" | "infraassessmentreports" | "rbacassessmentreports")
    )
}

/// The target and the pods that end, and all that is above them.
pub(super) struct Lineage {
    /// Target first.
    selves: Vec<Value>,
    above: Vec<Above>,
}

impl Lineage {
    pub(super) async fn of<W: World>(ancestry: &mut Ancestry<'_, W>, target: &Value, doomed: &Doomed) -> Self {
        let mut selves = vec![target.clone()];
        selves.extend(doomed.pods.iter().cloned());
        let mut above = Vec::with_capacity(selves.len());
        for value in &selves {
            above.push(ancestry.above(value).await);
        }
        Self { selves, above }
    }

    fn unknown(&self) -> Fact {
        self.above.iter().find_map(|above| above.unknown.clone()).map_or(Fact::Clear, Fact::Unknown)
    }
}

/// The target or a pod that ends is a declared data resource, owns one, or is owned by one.
pub(super) async fn declared_data<W: World>(world: &W, ancestry: &mut Ancestry<'_, W>, lineage: &Lineage, data: &[DataResource]) -> Fact {
    let is_declared = |group: &str, kind: &str, namespace: &str, name: &str| data.iter().any(|one| one.is(group, kind, namespace, name));
    let itself = |value: &Value| is_declared(object::group(value), object::kind(value), object::namespace(value), object::name(value));
    let owner = |above: &Above| above.ancestors.iter().any(|a| is_declared(&a.group, &a.kind, &a.namespace, &a.name));
    if lineage.selves.iter().any(itself) || lineage.above.iter().any(owner) {
        return Fact::Impact;
    }
    if data.is_empty() {
        return Fact::Clear;
    }
    let mut fact = lineage.unknown();
    let uids: BTreeSet<String> = lineage.selves.iter().map(|value| object::uid(value).to_owned()).collect();
    let here = lineage.selves.first().map(object::namespace).unwrap_or_default();
    // Only an object of the same namespace can have the target above it.
    for one in data.iter().filter(|one| one.namespace() == Some(here)) {
        let kinds: Vec<_> = ancestry
            .kinds()
            .iter()
            .filter(|k| k.namespaced && one.is_kind(k.resource.group(), &k.kind))
            .map(|k| k.resource.clone())
            .collect();
        for kind in kinds {
            match world.get(&kind, one.namespace(), one.name()).await {
                Err(crate::broker::world::WorldError::NotFound(_)) => {}
                Err(error) => fact = fact.or(Fact::Unknown(missing(error))),
                Ok(found) => {
                    let above = ancestry.above(&found).await;
                    if above.reaches(&uids) {
                        return Fact::Impact;
                    }
                    fact = fact.or(above.unknown.map_or(Fact::Clear, Fact::Unknown));
                }
            }
        }
    }
    fact
}

/// The target holds finalizers: what its deletion sets off is another controller's choice.
pub(super) fn finalizers(effect: &Effect, target: &Value) -> Fact {
    let deletes = matches!(effect, Effect::Delete(_));
    if deletes && !object::items(target, "/metadata/finalizers").is_empty() { Fact::Impact } else { Fact::Clear }
}

/// The target or a pod that ends belongs to an operator that keeps data. A dangling reference counts: it says who made the object.
pub(super) fn database_operator(lineage: &Lineage) -> Fact {
    let itself = |value: &Value| operators::owns_group(object::group(value)) || operators::marks(value);
    let owner =
        |above: &Above| above.ancestors.iter().any(|a| operators::owns_group(&a.group) || a.object.as_ref().is_some_and(operators::marks));
    if lineage.selves.iter().any(itself) || lineage.above.iter().any(owner) { Fact::Impact } else { lineage.unknown() }
}

#[cfg(test)]
mod tests;
