//! What stands in the record, when, and what happens when it cannot be written.

use std::sync::Arc;

use infraagent_api::{
    names::Severity,
    run::{ActionStatus, RunPhase},
};

use super::support::{Desk, closed, closing, permit, permit_because, read, refused, refused_read, run, setup, size};
use crate::audit::{
    Closing, Document, End, Error, FileSink, Journal, MutationOutcome, Sink, ToolOutcome, bound, chain, entry, sink,
    verify::{Answer, verify},
};

#[tokio::test]
async fn a_closed_record_is_consistent_authentic_and_complete() {
    let desk = Desk::open(bound::ENTRIES).await;
    let _ = closed(&desk).await;
    let document = desk.read();
    let head = document.run.status.as_ref().unwrap().head.clone().unwrap();
    let report = verify(&document, Some(&desk.public()), Some(&head.hash));
    assert!(!report.refuted(), "{report:?}");
    for answer in [&report.consistent, &report.authentic, &report.complete] {
        assert!(matches!(answer, Answer::Yes(_)), "{report:?}");
    }
    assert_eq!(head.key_id, Some(desk.key.id()));
    let other = verify(&document, None, Some(&"0".repeat(64)));
    assert!(matches!(other.authentic, Answer::NotChecked(_)));
    assert!(other.complete.is_no());
}

#[tokio::test]
async fn entries_say_what_was_asked_decided_and_done() {
    let desk = Desk::open(bound::ENTRIES).await;
    let _ = closed(&desk).await;
    let status = desk.read().run.status.unwrap();
    let seen: Vec<_> = status.actions.iter().map(|entry| (entry.seq, entry.tool.as_str(), entry.status, entry.reason.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (0, "find_broken", ActionStatus::Executed, None),
            (1, "restart", ActionStatus::Failed, Some("trap")),
            (2, "kubectl.rollout restart", ActionStatus::Executed, None),
            (3, "kubectl.rollout restart", ActionStatus::Blocked, Some("data-protection")),
            (4, "kubectl.rollout restart", ActionStatus::Skipped, Some("proposed")),
            (5, "kubectl.rollout restart", ActionStatus::Failed, Some("conflict")),
        ]
    );
    let reads = status.actions[0].reads.as_ref().unwrap();
    assert_eq!((reads.count, reads.denied), (4, 2));
    assert_eq!(reads.calls[0], "kubectl.logs pod/web-1 -n apps");
    assert!(reads.calls[2].ends_with(" denied:target-not-covered"), "{:?}", reads.calls);
    assert!(reads.calls[3].ends_with(" denied:malformed"), "{:?}", reads.calls);
    let change = &status.actions[2];
    assert_eq!(change.target, "deployment/web -n apps");
    assert_eq!(change.call, "kubectl.rollout restart deployment/web -n apps # the image was fixed");
    assert_eq!(change.object_version.as_deref(), Some("uid-1/41"));
    assert_eq!(change.decided_against.as_deref(), Some("agent:7 environment:3 policy:1"));
    assert_eq!(change.action.as_deref(), Some("restart-deployment"));
    // A record of so many entries has little room for each: what passed is not listed.
    assert_eq!(change.checks.as_deref(), Some("pass"));
    assert!(status.actions[3].checks.as_deref().unwrap().contains("data=fail:data-protection"));
}

#[tokio::test]
async fn what_the_journal_hashes_and_measures_in_parts_is_what_the_whole_entry_has() {
    let desk = Desk::open(bound::ENTRIES).await;
    let document = closed(&desk).await;
    let entries = desk.read().run.status.unwrap().actions;
    for (entry, written) in entries.iter().zip(document["status"]["actions"].as_array().unwrap()) {
        let written = written.as_object().unwrap();
        let (intent, outcome) = (chain::intent_text(written).unwrap(), chain::outcome_text(written).unwrap());
        assert_eq!(entry::outcome_text(entry).unwrap(), outcome);
        assert_eq!(chain::sealed_len(intent.len(), outcome.len()), size(entry), "{written:?}");
    }
    assert_eq!(entries.len(), 6);
}

