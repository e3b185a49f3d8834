use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{super::document::Document, *};
use crate::{
    audit::{
        chain,
        verify::{Answer, verify},
    },
    telemetry::trace,
};

/// The record of a run with so many entries, the last of them open unless it is over.
fn record(entries: usize, over: bool) -> Value {
    let mut document = json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
        "metadata": { "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "managedFields": [{ "manager": "m" }] },
        "spec": { "agentRef": "a", "agentUid": "au", "environmentRef": "e", "trigger": "manual" },
        "status": { "phase": "Running", "sequence": 3, "actions": [] },
    });
    let mut previous = chain::run(&document).unwrap();
    for seq in 0..entries {
        let mut entry = json!({
            "seq": seq, "timestamp": "2026-11-23T11:00:00Z", "tool": "t", "target": "x", "tier": "read", "call": "c",
            "nonce": format!("n{seq}"), "status": "executed",
        });
        previous = chain::intent(&previous, &chain::intent_text(entry.as_object().unwrap()).unwrap());
        entry["intentHash"] = previous.as_str().into();
        match over || seq + 1 < entries {
            true => entry["outcomeHash"] = chain::outcome(&previous, &chain::outcome_text(entry.as_object().unwrap()).unwrap()).into(),
            false => entry["status"] = "intended".into(),
        }
        document["status"]["actions"].as_array_mut().unwrap().push(entry);
    }
    if over {
        document["status"]["phase"] = "Succeeded".into();
        let head = chain::head(&document).unwrap();
        document["status"]["head"] = json!({ "hash": head, "signature": "none", "keyId": "none" });
    }
    document
}

fn told(pending: &Pending) -> Vec<String> {
    let told = |item: &Item| {
        let item: Value = serde_json::from_str(&item.json).unwrap();
        format!("{}{}{}", item["kind"].as_str().unwrap(), item["seq"], item["entry"]["status"])
    };
    pending.items.iter().map(told).collect()
}

#[test]
fn an_entry_is_sent_when_it_is_intended_and_again_with_its_outcome_and_then_no_more() {
    let first = pending(&record(2, false), "c", &Progress::default()).unwrap();
    assert_eq!((told(&first), &first.head), (vec!["entry0\"executed\"".to_owned(), "entry1\"intended\"".to_owned()], &None));
    let again = pending(&record(2, false), "c", &first.progress).unwrap();
    assert_eq!(told(&again), [""; 0]);
    let over = pending(&record(3, true), "c", &again.progress).unwrap();
    assert_eq!(told(&over), ["entry1\"executed\"", "entry2\"executed\"", "headnullnull"]);
    assert_eq!(over.head.as_deref(), record(3, true)["status"]["head"]["hash"].as_str());
    let anew = pending(&record(3, true), "c", &Progress::default()).unwrap();
    assert_eq!(anew.items.len(), 4, "whoever knows nothing sends everything");
}

#[test]
fn each_entry_verifies_by_itself_and_all_of_them_with_the_head_are_the_record() {
    let original = record(3, true);
    let sent = pending(&original, "c", &Progress::default()).unwrap();
    let items: Vec<Value> = sent.items.iter().map(|item| serde_json::from_str(&item.json).unwrap()).collect();
    let Some((head, entries)) = items.split_last() else { panic!("nothing") };
    for item in entries {
        let entry = item["entry"].as_object().unwrap();
        let intent = chain::intent(item["follows"].as_str().unwrap(), &chain::intent_text(entry).unwrap());
        assert_eq!(entry["intentHash"].as_str(), Some(intent.as_str()));
        assert_eq!(entry["outcomeHash"].as_str(), Some(chain::outcome(&intent, &chain::outcome_text(entry).unwrap()).as_str()));
        assert_eq!((item["runUid"].as_str(), item["agentUid"].as_str(), item["sequence"].as_i64()), (Some("u"), Some("au"), Some(3)));
    }
    assert_eq!(head["entries"], 3);
    let mut whole = head["record"].clone();
    assert!(whole["metadata"].get("managedFields").is_none() && whole["status"].get("actions").is_none());
    whole["status"]["actions"] = entries.iter().map(|item| item["entry"].clone()).collect();
    let report = verify(&Document::from_value(whole.clone()).unwrap(), None, head["head"]["hash"].as_str());
    assert!(matches!((&report.consistent, &report.complete), (Answer::Yes(_), Answer::Yes(_))), "{report:?}");
    whole["status"]["actions"][1]["target"] = "y".into();
    assert!(verify(&Document::from_value(whole).unwrap(), None, None).refuted(), "what was changed on the way is seen");
}

