//! The Eviction API: a pod goes only if every disruption budget over it allows one more.

use infraagent_guard::name::GroupResource;
use infraagent_sandbox::broker::CallError;
use serde_json::{Value, json};

use super::{
    pods,
    rollout::portion,
    select::object_selector,
    store::{Key, Store},
};
use crate::broker::{
    change::{disruption_budget, too_many_budgets},
    object,
};

/// Ok if the pod may be evicted now.
pub(super) fn allowed(store: &Store, key: &Key, pod: &Value) -> Result<(), CallError> {
    let invalid = |invalid: infraagent_guard::name::Invalid| CallError::Invalid(invalid.to_string());
    let budgets = GroupResource::new("policy", "poddisruptionbudgets").map_err(invalid)?;
    let over: Vec<&Value> = store
        .list(&budgets, Some(&key.namespace))
        .map(|(_, budget)| budget)
        .filter(|budget| object_selector(budget.pointer("/spec/selector"), pod))
        .collect();
    let budget = match over.as_slice() {
        [] => return Ok(()),
        [one] => *one,
        [_, _, ..] => return Err(too_many_budgets(&key.name)),
    };
    // What is over, or not yet there, is no disruption.
    if !pods::is_active(pod) || object::text(pod, "/status/phase") == "Pending" {
        return Ok(());
    }
    let kind = GroupResource::new("", "pods").map_err(invalid)?;
    let covered: Vec<&Value> = store
        .list(&kind, Some(&key.namespace))
        .map(|(_, pod)| pod)
        .filter(|pod| pods::is_active(pod) && object_selector(budget.pointer("/spec/selector"), pod))
        .collect();
    let healthy = i64::try_from(covered.iter().filter(|pod| pods::is_ready(pod)).count()).unwrap_or(0);
    let desired = desired(store, budget, &covered);
    let needed_for_budget = pods::is_ready(pod);
    let always = object::text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    let fits = if needed_for_budget { healthy > desired } else { always || healthy >= desired };
    if fits {
        return Ok(());
    }
    Err(disruption_budget(&key.name))
}

/// How many healthy pods a budget asks for.
fn desired(store: &Store, budget: &Value, covered: &[&Value]) -> i64 {
    let expected = expected(store, covered);
    match (budget.pointer("/spec/minAvailable"), budget.pointer("/spec/maxUnavailable")) {
        (Some(min), _) => portion(min, expected, true),
        (None, Some(max)) => (expected - portion(max, expected, true)).max(0),
        (None, None) => (expected - portion(&json!(1), expected, true)).max(0),
    }
}

/// How many pods there should be: the sum over the controllers of those that are there.
fn expected(store: &Store, covered: &[&Value]) -> i64 {
    let mut controllers: Vec<&str> = covered.iter().filter_map(|pod| object::owners(pod).find(|o| o.controller).map(|o| o.uid)).collect();
    controllers.sort_unstable();
    controllers.dedup();
    let mut tops: Vec<(String, i64)> = Vec::new();
    for uid in controllers {
        let mut current = store.by_uid(uid).map(|(_, value)| value);
        // A replica set of a Deployment counts as the Deployment.
        while let Some(above) = current.and_then(|c| object::owners(c).find(|o| o.controller)).and_then(|o| store.by_uid(o.uid)) {
            current = Some(above.1);
        }
        if let Some(top) = current {
            let wanted = object::number(top, "/spec/replicas").or_else(|| object::number(top, "/status/desiredNumberScheduled"));
            tops.push((object::uid(top).to_owned(), wanted.unwrap_or(0)));
        }
    }
    tops.sort();
    tops.dedup();
    let sum: i64 = tops.iter().map(|(_, wanted)| wanted).sum();
    if sum > 0 { sum } else { i64::try_from(covered.len()).unwrap_or(0) }
}
