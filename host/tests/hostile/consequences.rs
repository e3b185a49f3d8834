//! What a change would do to data, planted in the cluster: refused by name and recorded, the claims stay, and the harmless neighbour of each goes through.

use infraagent::llm::ToolStatus;
use serde_json::{Value, json};

use crate::{
    chain::{Chain, Record, World, failed},
    guest::{DELETE_STATEFUL_SET, DEPLOYMENT, Guest, POD, SERVICE_KIND, STATEFUL_SET},
};

fn world(folder: &'static str) -> World {
    World { folder, ..World::default() }
}

/// Refused for this reason, with nothing changed.
async fn protected(world: World, guest: Guest, words: &str) -> Record {
    let chain = Chain::open(world, &guest.or_fail().build()).await;
    failed(&chain.attack().await, ToolStatus::Blocked, words);
    chain.assert_unchanged().await;
    let record = chain.close().await;
    let code = words.split(')').next().unwrap_or_default();
    assert!(record.changes().len() == 1 && record.changes()[0].ends_with(&format!(" blocked {code}")), "{:?}", record.changes());
    record
}

/// The neighbour that is allowed. Gives every claim of the namespace afterwards.
async fn allowed(world: World, guest: Guest) {
    let chain = Chain::open(world, &guest.or_fail().build()).await;
    let claims =
        |cluster: String| cluster.lines().filter(|line| line.starts_with("persistentvolumeclaims ")).map(str::to_owned).collect::<Vec<_>>();
    let before = claims(chain.cluster().await);
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "{outcome:?}");
    assert_eq!(claims(chain.cluster().await), before, "every claim is still there");
    let record = chain.close().await;
    assert!(record.changes().len() == 1 && record.changes()[0].ends_with(" executed"), "{:?}", record.changes());
}

fn protection(consequence: &str) -> String {
    format!("data-protection): the call could destroy data: {consequence}")
}

fn scale(kind: u32, name: &str, replicas: u32) -> Guest {
    Guest::new().scale("scale", kind, "shop", name, replicas)
}

fn restart(kind: u32, name: &str) -> Guest {
    Guest::new().restart("restart", kind, "shop", name)
}

/// The object's identity, from a run that does nothing.
async fn seen(folder: &'static str, kind: &str, name: &str) -> (String, String) {
    Chain::open(world(folder), &Guest::new().build()).await.identity(kind, name).await
}

async fn delete(folder: &'static str, number: u32, kind: &str, name: &str) -> Guest {
    let (uid, version) = seen(folder, kind, name).await;
    Guest::new().delete("delete", number, "shop", name, (&uid, &version))
}

#[tokio::test]
async fn a_set_that_deletes_its_claims() {
    let folder = "claim-retention";
    protected(world(folder), scale(STATEFUL_SET, "scaled", 0), &protection("claim-retention")).await;
    let guest = delete(folder, DELETE_STATEFUL_SET, "statefulsets.apps", "deleted").await;
    protected(world(folder), guest, &protection("claim-retention")).await;
    allowed(world(folder), scale(STATEFUL_SET, "retained", 0)).await;
}

#[tokio::test]
async fn a_pod_that_owns_its_claim() {
    let folder = "ephemeral-volume";
    protected(world(folder), restart(DEPLOYMENT, "cache"), &protection("ephemeral-volume")).await;
    let guest = delete(folder, POD, "pods", "cache-6b7f-a").await;
    protected(world(folder), guest, &protection("ephemeral-volume")).await;
    let (uid, _) = seen(folder, "pods", "cache-6b7f-a").await;
    protected(world(folder), Guest::new().evict("evict", "shop", "cache-6b7f-a", &uid), &protection("ephemeral-volume")).await;
    allowed(world(folder), restart(DEPLOYMENT, "plain")).await;
}

#[tokio::test]
async fn the_last_pod_of_a_claim_that_is_on_its_way_out() {
    let folder = "terminating-claim";
    protected(world(folder), restart(DEPLOYMENT, "last"), &protection("terminating-claim")).await;
    protected(world(folder), scale(DEPLOYMENT, "last", 0), &protection("terminating-claim")).await;
    allowed(world(folder), restart(DEPLOYMENT, "kept")).await;
}

#[tokio::test]
async fn what_a_claim_depends_on() {
    let folder = "dependants";
    protected(world(folder), restart(DEPLOYMENT, "claimed"), &protection("dependants")).await;
    allowed(world(folder), restart(DEPLOYMENT, "free")).await;
}

#[tokio::test]
async fn what_the_environment_declares_as_data() {
    let folder = "declared-data";
    let declared = |data: Value| World { data, ..world(folder) };
    let store = json!({ "databases": [{ "kind": "example.com/Store", "namespace": "shop", "name": "main" }] });
    let claim = json!({ "persistentStorage": [{ "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "archive" }] });
    protected(declared(store.clone()), restart(STATEFUL_SET, "store"), &protection("declared-data")).await;
    protected(declared(claim), restart(DEPLOYMENT, "keeper"), &protection("declared-data")).await;
    allowed(declared(store), restart(DEPLOYMENT, "user")).await;
}

#[tokio::test]
async fn what_a_finalizer_holds() {
    let folder = "finalizers";
    let guest = delete(folder, SERVICE_KIND, "services", "held").await;
    protected(world(folder), guest, &protection("finalizers")).await;
    let guest = delete(folder, SERVICE_KIND, "services", "free").await;
    allowed(world(folder), guest).await;
}

#[tokio::test]
async fn what_belongs_to_a_database_operator() {
    let folder = "database-operator";
    protected(world(folder), restart(STATEFUL_SET, "spilo"), &protection("database-operator")).await;
    let (uid, _) = seen(folder, "pods", "orders-1").await;
    protected(world(folder), Guest::new().evict("evict", "shop", "orders-1", &uid), &protection("database-operator")).await;
    allowed(world(folder), restart(DEPLOYMENT, "web")).await;
}

#[tokio::test]
async fn what_the_host_may_not_look_at() {
    for (fault, name) in [
        ("forbidden: [list persistentvolumeclaims]", "free"),
        ("forbidden: [list buckets.example.com]", "free"),
        ("unavailable: [list kinds]", "free"),
        ("unavailable: [list pods]", "free"),
    ] {
        let world = World { files: vec![("faults.yaml", format!("{fault}\n"))], ..world("dependants") };
        let record = protected(world, restart(DEPLOYMENT, name), "unknown)").await;
        let rule = fault.split(['[', ']']).nth(1).unwrap_or_default();
        assert!(record.work().result.as_deref().is_some_and(|result| result.contains(rule)), "names the rule: {:?}", record.work().result);
    }
    let faults = vec![("faults.yaml", "forbidden: [list persistentvolumeclaims, list pods]\n".to_owned())];
    allowed(World { files: faults, ..world("dependants") }, scale(DEPLOYMENT, "free", 2)).await;
}