#[tokio::test]
async fn the_digest_of_reads_follows_from_the_definition() {
    let desk = Desk::open(bound::ENTRIES).await;
    let tool = desk.journal.tool("t", "", "").await.unwrap();
    let answered = tool.read(read("web-1"));
    tool.answered(answered.ordinal(), End::bytes(b"hello"));
    let _lost = tool.read(read("web-2"));
    tool.close(ToolOutcome::Executed { result: String::new() }).await.unwrap();
    desk.journal.flush().await.unwrap();
    let text = r#"[["kubectl.logs pod/web-1 -n apps","sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 5"],["kubectl.logs pod/web-2 -n apps","unanswered"]]"#;
    let expected = chain::sha256(format!("infraagent audit v1 reads\n{text}").as_bytes());
    assert_eq!(desk.read().run.status.unwrap().actions[0].reads.as_ref().unwrap().digest, Some(expected));
}

#[tokio::test]
async fn the_intent_is_on_disk_before_the_permit_is_given_out() {
    for name in ["run.agentrun.yaml", "run.agentrun.json"] {
        let desk = Desk::open_as("run-1", name, bound::ENTRIES).await;
        let tool = desk.journal.tool("restart", "deployment/web", "restart").await.unwrap();
        let recorded = tool.intend(permit("web")).await.unwrap();
        let report = desk.verify();
        assert!(matches!(report.consistent, Answer::Yes(_)), "{report:?}");
        assert_eq!(report.open, [0, 1]);
        assert_eq!(report.complete, Answer::No("readable, not closed: the last intent has no outcome (entry 1)".to_owned()));
        assert_eq!(desk.read().run.status.unwrap().actions[1].status, ActionStatus::Intended);
        tool.outcome(recorded.seq(), MutationOutcome::Executed { result: "changed".to_owned() }).await.unwrap();
        assert_eq!(desk.read().run.status.unwrap().actions[1].status, ActionStatus::Executed);
        assert!(matches!(tool.outcome(1, MutationOutcome::Executed { result: String::new() }).await, Err(Error::NotOpen(1))));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_written_denies_the_change() {
    let desk = Desk::open(bound::ENTRIES).await;
    let tool = desk.journal.tool("restart", "deployment/web", "restart").await.unwrap();
    let dir = desk.path.parent().unwrap().to_owned();
    let aside = dir.with_extension("aside");
    std::fs::rename(&dir, &aside).unwrap();
    let error = tool.intend(permit("web")).await.unwrap_err();
    assert!(matches!(error, Error::Sink(sink::Error::Io { .. })), "{error}");
    assert!(error.to_string().starts_with("cannot write the record"), "{error}");
    std::fs::rename(&aside, &dir).unwrap();
    desk.journal.finish(closing()).await.unwrap();
    let status = desk.read().run.status.unwrap();
    assert_eq!((status.actions[1].status, status.actions[1].reason.as_deref()), (ActionStatus::Blocked, Some("not-recorded")));
    assert!(matches!(desk.verify().consistent, Answer::Yes(_)));
}

#[tokio::test]
async fn a_record_is_never_overwritten() {
    let desk = Desk::open(bound::ENTRIES).await;
    assert!(matches!(FileSink::new(&desk.path), Err(sink::Error::Exists(_))));
    let late = desk.dir.path().join("late.json");
    let sink = Sink::File(FileSink::new(&late).unwrap());
    std::fs::write(&late, "mine").unwrap();
    let error = Journal::open(sink, run("run-1"), setup(Arc::clone(&desk.key), 8)).await.unwrap_err();
    assert!(matches!(error, Error::Sink(sink::Error::Exists(_))), "{error}");
    assert_eq!(std::fs::read_to_string(&late).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(desk.dir.path()).unwrap().count(), 2, "no temporary file stays behind");
}

#[cfg(unix)]
#[tokio::test]
async fn a_write_does_not_follow_a_link_that_waits_beside_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join(format!(".run.json.{}.tmp", std::process::id()))).unwrap();
    let path = dir.path().join("run.json");
    let key = Arc::new(crate::audit::AuditKey::generate().unwrap());
    let journal = Journal::open(Sink::File(FileSink::new(&path).unwrap()), run("run-1"), setup(key, 8)).await.unwrap();
    journal.finish(closing()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    assert!(path.symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "no temporary file stays behind");
}

#[tokio::test]
async fn a_permit_of_another_run_is_refused() {
    let desk = Desk::open_as("run-2", "run.json", bound::ENTRIES).await;
    assert!(matches!(desk.journal.intend(permit("web")).await, Err(Error::WrongRun { .. })));
    assert!(desk.journal.document().await.status.unwrap().actions.is_empty());
}

#[tokio::test]
async fn what_nobody_answered_is_unknown() {
    let desk = Desk::open(bound::ENTRIES).await;
    let tool = desk.journal.tool("restart", "", "restart").await.unwrap();
    let _given_out = tool.intend(permit("web")).await.unwrap();
    desk.journal.finish(Closing { phase: RunPhase::Failed, ..closing() }).await.unwrap();
    let status = desk.read().run.status.unwrap();
    assert_eq!(status.actions.iter().map(|entry| entry.status).collect::<Vec<_>>(), [ActionStatus::Unknown, ActionStatus::Unknown]);
    assert!(matches!(desk.verify().authentic, Answer::Yes(_)));
}

#[tokio::test]
async fn a_cancelled_tool_call_keeps_its_reads_and_refusals() {
    let desk = Desk::open(bound::ENTRIES).await;
    let cancelled = async |name: &str| {
        let tool = desk.journal.tool("look", "", "look").await.unwrap();
        let _unanswered = tool.read(read(name));
        tool.refused(&refused_read(name)).await.unwrap();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), std::future::pending::<()>()).await.is_err());
        drop(tool);
    };
    cancelled("web-1").await;
    desk.journal.flush().await.unwrap();
    let sealed = |seq: usize| {
        let entry = desk.read().run.status.unwrap().actions.swap_remove(seq);
        let reads = entry.reads.unwrap();
        (entry.status, entry.reason, reads.count, reads.denied, reads.digest.is_some())
    };
    let expected = (ActionStatus::Unknown, Some("interrupted".to_owned()), 2, 1, true);
    assert_eq!(sealed(0), expected, "sealed by the next flush");
    cancelled("web-2").await;
    let held = desk.journal.tool("look", "", "look").await.unwrap();
    held.refused(&refused_read("web-3")).await.unwrap();
    held.malformed("kubernetes-read.get", "`..` is not a name");
    desk.journal.finish(closing()).await.unwrap();
    assert_eq!(sealed(1), expected, "sealed by the end of the run");
    assert_eq!(sealed(2), (ActionStatus::Unknown, Some("interrupted".to_owned()), 2, 2, true), "somebody still holds it");
    assert!(matches!(desk.verify().authentic, Answer::Yes(_)));
}

