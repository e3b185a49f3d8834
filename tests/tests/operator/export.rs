//! Copies of records go to a receiver that refuses, dies and comes back, while replicas die: everything arrives, and proves itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use infraagent_tests::{binary, eventually};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    lab::{Lab, STEADY, actions},
    model::{self, Plan},
};

const MARK: &str = "infraagent.io/exported";
const TOKEN: &str = "token-of-the-receiver";

/// Takes what comes, or not.
#[derive(Default)]
struct Receiver {
    refuses: AtomicBool,
    refused: AtomicUsize,
    items: Mutex<Vec<Value>>,
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers.get("authorization").is_none_or(|token| token != &format!("Bearer {TOKEN}")) {
        return StatusCode::UNAUTHORIZED;
    }
    if receiver.refuses.load(Ordering::SeqCst) {
        receiver.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    receiver.items.lock().unwrap().extend(body["items"].as_array().expect("items").iter().cloned());
    StatusCode::OK
}

impl Receiver {
    /// Listens until the task is ended.
    async fn listen(self: &Arc<Self>, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = eventually("the port of the receiver", || async { TcpListener::bind(address).await.ok() }).await;
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/in", post(take)).with_state(Arc::clone(self));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, task)
    }

    /// The run as it was received, once its head is there.
    fn record(&self, run: &str) -> Option<Value> {
        let items = self.items.lock().unwrap();
        let head = items.iter().rfind(|item| item["kind"] == "head" && item["run"] == run)?;
        let of_run = items.iter().filter(|item| item["kind"] == "entry" && item["runUid"] == head["runUid"]);
        // Of what came twice the later one counts.
        let entries: BTreeMap<u64, Value> = of_run.map(|item| (item["seq"].as_u64().unwrap(), item["entry"].clone())).collect();
        let mut record = head["record"].clone();
        if !entries.is_empty() {
            record["status"]["actions"] = entries.into_values().collect();
        }
        Some(record)
    }

    fn heads(&self) -> BTreeSet<String> {
        let items = self.items.lock().unwrap();
        items.iter().filter(|item| item["kind"] == "head").map(|item| item["run"].as_str().unwrap().to_owned()).collect()
    }
}

impl Lab<'_> {
    async fn has_mark(&self, run: &str) -> bool {
        self.runs().get(run).await.unwrap().annotations().contains_key(MARK)
    }

    /// What the program says to a record that somebody else kept.
    async fn examine(&self, record: &Value) -> Value {
        let keys = Api::<Secret>::namespaced(self.client.clone(), &self.operator.home).get("infraagent-keys").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (key, file) = (folder.path().join("audit.pub"), folder.path().join("record.json"));
        std::fs::write(&key, &keys.data.unwrap()["audit.pub"].0).unwrap();
        std::fs::write(&file, record.to_string()).unwrap();
        let verify = Command::new(binary())
            .args(["audit", "verify", "-o", "json", "--key"])
            .args([&key, &file])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        serde_json::from_slice(&verify.stdout).unwrap_or_else(|error| panic!("{error}: {verify:?}"))
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_and_dies_gets_every_record_in_the_end_also_from_another_replica() {
    let lab = Lab::new(STEADY).await;
    lab.deployment("web").await;
    let receiver = Arc::new(Receiver { refuses: AtomicBool::new(true), ..Receiver::default() });
    let (address, mut listening) = receiver.listen(([127, 0, 0, 1], 0).into()).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let target = format!("http://{address}/in");
    let options = ["--export", &target, "--export-token-file", token.to_str().unwrap()];

    // It refuses: runs go on, and none is said to be exported.
    let one = lab.operator.replica_with("one", &options);
    lab.agent("forge", Plan::calls([model::look(&lab.namespace, "web"), model::restart(&lab.namespace, "web")])).await;
    lab.order("first", "forge", json!({})).await;
    lab.ended("first").await;
    eventually("a refusal", || async { (receiver.refused.load(Ordering::SeqCst) > 1).then_some(()) }).await;
    assert!(!lab.has_mark("first").await && receiver.heads().is_empty());
    receiver.refuses.store(false, Ordering::SeqCst);
    let lab_ref = &lab;
    eventually("the first record", || async { (receiver.record("first").is_some() && lab_ref.has_mark("first").await).then_some(()) })
        .await;

    // It dies, and so does the replica; what ended in between is exported by another one, when there is somebody again.
    listening.abort();
    let _ = listening.await;
    lab.order("second", "forge", json!({})).await;
    lab.ended("second").await;
    one.kill();
    let _two = lab.operator.replica_with("two", &options);
    lab.order("third", "forge", json!({})).await;
    lab.ended("third").await;
    assert!(!lab.has_mark("second").await && !lab.has_mark("third").await);
    let before = receiver.items.lock().unwrap().len();
    (_, listening) = receiver.listen(address).await;
    for run in ["second", "third"] {
        eventually(run, || async { (receiver.record(run).is_some() && lab_ref.has_mark(run).await).then_some(()) }).await;
    }
    listening.abort();
    let again = receiver.items.lock().unwrap()[before..].iter().any(|item| item["run"] == "first");
    assert!(!again, "what is marked is not sent again, whoever leads");

    // What was kept elsewhere is what stands on the API server, and was signed.
    for name in ["first", "second", "third"] {
        let (kept, run) = (receiver.record(name).unwrap(), lab.runs().get(name).await.unwrap());
        let count = kept["status"]["actions"].as_array().map_or(0, Vec::len);
        assert!(count >= 3 && count == actions(&run).len(), "{name}: {count}");
        assert_eq!(kept["status"], serde_json::to_value(&run).unwrap()["status"], "{name}");
        let said = lab.examine(&kept).await;
        let answers = ["consistent", "authentic"].map(|question| said["verification"][question]["answer"].clone());
        assert_eq!(answers, ["yes", "yes"], "{name}: {said}");
        let mut changed = kept;
        changed["status"]["actions"][0]["target"] = "another".into();
        assert_eq!(lab.examine(&changed).await["verification"]["consistent"]["answer"], "no", "{name}");
    }
}

#[test]
fn an_export_that_makes_no_sense_is_refused_before_anything_begins() {
    let refused = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(binary());
        command.arg("operator").args(["--kubeconfig", "/nowhere"]).args(arguments).envs(variables.iter().copied());
        for flag in ["--health-address", "--metrics-address", "--webhook-address"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (target, more, variables, expected) in [
        ("ftp://x", [""; 0].as_slice(), [].as_slice(), "file:/absolute/path"),
        ("file:here", &[], &[], "absolute"),
        ("https://user:canary@host/", &[], &[], "neither user nor password"),
        ("otlp", &[], &[], "--otlp-endpoint"),
        ("http://siem.example.com/", &[], &[("INFRAAGENT_EXPORT_TOKEN", "canary")], "https"),
        ("file:/a", &["--export-token-file", "/token"], &[], "for webhooks"),
    ] {
        let said = refused(&[&["--export", target], more].concat(), variables);
        assert!(said.contains(expected), "{target}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
    let said = refused(&["--export-token-file", "/token"], &[]);
    assert!(said.contains("--export"), "{said}");
}
