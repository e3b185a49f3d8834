//! What a mutation would do to data, found out by looking: the answers that the guard decides on.
//!
//! Order: the target, then what would end with it, then each [`Consequence`](infraagent_guard::facts::Consequence). Nothing is looked at unless the call has passed
//! the screen, and nothing of what was seen leaves but codes. Whatever cannot be looked at is unknown, and says which rule is missing.
//!
//! # Caveats
//!
//! Facts are as old as the gathering. The permit carries the target's uid and resource version as the precondition of the effect; a pod that joins in between and
//! does not change its workload is not seen.

mod ancestry;
mod consequences;
mod data;
mod operators;
mod victims;

use std::future::Future;

use infraagent_guard::{
    call::{Call, Effect, Mutation},
    facts::{Conditions, Consequence, Fact, Facts, Seen},
    name::{GroupResource, ResourceVersion, Uid},
    permit::Observed,
    policy::{Action, Grant},
    screen::Screened,
};
use jiff::Timestamp;
use serde_json::Value;

pub use self::data::{DataResource, InvalidDataResource};
use self::{ancestry::Ancestry, consequences::Lineage};
use super::{
    cooldown::{CooldownKey, Cooldowns, NotNow},
    object, projection,
    world::{World, WorldError},
};

/// Everything but the cluster that facts depend on.
#[derive(Debug)]
pub struct Context<'a, P> {
    /// The action that the call claims.
    pub action: &'a Action,
    /// The cluster's name in the scope.
    pub cluster: &'a str,
    /// What the environment declares as data (databases and persistent storage).
    pub data: &'a [DataResource],
    /// When actions were last used.
    pub cooldowns: &'a Cooldowns,
    /// The time.
    pub now: Timestamp,
    /// Evaluates pre-conditions.
    pub preconditions: &'a P,
}

/// Evaluates a CEL expression over `object`. An error, a time-out included, makes the fact unknown.
pub trait Preconditions: Send + Sync {
    /// Why there is no answer.
    type Error: std::fmt::Display + Send;