#[test]
fn a_change_that_is_cancelled_before_its_permit_is_given_out_is_skipped() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let desk = Desk::open(bound::ENTRIES).await;
        // The only thread that writes is busy, so the intent waits; then its caller goes away.
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), desk.journal.intend(permit("web"))).await.is_err());
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        desk.journal.finish(closing()).await.unwrap();
        let status = desk.read().run.status.unwrap();
        assert_eq!((status.actions[0].status, status.actions[0].reason.as_deref()), (ActionStatus::Skipped, Some("interrupted")));
        assert!(matches!(desk.verify().authentic, Answer::Yes(_)));
    });
}

#[tokio::test]
async fn a_closed_record_takes_nothing_more() {
    let desk = Desk::open(bound::ENTRIES).await;
    let tool = desk.journal.tool("restart", "", "restart").await.unwrap();
    desk.journal.finish(closing()).await.unwrap();
    let before = std::fs::read(&desk.path).unwrap();
    assert!(matches!(desk.journal.tool("more", "", "").await, Err(Error::Closed)));
    assert!(matches!(tool.intend(permit("web")).await, Err(Error::Closed)));
    assert!(matches!(tool.refused(&refused("db")).await, Err(Error::Closed)));
    assert!(tool.close(ToolOutcome::Executed { result: String::new() }).await.is_err());
    assert!(matches!(desk.journal.report_finding(Severity::Info, None, "x").await, Err(Error::Closed)));
    assert!(matches!(desk.journal.finish(closing()).await, Err(Error::Closed)));
    assert_eq!(desk.journal.entries_left(), 0);
    assert_eq!(before, std::fs::read(&desk.path).unwrap());
}

