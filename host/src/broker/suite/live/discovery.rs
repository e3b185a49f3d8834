//! A cluster that does not know everything that it serves: nothing is changed until it does.

use infraagent_guard::call::Workload::Deployment;
use infraagent_tests::Programs;
use k8s_openapi::{api::core::v1::Service, kube_aggregator::pkg::apis::apiregistration::v1::APIService};
use kube::api::DeleteParams;

use super::*;
use crate::broker::suite::reads::list;

#[tokio::test]
async fn a_group_that_does_not_answer_denies_every_change_and_no_read() {
    // One of its own: the others' decisions would be denied too.
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start(Programs::ApiServer)));
    let live = Live::new(plane, "shop").await;
    let bench = Bench::new(&live);
    bench.allowed(restart(Deployment, "web")).await;

    let admin = plane.admin().await;
    let service = json!({"metadata": {"name": "nobody"}, "spec": {"ports": [{"port": 443}]}});
    let services = Api::<Service>::namespaced(admin.clone(), &live.shop);
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let aggregated = json!({
        "metadata": {"name": "v1.stores.example.org"},
        "spec": {
            "group": "stores.example.org", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": true,
            "service": {"namespace": live.shop, "name": "nobody"},
        },
    });
    let registered = Api::<APIService>::all(admin.clone());
    registered.create(&PostParams::default(), &serde_json::from_value(aggregated).unwrap()).await.unwrap();
    let missing = "Unknown ephemeral-volume: list kinds: `stores.example.org` does not answer";
    eventually("it is missed", || async { (bench.permit(restart(Deployment, "web")).await == Err(missing.to_owned())).then_some(()) })
        .await;
    assert!(bench.read("read", Read::List(list("pods"))).await.is_ok());

    registered.delete("v1.stores.example.org", &DeleteParams::default()).await.unwrap();
    eventually("it is forgotten", || async { bench.permit(restart(Deployment, "web")).await.ok().map(drop) }).await;
}
