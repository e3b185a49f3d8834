//! Every consequence of a change, planted: refused by name; its legitimate neighbour allowed; unknown, naming the rule, when the host may not look.

use infraagent_guard::call::{
    Disposable::{
        Deployment as DeleteDeployment, Pod as DeletePod, ReplicaSet as DeleteReplicaSet, Service, StatefulSet as DeleteStatefulSet,
    },
    Effect,
    Scalable::{Deployment as ScaleDeployment, StatefulSet as ScaleStatefulSet},
    Workload::{Deployment, StatefulSet},
};

use super::*;

on_both!(
    a_pod_that_owns_its_claim_does_not_end,
    the_last_pod_of_a_claim_marked_for_deletion_does_not_end,
    a_set_that_deletes_its_claims_is_not_scaled_down_or_deleted,
    what_a_claim_or_custom_resource_belongs_to_is_not_ended,
    declared_data_and_what_it_belongs_to_are_not_touched,
    what_a_finalizer_holds_is_not_deleted,
    what_belongs_to_a_database_operator_is_not_touched,
    what_may_not_be_looked_at_is_unknown_and_names_the_rule,
    an_impact_outweighs_what_is_unknown,
    a_target_that_is_gone_or_another_is_refused,
    only_nodes_with_the_labels_of_the_sheet_are_cordoned,
    preconditions_hold_or_deny,
    the_first_broken_precondition_is_told_in_the_words_of_the_sheet,
    a_cooldown_belongs_to_target_and_verb,
);

async fn a_pod_that_owns_its_claim_does_not_end(stage: &impl Stage) {
    let cluster = stage.load("ephemeral-volume").await;
    let bench = Bench::new(&cluster);
    let protected = "ephemeral-volume";
    bench.protected(restart(Deployment, "cache"), protected).await;
    bench.protected(rollback("cache", 1), protected).await;
    bench.protected(scale(ScaleDeployment, "cache", 0), protected).await;
    bench.protected(evict(&bench, "cache-6b7f-a").await, protected).await;
    bench.protected(delete(&bench, DeletePod, "cache-6b7f-a").await, protected).await;
    bench.protected(delete(&bench, DeleteReplicaSet, "cache-6b7f").await, protected).await;
    bench.protected(delete(&bench, DeleteDeployment, "cache").await, protected).await;

    bench.allowed(scale(ScaleDeployment, "cache", 3)).await;
    bench.allowed(restart(Deployment, "plain")).await;
    bench.allowed(evict(&bench, "plain-6b7f-a").await).await;
    bench.allowed(delete(&bench, DeleteDeployment, "plain").await).await;
}

async fn the_last_pod_of_a_claim_marked_for_deletion_does_not_end(stage: &impl Stage) {
    let cluster = stage.load("terminating-claim").await;
    let bench = Bench::new(&cluster);
    bench.protected(restart(Deployment, "last"), "terminating-claim").await;
    bench.protected(evict(&bench, "last-6b7f-a").await, "terminating-claim").await;
    bench.protected(scale(ScaleDeployment, "last", 0), "terminating-claim").await;
    bench.protected(delete(&bench, DeleteDeployment, "last").await, "terminating-claim").await;

    bench.allowed(restart(Deployment, "shared")).await;
    bench.allowed(restart(Deployment, "kept")).await;
    bench.allowed(scale(ScaleDeployment, "last", 2)).await;
}

async fn a_set_that_deletes_its_claims_is_not_scaled_down_or_deleted(stage: &impl Stage) {
    let cluster = stage.load("claim-retention").await;
    let bench = Bench::new(&cluster);
    bench.protected(scale(ScaleStatefulSet, "scaled", 1), "claim-retention").await;
    bench.protected(scale(ScaleStatefulSet, "scaled", 0), "claim-retention").await;
    bench.protected(delete(&bench, DeleteStatefulSet, "deleted").await, "claim-retention").await;

    bench.allowed(scale(ScaleStatefulSet, "scaled", 3)).await;
    bench.allowed(delete(&bench, DeleteStatefulSet, "scaled").await).await;
    bench.allowed(scale(ScaleStatefulSet, "deleted", 1)).await;
    for name in ["retained", "silent"] {
        bench.allowed(scale(ScaleStatefulSet, name, 0)).await;
        bench.allowed(delete(&bench, DeleteStatefulSet, name).await).await;
        bench.allowed(restart(StatefulSet, name)).await;
    }
}

