//! The consequences for real: with controllers and garbage collection, each is planted, attacked, refused, and its claim is still the same one when the garbage has
//! been collected. Then the same change is forced past the guard, and the claim goes: what was refused is what would have happened.

use infraagent_guard::call::{
    Disposable::{Deployment as DeleteDeployment, Pod as DeletePod, StatefulSet as DeleteStatefulSet},
    Scalable::{Deployment as ScaleDeployment, StatefulSet as ScaleStatefulSet},
    Workload::{Deployment, StatefulSet},
};
use infraagent_tests::{NODE, control_plane_with_controllers};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};

use super::*;

/// A namespace in which controllers run.
struct Site {
    live: Live,
}

impl Site {
    async fn new() -> Self {
        let plane = control_plane_with_controllers();
        plant::define(plane).await;
        let shop = plane.namespace("shop").await;
        account(plane, &shop).await;
        allow(
            plane,
            &shop,
            &[AGENT],
            json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "create", "patch", "delete"]}]),
        )
        .await;
        let config = config_of(plane.kubeconfig()).await;
        Self { live: Live::of(plane, shop, config, "run-1").await }
    }

    fn bench(&self) -> Bench<'_, Live> {
        Bench::new(&self.live)
    }

    async fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.live.plane.admin().await, &self.live.shop)
    }

    /// Creates an object of any kind, gives its uid.
    async fn create(&self, object: Value) -> String {
        let api_version = object["apiVersion"].as_str().unwrap();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
        let api = Api::<DynamicObject>::namespaced_with(self.live.plane.admin().await, &self.live.shop, &resource);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap().metadata.uid.unwrap()
    }

    /// A workload whose pods run here.
    async fn workload(&self, kind: &str, name: &str, replicas: i64, spec: Value, volumes: Value) -> String {
        let labels = json!({"app": name});
        let pod = json!({"nodeName": NODE, "containers": [{"name": "main", "image": "nothing"}], "volumes": volumes, "terminationGracePeriodSeconds": 1});
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        });
        crate::broker::change::merge(&mut object["spec"], &spec);
        let uid = self.create(object).await;
        self.running(name, usize::try_from(replicas).unwrap()).await;
        uid
    }

    async fn claim(&self, name: &str, owner: Option<Value>) {
        let owners: Vec<Value> = owner.into_iter().collect();
        self.create(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "ownerReferences": owners},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .await;
    }

    async fn pods(&self, app: &str) -> Vec<Pod> {
        self.api::<Pod>().await.list(&ListParams::default().labels(&format!("app={app}"))).await.unwrap().items
    }

    async fn running(&self, app: &str, count: usize) {
        eventually(&format!("{count} pods of {app} run"), || async {
            let running = |pod: &&Pod| {
                pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
                    && pod.metadata.deletion_timestamp.is_none()
            };
            (self.pods(app).await.iter().filter(running).count() == count).then_some(())
        })
        .await;
    }

    async fn uid(&self, claim: &str) -> Option<String> {
        self.api::<PersistentVolumeClaim>().await.get_opt(claim).await.unwrap().and_then(|claim| claim.metadata.uid)
    }

    /// Until it is there.
    async fn await_claim(&self, claim: &str) -> String {
        eventually(&format!("claim {claim}"), || self.uid(claim)).await
    }

    /// Waits until the garbage collector has been through: an object whose owner is gone is gone too.
    async fn collected(&self) {
        let maps = self.api::<ConfigMap>().await;
        let name = self.live.plane.unique("canary");
        let map = |name: &str, owners: Value| {
            serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": name, "ownerReferences": owners}})).unwrap()
        };
        let owner = maps.create(&PostParams::default(), &map(&format!("{name}-owner"), json!([]))).await.unwrap();
        let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.metadata.uid}]);
        maps.create(&PostParams::default(), &map(&name, reference)).await.unwrap();
        maps.delete(&owner.name_any(), &DeleteParams::background()).await.unwrap();
        eventually("garbage is collected", || async { maps.get_opt(&name).await.unwrap().is_none().then_some(()) }).await;
    }

    /// Refused for this reason, and the claim is the one that it was.
    async fn protects(&self, claim: &str, consequence: &str, attacks: Vec<Effect>) {
        let before = self.await_claim(claim).await;
        for attack in attacks {
            self.bench().protected(attack, consequence).await;
        }
        self.collected().await;
        assert_eq!(self.uid(claim).await, Some(before), "{claim}");
    }

    /// Forced past the guard it is gone, or another one.
    async fn loses(&self, claim: &str, attack: Effect) {
        let before = self.uid(claim).await;
        let changed = || async {
            let permit = self.bench().forced(self.as_it_is_now(attack.clone()).await).await;
            unless_it_changed_meanwhile(self.live.execute(&permit, 1).await)
        };
        assert!(eventually("the change is made", changed).await);
        eventually(&format!("claim {claim} is lost"), || async { (self.uid(claim).await != before).then_some(()) }).await;
    }

    /// The neighbour: decided as it is, allowed, and done.
    async fn acts(&self, effect: Effect) {
        let changed = || async { unless_it_changed_meanwhile(self.bench().act(self.as_it_is_now(effect.clone()).await).await) };
        assert!(eventually("the change is made", changed).await);
    }

    /// Controllers write too: a deletion names the version that the object has by now.
    async fn as_it_is_now(&self, effect: Effect) -> Effect {
        match effect {
            Effect::Delete(victim) => delete(&self.bench(), victim.kind, victim.name.as_str()).await,
            other => other,
        }
    }
}

