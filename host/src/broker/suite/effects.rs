//! What a permitted change writes, and what its receipt says. What becomes of it is the controllers' business: [`super::simulated`] and [`super::live`].

use infraagent_guard::call::{
    Disposable::{Deployment as DeleteDeployment, Job},
    Scalable::Deployment as ScaleDeployment,
    Sync,
    Workload::{DaemonSet, Deployment},
};

use super::*;

on_both!(
    a_restart_leaves_its_mark,
    a_rollback_returns_to_the_template_of_the_revision,
    a_scale_changes_the_workload_itself,
    a_paused_rollout_is_not_restarted,
    an_eviction_respects_disruption_budgets,
    a_deletion_has_no_version_afterwards,
    a_node_is_cordoned_and_a_tool_asked_to_look,
    what_changed_after_the_decision_is_a_conflict_and_stays,
    what_is_gone_after_the_decision_is_not_found,
    a_permit_of_another_run_is_good_for_nothing,
);

async fn a_restart_leaves_its_mark(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let before = bench.object("deployments.apps", "web").await.unwrap();
    let receipt = bench.act(restart(Deployment, "web")).await.unwrap();
    let web = bench.object("deployments.apps", "web").await.unwrap();
    assert_eq!((receipt.audit_seq, receipt.changed), (7, true));
    assert_eq!(receipt.resource_version.as_deref(), web["metadata"]["resourceVersion"].as_str());
    let annotations = &web["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(annotations["infraagent.io/restarted-by"], format!("{}/7", cluster.scope().run));
    assert_eq!(web["metadata"]["generation"].as_i64().unwrap(), before["metadata"]["generation"].as_i64().unwrap() + 1);
    assert_eq!(bench.permit(restart(DaemonSet, "web")).await, Err("TargetAbsent ".to_owned()));
}

async fn a_rollback_returns_to_the_template_of_the_revision(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    assert!(!bench.act(rollback("api", 2)).await.unwrap().changed, "it has that template");
    assert!(bench.act(rollback("api", 1)).await.unwrap().changed);
    let api = bench.object("deployments.apps", "api").await.unwrap();
    assert_eq!(api["spec"]["template"]["spec"]["containers"][0]["image"], "api:1");
    assert_eq!(api["spec"]["template"]["metadata"]["labels"], serde_json::json!({"app": "api"}));
    let refused = bench.act(rollback("api", 99)).await;
    assert!(matches!(&refused, Err(CallError::NotFound(why)) if why.contains("no revision 99")), "{refused:?}");
}

async fn a_scale_changes_the_workload_itself(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    assert!(bench.act(scale(ScaleDeployment, "web", 5)).await.unwrap().changed);
    assert_eq!(bench.object("deployments.apps", "web").await.unwrap()["spec"]["replicas"], 5);
    let again = bench.act(scale(ScaleDeployment, "web", 5)).await.unwrap();
    assert!(!again.changed && again.resource_version.is_some(), "{again:?}");
}

async fn a_paused_rollout_is_not_restarted(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    assert!(bench.act(Effect::Pause(ns("shop"), named("web"), true)).await.unwrap().changed);
    assert!(matches!(bench.act(restart(Deployment, "web")).await, Err(CallError::Invalid(why)) if why.contains("resume")));
    assert!(matches!(bench.act(rollback("web", 1)).await, Err(CallError::Invalid(why)) if why.contains("resume")));
    bench.act(Effect::Pause(ns("shop"), named("web"), false)).await.unwrap();
    assert!(!bench.act(Effect::Pause(ns("shop"), named("web"), false)).await.unwrap().changed);
    assert!(bench.act(restart(Deployment, "web")).await.unwrap().changed);
}

async fn an_eviction_respects_disruption_budgets(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let refused = bench.act(evict(&bench, "web-9f4d-a").await).await;
    assert!(matches!(refused, Err(CallError::Unavailable { retry_after_ms: Some(10_000), .. })), "{refused:?}");
    assert!(is_there(&bench, "pods", "web-9f4d-a").await);
    let receipt = bench.act(evict(&bench, "api-66d8-a").await).await.unwrap();
    assert_eq!((receipt.changed, receipt.resource_version), (true, None));
    assert!(!is_there(&bench, "pods", "api-66d8-a").await);
}

/// There, and not about to go.
async fn is_there<E: Cluster>(bench: &Bench<'_, E>, kind: &str, name: &str) -> bool {
    bench.object(kind, name).await.is_some_and(|object| object["metadata"].get("deletionTimestamp").is_none())
}

async fn a_deletion_has_no_version_afterwards(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    for (kind, words, name) in [(Job, "jobs.batch", "import"), (DeleteDeployment, "deployments.apps", "stuck")] {
        let receipt = bench.act(delete(&bench, kind, name).await).await.unwrap();
        assert_eq!((receipt.audit_seq, receipt.changed, receipt.resource_version), (7, true, None));
        assert_eq!(bench.object(words, name).await, None);
    }
}

async fn a_node_is_cordoned_and_a_tool_asked_to_look(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    assert!(bench.act(Effect::Cordon(named("node-1"), true)).await.unwrap().changed);
    assert_eq!(bench.object("nodes", "node-1").await.unwrap()["spec"]["unschedulable"], true);
    bench.act(Effect::Cordon(named("node-1"), false)).await.unwrap();
    assert_eq!(bench.object("nodes", "node-1").await.unwrap()["spec"].get("unschedulable"), None);
    assert!(!bench.act(Effect::Cordon(named("node-1"), false)).await.unwrap().changed);
    bench.act(Effect::RequestSync(Sync::FluxKustomization, ns("shop"), named("shop"))).await.unwrap();
    let annotations = bench.object("kustomizations.kustomize.toolkit.fluxcd.io", "shop").await.unwrap()["metadata"]["annotations"].clone();
    let annotations = annotations.as_object().unwrap();
    assert_eq!(annotations.len(), 1);
    assert!(annotations["reconcile.fluxcd.io/requestedAt"].as_str().unwrap().parse::<Timestamp>().is_ok());
}

async fn what_changed_after_the_decision_is_a_conflict_and_stays(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    for late in [restart(Deployment, "web"), rollback("web", 1), delete(&bench, DeleteDeployment, "web").await] {
        let late = match &late {
            // A deletion names the version that its skill saw.
            Effect::Delete(_) => delete(&bench, DeleteDeployment, "web").await,
            _ => late,
        };
        let late = bench.permit(late).await.unwrap();
        let now = bench.object("deployments.apps", "web").await.unwrap()["spec"]["replicas"].as_u64().unwrap();
        bench.act(scale(ScaleDeployment, "web", u32::try_from(now).unwrap() + 1)).await.unwrap();
        let before = bench.object("deployments.apps", "web").await;
        let refused = cluster.execute(&late, 8).await;
        assert!(matches!(&refused, Err(CallError::Conflict(why)) if why.contains("deployment/web")), "{refused:?}");
        assert_eq!(bench.object("deployments.apps", "web").await, before);
    }
}

async fn what_is_gone_after_the_decision_is_not_found(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let late = bench.permit(restart(Deployment, "stuck")).await.unwrap();
    bench.act(delete(&bench, DeleteDeployment, "stuck").await).await.unwrap();
    assert!(matches!(cluster.execute(&late, 9).await, Err(CallError::NotFound(_))));
}

async fn a_permit_of_another_run_is_good_for_nothing(stage: &impl Stage) {
    let one = stage.load("shop").await;
    let other = stage.of_another_run(&one, "run-2").await;
    let bench = Bench::new(&one);
    let permit = bench.permit(restart(Deployment, "web")).await.unwrap();
    let before = Bench::new(&other).object("deployments.apps", "web").await;
    assert!(matches!(other.execute(&permit, 1).await, Err(CallError::Internal(_))));
    assert_eq!(Bench::new(&other).object("deployments.apps", "web").await, before);
    assert!(one.execute(&permit, 1).await.unwrap().changed);
}
