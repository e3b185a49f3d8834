//! The record stays within its bounds, whatever is put into it.

use infraagent_api::{
    Time,
    names::{Severity, Tier},
    run::{ActionStatus, Reads},
};
use jiff::Timestamp;
use proptest::prelude::*;

use super::support::{Desk, closing, permit_because, proposal, read, refused, size};
use crate::audit::{
    Closing, Error, MutationOutcome, ToolOutcome, bound, canonical,
    entry::{Intent, REASON},
    verify::Answer,
};

/// The least room that an entry of a full record is promised.
const LEAST: usize = bound::BYTES / bound::ENTRIES as usize;

/// Texts that are long, that grow when they are escaped, or that have characters of several bytes.
fn long() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), Just("x".repeat(5000)), Just("\"\\\n\u{1}".repeat(200)), Just("é🦀".repeat(300)), "[a-z=0-9 ]{0,700}"]
}

proptest! {
    #[test]
    fn an_entry_of_the_longest_texts_keeps_to_its_room_with_the_longest_outcome(
        texts in prop::array::uniform3(long()), optional in prop::array::uniform3(prop::option::of(long())), room in LEAST..8192usize, result in long(),
    ) {
        let ([tool, target, call], [action, observed, policy]) = (texts, optional);
        let checks = Some(refused("db").checks);
        let intent = Intent { tool, target, tier: Tier::DestructiveMutation, action, call, checks, observed, policy };
        let (mut entry, _) = intent.into_record(127, Time(Timestamp::MAX), "f".repeat(16), room).unwrap();
        entry.status = ActionStatus::Executed;
        entry.reason = Some("r".repeat(REASON));
        entry.reads = Some(Reads { count: i32::MAX, denied: i32::MAX, calls: Vec::new(), digest: Some("d".repeat(64)) });
        entry.outcome_hash = Some("o".repeat(64));
        entry.result = Some(bound::cut(&result, bound::MARK));
        prop_assert!(size(&entry) <= room, "{} of {room}: {entry:?}", size(&entry));
    }

    #[test]
    fn however_entries_are_opened_and_sealed_all_of_them_fit(steps in prop::collection::vec((any::<bool>(), 0..=100usize), 0..600)) {
        let mut room = bound::Room::new(bound::ENTRIES);
        let (mut open, mut taken) = (Vec::new(), 0);
        for (seal, percent) in steps {
            match open.pop() {
                Some(reserved) if seal => {
                    let size = room.at_seal(reserved) * percent / 100;
                    room.seal(reserved, size);
                    taken += size;
                }
                kept => {
                    open.extend(kept);
                    let Some(reserved) = room.open() else { continue };
                    prop_assert!((LEAST..=bound::FIXED + bound::SHARE).contains(&reserved), "{reserved}");
                    open.push(reserved);
                }
            }
        }
        prop_assert!(taken + open.iter().sum::<usize>() <= bound::BYTES);
    }
}