/// Whether it was changed; nothing if a controller came in between, so that it has to be looked at again.
fn unless_it_changed_meanwhile(outcome: Result<Receipt, CallError>) -> Option<bool> {
    match outcome {
        Ok(receipt) => Some(receipt.changed),
        Err(CallError::Conflict(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_pod_that_owns_its_claim() {
    let site = Site::new().await;
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let scratch = json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]);
    site.workload("Deployment", "cache", 1, json!({}), scratch).await;
    site.workload("Deployment", "plain", 1, json!({}), json!([{"name": "tmp", "emptyDir": {}}])).await;
    let pod = site.pods("cache").await[0].name_any();
    let claim = format!("{pod}-scratch");
    site.await_claim(&claim).await;
    let bench = site.bench();
    let attacks = vec![
        restart(Deployment, "cache"),
        scale(ScaleDeployment, "cache", 0),
        evict(&bench, &pod).await,
        delete(&bench, DeletePod, &pod).await,
        delete(&bench, DeleteDeployment, "cache").await,
    ];
    site.protects(&claim, "ephemeral-volume", attacks).await;
    // The neighbour restarts: another pod runs in the end.
    let before = site.pods("plain").await[0].uid();
    site.acts(restart(Deployment, "plain")).await;
    eventually("the neighbour has a new pod", || async {
        let pods = site.pods("plain").await;
        (pods.len() == 1 && pods[0].uid() != before).then_some(())
    })
    .await;
    site.loses(&claim, restart(Deployment, "cache")).await;
}

#[tokio::test]
async fn a_claim_that_waits_for_its_last_pod() {
    let site = Site::new().await;
    let using = |claim: &str| json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    site.claim("leaving", None).await;
    site.claim("staying", None).await;
    site.workload("Deployment", "last", 1, json!({}), using("leaving")).await;
    site.workload("Deployment", "kept", 1, json!({}), using("staying")).await;
    let claims = site.api::<PersistentVolumeClaim>().await;
    claims.delete("leaving", &DeleteParams::default()).await.unwrap();
    let pod = site.pods("last").await[0].name_any();
    let bench = site.bench();
    let attacks = vec![
        restart(Deployment, "last"),
        scale(ScaleDeployment, "last", 0),
        evict(&bench, &pod).await,
        delete(&bench, DeletePod, &pod).await,
        delete(&bench, DeleteDeployment, "last").await,
    ];
    site.protects("leaving", "terminating-claim", attacks).await;
    let staying = site.uid("staying").await;
    site.acts(scale(ScaleDeployment, "kept", 0)).await;
    eventually("the neighbour's pod ends", || async { site.pods("kept").await.is_empty().then_some(()) }).await;
    site.collected().await;
    assert_eq!(site.uid("staying").await, staying);
    site.loses("leaving", scale(ScaleDeployment, "last", 0)).await;
}

#[tokio::test]
async fn a_set_that_deletes_its_claims() {
    let site = Site::new().await;
    let spec = |name: &str, scaled: &str, deleted: &str| {
        json!({
            "serviceName": name, "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": scaled, "whenDeleted": deleted},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            }}],
        })
    };
    site.workload("StatefulSet", "scaled", 2, spec("scaled", "Delete", "Retain"), json!([])).await;
    site.workload("StatefulSet", "deleted", 1, spec("deleted", "Retain", "Delete"), json!([])).await;
    site.workload("StatefulSet", "kept", 2, spec("kept", "Retain", "Retain"), json!([])).await;
    let bench = site.bench();
    site.protects("data-scaled-1", "claim-retention", vec![scale(ScaleStatefulSet, "scaled", 1), scale(ScaleStatefulSet, "scaled", 0)])
        .await;
    site.protects("data-deleted-0", "claim-retention", vec![delete(&bench, DeleteStatefulSet, "deleted").await]).await;
    let kept = site.uid("data-kept-1").await;
    site.acts(scale(ScaleStatefulSet, "kept", 1)).await;
    site.acts(restart(StatefulSet, "scaled")).await;
    eventually("the neighbour is smaller", || async { (site.pods("kept").await.len() == 1).then_some(()) }).await;
    site.collected().await;
    assert_eq!(site.uid("data-kept-1").await, kept);
    site.running("scaled", 2).await;
    site.loses("data-scaled-1", scale(ScaleStatefulSet, "scaled", 1)).await;
    site.loses("data-deleted-0", delete(&bench, DeleteStatefulSet, "deleted").await).await;
}

