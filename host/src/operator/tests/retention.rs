//! Records go, and what is left proves itself: on a real API server, as the operator's own identity, under the policies of the release.

use infraagent_tests::{OPERATOR, control_plane_with_controllers};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DeleteParams;

use super::*;
use crate::{audit::verify::Answer, cli::audit::agent::examine};

/// Of the agent's records, without another key than that of the cluster: whether content, order, completeness and signature hold.
async fn verified(site: &Site) -> ([bool; 4], String) {
    let found = examine(&site.admin, &site.namespace, "forge", &site.home, None).await.unwrap();
    let history = &found.histories[0];
    let holds = |answer: &Answer| matches!(answer, Answer::Yes(_));
    let all = [&history.content, &history.order, &history.completeness, &history.signature].map(holds);
    assert_eq!(found.refuted(), all != [true; 4]);
    (all, format!("{history:#?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_leaves_proves_itself_from_a_floor_that_nobody_can_forge() {
    let plane = control_plane_with_controllers();
    let installation = plane.operator(&["worker"], &[]).await;
    let kubeconfig = plane.kubeconfig_for(&installation.home, OPERATOR.1).await;
    let site = Site::at(plane, installation.namespace.clone(), installation.home.clone(), kubeconfig).await;
    site.agent("forge", json!({})).await;
    site.agent("other", json!({})).await;
    let calm = settings("one", &site.namespace);
    let first = site.replica(&Shift::default(), calm.clone()).await;
    for (agent, count) in [("other", 1), ("forge", 7)] {
        for number in 1..=count {
            site.change(agent, json!({ "metadata": { "annotations": { RUN_NOW: "true" } } })).await;
            eventually(&format!("run {number} of {agent}"), || async {
                let counted = site.agents().get(agent).await.ok()?.status?;
                (counted.run_count == number && counted.active_run.is_none()).then_some(())
            })
            .await;
        }
    }
    let (holds, history) = verified(&site).await;
    assert_eq!(holds, [true; 4], "{history}");
    first.ends().await;
    assert_eq!(site.runs_of("forge").await.len(), 7, "a week is not over");
    // Everything is old, but the newest two; batches of two.
    let second = Duration::from_secs(1);
    let retention = Retention { ttl: second, scan_interval: second, batch: 2, keep: 2, bytes: 0 };
    let hourly = Hourly { window: second, ..Hourly::default() };
    let sweeping = site.replica(&Shift::default(), Settings { retention, hourly, ..calm }).await;
    let left = eventually("two records", || async {
        let left = site.runs_of("forge").await;
        (left.len() <= 2).then_some(left)
    })
    .await;
    sweeping.ends().await;
    let mut numbers: Vec<_> = left.iter().filter_map(|run| run.status.as_ref()?.sequence).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [6, 7]);
    assert_eq!(site.runs_of("other").await.len(), 1, "the newest stay");
    let (holds, history) = verified(&site).await;
    assert_eq!(holds, [true; 4], "{history}");
    assert!(history.contains("floor at 5"), "{history}");

    // Somebody who may write ConfigMaps and delete records removes one more, and says that it was retention.
    let maps = Api::<ConfigMap>::namespaced(site.admin.clone(), &site.home);
    let uid = site.agents().get("forge").await.unwrap().uid().unwrap();
    let name = format!("infraagent-floor-{uid}");
    let genuine = maps.get(&name).await.unwrap();
    let sixth = left.iter().find(|run| run.status.as_ref().and_then(|status| status.sequence) == Some(6)).unwrap();
    let head = sixth.status.as_ref().unwrap().head.clone().unwrap().hash;
    let before = genuine.data.clone().unwrap()["floor.json"].clone();
    let mut forged: Value = serde_json::from_str(&before).unwrap();
    (forged["sequence"], forged["runUid"], forged["head"]) = (json!(6), json!(sixth.uid()), json!(head));
    let put = |floor: String| {
        let (maps, name) = (maps.clone(), name.clone());
        async move {
            let patch = json!({ "data": { "floor.json": floor } });
            maps.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        }
    };
    put(forged.to_string()).await;
    let (holds, history) = verified(&site).await;
    assert!(!holds[3], "the floor is forged: {history}");
    site.runs().delete(&sixth.name_any(), &DeleteParams::default()).await.unwrap();
    let (holds, history) = verified(&site).await;
    assert_eq!(holds, [true, true, false, false], "{history}");
    // The genuine floor misses the record.
    put(before).await;
    let (holds, history) = verified(&site).await;
    assert_eq!(holds, [true, true, false, true], "{history}");
    assert!(history.contains("record 6 is missing"), "{history}");
    // Without any floor the beginning is missing.
    maps.delete(&name, &DeleteParams::default()).await.unwrap();
    let (holds, history) = verified(&site).await;
    assert_eq!(holds, [true, true, false, true], "{history}");
}
