//! Against real receivers: a gRPC service and an HTTP server that decode what arrives.

mod receiver;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_api::{
    AgentRunStatus,
    names::{Severity, Tier},
};
use infraagent_guard::call::Finding;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::receiver::{Receiver, attribute, attributes};
use super::{config::Protocol, *};
use crate::{
    audit::Redactor,
    llm::{Provider, Replay, ToolCall, ToolStatus, Trust, replay::Mode},
    run::{
        event::{Event, Observer, Verdict},
        execute, fixture,
        report::Conclusion,
        stop::Stop,
        tools::{Outcome, RecordLost, Rejection, Tools, Why},
        validate::ValidatedRun,
    },
    telemetry::{Subject, Telemetry},
};

const CANARY: &str = "canary-7f3a-secret";
const GITHUB: &str = "ghp_canary0123456789ABCDEFabcdef0123456789";

/// Tools that answer with canaries, and hang if they are told to.
struct Leaking {
    observer: Observer,
    /// Told when a tool begins, which then never ends.
    hangs: Option<Arc<Notify>>,
}

impl Tools for Leaking {
    async fn call(&self, call: &ToolCall, _: Instant) -> Outcome {
        if let Some(begun) = &self.hangs {
            begun.notify_one();
            std::future::pending::<()>().await;
        }
        let verdict = Verdict::Deny { code: "cooldown".to_owned(), reason: CANARY.to_owned() };
        let (tier, what, action) = (Some(Tier::ServiceMutation), format!("kubectl.get {CANARY}"), Some(CANARY.to_owned()));
        self.observer.tell(&Event::Decided { call: call.id.clone(), what, tier, action, verdict, took: Duration::ZERO });
        let why = (call.name == "restart").then_some(Why::Trapped("memory"));
        let status = if why.is_some() { ToolStatus::Error } else { ToolStatus::Ok };
        Outcome { status, text: CANARY.to_owned(), trust: Trust::Host, summary: CANARY.to_owned(), why }
    }

    fn entries_left(&self) -> u32 {
        100
    }

    async fn finding(&self, _: &ToolCall, finding: Finding) -> Outcome {
        self.observer.tell(&Event::Finding { severity: Severity::Critical, resource: None, message: finding.message });
        Outcome::host(ToolStatus::Ok, CANARY)
    }

    async fn rejected(&self, _: &ToolCall, _: &Rejection) {}

    async fn turn_ended(&self) -> Result<(), RecordLost> {
        Ok(())
    }

    async fn record(&self) -> AgentRunStatus {
        AgentRunStatus::default()
    }
}

/// A whole run: two turns, four tool calls, canaries wherever a text can be.
fn turns() -> Value {
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    let calls = [
        call("inspect", json!({ "namespace": CANARY })),
        call("restart", json!({ "name": CANARY })),
        call("report_finding", json!({ "severity": "critical", "message": CANARY })),
        json!({ "id": GITHUB, "name": CANARY, "arguments": {} }),
    ];
    json!([
        { "reply": { "text": CANARY, "calls": calls, "usage": { "input": 1000, "output": 80, "cached": 600, "cache_written": 100 } } },
        { "reply": { "text": format!("CRITICAL: {CANARY}"), "usage": { "input": 2000, "output": 20 } } },
    ])
}

async fn hold(traces: &Traces, run: &ValidatedRun, turns: Value, hangs: bool) -> Conclusion {
    let telemetry = Telemetry { metrics: None, traces: traces.clone() };
    let folder = tempfile::tempdir().unwrap();
    let talk = json!({ "conversation": 1, "turns": turns }).to_string();
    let provider = Provider::Replay(Replay::parse(&folder.path().join("talk.yaml"), &talk, Mode::Update).unwrap());
    let telling = telemetry.begin(&Subject::from(run));
    telling.redact(&Arc::new(Redactor::new([CANARY])));
    let observer = telling.observer(run);
    let begun = Arc::new(Notify::new());
    let hangs = hangs.then(|| Arc::clone(&begun));
    let tools = telling.assemble(async { Ok::<_, ()>(Leaking { observer: observer.clone(), hangs }) }).await.unwrap();
    let stop = async {
        begun.notified().await;
        Stop::Cancelled
    };
    let conclusion = execute(run, &provider, &tools, &observer, stop).await;
    telling.report(&conclusion, async { Ok::<_, ()>(()) }).await.unwrap();
    conclusion
}

