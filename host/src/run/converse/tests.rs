use std::sync::{
    Mutex,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use infraagent_api::AgentRunStatus;
use infraagent_guard::call::Finding;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    llm::{Replay, Trust, replay::Mode},
    run::fixture,
};

/// Tools that answer as told, and notice what runs at the same time.
#[derive(Default)]
struct Scripted {
    takes: Duration,
    running: AtomicUsize,
    most_at_once: AtomicUsize,
    changes_beside_others: AtomicUsize,
    finished: AtomicUsize,
    left: AtomicU32,
    log: Mutex<Vec<String>>,
    record_is_lost: bool,
}

impl Scripted {
    fn new() -> Self {
        Self { left: AtomicU32::new(128), ..Self::default() }
    }

    fn note(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Tools for Scripted {
    async fn call(&self, call: &ToolCall, _: Instant) -> Outcome {
        self.left.fetch_sub(1, Ordering::SeqCst);
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        if call.name == "restart" && now > 1 {
            self.changes_beside_others.fetch_add(1, Ordering::SeqCst);
        }
        self.note(format!("call {} {}", call.name, call.arguments));
        tokio::time::sleep(self.takes).await;
        if call.name == "restart" && self.running.load(Ordering::SeqCst) > 1 {
            self.changes_beside_others.fetch_add(1, Ordering::SeqCst);
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst);
        Outcome {
            status: ToolStatus::Ok,
            text: "done".into(),
            trust: Trust::World { source: call.name.clone() },
            summary: "done".into(),
            why: None,
        }
    }

    fn entries_left(&self) -> u32 {
        self.left.load(Ordering::SeqCst)
    }

    async fn finding(&self, _: &ToolCall, finding: Finding) -> Outcome {
        self.note(format!("finding {} {}", finding.severity.as_str(), finding.message));
        Outcome::host(ToolStatus::Ok, "recorded")
    }

    async fn rejected(&self, call: &ToolCall, why: &Rejection) {
        self.left.fetch_sub(1, Ordering::SeqCst);
        self.note(format!("rejected {}: {}", call.name, why.code()));
    }

    async fn turn_ended(&self) -> Result<(), RecordLost> {
        if self.record_is_lost { Err(RecordLost("disk full".to_owned())) } else { Ok(()) }
    }

    async fn record(&self) -> AgentRunStatus {
        AgentRunStatus::default()
    }
}

/// A provider that says these replies, whatever is asked.
fn provider(turns: Value) -> (Provider, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.yaml");
    let text = json!({ "conversation": 1, "turns": turns }).to_string();
    (Provider::Replay(Replay::parse(&path, &text, Mode::Update).unwrap()), folder)
}

fn calls(names: &[&str]) -> Value {
    let call = |name: &&str| json!({ "name": name, "arguments": if *name == "restart" { json!({ "name": "web" }) } else { json!({}) } });
    json!({ "reply": { "calls": names.iter().map(call).collect::<Vec<_>>(), "usage": { "input": 100, "output": 10 } } })
}

fn says(text: &str) -> Value {
    json!({ "reply": { "text": text, "usage": { "input": 100, "output": 10 } } })
}

async fn hold(run: &ValidatedRun, tools: &Scripted, turns: Value) -> (Transcript, Vec<Value>) {
    let (provider, folder) = provider(turns);
    let transcript = converse(run, &provider, tools, &Observer::silent(), std::future::pending()).await;
    let text = std::fs::read_to_string(folder.path().join("talk.yaml")).unwrap();
    let asked: Value = serde_saphyr::from_str(&text).unwrap();
    (transcript, asked["turns"].as_array().unwrap().iter().map(|turn| turn["request"].clone()).collect())
}

/// The results that the model read in a request.
fn results(request: &Value) -> Vec<String> {
    let messages = request["messages"].as_array().unwrap();
    let content = messages.iter().flat_map(|message| message["content"].as_array().unwrap());
    content.filter_map(|content| content["result"]["text"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_conversation_ends_when_the_model_answers_without_tools() {
    let tools = Scripted::new();
    let (transcript, asked) = hold(&fixture::run(|_| ()), &tools, json!([calls(&["inspect"]), says("All is well.")])).await;
    assert_eq!(transcript.end, Ok("All is well.".to_owned()));
    assert_eq!((transcript.turns, transcript.usage.total()), (2, 220));
    assert_eq!(tools.log(), ["call inspect {}"]);
    assert_eq!(results(&asked[1]), ["<untrusted-data source=\"inspect\">\ndone\n</untrusted-data>"]);
}

#[tokio::test]
async fn the_token_budget_ends_it_and_bounds_each_reply() {
    let run = fixture::run(|documents| documents.agent["spec"]["model"]["tokenBudget"] = json!(250));
    let (transcript, asked) = hold(&run, &Scripted::new(), json!([calls(&["inspect"]), calls(&["inspect"]), calls(&["inspect"])])).await;
    let abort = transcript.end.unwrap_err();
    assert_eq!(abort.to_string(), "token budget exhausted: 330/250 used");
    let bounds: Vec<_> = asked.iter().map(|request| request["max_tokens"].as_u64().unwrap()).collect();
    assert_eq!(bounds, [250, 140, 30], "what is left, below the usual 8192");
    let (_, asked) = hold(&fixture::run(|_| ()), &Scripted::new(), json!([says("x")])).await;
    assert_eq!(asked[0]["max_tokens"], 8192);
}

#[tokio::test]
async fn a_report_that_uses_the_last_tokens_still_counts() {
    let run = fixture::run(|documents| documents.agent["spec"]["model"]["tokenBudget"] = json!(110));
    let (transcript, _) = hold(&run, &Scripted::new(), json!([says("Done.")])).await;
    assert_eq!(transcript.end, Ok("Done.".to_owned()));
}

#[tokio::test]
async fn the_last_turn_has_no_tools_and_asks_for_the_report() {
    let run = fixture::run(|documents| documents.agent["spec"]["guardrails"]["maxIterations"] = json!(2));
    let (transcript, asked) = hold(&run, &Scripted::new(), json!([calls(&["inspect"]), says("Report.")])).await;
    assert_eq!(transcript.end, Ok("Report.".to_owned()));
    assert_eq!((&asked[0]["no_calls"], &asked[1]["no_calls"]), (&Value::Null, &json!(true)));
    assert_eq!(asked[1]["tools"], Value::Null, "the tools stay what they were: providers want to know what was called");
    let last = asked[1]["messages"].as_array().unwrap().last().unwrap()["content"].as_array().unwrap().last().unwrap().clone();
    assert!(last["text"].as_str().unwrap().contains("produce your final report now"), "{last}");

    let (transcript, _) = hold(&run, &Scripted::new(), json!([calls(&["inspect"]), calls(&["inspect"])])).await;
    assert_eq!(transcript.end.unwrap_err().to_string(), "max iterations exhausted (2)");
}

#[tokio::test]
async fn time_ends_it_in_the_middle_of_a_read_but_not_of_a_change() {
    let mut run = fixture::run(|_| ());
    run.limits.wall = Duration::from_millis(80);
    let slow = || Scripted { takes: Duration::from_millis(250), ..Scripted::new() };
    let tools = slow();
    let (transcript, _) = hold(&run, &tools, json!([calls(&["inspect"]), says("x")])).await;
    assert_eq!(transcript.end.unwrap_err().to_string(), "wall-clock timeout exceeded");
    assert_eq!(tools.finished.load(Ordering::SeqCst), 0, "a read is dropped");

    let tools = slow();
    let (transcript, asked) = hold(&run, &tools, json!([calls(&["restart", "restart"]), says("x")])).await;
    assert_eq!(transcript.end, Err(Abort::WallClock));
    assert_eq!(tools.finished.load(Ordering::SeqCst), 1, "a change that has begun is finished, and no other begins");
    assert_eq!(asked[1], Value::Null, "the model is not asked again");
}

#[tokio::test]
async fn a_full_record_takes_no_more_calls_and_forces_the_report() {
    let tools = Scripted { left: AtomicU32::new(2), ..Scripted::new() };
    let (transcript, asked) =
        hold(&fixture::run(|_| ()), &tools, json!([calls(&["restart", "restart", "restart"]), says("Report.")])).await;
    assert_eq!(transcript.end, Ok("Report.".to_owned()));
    assert_eq!(tools.finished.load(Ordering::SeqCst), 2);
    assert!(results(&asked[1])[2].starts_with("BLOCKED: budget-exhausted"), "{:?}", results(&asked[1]));
    assert_eq!((&asked[0]["no_calls"], &asked[1]["no_calls"]), (&Value::Null, &json!(true)));
    assert_eq!(asked[1]["tools"], Value::Null, "the tools stay what they were: providers want to know what was called");
}

#[tokio::test]
async fn reads_overlap_and_changes_do_not() {
    let tools = Scripted { takes: Duration::from_millis(40), ..Scripted::new() };
    let began = Instant::now();
    let names = ["inspect", "inspect", "inspect", "restart", "inspect", "restart", "restart", "inspect"];
    let (transcript, _) = hold(&fixture::run(|_| ()), &tools, json!([calls(&names), says("x")])).await;
    assert!(transcript.end.is_ok());
    assert_eq!(tools.most_at_once.load(Ordering::SeqCst), 3);
    assert_eq!(tools.changes_beside_others.load(Ordering::SeqCst), 0);
    assert!(began.elapsed() >= Duration::from_millis(240), "three changes and three groups of reads, one after the other");
    let order: Vec<_> = tools.log().iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(order, names);
}

#[tokio::test]
async fn what_is_unknown_is_refused_what_does_not_fit_is_an_error_and_neither_runs() {
    let tools = Scripted::new();
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    let bad = json!({ "reply": { "calls": [
        call("delete_everything", json!({})),
        call("inspect", json!({ "limit": "3" })),
        call("restart", json!({})),
        call("inspect", json!("shop")),
        call("inspect", json!(null)),
    ], "usage": { "input": 1, "output": 1 } } });
    let (_, asked) = hold(&fixture::run(|_| ()), &tools, json!([bad, says("x")])).await;
    let results = results(&asked[1]);
    assert_eq!(results.len(), 5);
    assert!(results[0].starts_with("BLOCKED: "), "{}", results[0]);
    assert!(results[1..].iter().all(|result| result.starts_with("ERROR: ")), "{results:?}");
    assert!(results[0].contains("there is no tool `delete_everything`: the tools are inspect, restart"), "{}", results[0]);
    assert!(results[1].contains("/limit"), "{}", results[1]);
    let mut log = tools.log();
    log.sort();
    let invalid = |name: &str| format!("rejected {name}: invalid-arguments");
    let unknown = "rejected delete_everything: unknown-tool".to_owned();
    assert_eq!(log, [unknown, invalid("inspect"), invalid("inspect"), invalid("inspect"), invalid("restart")], "each leaves a trace");
}

#[tokio::test]
async fn arguments_that_are_no_json_are_an_error_and_never_an_empty_object() {
    let tools = Scripted::new();
    let call = |name: &str| json!({ "name": name, "unreadable": "{\"limit\": 1" });
    let reply = json!({ "reply": { "calls": [call("inspect"), call("report_finding"), { "name": "inspect" }], "usage": { "input": 1, "output": 1 } } });
    let (transcript, asked) = hold(&fixture::run(|_| ()), &tools, json!([reply, says("x")])).await;
    assert_eq!(transcript.end, Ok("x".to_owned()));
    let results = results(&asked[1]);
    assert!(results[..2].iter().all(|result| result.starts_with("ERROR: the arguments are no JSON (EOF")), "{results:?}");
    let mut log = tools.log();
    log.sort();
    assert_eq!(log, ["call inspect {}", "rejected inspect: invalid-arguments"], "the neighbour ran");
}

#[tokio::test]
async fn no_call_of_a_reply_that_was_cut_off_is_carried_out() {
    for stop in ["max_tokens", "other"] {
        let tools = Scripted::new();
        let mut cut = calls(&["restart", "inspect"]);
        cut["reply"]["stop"] = json!(stop);
        let (transcript, asked) = hold(&fixture::run(|_| ()), &tools, json!([cut, calls(&["restart"]), says("Report.")])).await;
        assert_eq!(transcript.end, Ok("Report.".to_owned()));
        assert!(results(&asked[1]).iter().all(|result| result.starts_with("ERROR: your reply was cut off")), "{:?}", results(&asked[1]));
        assert_eq!(tools.log(), ["rejected restart: reply-cut-off", "rejected inspect: reply-cut-off", "call restart {\"name\":\"web\"}"]);
    }
    let mut cut = says("Half a rep");
    cut["reply"]["stop"] = json!("max_tokens");
    let (transcript, _) = hold(&fixture::run(|_| ()), &Scripted::new(), json!([cut])).await;
    assert_eq!(transcript.end.unwrap(), "Half a rep\n\n(The report was cut off at 8192 tokens.)");
}

#[tokio::test]
async fn findings_are_typed_and_a_wrong_one_is_an_error() {
    let tools = Scripted::new();
    let find = |arguments: Value| json!({ "name": "report_finding", "arguments": arguments });
    let reply = json!({ "reply": { "calls": [
        find(json!({ "severity": "critical", "resource": "deployment/web -n shop", "message": "crash loop" })),
        find(json!({ "severity": "loud", "message": "x" })),
        find(json!({ "severity": "info", "resource": "secret/x -n shop", "message": "x" })),
    ], "usage": { "input": 1, "output": 1 } } });
    let (_, asked) = hold(&fixture::run(|_| ()), &tools, json!([reply, says("x")])).await;
    assert_eq!(tools.log(), ["finding critical crash loop"]);
    let results = results(&asked[1]);
    assert_eq!(results[0], "recorded");
    assert!(results[1].starts_with("ERROR: ") && results[2].starts_with("ERROR: "), "{results:?}");
    assert_eq!(tools.entries_left(), 128, "findings take no entry");
}

#[tokio::test]
async fn a_lost_record_ends_it_at_once() {
    let tools = Scripted { record_is_lost: true, ..Scripted::new() };
    let (transcript, _) = hold(&fixture::run(|_| ()), &tools, json!([calls(&["restart"]), says("x")])).await;
    assert_eq!(transcript.end.unwrap_err().reason(), "RecordLost");
    assert_eq!(transcript.turns, 1);
}

#[tokio::test]
async fn a_recording_that_is_not_used_up_fails_the_run() {
    let (transcript, _) = hold(&fixture::run(|_| ()), &Scripted::new(), json!([says("Report."), says("never asked for")])).await;
    let abort = transcript.end.unwrap_err();
    assert_eq!(abort.reason(), "ProviderFailed");
    assert_eq!(transcript.last_words.as_deref(), Some("Report."));
}

#[tokio::test]
async fn silence_and_refusal_are_no_reports() {
    for (reply, reason) in [
        (json!({ "reply": { "text": "  \n" } }), "EmptyReply"),
        (json!({ "reply": { "text": "I will not.", "stop": "refusal" } }), "ModelDeclined"),
    ] {
        let (transcript, _) = hold(&fixture::run(|_| ()), &Scripted::new(), json!([reply])).await;
        assert_eq!(transcript.end.unwrap_err().reason(), reason);
    }
}

#[tokio::test]
async fn a_long_conversation_shows_the_task_and_the_last_four_exchanges() {
    let run = fixture::run(|documents| documents.agent["spec"]["guardrails"]["maxIterations"] = json!(20));
    let mut turns: Vec<Value> = (0..7).map(|_| calls(&["inspect", "restart"])).collect();
    turns.push(says("Report."));
    let (transcript, asked) = hold(&run, &Scripted::new(), json!(turns)).await;
    assert!(transcript.end.is_ok());
    let dropped: Vec<_> = asked.iter().map(|request| request["dropped"].as_u64().unwrap_or(0)).collect();
    assert_eq!(dropped, [0, 0, 0, 0, 0, 2, 2, 2], "an exchange leaves as a whole");
}

proptest! {
    /// However a model behaves, it is asked at most so often, and never for more than is left.
    #[test]
    fn limits_hold_for_any_replies(
        turns in 1..20u32,
        tokens in 1..5_000u64,
        replies in prop::collection::vec((0..2_000u64, 0..2_000u64, any::<bool>()), 0..30),
    ) {
        let limits = Limits { tokens, turns, wall: Duration::from_secs(1), entries: 128, reply_tokens: 8192 };
        let mut progress = Progress::new(&limits);
        let (mut asked, mut used) = (0, 0);
        for (input, output, calls) in replies {
            let Ok(question) = progress.ask(Duration::ZERO, 128) else { break };
            asked += 1;
            prop_assert!(asked <= turns);
            prop_assert!(used < tokens && u64::from(question.max_tokens) <= tokens - used);
            prop_assert_eq!(question.last, asked == turns);
            used += input + output;
            let calls = if calls { vec![ToolCall { id: "1".into(), name: "t".into(), arguments: json!({}).into() }] } else { Vec::new() };
            let wants_tools = !calls.is_empty();
            let reply = Reply { text: "t".into(), calls, stop: Stop::EndTurn, usage: Usage { input, output, ..Usage::default() }, model: None };
            match progress.next(question, &reply) {
                Next::Reject(_) => prop_assert!(false, "nothing was cut off"),
                Next::CallTools(_) => prop_assert!(wants_tools && !question.last && used < tokens),
                Next::Finish(_) => { prop_assert!(!wants_tools); break }
                Next::Abort(_) => { prop_assert!(wants_tools && (question.last || used >= tokens)); break }
            }
        }
        prop_assert_eq!(progress.ask(Duration::from_secs(1), 128), Err(Abort::WallClock));
    }
}