#[tokio::test]
async fn what_belongs_to_what_would_be_deleted() {
    let site = Site::new().await;
    let reference = |kind: &str, api: &str, name: &str, uid: &str| json!({"apiVersion": api, "kind": kind, "name": name, "uid": uid});
    let owner = site.workload("Deployment", "owner", 1, json!({}), json!([])).await;
    site.claim("of-owner", Some(reference("Deployment", "apps/v1", "owner", &owner))).await;
    site.workload("Deployment", "grand", 1, json!({}), json!([])).await;
    let pod = site.pods("grand").await.remove(0);
    let middle = json!({
        "apiVersion": "example.com/v1", "kind": "Cache",
        "metadata": {"name": "middle", "ownerReferences": [reference("Pod", "v1", &pod.name_any(), &pod.uid().unwrap())]},
    });
    let middle = site.create(middle).await;
    site.claim("behind", Some(reference("Cache", "example.com/v1", "middle", &middle))).await;
    site.workload("Deployment", "free", 1, json!({}), json!([])).await;
    let bench = site.bench();
    site.protects("of-owner", "dependants", vec![delete(&bench, DeleteDeployment, "owner").await]).await;
    let attacks = vec![
        restart(Deployment, "grand"),
        evict(&bench, &pod.name_any()).await,
        delete(&bench, DeletePod, &pod.name_any()).await,
        delete(&bench, DeleteDeployment, "grand").await,
    ];
    site.protects("behind", "dependants", attacks).await;
    // Neighbours: the owner stays where it is only restarted; what nothing belongs to may go, and its pods with it.
    let before = site.uid("of-owner").await;
    site.acts(restart(Deployment, "owner")).await;
    site.acts(delete(&bench, DeleteDeployment, "free").await).await;
    eventually("the neighbour's pods are collected", || async { site.pods("free").await.is_empty().then_some(()) }).await;
    site.collected().await;
    assert_eq!(site.uid("of-owner").await, before);
    site.loses("of-owner", delete(&bench, DeleteDeployment, "owner").await).await;
    site.loses("behind", evict(&bench, &pod.name_any()).await).await;
}