async fn what_a_claim_or_custom_resource_belongs_to_is_not_ended(stage: &impl Stage) {
    let cluster = stage.load("dependants").await;
    let bench = Bench::new(&cluster);
    bench.protected(restart(Deployment, "claimed"), "dependants").await;
    bench.protected(evict(&bench, "claimed-6b7f-a").await, "dependants").await;
    bench.protected(delete(&bench, DeleteDeployment, "owner").await, "dependants").await;
    // The claim belongs to a custom resource that belongs to the pod.
    bench.protected(evict(&bench, "grand-6b7f-a").await, "dependants").await;
    bench.protected(delete(&bench, DeleteReplicaSet, "grand-6b7f").await, "dependants").await;

    // A restart leaves the Deployment, and so what belongs to it.
    bench.allowed(restart(Deployment, "owner")).await;
    bench.allowed(restart(Deployment, "free")).await;
    bench.allowed(delete(&bench, DeleteDeployment, "free").await).await;
    bench.allowed(scale(ScaleDeployment, "claimed", 4)).await;
}

async fn declared_data_and_what_it_belongs_to_are_not_touched(stage: &impl Stage) {
    let cluster = stage.load("declared-data").await;
    let mut bench = Bench::new(&cluster);
    // Without a declaration the claim of `keeper` only counts when its owner goes.
    bench.allowed(restart(Deployment, "keeper")).await;
    bench.allowed(restart(StatefulSet, "store")).await;
    bench.declare("example.com/Store", "main");
    bench.declare("PersistentVolumeClaim", "archive");
    bench.declare("unserved.example.com/Database", "main");
    bench.data.push(DataResource::parse("PersistentVolumeClaim", Some("elsewhere"), "plain").unwrap());
    bench.protected(restart(StatefulSet, "store"), "declared-data").await;
    bench.protected(scale(ScaleStatefulSet, "store", 3), "declared-data").await;
    bench.protected(evict(&bench, "store-0").await, "declared-data").await;
    bench.protected(restart(Deployment, "keeper"), "declared-data").await;
    bench.protected(Effect::Pause(ns("shop"), named("keeper"), true), "declared-data").await;

    bench.allowed(restart(Deployment, "user")).await;
    bench.allowed(Effect::Pause(ns("shop"), named("user"), true)).await;
}

async fn what_a_finalizer_holds_is_not_deleted(stage: &impl Stage) {
    let cluster = stage.load("finalizers").await;
    let bench = Bench::new(&cluster);
    bench.protected(delete(&bench, Service, "held").await, "finalizers").await;
    bench.allowed(delete(&bench, Service, "free").await).await;
}

async fn what_belongs_to_a_database_operator_is_not_touched(stage: &impl Stage) {
    let cluster = stage.load("database-operator").await;
    let bench = Bench::new(&cluster);
    bench.protected(evict(&bench, "orders-1").await, "database-operator").await;
    bench.protected(delete(&bench, DeletePod, "orders-1").await, "database-operator").await;
    bench.protected(restart(StatefulSet, "spilo"), "database-operator").await;
    bench.protected(scale(ScaleStatefulSet, "spilo", 2), "database-operator").await;
    bench.allowed(restart(Deployment, "web")).await;
}