/// The spans of a run that were sent to this receiver.
async fn sent(receiver: &Receiver, run: &ValidatedRun, turns: Value, hangs: bool) -> Vec<Span> {
    let traces = receiver.traces();
    hold(&traces, run, turns, hangs).await;
    traces.shutdown(Duration::from_secs(60)).await;
    receiver.spans()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("{name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_trace_over_both_transports() {
    let run = fixture::run(|_| ());
    for receiver in [Receiver::grpc().await, Receiver::http().await] {
        let spans = sent(&receiver, &run, turns(), false).await;
        let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "agent.assemble",
            "agent.report",
            "agent.run",
            "chat claude-sonnet-4-5",
            "chat claude-sonnet-4-5",
            "execute_tool inspect",
            "execute_tool report_finding",
            "execute_tool restart",
            "execute_tool unknown",
        ];
        assert_eq!(names, expected);
        let root = named(&spans, "agent.run");
        assert!(root.parent_span_id.is_empty() && root.trace_id.len() == 16);
        for span in &spans {
            assert_eq!(span.trace_id, root.trace_id);
            assert!(span.name == "agent.run" || span.parent_span_id == root.span_id, "{}", span.name);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.end_time_unix_nano <= root.end_time_unix_nano);
        }
        assert_eq!(receiver.header("x-key").as_deref(), Some("canary-header"), "what the collector asks for is sent");
        let resource = receiver.resource();
        assert!(resource.contains(&("service.name".to_owned(), "\"agents\"".to_owned())), "{resource:?}");
        assert!(resource.contains(&("k8s.pod.name".to_owned(), "\"infraagent-0\"".to_owned())), "{resource:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_carry_the_attributes_of_the_conventions() {
    let receiver = Receiver::grpc().await;
    let spans = sent(&receiver, &fixture::run(|_| ()), turns(), false).await;
    let chat = spans.iter().find(|span| attribute(span, "infraagent.turn").as_deref() == Some("1")).unwrap();
    let pairs =
        |expected: &[(&str, &str)]| expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    assert_eq!(
        attributes(chat),
        pairs(&[
            ("gen_ai.conversation.id", "\"run-uid\""),
            ("gen_ai.operation.name", "\"chat\""),
            ("gen_ai.provider.name", "\"anthropic\""),
            ("gen_ai.request.max_tokens", "8192"),
            ("gen_ai.request.model", "\"claude-sonnet-4-5\""),
            ("gen_ai.response.finish_reasons", "[\"tool_call\"]"),
            ("gen_ai.usage.cache_creation.input_tokens", "100"),
            ("gen_ai.usage.cache_read.input_tokens", "600"),
            ("gen_ai.usage.input_tokens", "1000"),
            ("gen_ai.usage.output_tokens", "80"),
            ("infraagent.turn", "1"),
            ("server.address", "\"api.anthropic.com\""),
            ("server.port", "443"),
        ])
    );
    assert_eq!(chat.kind(), SpanKind::Client);
    let tool = named(&spans, "execute_tool restart");
    assert_eq!(
        attributes(tool),
        pairs(&[
            ("error.type", "\"memory\""),
            ("gen_ai.conversation.id", "\"run-uid\""),
            ("gen_ai.operation.name", "\"execute_tool\""),
            ("gen_ai.tool.call.id", "\"call-1-2\""),
            ("gen_ai.tool.name", "\"restart\""),
            ("gen_ai.tool.type", "\"function\""),
        ])
    );
    assert_eq!((tool.kind(), tool.status.as_ref().unwrap().code()), (SpanKind::Internal, StatusCode::Error));
    assert_eq!(tool.events.len(), 1, "a refusal is an event: {:?}", tool.events);
    assert!(named(&spans, "execute_tool inspect").status.as_ref().is_none_or(|status| status.code() != StatusCode::Error));
    let root = named(&spans, "agent.run");
    assert_eq!(
        attributes(root),
        pairs(&[
            ("gen_ai.agent.id", "\"agent-uid\""),
            ("gen_ai.agent.name", "\"forge\""),
            ("gen_ai.conversation.id", "\"run-uid\""),
            ("gen_ai.operation.name", "\"invoke_agent\""),
            ("gen_ai.provider.name", "\"anthropic\""),
            ("gen_ai.request.model", "\"claude-sonnet-4-5\""),
            ("infraagent.run.name", "\"forge-1\""),
            ("infraagent.run.phase", "\"Succeeded\""),
            ("k8s.namespace.name", "\"agents\""),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_prompt_reply_argument_or_result_is_sent() {
    for receiver in [Receiver::grpc().await, Receiver::http().await] {
        let spans =
            sent(&receiver, &fixture::run(|documents| documents.agent["spec"]["description"] = json!(CANARY)), turns(), false).await;
        assert_eq!(spans.len(), 9);
        for canary in [CANARY, GITHUB, "canary", "Find broken"] {
            assert!(!receiver.received().contains(canary), "`{canary}`: {spans:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_the_provider_names_its_model_is_reduced_to_a_name() {
    let receiver = Receiver::grpc().await;
    let run = fixture::run(|_| ());
    let traces = receiver.traces();
    let trace = traces.begin(&Subject::from(&run));
    let observer = trace.observer(&run, &Arc::new(Redactor::new([CANARY])));
    for model in ["claude-sonnet-4-5-20250929".to_owned(), format!("x {CANARY} {GITHUB}\n{}", "y".repeat(500))] {
        observer.tell(&Event::TurnStarted { turn: 1, of: 2, max_tokens: 1 });
        let (usage, stop) = (crate::llm::Usage::default(), crate::llm::Stop::MaxTokens);
        observer.tell(&Event::Replied { usage, used: 0, budget: 0, cost: None, model: Some(model), stop });
    }
    drop((observer, trace));
    traces.shutdown(Duration::from_secs(60)).await;
    let models: Vec<_> = receiver.spans().iter().filter_map(|span| attribute(span, "gen_ai.response.model")).collect();
    assert_eq!(models[0], "\"claude-sonnet-4-5-20250929\"");
    assert!(models[1].len() <= 130 && !models[1].contains("canary") && !models[1].contains('\n'), "{}", models[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_told_in_one_word() {
    let receiver = Receiver::http().await;
    let spans = sent(&receiver, &fixture::run(|_| ()), json!([]), false).await;
    assert_eq!(attribute(named(&spans, "chat claude-sonnet-4-5"), "error.type").as_deref(), Some("\"replay\""));
    assert_eq!(attribute(named(&spans, "agent.run"), "error.type").as_deref(), Some("\"ProviderFailed\""));
    let receiver = Receiver::http().await;
    let spans = sent(&receiver, &fixture::run(|_| ()), turns(), true).await;
    assert_eq!(attribute(named(&spans, "agent.run"), "error.type").as_deref(), Some("\"Cancelled\""));
    assert_eq!(attribute(named(&spans, "agent.run"), "infraagent.run.phase").as_deref(), Some("\"Failed\""));
    assert_eq!(
        attribute(named(&spans, "execute_tool inspect"), "error.type").as_deref(),
        Some("\"interrupted\""),
        "what was open is ended"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_wants_no_traces_has_none() {
    let receiver = Receiver::grpc().await;
    let run = fixture::run(|documents| documents.agent["spec"]["observability"] = json!({ "tracing": false }));
    assert!(sent(&receiver, &run, turns(), false).await.is_empty());
    assert_eq!(sent(&receiver, &fixture::run(|_| ()), turns(), false).await.len(), 9, "another one has");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_or_hangs_disturbs_nothing() {
    for receiver in [Receiver::away(Protocol::Grpc).await, Receiver::away(Protocol::Http).await, Receiver::hanging().await] {
        let traces = receiver.traces();
        for _ in 0..3 {
            let conclusion = hold(&traces, &fixture::run(|_| ()), turns(), false).await;
            assert_eq!(conclusion.phase, infraagent_api::run::RunPhase::Succeeded);
        }
        // Far below the time-out of the hanging collector, and far above what the limit needs.
        let ended = tokio::time::timeout(Duration::from_secs(60), traces.shutdown(Duration::from_millis(200)));
        ended.await.expect("the end of the process does not wait for a collector");
    }
}
