//! Whatever happens in whatever order: what the journal writes verifies, and no byte of it can be changed.

use proptest::{prelude::*, sample::Index};
use serde_json::Value;

use super::support::{Desk, closing, judged, permit_because, proposal, read, refused, refused_read, size};
use crate::audit::{
    Document, End, MutationOutcome, ToolOutcome, canonical,
    verify::{Answer, verify},
};

#[derive(Debug, Clone)]
enum Op {
    Open(String),
    Read(Index),
    Refuse(Index),
    RefuseChange(Index),
    Malformed(Index, String),
    Intend(String),
    Answer(Index, String, u8),
    Propose,
    Find(String),
    Close(Index, String, bool),
    Flush,
}

fn op() -> impl Strategy<Value = Op> {
    let text = || prop_oneof![any::<String>(), "[a-z0-9:#\\-|> \n]{0,40}", Just("x".repeat(3000))];
    prop_oneof![
        text().prop_map(Op::Open),
        any::<Index>().prop_map(Op::Read),
        any::<Index>().prop_map(Op::Refuse),
        any::<Index>().prop_map(Op::RefuseChange),
        (any::<Index>(), text()).prop_map(|(at, text)| Op::Malformed(at, text)),
        text().prop_map(Op::Intend),
        (any::<Index>(), text(), 0..4u8).prop_map(|(at, text, how)| Op::Answer(at, text, how)),
        Just(Op::Propose),
        text().prop_map(Op::Find),
        (any::<Index>(), text(), any::<bool>()).prop_map(|(at, text, well)| Op::Close(at, text, well)),
        Just(Op::Flush),
    ]
}

/// Performs the operations as far as they make sense; refusals for want of room are fine.
async fn play(ops: Vec<Op>, name: &str, entries: u32, finish: Option<String>) -> Desk {
    let desk = Desk::open_as("run-1", name, entries).await;
    let (mut tools, mut intended) = (Vec::new(), Vec::new());
    for op in ops {
        match op {
            Op::Open(text) => tools.extend(desk.journal.tool("tool", &text, &text).await.ok()),
            Op::Read(at) if !tools.is_empty() => {
                let tool = at.get(&tools);
                let ordinal = tool.read(read("web-1")).ordinal();
                tool.answered(ordinal, End::bytes(b"text"));
            }
            Op::Refuse(at) if !tools.is_empty() => drop(at.get(&tools).refused(&refused_read("web-1")).await.unwrap()),
            Op::RefuseChange(at) if !tools.is_empty() => drop(at.get(&tools).refused(&refused("db")).await.unwrap()),
            Op::Malformed(at, text) if !tools.is_empty() => at.get(&tools).malformed("log.emit", &text),
            Op::Intend(text) => {
                intended.extend(desk.journal.intend(permit_because("web", &text)).await.ok().map(|recorded| recorded.seq()))
            }
            Op::Answer(at, message, how) if !intended.is_empty() => {
                let seq = intended.remove(at.index(intended.len()));
                let reason = "code".to_owned();
                let outcome = match how {
                    0 => MutationOutcome::Executed { result: message },
                    1 => MutationOutcome::Failed { reason, message },
                    2 => MutationOutcome::Skipped { reason, message },
                    _ => MutationOutcome::Unknown { reason, message },
                };
                desk.journal.outcome(seq, outcome).await.unwrap();
            }
            Op::Propose => drop(desk.journal.propose(&proposal("web")).await),
            Op::Find(text) => drop(desk.journal.report_finding(infraagent_api::names::Severity::Info, Some(&text), &text).await),
            Op::Close(at, message, well) if !tools.is_empty() => {
                let tool = tools.remove(at.index(tools.len()));
                let outcome = if well {
                    ToolOutcome::Executed { result: message }
                } else {
                    ToolOutcome::Failed { reason: "trap".to_owned(), message }
                };
                tool.close(outcome).await.unwrap();
            }
            Op::Flush => desk.journal.flush().await.unwrap(),
            Op::Read(_) | Op::Refuse(_) | Op::RefuseChange(_) | Op::Malformed(..) | Op::Answer(..) | Op::Close(..) => {}
        }
    }
    if let Some(report) = finish {
        desk.journal.finish(crate::audit::Closing { report: Some(report), ..closing() }).await.unwrap();
    }
    desk
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_recorded_verifies(ops in prop::collection::vec(op(), 0..30), yaml: bool, entries in 1..40u32, finish in any::<Option<String>>()) {
        let desk = wait(play(ops, if yaml { "run.yaml" } else { "run.json" }, entries, finish.clone()));
        let report = desk.verify();
        prop_assert!(matches!(report.consistent, Answer::Yes(_)), "{:?}", report);
        prop_assert_eq!(report.closed, finish.is_some());
        if finish.is_some() {
            prop_assert!(matches!(report.authentic, Answer::Yes(_)), "{:?}", report);
        }
        let size: usize = desk.read().run.status.unwrap_or_default().actions.iter().map(size).sum();
        prop_assert!(size <= crate::audit::bound::BYTES);
    }

    #[test]
    fn no_byte_can_be_changed(ops in prop::collection::vec(op(), 1..16), places in prop::collection::vec((any::<Index>(), 0..=255u8), 40)) {
        let desk = wait(play(ops, "run.json", 40, Some("report".to_owned())));
        let honest = desk.read().value;
        let text = canonical::text(&honest).unwrap();
        for (at, byte) in places {
            let mut bytes = text.clone().into_bytes();
            *at.get_mut(&mut bytes) = byte;
            let Ok(changed) = serde_json::from_slice::<Value>(&bytes) else { continue };
            // A member of metadata that is not part of the identity is not covered.
            if changed == honest {
                continue;
            }
            if let Some(report) = judged(&changed, &desk.public()) {
                prop_assert!(report.refuted(), "byte {:?} became {byte}: {report:?}", at);
            }
        }
    }

    #[test]
    fn reading_never_panics(text in any::<String>(), bytes in prop::collection::vec(any::<Index>(), 3)) {
        let _ = Document::parse(&text);
        let small = format!("apiVersion: core.infraagent.io/v1alpha1\nkind: AgentRun\nmetadata: {{name: a}}\nspec: {{agentRef: a, environmentRef: e, trigger: manual}}\nstatus:\n  actions: {text:?}\n");
        for at in bytes {
            let cut: String = small.chars().take(at.index(small.len())).collect();
            if let Ok(document) = Document::parse(&cut) {
                let _ = verify(&document, None, None);
            }
        }
    }
}