async fn what_may_not_be_looked_at_is_unknown_and_names_the_rule(stage: &impl Stage) {
    for (folder, fault, effect, missing) in [
        ("ephemeral-volume", "list pods", restart(Deployment, "plain"), "ephemeral-volume: list pods"),
        ("ephemeral-volume", "get deployments.apps", restart(Deployment, "plain"), "target: get deployments.apps"),
        ("ephemeral-volume", "list replicasets.apps", restart(Deployment, "plain"), "ephemeral-volume: list replicasets.apps"),
        ("terminating-claim", "list persistentvolumeclaims", restart(Deployment, "kept"), "terminating-claim: list persistentvolumeclaims"),
        ("dependants", "list persistentvolumeclaims", restart(Deployment, "free"), "dependants: list persistentvolumeclaims"),
        ("dependants", "list buckets.example.com", restart(Deployment, "free"), "dependants: list buckets.example.com"),
        ("dependants", "get caches.example.com", restart(Deployment, "free"), "dependants: get caches.example.com"),
        ("declared-data", "get stores.data.example.com", restart(StatefulSet, "store"), "database-operator: get stores.data.example.com"),
    ] {
        let cluster = stage.load_without(folder, &[fault]).await;
        let bench = Bench::new(&cluster);
        let answer = bench.permit(effect).await;
        assert_eq!(answer, Err(format!("Unknown {missing}")));
    }
    // Neighbour: what need not be looked at need not be permitted.
    let cluster = stage.load_without("dependants", &["list persistentvolumeclaims", "list pods"]).await;
    Bench::new(&cluster).allowed(scale(ScaleDeployment, "free", 2)).await;
}

async fn an_impact_outweighs_what_is_unknown(stage: &impl Stage) {
    let cluster = stage.load_without("dependants", &["list buckets.example.com"]).await;
    Bench::new(&cluster).protected(restart(Deployment, "claimed"), "dependants").await;
}

async fn a_target_that_is_gone_or_another_is_refused(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    assert_eq!(bench.permit(restart(Deployment, "nothing")).await, Err("TargetAbsent ".to_owned()));
    let other = Effect::Evict(ns("shop"), named("web-9f4d-a"), Uid::parse("another").unwrap());
    assert_eq!(bench.permit(other).await, Err("TargetChanged ".to_owned()));
}

async fn only_nodes_with_the_labels_of_the_sheet_are_cordoned(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    bench.allowed(Effect::Cordon(named("node-1"), true)).await;
    assert_eq!(bench.permit(Effect::Cordon(named("node-2"), true)).await, Err("NodeNotCovered ".to_owned()));
}

async fn preconditions_hold_or_deny(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    for (cel, expected) in [("true", None), ("false", Some("Precondition ")), ("broken", Some("Unknown pre-conditions: "))] {
        let mut bench = Bench::new(&cluster);
        bench.preconditions = vec![Precondition { cel: cel.to_owned(), message: String::new() }];
        let answer = bench.permit(restart(Deployment, "web")).await;
        match expected {
            None => assert!(answer.is_ok(), "{answer:?}"),
            Some(start) => assert!(answer.as_ref().is_err_and(|why| why.starts_with(start)), "{cel}: {answer:?}"),
        }
    }
}

async fn the_first_broken_precondition_is_told_in_the_words_of_the_sheet(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let mut bench = Bench::new(&cluster);
    let sheet =
        |all: &[(&str, &str)]| all.iter().map(|(cel, message)| Precondition { cel: (*cel).into(), message: (*message).into() }).collect();
    for (conditions, expected) in [
        (&[("true", "one"), ("false", "two"), ("false", "three")][..], "Precondition two"),
        // What is broken outweighs what has no answer.
        (&[("broken", "one"), ("false", "two")], "Precondition two"),
        (&[("true", "one"), ("broken", "two")], "Unknown pre-conditions: an expression has no answer"),
    ] {
        bench.preconditions = sheet(conditions);
        assert_eq!(bench.permit(restart(Deployment, "web")).await, Err(expected.to_owned()));
    }
    bench.preconditions = sheet(&[("true", "one"), ("true", "two")]);
    bench.allowed(restart(Deployment, "web")).await;
}

async fn a_cooldown_belongs_to_target_and_verb(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let mut bench = Bench::new(&cluster);
    bench.cooldown_seconds = 300;
    let permit = bench.permit(restart(Deployment, "web")).await.unwrap();
    let key = crate::broker::cooldown::CooldownKey::new(&cluster.scope().cluster, permit.call(), permit.observed());
    let _ = bench.cooldowns.take(key, 300, now()).await.unwrap();
    assert_eq!(bench.permit(restart(Deployment, "web")).await, Err("Cooldown ".to_owned()));
    bench.allowed(restart(Deployment, "stuck")).await;
    bench.allowed(scale(ScaleDeployment, "web", 3)).await;
}
