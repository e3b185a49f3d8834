//! `infraagent audit` from outside: what it prints and how it exits.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use infraagent::audit::{AuditKey, Closing, FileSink, Journal, Redactor, Setup, Sink, ToolOutcome};
use infraagent_api::{AgentRun, run::RunPhase};

/// A record and the key that signed it, in `dir`. Returns the head.
async fn record(dir: &Path, finish: bool) -> Option<String> {
    let run: AgentRun = serde_json::from_value(serde_json::json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
        "metadata": {"name": "web-watch-1", "namespace": "agents", "uid": "run-1"},
        "spec": {"agentRef": "web-watch", "environmentRef": "lab", "trigger": "manual"},
    }))
    .unwrap();
    let key = Arc::new(AuditKey::load_or_create(&dir.join("audit.key")).unwrap());
    let sink = Sink::File(FileSink::new(dir.join("run.agentrun.yaml")).unwrap());
    let setup = Setup { redactor: Arc::new(Redactor::default()), key: Some(key), entries: 16, now: jiff::Timestamp::now };
    let journal = Journal::open(sink, run, setup).await.unwrap();
    let tool = journal.tool("find_broken", "namespace apps", "find_broken {}").await.unwrap();
    journal.flush().await.unwrap();
    if !finish {
        return None;
    }
    tool.close(ToolOutcome::Executed { result: "nothing is broken".to_owned() }).await.unwrap();
    let head = journal
        .finish(Closing { phase: RunPhase::Succeeded, report: Some("all well\nnothing to do".to_owned()), ..Closing::default() })
        .await;
    Some(head.unwrap().hash)
}

fn audit(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_infraagent")).arg("audit").args(arguments).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn verify_says_what_it_checked_and_never_more() {
    let dir = tempfile::tempdir().unwrap();
    let head = record(dir.path(), true).await.unwrap();
    let full = audit(dir.path(), &["verify", "run.agentrun.yaml", "--key", "audit.key.pub", "--head", &head]);
    let text = said(&full);
    assert_eq!(full.status.code(), Some(0), "{text}");
    assert!(text.contains("✔ consistent") && text.contains("✔ authentic") && text.contains("✔ complete"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours into a pipe: {text}");

    let blind = audit(dir.path(), &["verify", "run.agentrun.yaml"]);
    assert_eq!(blind.status.code(), Some(0));
    assert!(
        said(&blind).contains("✔ consistent") && said(&blind).contains("not checked: give --key") && !said(&blind).contains("✔ authentic")
    );

    let other = audit(dir.path(), &["verify", "run.agentrun.yaml", "--head", &"0".repeat(64)]);
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).contains("✘ not complete"));

    let json = audit(dir.path(), &["verify", "run.agentrun.yaml", "--key", "audit.key.pub", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["verification"]["authentic"]["answer"], "yes");
    assert_eq!(json["verification"]["complete"]["answer"], "notChecked");
    assert_eq!(json["verification"]["head"], head);
    assert_eq!(json["run"]["phase"], "Succeeded");
}

#[tokio::test]
async fn one_changed_byte_is_found_and_its_entry_named() {
    let dir = tempfile::tempdir().unwrap();
    let _ = record(dir.path(), true).await;
    let path = dir.path().join("run.agentrun.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("nothing is broken", "nothing is brokeN")).unwrap();
    let output = audit(dir.path(), &["verify", "run.agentrun.yaml", "--key", "audit.key.pub"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("✘ not consistent") && said(&output).contains("entry 0: its outcome"), "{}", said(&output));
    assert!(said(&output).contains("✘ not authentic"));
}

#[tokio::test]
async fn a_record_that_was_cut_off_is_readable_and_said_to_be_open() {
    let dir = tempfile::tempdir().unwrap();
    let _ = record(dir.path(), false).await;
    let output = audit(dir.path(), &["verify", "run.agentrun.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("readable, not closed: the last intent has no outcome (entry 0)"), "{}", said(&output));
    let show = audit(dir.path(), &["show", "run.agentrun.yaml"]);
    assert_eq!(show.status.code(), Some(0));
    assert!(said(&show).contains("find_broken") && said(&show).contains("intended"), "{}", said(&show));
}

#[tokio::test]
async fn what_cannot_be_checked_ends_with_two_and_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let _ = record(dir.path(), true).await;
    std::fs::write(dir.path().join("other.yaml"), "kind: Pod\napiVersion: v1\n").unwrap();
    for (arguments, reason) in [
        (vec!["verify", "absent.yaml"], "cannot open `absent.yaml`"),
        (vec!["verify", "other.yaml"], "not an AgentRun"),
        (vec!["verify", "run.agentrun.yaml", "--key", "audit.key"], ".pub"),
        (vec!["verify", "run.agentrun.yaml", "--head", "abc"], "64 hexadecimal digits"),
    ] {
        let output = audit(dir.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}