#[tokio::test]
async fn a_full_record_of_large_results_fits_and_nothing_is_shortened_afterwards() {
    let desk = Desk::open(bound::ENTRIES).await;
    let long = "\"pod\" said:\n".repeat(400);
    let mut sealed = Vec::new();
    for number in 0..bound::ENTRIES / 2 {
        let tool = desk.journal.tool(&"t".repeat(64), &"target ".repeat(60), &format!("call {}", "argument ".repeat(500))).await.unwrap();
        for _ in 0..40 {
            let _ = tool.read(read(&"p".repeat(253)));
        }
        if number % 2 == 0 {
            let recorded = tool.intend(permit_because(&"n".repeat(253), &"why ".repeat(60))).await.unwrap();
            tool.outcome(recorded.seq(), MutationOutcome::Failed { reason: "r".repeat(90), message: long.clone() }).await.unwrap();
        } else {
            assert!(tool.refused(&refused(&"n".repeat(253))).await.unwrap().is_some());
        }
        tool.close(ToolOutcome::Executed { result: long.clone() }).await.unwrap();
        let entries = desk.journal.document().await.status.unwrap().actions;
        assert_eq!(entries[..sealed.len()], sealed, "sealed entries never change");
        sealed = entries;
    }
    assert_eq!(desk.journal.entries_left(), 0);
    let total: usize = sealed.iter().map(size).sum();
    assert!(total <= bound::BYTES, "{total}");
    for entry in &sealed {
        assert!(size(entry) <= bound::FIXED + bound::SHARE);
        let result = entry.result.as_deref().unwrap();
        assert!(canonical::escaped_len(result) <= bound::SHARE);
        assert!(entry.reads.as_ref().is_none_or(|reads| reads.count == 40 && reads.calls.len() <= bound::LISTED_CALLS));
    }
    assert!(sealed[0].result.as_deref().unwrap().contains(&format!("[cut: {} bytes, sha256:", long.len())));

    assert!(matches!(desk.journal.tool("more", "", "").await, Err(Error::BudgetExhausted(_))));
    assert!(matches!(desk.journal.propose(&proposal("web")).await, Err(Error::BudgetExhausted(_))));
    desk.journal.finish(closing()).await.unwrap();
    assert!(matches!(desk.verify().authentic, Answer::Yes(_)));
}

#[tokio::test]
async fn many_open_entries_share_the_room_too() {
    let desk = Desk::open(bound::ENTRIES).await;
    let mut tools = Vec::new();
    while desk.journal.entries_left() > 0 {
        tools.push(desk.journal.tool("t", "x", &"call ".repeat(900)).await.unwrap());
    }
    for tool in tools {
        tool.close(ToolOutcome::Executed { result: "result ".repeat(900) }).await.unwrap();
    }
    let entries = desk.journal.document().await.status.unwrap().actions;
    assert_eq!(entries.len(), 128);
    assert!(entries.iter().map(size).sum::<usize>() <= bound::BYTES);
}

#[tokio::test]
async fn few_entries_have_room_for_whole_results() {
    let desk = Desk::open(16).await;
    let result = "x".repeat(3500);
    let tool = desk.journal.tool("t", "", "t").await.unwrap();
    tool.close(ToolOutcome::Executed { result: result.clone() }).await.unwrap();
    assert_eq!(desk.journal.document().await.status.unwrap().actions[0].result.as_deref(), Some(result.as_str()));
    assert_eq!(desk.journal.entries_left(), 15);
}

#[tokio::test]
async fn a_refused_change_without_room_is_folded_into_its_tool_call() {
    let desk = Desk::open(1).await;
    let tool = desk.journal.tool("t", "", "t").await.unwrap();
    assert_eq!(tool.refused(&refused("db")).await.unwrap(), None);
    tool.close(ToolOutcome::Executed { result: String::new() }).await.unwrap();
    let reads = desk.journal.document().await.status.unwrap().actions[0].reads.clone().unwrap();
    assert_eq!((reads.count, reads.denied), (1, 1));
    assert!(reads.calls[0].contains("kubectl.rollout restart deployment/db -n apps denied:data-protection"), "{:?}", reads.calls);
}

#[tokio::test]
async fn findings_and_report_are_bounded() {
    let desk = Desk::open(bound::ENTRIES).await;
    for _ in 0..bound::FINDINGS {
        desk.journal.report_finding(Severity::Critical, None, &"f".repeat(5000)).await.unwrap();
    }
    assert!(matches!(desk.journal.report_finding(Severity::Info, None, "one more").await, Err(Error::BudgetExhausted(_))));
    desk.journal.finish(Closing { report: Some("r\n".repeat(50_000)), ..closing() }).await.unwrap();
    let status = desk.read().run.status.unwrap();
    assert!(status.findings.iter().all(|finding| finding.message.len() <= bound::FINDING));
    assert!(canonical::escaped_len(status.report.as_deref().unwrap()) <= bound::REPORT);
}