fn item(bytes: usize) -> Item {
    let text = |text: &str| text.to_owned();
    let json = json!({ "kind": "entry", "x": "y".repeat(bytes) }).to_string();
    Item { kind: Kind::Entry, namespace: text("n"), run: text("r"), run_uid: text("u"), agent: text("a"), at: None, json }
}

#[test]
fn a_request_has_at_least_one_item_and_not_much_more_than_fits() {
    assert_eq!(first_batch(&vec![item(10); ITEMS + 1]), ITEMS);
    assert_eq!(first_batch(&[item(BYTES / 2), item(BYTES / 3), item(BYTES / 3)]), 2);
    assert_eq!(first_batch(&[item(2 * BYTES), item(1)]), 1);
    assert_eq!(first_batch(&[item(1)]), 1);
}

/// A receiver that refuses so many requests, and keeps what it takes.
#[derive(Default)]
struct Receiver {
    refuses: AtomicUsize,
    took: Mutex<Vec<Value>>,
    tokens: Mutex<Vec<String>>,
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.tokens.lock().unwrap().push(headers["authorization"].to_str().unwrap().to_owned());
    if receiver.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    receiver.took.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    StatusCode::NO_CONTENT
}

fn open(target: &str, more: &[&str]) -> Exporter {
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    let line = ["x", "--export", target].into_iter().chain(more.iter().copied());
    let Line { args } = clap::Parser::parse_from(line);
    args.open(&trace::Args::default(), &|_| None).unwrap().unwrap()
}

#[tokio::test]
async fn a_webhook_gets_everything_in_order_with_the_token_of_the_moment_and_a_refusal_is_an_error() {
    let receiver = Arc::new(Receiver { refuses: AtomicUsize::new(1), ..Receiver::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let router = Router::new().route("/in", post(take)).with_state(Arc::clone(&receiver));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "first\n").unwrap();
    let exporter = open(&url, &["--export-token-file", token.to_str().unwrap()]);

    let items: Vec<Item> = (0..ITEMS + 3).map(item).collect();
    let refused = exporter.send(&items).await.unwrap_err().to_string();
    assert!(refused.contains("503") && !refused.contains("first"), "{refused}");
    std::fs::write(&token, "second").unwrap();
    exporter.send(&items).await.unwrap();
    assert_eq!(*receiver.tokens.lock().unwrap(), ["Bearer first", "Bearer second", "Bearer second"]);
    let took = receiver.took.lock().unwrap().clone();
    let got: Vec<Value> = took.iter().flat_map(|body| body["items"].as_array().unwrap().clone()).collect();
    let sent: Vec<Value> = items.iter().map(|item| serde_json::from_str(&item.json).unwrap()).collect();
    assert_eq!((took.len(), got), (2, sent));

    std::fs::remove_file(&token).unwrap();
    let error = exporter.send(&items).await.unwrap_err().to_string();
    assert!(error.contains("token"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_an_error_that_tells_no_secret() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = open(&format!("http://127.0.0.1:{port}/in?key=canary"), &[]).send(&[item(1)]).await.unwrap_err().to_string();
    assert!(error.contains("cannot be asked") && !error.contains("canary"), "{error}");
}
