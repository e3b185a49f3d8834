//! Records are exported before they are removed: on a real API server, as the operator's own identity, under the policies of the release.

use std::{collections::BTreeMap, path::Path};

use infraagent_tests::{OPERATOR, control_plane_with_controllers};

use super::*;
use crate::audit::{
    Document, PublicKey,
    export::{Args, EXPORTED, Exporter},
    verify::{Answer, verify},
};

fn to_file(path: &Path) -> Exporter {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    let target = format!("file:{}", path.display());
    let Line { args } = clap::Parser::parse_from(["operator", "--export", &target]);
    args.open(&crate::telemetry::trace::Args::default(), &|_| None).unwrap().unwrap()
}

/// What a receiver has when it has put everything together: the records by agent and number.
fn received(path: &Path) -> BTreeMap<(String, i64), Document> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let items: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heads = items.iter().filter(|item| item["kind"] == "head");
    let whole = |head: &Value| {
        let mut record = head["record"].clone();
        let mut entries = BTreeMap::new();
        for item in items.iter().filter(|item| item["kind"] == "entry" && item["runUid"] == head["runUid"]) {
            entries.insert(item["seq"].as_u64().unwrap(), item["entry"].clone());
        }
        assert_eq!(head["entries"].as_u64(), u64::try_from(entries.len()).ok());
        if !entries.is_empty() {
            record["status"]["actions"] = entries.into_values().collect();
        }
        ((head["agent"].as_str().unwrap().to_owned(), head["sequence"].as_i64().unwrap()), Document::from_value(record).unwrap())
    };
    heads.map(whole).collect()
}

impl Site {
    /// Has an agent run so many times.
    async fn has_run(&self, agent: &str, count: i64) {
        for number in 1..=count {
            self.change(agent, json!({ "metadata": { "annotations": { RUN_NOW: "true" } } })).await;
            eventually(&format!("run {number} of {agent}"), || async {
                let counted = self.agents().get(agent).await.ok()?.status?;
                (counted.run_count == number && counted.active_run.is_none()).then_some(())
            })
            .await;
        }
    }

    async fn numbers(&self, agent: &str) -> Vec<i64> {
        let mut numbers: Vec<_> = self.runs_of(agent).await.iter().filter_map(|run| run.status.as_ref()?.sequence).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_exported_is_not_removed_and_what_was_removed_can_be_verified_from_the_export() {
    let plane = control_plane_with_controllers();
    let installation = plane.operator(&["worker"], &[]).await;
    let kubeconfig = plane.kubeconfig_for(&installation.home, OPERATOR.1).await;
    let site = Site::at(plane, installation.namespace.clone(), installation.home.clone(), kubeconfig).await;
    // Retention goes through agents in the order of their uids: once records of `forge` are gone, it has looked at those of the other one.
    site.agent("forge", json!({})).await;
    let uid = site.agents().get("forge").await.unwrap().uid();
    let mut held = String::new();
    for number in 0.. {
        held = format!("held-{number}");
        site.agent(&held, json!({})).await;
        if site.agents().get(&held).await.unwrap().uid() < uid {
            break;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, path) = (folder.path().join("export"), folder.path().join("export/record.jsonl"));
    std::fs::create_dir(&place).unwrap();
    let calm = settings("one", &site.namespace);
    let first = site.replica_with(&Shift::default(), calm.clone(), Some(to_file(&path))).await;
    site.has_run("forge", 2).await;
    eventually("all runs are marked", || async {
        let runs = site.runs_of("forge").await;
        runs.iter().all(|run| run.annotations().contains_key(EXPORTED)).then_some(())
    })
    .await;
    first.ends().await;
    assert_eq!(received(&path).len(), 2);

    // Nobody takes anything any more, and runs go on.
    std::fs::rename(&place, folder.path().join("before")).unwrap();
    let second = site.replica_with(&Shift::default(), calm.clone(), Some(to_file(&path))).await;
    site.has_run(&held, 3).await;
    second.ends().await;

    let soon = Duration::from_secs(1);
    let retention = Retention { ttl: soon, scan_interval: soon, batch: 10, keep: 1, bytes: 0 };
    let hourly = Hourly { window: soon, ..Hourly::default() };
    let sweeping = Settings { retention, hourly, ..calm };
    let third = site.replica_with(&Shift::default(), sweeping, Some(to_file(&path))).await;
    eventually("one record of forge", || async { (site.numbers("forge").await == [2]).then_some(()) }).await;
    assert_eq!(site.numbers(&held).await, [1, 2, 3], "what was not exported stays");

    std::fs::create_dir(&place).unwrap();
    eventually("one record of the other", || async { (site.numbers(&held).await == [3]).then_some(()) }).await;
    third.ends().await;
    let received = received(&path);
    let known: Vec<_> = received.keys().cloned().collect();
    assert_eq!(known, [1, 2, 3].map(|number| (held.clone(), number)), "what is marked is not sent again");
    let keys = Api::<k8s_openapi::api::core::v1::Secret>::namespaced(site.admin.clone(), &site.home).get("infraagent-keys").await.unwrap();
    let key = PublicKey::from_pem(std::str::from_utf8(&keys.data.unwrap()["audit.pub"].0).unwrap()).unwrap();
    for document in received.values() {
        let report = verify(document, Some(&key), None);
        assert!(matches!((&report.consistent, &report.authentic), (Answer::Yes(_), Answer::Yes(_))), "{report:?}");
    }
}
