use std::sync::Arc;

use infraagent_api::run::ActionStatus;
use serde_json::{Value, json};

use super::{
    server::{Scenario, Server, UID},
    *,
};
use crate::audit::{
    AuditKey, Document, End, Error as AuditError, Journal, MutationOutcome, Sink, ToolOutcome,
    tests::support::{self, closing, permit, read},
    verify::{Report, verify},
};

/// A journal on the server, and the key that signs it.
async fn open(server: &mut Server) -> (Arc<Journal>, Arc<AuditKey>) {
    let key = Arc::new(AuditKey::generate().unwrap());
    let another = server.another();
    let sink = std::mem::replace(&mut server.sink, another);
    // As the API server gives it back: without status.
    let mut run = support::run(UID);
    run.status = None;
    let journal = Journal::open(Sink::Cluster(sink), run, support::setup(Arc::clone(&key), 20)).await.unwrap();
    (journal, key)
}

fn verified(server: &Server, key: &AuditKey) -> Report {
    verify(&Document::from_value(server.value()).unwrap(), Some(&key.public()), None)
}

fn holds(server: &Server, key: &AuditKey) -> bool {
    let report = verified(server, key);
    assert!(!report.refuted(), "{report:?}");
    report.closed
}

/// A change that was made: intent, outcome.
async fn change(journal: &Journal, name: &str) -> Result<(), AuditError> {
    let recorded = journal.intend(permit(name)).await?;
    journal.outcome(recorded.seq(), MutationOutcome::Executed { result: "changed".to_owned() }).await
}

#[tokio::test]
async fn the_object_says_what_the_journal_says_and_only_what_is_new_is_sent() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    let tool = journal.tool("find_broken", "namespace apps", "find_broken {}").await.unwrap();
    for name in ["web-1", "web-2"] {
        let recorded = tool.read(read(name));
        tool.answered(recorded.ordinal(), End::bytes(name.as_bytes()));
    }
    let recorded = tool.intend(permit("web")).await.unwrap();
    tool.outcome(recorded.seq(), MutationOutcome::Executed { result: "changed".to_owned() }).await.unwrap();
    tool.close(ToolOutcome::Executed { result: "2 pods crash".to_owned() }).await.unwrap();
    journal.report_finding(infraagent_api::names::Severity::Warning, None, "web crashes").await.unwrap();
    journal.flush().await.unwrap();
    journal.flush().await.unwrap();
    journal.report_finding(infraagent_api::names::Severity::Info, None, "web is slow").await.unwrap();
    journal.finish(closing()).await.unwrap();

    assert_eq!(server.value()["status"], serde_json::to_value(journal.document().await.status).unwrap());
    assert!(holds(&server, &key));
    let object = server.object();
    let paths = |patch: &Vec<Value>| -> Vec<String> {
        patch.iter().map(|operation| format!("{} {}", operation["op"].as_str().unwrap(), operation["path"].as_str().unwrap())).collect()
    };
    let sent: Vec<Vec<String>> = object.patches.iter().map(paths).collect();
    for patch in &sent {
        assert_eq!(patch[0], "replace /metadata/resourceVersion");
    }
    assert_eq!(sent[0][1..], ["add /status"]);
    assert_eq!(sent[1][1..], ["add /status/actions"], "the tool call and the intent of its change");
    assert_eq!(sent[2][1..], ["replace /status/actions/1"], "the outcome");
    assert_eq!(sent[3][1..], ["replace /status/actions/0", "add /status/findings"]);
    assert!(sent[4].contains(&"add /status/findings/-".to_owned()) && sent[4].contains(&"add /status/head".to_owned()), "{sent:?}");
    assert!(!sent[4].iter().any(|path| path.contains("actions")), "{sent:?}");
    assert_eq!(sent.len(), 5, "what says nothing new is not sent");
    drop(object);
    assert_eq!(server.counts().1, 0);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_by_its_nonce_and_not_repeated() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    server.next(&[Scenario::AnswerLost]);
    change(&journal, "web").await.unwrap();
    assert_eq!(server.counts(), (3, 1), "open, intent, outcome; one look");
    journal.finish(closing()).await.unwrap();
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn a_write_that_did_not_arrive_is_repeated_under_the_same_precondition() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    server.next(&[Scenario::RequestLost]);
    change(&journal, "web").await.unwrap();
    let patches = server.object().patches.clone();
    assert_eq!(patches[1], patches[2]);
    journal.finish(closing()).await.unwrap();
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn a_write_that_arrives_after_the_look_is_found_when_its_repetition_is_refused() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    server.next(&[Scenario::Late]);
    change(&journal, "web").await.unwrap();
    assert_eq!(server.value()["status"]["actions"].as_array().unwrap().len(), 1, "it stands there once");
    journal.finish(closing()).await.unwrap();
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn what_cannot_be_found_out_is_not_recorded_and_the_next_write_begins_with_the_question() {
    for lost in [Scenario::AnswerLost, Scenario::RequestLost] {
        let mut server = Server::start().await;
        let (journal, key) = open(&mut server).await;
        server.next(&[lost]);
        server.object().deaf = true;
        let error = journal.intend(permit("web")).await.unwrap_err().to_string();
        assert!(error.contains("could not be written, and not be read afterwards"), "{error}");
        server.object().deaf = false;
        change(&journal, "api").await.unwrap();
        let entries = server.value()["status"]["actions"].clone();
        assert_eq!((&entries[0]["status"], &entries[0]["reason"]), (&json!("blocked"), &json!("not-recorded")), "nothing was done");
        assert_eq!(entries[1]["status"], "executed");
        journal.finish(closing()).await.unwrap();
        assert!(holds(&server, &key));
    }
}