#[tokio::test]
async fn declared_data_finalizers_and_operators() {
    let site = Site::new().await;
    let store = site.create(json!({"apiVersion": "data.example.com/v1", "kind": "Store", "metadata": {"name": "main"}})).await;
    let keeper = site.workload("Deployment", "keeper", 1, json!({}), json!([])).await;
    let owned = |kind: &str, api: &str, name: &str, uid: &str| json!({"apiVersion": api, "kind": kind, "name": name, "uid": uid});
    site.claim("archive", Some(owned("Deployment", "apps/v1", "keeper", &keeper))).await;
    site.claim("orders-1", None).await;
    let cluster = site.create(json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "orders"}})).await;
    let pod = |name: &str, owner: Value, claim: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}, "ownerReferences": [owner]},
            "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "nothing"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]},
        })
    };
    site.claim("store", None).await;
    site.create(pod("orders-1", owned("Cluster", "postgresql.cnpg.io/v1", "orders", &cluster), "orders-1")).await;
    site.create(pod("store-1", owned("Store", "data.example.com/v1", "main", &store), "store")).await;
    let service = |name: &str, finalizers: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "finalizers": finalizers}, "spec": {"ports": [{"port": 80}]}});
    site.create(service("held", json!(["example.com/clean-up"]))).await;
    site.create(service("free", json!([]))).await;

    let mut bench = site.bench();
    bench.declare("example.com/Store", "main");
    bench.declare("PersistentVolumeClaim", "archive");
    let (archive, orders, stored) = (site.uid("archive").await, site.uid("orders-1").await, site.uid("store").await);
    bench.protected(restart(Deployment, "keeper"), "declared-data").await;
    bench.protected(Effect::Pause(ns("shop"), named("keeper"), true), "declared-data").await;
    bench.protected(evict(&bench, "store-1").await, "declared-data").await;
    bench.protected(evict(&bench, "orders-1").await, "database-operator").await;
    bench.protected(delete(&bench, DeletePod, "orders-1").await, "database-operator").await;
    let service = Disposable::Service;
    bench.protected(delete(&bench, service, "held").await, "finalizers").await;
    bench.act(delete(&bench, service, "free").await).await.unwrap();
    assert_eq!(bench.object("services", "free").await, None);
    site.collected().await;
    assert_eq!((site.uid("archive").await, site.uid("orders-1").await, site.uid("store").await), (archive, orders, stored));
    assert!(bench.object("services", "held").await.unwrap()["metadata"].get("deletionTimestamp").is_none());
}

#[tokio::test]
async fn a_rollout_completes_and_can_be_waited_for() {
    let site = Site::new().await;
    site.workload("Deployment", "web", 2, json!({}), json!([])).await;
    let bench = site.bench();
    let before: Vec<_> = site.pods("web").await.iter().map(|pod| pod.uid()).collect();
    let rolled_out = || {
        let object = reads::object("deployments.apps", Some("shop"), "web");
        Read::Wait(Wait { object, condition: infraagent_guard::call::Condition::RolledOut, timeout_ms: 60_000 })
    };
    assert_eq!(bench.read("read", rolled_out()).await, Ok(Answer::Reached(true)));
    site.acts(restart(Deployment, "web")).await;
    assert_eq!(bench.read("read", rolled_out()).await, Ok(Answer::Reached(true)));
    let after = site.pods("web").await;
    assert!(after.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).all(|pod| !before.contains(&pod.uid())));
    // Back again: the first revision has no mark.
    site.acts(rollback("web", 1)).await;
    assert_eq!(bench.read("read", rolled_out()).await, Ok(Answer::Reached(true)));
    let web = bench.object("deployments.apps", "web").await.unwrap();
    assert_eq!(web["spec"]["template"]["metadata"].get("annotations"), None);
    assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
}
