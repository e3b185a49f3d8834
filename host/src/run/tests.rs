use std::{sync::Arc, time::Instant};

use infraagent_api::{AgentRun, AgentRunStatus, ObjectMeta, run::RunPhase};
use infraagent_guard::call::Finding;
use serde_json::json;

use super::{
    tools::{Outcome, RecordLost, Rejection},
    *,
};
use crate::{
    audit::{FileSink, Redactor, Setup, Sink, ToolOutcome},
    llm::{Replay, ToolCall, ToolStatus, replay::Mode},
};

/// Tools that do nothing, and record that they did.
struct Recorded(Arc<Journal>);

impl Tools for Recorded {
    async fn call(&self, call: &ToolCall, _: Instant) -> Outcome {
        let entry = self.0.tool(&call.name, "", &call.name).await.unwrap();
        entry.close(ToolOutcome::Executed { result: "done".to_owned() }).await.unwrap();
        Outcome::host(ToolStatus::Ok, "done")
    }

    fn entries_left(&self) -> u32 {
        self.0.entries_left()
    }

    async fn finding(&self, _: &ToolCall, finding: Finding) -> Outcome {
        match self.0.finding(&finding).await {
            Ok(()) => Outcome::host(ToolStatus::Ok, "recorded"),
            Err(error) => Outcome::error(error.to_string()),
        }
    }

    async fn rejected(&self, call: &ToolCall, why: &Rejection) {
        let entry = self.0.tool(&call.name, "", &call.name).await.unwrap();
        entry.close(ToolOutcome::Failed { reason: why.code().to_owned(), message: why.to_string() }).await.unwrap();
    }

    async fn turn_ended(&self) -> Result<(), RecordLost> {
        self.0.flush().await.map_err(|error| RecordLost(error.to_string()))
    }

    async fn record(&self) -> AgentRunStatus {
        self.0.document().await.status.unwrap_or_default()
    }
}

async fn run_it(run: &ValidatedRun, turns: serde_json::Value) -> (AgentRun, Vec<Event>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let document = AgentRun { metadata: ObjectMeta { uid: Some("run-uid".to_owned()), ..ObjectMeta::default() }, ..AgentRun::default() };
    let setup =
        Setup { redactor: Arc::new(Redactor::new(["hunter2-secret"])), key: None, entries: run.limits.entries, now: Timestamp::now };
    let journal = Journal::open(Sink::File(FileSink::new(&path).unwrap()), document, setup).await.unwrap();
    let talk = json!({ "conversation": 1, "turns": turns }).to_string();
    let provider = Provider::Replay(Replay::parse(&folder.path().join("talk.yaml"), &talk, Mode::Update).unwrap());
    let events = Arc::new(std::sync::Mutex::new(Vec::new()));
    let observer = Observer::new({
        let events = Arc::clone(&events);
        move |event| events.lock().unwrap().push(event.clone())
    });
    let conclusion = execute(run, &provider, &Recorded(Arc::clone(&journal)), &observer, std::future::pending()).await;
    close(&journal, conclusion).await.unwrap();
    let written = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let events = events.lock().unwrap().clone();
    (written, events)
}

#[tokio::test]
async fn a_whole_run_ends_in_a_closed_record() {
    let run = fixture::run(|_| ());
    let find = json!({ "name": "report_finding", "arguments": { "severity": "critical", "resource": "deployment/web -n shop", "message": "down" } });
    let (written, events) = run_it(
        &run,
        json!([
            { "reply": { "text": "I look.", "calls": [{ "name": "inspect" }, find, { "name": "nonsense" }], "usage": { "input": 1000, "output": 80 } } },
            { "reply": { "text": "# Report\nWARNING: the password is hunter2-secret\nCRITICAL: down", "usage": { "input": 1, "output": 1 } } },
        ]),
    )
    .await;
    let status = written.status.unwrap();
    assert_eq!(status.phase, Some(RunPhase::Succeeded));
    assert_eq!(status.actions.len(), 2);
    let findings: Vec<_> = status.findings.iter().map(|finding| finding.severity.as_str()).collect();
    assert_eq!(findings, ["critical", "warning"], "the typed one is not repeated by its line in the report");
    assert!(status.head.is_some() && status.completion_time.is_some());
    assert_eq!(status.usage.unwrap().total_tokens, 1082);
    let report = status.report.unwrap();
    assert!(report.starts_with("# Report") && !report.contains("hunter2"), "{report}");
    assert!(!status.findings[1].message.contains("hunter2"), "{:?}", status.findings[1]);

    let names: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Started(_) => "started",
            Event::TurnStarted { .. } => "turn",
            Event::Said { .. } => "said",
            Event::Replied { .. } => "replied",
            Event::NotReplied { .. } => "not replied",
            Event::ToolStarted { .. } => "tool",
            Event::ToolEnded { .. } => "tool ended",
            Event::Decided { .. } | Event::Effect { .. } | Event::Finding { .. } => "other",
            Event::Ended(_) => "ended",
        })
        .collect();
    assert_eq!(&names[..4], ["started", "turn", "replied", "said"]);
    assert_eq!(names.iter().filter(|name| **name == "tool").count(), 3);
    assert_eq!(&names[names.len() - 3..], ["turn", "replied", "ended"]);
}

#[tokio::test]
async fn a_run_that_fails_is_closed_as_well() {
    let run = fixture::run(|documents| documents.agent["spec"]["model"]["tokenBudget"] = json!(50));
    let (written, _) = run_it(
        &run,
        json!([{ "reply": { "text": "I look.", "calls": [{ "name": "inspect" }], "usage": { "input": 1000, "output": 80 } } }]),
    )
    .await;
    let status = written.status.unwrap();
    assert_eq!(status.phase, Some(RunPhase::Failed));
    assert_eq!(status.report.as_deref(), Some("I look."), "the model's last words");
    assert_eq!(status.conditions[0].reason, "TokenBudgetExhausted");
    assert_eq!(status.conditions[0].message, "token budget exhausted: 1080/50 used");
    assert!(status.head.is_some());
}