    /// True if the expression holds.
    fn evaluate(&self, expression: &str, object: &Value) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// Looks at the world for one screened call. None for calls that change nothing: they need no facts.
pub async fn gather<W: World, P: Preconditions>(world: &W, context: &Context<'_, P>, screened: &Screened) -> Option<Facts> {
    match screened.call() {
        Call::Ambient(_) | Call::Read(_) => None,
        Call::Mutation(mutation) => Some(about(world, context, mutation).await),
    }
}

async fn about<W: World, P: Preconditions>(world: &W, context: &Context<'_, P>, mutation: &Mutation) -> Facts {
    let effect = &mutation.effect;
    let Some((kind, namespace, name)) = target(effect) else {
        return Facts {
            target: Seen::Elsewhere,
            preconditions: preconditions(context, &Value::Null).await,
            cooldown: cooldown(context, mutation, None).await,
            ..every(Fact::Clear)
        };
    };
    let found = match kind {
        Ok(kind) => world.get(&kind, namespace, name).await.map_err(Some),
        Err(_) => Err(None),
    };
    let target = match found {
        Ok(target) => target,
        Err(Some(WorldError::NotFound(_))) => return without_target(context, Seen::Absent, "the target does not exist"),
        Err(Some(error)) => return without_target(context, Seen::Unknown(missing(error)), "the target could not be read"),
        Err(None) => return without_target(context, Seen::Unknown("its kind".to_owned()), "the target could not be read"),
    };
    let (Ok(uid), Ok(resource_version)) = (Uid::parse(object::uid(&target)), ResourceVersion::parse(object::resource_version(&target)))
    else {
        return without_target(context, Seen::Unknown("its uid and version".to_owned()), "the target could not be read");
    };
    let observed = Observed { uid, resource_version };
    let consequences = consequences(world, context, effect, &target).await;
    Facts {
        preconditions: preconditions(context, &target).await,
        cooldown: cooldown(context, mutation, Some(&observed)).await,
        node: node(context, effect, &target),
        target: Seen::Present(observed),
        ..consequences
    }
}

/// The answers about data. The other fields are placeholders that deny.
async fn consequences<W: World, P>(world: &W, context: &Context<'_, P>, effect: &Effect, target: &Value) -> Facts {
    let mut facts = every(Fact::Unknown("not looked at".to_owned()));
    if Consequence::of(effect).is_empty() {
        return every(Fact::Clear);
    }
    let mut ancestry = match Ancestry::new(world).await {
        Ok(ancestry) => ancestry,
        Err(error) => return every(Fact::Unknown(missing(error))),
    };
    let namespace = object::namespace(target);
    facts.finalizers = consequences::finalizers(effect, target);
    match victims::doomed(world, &mut ancestry, effect, target).await {
        Ok(doomed) => {
            facts.ephemeral_volume = consequences::ephemeral_volume(&doomed);
            facts.terminating_claim = consequences::terminating_claim(world, &doomed, namespace).await;
            facts.claim_retention = consequences::claim_retention(effect, target, &doomed);
            facts.dependants = consequences::dependants(world, &mut ancestry, &doomed, namespace).await;
            let lineage = Lineage::of(&mut ancestry, target, &doomed).await;
            facts.declared_data = consequences::declared_data(world, &mut ancestry, &lineage, context.data).await;
            facts.database_operator = consequences::database_operator(&lineage);
        }
        Err(missing) => {
            let unknown = Fact::Unknown(missing);
            facts = Facts { finalizers: facts.finalizers, ..every(unknown) };
        }
    }
    facts
}

/// True for a mutation that has its target in the cluster.
pub(crate) fn changes_the_cluster(screened: &Screened) -> bool {
    match screened.call() {
        Call::Ambient(_) | Call::Read(_) => false,
        Call::Mutation(mutation) => target(&mutation.effect).is_some(),
    }
}

/// The facts of a mutation whose target was not looked at, for this reason: they deny. None for calls that change nothing.
pub(crate) fn unknown_target(screened: &Screened, why: &str) -> Option<Facts> {
    match screened.call() {
        Call::Ambient(_) | Call::Read(_) => None,
        Call::Mutation(_) => Some(Facts { target: Seen::Unknown(why.to_owned()), ..every(Fact::Unknown(why.to_owned())) }),
    }
}

/// The object that an effect changes: kind, namespace and name. None beyond the cluster.
pub(crate) fn target(effect: &Effect) -> Option<(Result<GroupResource, String>, Option<&str>, &str)> {
    let namespaced = |(group, resource): (&str, &str), namespace, name| Some((kind(group, resource), Some(namespace), name));
    match effect {
        Effect::Restart(target) => namespaced(target.kind.group_resource(), target.namespace.as_str(), target.name.as_str()),
        Effect::Scale(scale) => namespaced(scale.kind.group_resource(), scale.namespace.as_str(), scale.name.as_str()),
        Effect::Pause(namespace, name, _) | Effect::Rollback(namespace, name, _) => {
            namespaced(("apps", "deployments"), namespace.as_str(), name.as_str())
        }
        Effect::Evict(namespace, name, _) => namespaced(("", "pods"), namespace.as_str(), name.as_str()),
        Effect::RequestSync(sync, namespace, name) => namespaced(sync.group_resource(), namespace.as_str(), name.as_str()),
        Effect::Delete(victim) => namespaced(victim.kind.group_resource(), victim.namespace.as_str(), victim.name.as_str()),
        Effect::Cordon(name, _) => Some((kind("", "nodes"), None, name.as_str())),
        Effect::Http(_) | Effect::Mcp(_) => None,
    }
}

/// Labels that a node must carry. Clear for calls without a node.
fn node<P>(context: &Context<'_, P>, effect: &Effect, target: &Value) -> Fact {
    if !matches!(effect, Effect::Cordon(..)) {
        return Fact::Clear;
    }
    let asked = match &context.action.grant {
        Grant::Kubernetes(grant) => grant.nodes.as_slice(),
        Grant::Http(_) | Grant::Mcp(_) => &[],
    };
    let carries = !asked.is_empty() && asked.iter().all(|(key, value)| object::label(target, key) == Some(value));
    if carries { Fact::Clear } else { Fact::Impact }
}

/// Which pre-condition is the first that does not hold. Errors are not told: an expression is its author's, and could make an error say what it saw.
async fn preconditions<P: Preconditions>(context: &Context<'_, P>, object: &Value) -> Conditions {
    if context.action.preconditions.is_empty() {
        return Conditions::Hold;
    }
    let object = &projection::clean(object);
    let mut conditions = Conditions::Hold;
    for (at, condition) in context.action.preconditions.iter().enumerate() {
        match context.preconditions.evaluate(&condition.cel, object).await {
            Ok(true) => {}
            Ok(false) => return Conditions::Broken(at),
            Err(_) => conditions = Conditions::Unknown("an expression has no answer".to_owned()),
        }
    }
    conditions
}

async fn cooldown<P>(context: &Context<'_, P>, mutation: &Mutation, observed: Option<&Observed>) -> Fact {
    let key = CooldownKey::new(context.cluster, mutation, observed);
    match context.cooldowns.check(&key, context.action.cooldown_seconds, context.now).await {
        Ok(()) => Fact::Clear,
        Err(NotNow::Cooling { seconds: _ }) => Fact::Impact,
        Err(NotNow::Unknown(why)) => Fact::Unknown(why),
    }
}

/// Without a target nothing else can be looked at. What the action does not ask for is clear all the same.
fn without_target<P>(context: &Context<'_, P>, target: Seen, why: &str) -> Facts {
    let asked = |asked: bool| if asked { Fact::Unknown(why.to_owned()) } else { Fact::Clear };
    Facts {
        target,
        preconditions: match context.action.preconditions.as_slice() {
            [] => Conditions::Hold,
            [_, ..] => Conditions::Unknown(why.to_owned()),
        },
        cooldown: asked(context.action.cooldown_seconds > 0),
        ..every(Fact::Unknown(why.to_owned()))
    }
}

fn every(fact: Fact) -> Facts {
    Facts {
        target: Seen::Unknown("not looked at".to_owned()),
        ephemeral_volume: fact.clone(),
        terminating_claim: fact.clone(),
        claim_retention: fact.clone(),
        dependants: fact.clone(),
        declared_data: fact.clone(),
        finalizers: fact.clone(),
        database_operator: fact.clone(),
        node: fact.clone(),
        preconditions: match &fact {
            Fact::Clear => Conditions::Hold,
            Fact::Impact => Conditions::Unknown("not looked at".to_owned()),
            Fact::Unknown(why) => Conditions::Unknown(why.clone()),
        },
        cooldown: fact,
    }
}

fn kind(group: &str, resource: &str) -> Result<GroupResource, String> {
    GroupResource::new(group, resource).map_err(|invalid| invalid.to_string())
}

/// What is missing, for a denial: a rule, never content.
fn missing(error: WorldError) -> String {
    match error {
        WorldError::NotFound(_) => "the kind is not served".to_owned(),
        WorldError::Forbidden { rule } => rule,
        WorldError::Unavailable(why) => why,
    }
}
