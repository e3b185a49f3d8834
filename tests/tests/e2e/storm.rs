//! Somebody changes labels and annotations all the time: of the record, and of what the run acts on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use infraagent_api::AgentRun;
use infraagent_tests::{Fate, Passing, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::lab::{Ended, Lab};

fn note(number: u32) -> Patch<serde_json::Value> {
    Patch::Merge(json!({"metadata": {"annotations": {"note": number.to_string()}}}))
}

async fn annotate_records(client: &Client, namespace: &str, number: u32) {
    let runs = Api::<AgentRun>::namespaced(client.clone(), namespace);
    for run in runs.list(&ListParams::default()).await.unwrap().items {
        runs.patch(&run.metadata.name.unwrap(), &PatchParams::default(), &note(number)).await.unwrap();
    }
}

async fn annotate_target(client: &Client, namespace: &str, number: u32) {
    Api::<Deployment>::namespaced(client.clone(), namespace).patch("web", &PatchParams::default(), &note(number)).await.unwrap();
}

/// Every write of the record meets an object that has just changed, twice; so do the first two changes.
#[tokio::test]
async fn each_write_of_the_record_and_each_change_comes_too_late_and_none_is_lost_or_done_twice() {
    let mut lab = Lab::new().await;
    let (client, namespace) = (lab.client.clone(), lab.namespace.clone());
    let (writes, effects) = (AtomicU32::new(0), AtomicU32::new(0));
    let _passage = lab
        .behind(move |passing: Passing| {
            let write = passing.is_record().then(|| writes.fetch_add(1, Ordering::SeqCst));
            let effect = passing.is_effect().then(|| effects.fetch_add(1, Ordering::SeqCst));
            let (client, namespace) = (client.clone(), namespace.clone());
            async move {
                if let Some(number) = write.filter(|number| number % 3 != 2) {
                    annotate_records(&client, &namespace, number).await;
                }
                if let Some(number) = effect.filter(|number| *number < 2) {
                    annotate_target(&client, &namespace, number).await;
                }
                Fate::Arrive
            }
            .boxed()
        })
        .await;
    let ended = lab.run(&[lab.pause(), lab.pause(), lab.pause()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let changes = lab.changes().await;
    let told: Vec<_> = changes.iter().map(|entry| (entry.status.as_str(), entry.reason.as_deref())).collect();
    assert_eq!(told, [("failed", Some("conflict")), ("failed", Some("conflict")), ("executed", None)], "{}", ended.said);
    let mut expected = Vec::new();
    for (entry, code) in changes.iter().zip([409, 409, 200]) {
        expected.push((lab.intent(entry.seq).await, code));
    }
    assert_eq!(lab.noted().await, expected);
    assert!(lab.is_paused().await);
    let said = lab.verify().await;
    assert_eq!((&said["closed"], &said["authentic"]["answer"]), (&json!(true), &json!("yes")), "{said}");
}

/// Nobody knows which write meets the storm. Whichever does: what is recorded is what happened.
#[tokio::test]
async fn in_a_storm_without_end_the_record_and_the_api_server_tell_the_same_story() {
    let lab = Lab::new().await;
    let (calm, gusts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let storm = {
        let (client, namespace, calm, gusts) = (lab.client.clone(), lab.namespace.clone(), Arc::clone(&calm), Arc::clone(&gusts));
        tokio::spawn(async move {
            while !calm.load(Ordering::SeqCst) {
                let number = gusts.load(Ordering::SeqCst);
                tokio::join!(annotate_records(&client, &namespace, number), annotate_target(&client, &namespace, number));
                gusts.fetch_add(1, Ordering::SeqCst);
                // Or nothing at all gets through.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    eventually("the storm", || async { (gusts.load(Ordering::SeqCst) > 0).then_some(()) }).await;
    let before = gusts.load(Ordering::SeqCst);
    let turns: Vec<_> = (0..8).map(|turn| lab.set_paused(turn % 2 == 0)).collect();
    let ended = Ended::of(lab.start(&turns).wait_with_output().await.unwrap());
    calm.store(true, Ordering::SeqCst);
    storm.await.unwrap();
    assert!(gusts.load(Ordering::SeqCst) > before, "it was calm");
    let said = lab.verify().await;
    // It may lose against the storm for good. Then it says so, and what it could write is true all the same.
    let lost = said["closed"] != json!(true);
    let expected = if lost { ("yes", "no") } else { ("yes", "yes") };
    let answers = (said["consistent"]["answer"].as_str().unwrap(), said["authentic"]["answer"].as_str().unwrap());
    assert_eq!(answers, expected, "{said}\n{}", ended.said);
    assert!(!lost || (ended.code != Some(0) && ended.said.contains("it changes all the time")), "{}", ended.said);
    let (mut recorded, mut open) = (Vec::new(), Vec::new());
    for entry in lab.changes().await {
        let intent = lab.intent(entry.seq).await;
        match (entry.status.as_str(), entry.reason.as_deref()) {
            ("executed", _) => recorded.push((intent, 200)),
            ("failed", Some("conflict")) => recorded.push((intent, 409)),
            // Its intent could not be written.
            ("blocked", Some("not-recorded")) => {}
            ("intended", _) if lost => open.push(intent),
            other => panic!("{other:?}: {}", ended.said),
        }
    }
    recorded.sort();
    let mut noted = lab.noted().await;
    noted.retain(|(intent, _)| !open.contains(intent));
    assert_eq!(noted, recorded, "{}", ended.said);
}