#[tokio::test]
async fn no_secret_reaches_the_file() {
    const SECRET: &str = "correct-horse-battery";
    let desk = Desk::open(bound::ENTRIES).await;
    let tool = desk.journal.tool("ask", &format!("with {SECRET}"), &format!("ask {SECRET}")).await.unwrap();
    tool.malformed("http-read.get", &format!("`{SECRET}` is no path"));
    let recorded = tool.intend(permit_because("web", &format!("because {SECRET}"))).await.unwrap();
    tool.outcome(recorded.seq(), MutationOutcome::Failed { reason: format!("invalid {SECRET}"), message: format!("said {SECRET}") })
        .await
        .unwrap();
    tool.close(ToolOutcome::Executed { result: format!("found {SECRET}") }).await.unwrap();
    desk.journal.report_finding(Severity::Info, Some(SECRET), &format!("see {SECRET}")).await.unwrap();
    desk.journal.finish(Closing { report: Some(format!("it is {SECRET}")), ..closing() }).await.unwrap();
    let text = std::fs::read_to_string(&desk.path).unwrap();
    assert!(!text.contains("horse"), "{text}");
    assert!(text.matches("[redacted]").count() >= 8, "{text}");
    assert!(!desk.verify().refuted() || matches!(desk.verify().complete, Answer::NotChecked(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_tool_calls_share_one_chain() {
    let desk = Desk::open(bound::ENTRIES).await;
    let work = (0..16).map(|number| {
        let journal = Arc::clone(&desk.journal);
        tokio::spawn(async move {
            let tool = journal.tool("work", &format!("part {number}"), "work").await.unwrap();
            for _ in 0..number {
                let recorded = tool.read(read("web-1"));
                tokio::task::yield_now().await;
                tool.answered(recorded.ordinal(), End::bytes(b"x"));
            }
            if number % 4 == 0 {
                let recorded = tool.intend(permit("web")).await.unwrap();
                tool.outcome(recorded.seq(), MutationOutcome::Executed { result: "changed".to_owned() }).await.unwrap();
            }
            tool.refused(&refused_read("web-9")).await.unwrap();
            tool.close(ToolOutcome::Executed { result: "done".to_owned() }).await.unwrap();
        })
    });
    for task in work.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    desk.journal.finish(closing()).await.unwrap();
    let report = desk.verify();
    assert!(matches!(report.consistent, Answer::Yes(_)) && report.entries == 20, "{report:?}");
    let status = desk.read().run.status.unwrap();
    let reads: i32 = status.actions.iter().filter_map(|entry| entry.reads.as_ref()).map(|reads| reads.count).sum();
    assert_eq!(reads, (0..16).sum::<i32>() + 16);
}

#[tokio::test]
async fn yaml_that_would_not_read_back_the_same_is_written_as_json() {
    let awkward = "a: |\n  \t- 'x'\r\n\u{85}\u{2028}\n\n  # no\n...\n---\n{[\u{0}\u{1b}";
    let desk = Desk::open_as("run-1", "run.yaml", bound::ENTRIES).await;
    let tool = desk.journal.tool("1e3", "0x10", "yes").await.unwrap();
    tool.close(ToolOutcome::Executed { result: awkward.to_owned() }).await.unwrap();
    desk.journal.finish(Closing { report: Some(format!("{awkward}\n\n")), ..closing() }).await.unwrap();
    let document: Document = desk.read();
    assert_eq!(document.run, desk.journal.document().await);
    assert!(matches!(desk.verify().authentic, Answer::Yes(_)));
}