#[tokio::test]
async fn an_earlier_attempt_that_arrives_during_a_later_one_is_recognised() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    // The intent gets lost, nobody answers the question, and it arrives with the next look, whose answer does not show it yet.
    server.next(&[Scenario::Late]);
    server.object().deaf = true;
    journal.intend(permit("web")).await.unwrap_err();
    server.object().deaf = false;
    change(&journal, "api").await.unwrap();
    assert_eq!(server.value()["status"]["actions"].as_array().unwrap().len(), 2);
    journal.finish(closing()).await.unwrap();
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn of_two_writers_of_one_record_the_second_stops() {
    let mut server = Server::start().await;
    let second = server.another();
    let (journal, key) = open(&mut server).await;
    let run = support::run(UID);
    let error = Journal::open(Sink::Cluster(second), run, support::setup(Arc::clone(&key), 20)).await.unwrap_err().to_string();
    assert!(error.contains("no longer held by this run: somebody else wrote its status"), "{error}");
    change(&journal, "web").await.unwrap();
    journal.finish(closing()).await.unwrap();
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn a_run_is_begun_as_it_was_seen_or_not_at_all() {
    let holder = |uid: &str| json!({ "phase": "Pending", "holder": { "lease": "infraagent-one", "uid": uid, "epoch": 1 }, "sequence": 7 });
    let begin = async |server: &Server, seen: AgentRun| {
        let sink = ClusterSink::hold_as_seen(server.client(), &seen).unwrap();
        let key = Arc::new(AuditKey::generate().unwrap());
        Journal::open(Sink::Cluster(sink), seen, support::setup(key, 20)).await.map(drop).map_err(|error| error.to_string())
    };
    for (meanwhile, looks, refused) in [("nothing", 0, ""), ("annotated", 1, ""), ("given away", 1, "somebody else wrote its status")] {
        let server = Server::start().await;
        server.put_status(holder("lease-1"));
        let seen: AgentRun = serde_json::from_value(server.value()).unwrap();
        match meanwhile {
            "annotated" => server.annotate(),
            "given away" => server.put_status(holder("lease-2")),
            _ => {}
        }
        let begun = begin(&server, seen).await;
        assert_eq!(server.counts().1, looks, "{meanwhile}");
        let status = &server.value()["status"];
        match begun {
            Ok(()) => assert!(refused.is_empty() && status["phase"] == "Running" && status["sequence"] == 7, "{meanwhile}: {status}"),
            Err(error) => {
                assert!(!refused.is_empty() && error.contains(refused), "{meanwhile}: {error}");
                assert_eq!(*status, holder("lease-2"), "nothing of it stands there");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_claim_stays_lost_and_nothing_is_sent_any_more() {
    for (scenario, why) in [(Scenario::Foreign, "somebody else wrote"), (Scenario::Recreated, "created anew")] {
        let mut server = Server::start().await;
        let (journal, _) = open(&mut server).await;
        server.next(&[scenario]);
        let error = journal.intend(permit("web")).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        let sent = server.counts().0;
        journal.intend(permit("api")).await.unwrap_err();
        journal.finish(closing()).await.unwrap_err();
        assert_eq!(server.counts().0, sent);
        assert!(server.value().pointer("/status/actions").is_none(), "nothing of it stands there");
    }
}

#[tokio::test]
async fn an_annotation_does_not_end_a_run() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    server.next(&[Scenario::Annotated]);
    change(&journal, "web").await.unwrap();
    journal.finish(closing()).await.unwrap();
    assert_eq!(server.value()["metadata"]["annotations"]["note"], "seen");
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_what_it_kept_back_comes_with_the_next_write() {
    for scenario in [Scenario::Forbidden, Scenario::TooMany] {
        let mut server = Server::start().await;
        let (journal, key) = open(&mut server).await;
        server.next(&[scenario]);
        journal.intend(permit("web")).await.unwrap_err();
        assert_eq!(server.counts(), (2, 0));
        change(&journal, "api").await.unwrap();
        journal.finish(closing()).await.unwrap();
        assert_eq!(server.value()["status"]["actions"][0]["status"], ActionStatus::Blocked.as_str());
        assert!(holds(&server, &key));
    }
}

#[tokio::test]
async fn the_last_write_is_tried_again_since_no_later_one_makes_up_for_it() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    change(&journal, "web").await.unwrap();
    server.next(&[Scenario::TooMany, Scenario::TooMany]);
    journal.finish(closing()).await.unwrap();
    assert!(holds(&server, &key));
}

#[tokio::test]
async fn a_write_whose_asker_has_gone_is_seen_to_its_end() {
    let mut server = Server::start().await;
    let (journal, key) = open(&mut server).await;
    server.next(&[Scenario::Slow]);
    let given_up = timeout(Duration::from_millis(50), journal.intend(permit("web"))).await;
    assert!(given_up.is_err());
    change(&journal, "api").await.unwrap();
    assert_eq!(server.counts().1, 0, "nobody had to ask what stands there");
    journal.finish(closing()).await.unwrap();
    let entries = server.value()["status"]["actions"].clone();
    assert_eq!((&entries[0]["status"], &entries[1]["status"]), (&json!("skipped"), &json!("executed")));
    assert!(holds(&server, &key));
}

#[test]
fn a_difference_is_empty_or_says_everything() {
    let old = json!({"phase": "Running", "actions": [{"seq": 0}], "model": "m", "gone": 1});
    assert_eq!(difference(&old, &old), Vec::<Value>::new());
    let new = json!({"phase": "Failed", "actions": [{"seq": 0, "x": 1}, {"seq": 1}], "model": "m"});
    let mut document = json!({"status": old});
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(difference(&document["status"], &new))).unwrap();
    json_patch::patch(&mut document, &patch).unwrap();
    assert_eq!(document["status"], new);
}
