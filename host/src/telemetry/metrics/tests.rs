use std::time::Instant;

use infraagent_api::{AgentRunStatus, names::Severity, names::Tier, run::RunPhase};
use infraagent_guard::call::Finding;
use serde_json::{Value, json};

use super::{operator::Controller, *};
use crate::{
    llm::{Provider, Replay, ToolCall, ToolStatus, Trust, replay::Mode},
    run::{
        event::{Event, Observer, Verdict},
        execute, fixture,
        report::Conclusion,
        tools::{Outcome, RecordLost, Rejection, Tools, Why},
        validate::ValidatedRun,
    },
    telemetry::Subject,
};

/// Tools that tell what the broker and the sandbox would tell.
struct Telling {
    observer: Observer,
    /// The action that each call claims.
    action: Option<String>,
}

impl Tools for Telling {
    async fn call(&self, call: &ToolCall, _: Instant) -> Outcome {
        let decided = |tier, verdict, took| Event::Decided {
            call: call.id.clone(),
            what: "kubectl.get pods -n shop".to_owned(),
            tier,
            action: self.action.clone(),
            verdict,
            took,
        };
        self.observer.tell(&decided(Some(Tier::Read), Verdict::Allow, Duration::from_millis(1)));
        let why = match call.name.as_str() {
            "restart" => {
                let verdict = Verdict::Deny { code: "cooldown".to_owned(), reason: "hunter2 said\nno".to_owned() };
                self.observer.tell(&decided(Some(Tier::ServiceMutation), verdict, Duration::from_secs(2)));
                Some(Why::Told("guest-error"))
            }
            _ => Some(Why::Trapped("memory")),
        };
        Outcome { status: ToolStatus::Error, text: "x".to_owned(), trust: Trust::Host, summary: "x".to_owned(), why }
    }

    fn entries_left(&self) -> u32 {
        100
    }

    async fn finding(&self, _: &ToolCall, finding: Finding) -> Outcome {
        self.observer.tell(&Event::Finding { severity: Severity::Critical, resource: None, message: finding.message });
        Outcome::host(ToolStatus::Ok, "recorded")
    }

    async fn rejected(&self, call: &ToolCall, why: &Rejection) {
        let verdict = Verdict::Deny { code: why.code().to_owned(), reason: why.to_string() };
        let (call, what) = (call.id.clone(), call.name.clone());
        self.observer.tell(&Event::Decided { call, what, tier: None, action: None, verdict, took: Duration::ZERO });
    }

    async fn turn_ended(&self) -> Result<(), RecordLost> {
        Ok(())
    }

    async fn record(&self) -> AgentRunStatus {
        AgentRunStatus::default()
    }
}

/// Holds a recorded conversation to its end, and counts it.
async fn hold(metrics: &Metrics, run: &ValidatedRun, turns: Value, action: Option<&str>) -> Conclusion {
    let folder = tempfile::tempdir().unwrap();
    let talk = json!({ "conversation": 1, "turns": turns }).to_string();
    let provider = Provider::Replay(Replay::parse(&folder.path().join("talk.yaml"), &talk, Mode::Update).unwrap());
    let counted = metrics.begin(&Subject::from(run));
    let observer = counted.observer(run);
    let tools = Telling { observer: observer.clone(), action: action.map(str::to_owned) };
    let conclusion = execute(run, &provider, &tools, &observer, std::future::pending()).await;
    counted.concluded(&conclusion);
    conclusion
}

fn turns() -> Value {
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    let find = call("report_finding", json!({ "severity": "critical", "message": "the database is down" }));
    let usage = json!({ "input": 1000, "output": 80, "cached": 600, "cache_written": 100 });
    json!([
        { "reply": { "text": "I look.", "calls": [call("inspect", json!({})), call("restart", json!({ "name": "web" })), find], "usage": usage } },
        { "reply": { "text": "# Report\nWARNING: slow", "usage": { "input": 2000, "output": 20 } } },
    ])
}

/// The lines of one metric, without comments.
fn lines<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))).collect()
}

#[tokio::test]
async fn a_run_is_counted_under_the_names_of_old_and_its_namespace() {
    let metrics = Metrics::new().unwrap();
    let run = fixture::run(|documents| documents.agent["spec"]["reporting"] = json!({ "onFinding": "escalate" }));
    hold(&metrics, &run, turns(), Some("restart-deployment")).await;
    metrics.scheduled("agents", "forge", Duration::from_millis(1500));
    let text = metrics.text().unwrap();
    let whose = r#"agent="forge",namespace="agents""#;
    for (name, expected) in [
        ("infraagent_runs_total", vec![format!(r#"infraagent_runs_total{{{whose},status="Escalated"}} 1"#)]),
        ("infraagent_run_duration_seconds_count", vec![format!("infraagent_run_duration_seconds_count{{{whose}}} 1")]),
        (
            "infraagent_tokens_used_total",
            vec![r#"infraagent_tokens_used_total{agent="forge",model="anthropic/claude-sonnet-4-5",namespace="agents"} 3100"#.to_owned()],
        ),
        ("infraagent_iterations_total", vec![format!("infraagent_iterations_total{{{whose}}} 2")]),
        (
            "infraagent_guardrail_blocks_total",
            vec![r#"infraagent_guardrail_blocks_total{action="restart-deployment",agent="forge",namespace="agents"} 1"#.to_owned()],
        ),
        (
            "infraagent_findings_total",
            vec![
                format!(r#"infraagent_findings_total{{{whose},severity="critical"}} 1"#),
                format!(r#"infraagent_findings_total{{{whose},severity="warning"}} 1"#),
            ],
        ),
        ("infraagent_escalations_total", vec![format!(r#"infraagent_escalations_total{{{whose},reason="finding"}} 1"#)]),
        ("infraagent_schedule_lag_seconds", vec![format!("infraagent_schedule_lag_seconds{{{whose}}} 1.5")]),
        ("infraagent_active_runs", vec![r#"infraagent_active_runs{namespace="agents"} 0"#.to_owned()]),
        (
            "infraagent_tool_calls_total",
            vec![
                format!(r#"infraagent_tool_calls_total{{{whose},status="error"}} 2"#),
                format!(r#"infraagent_tool_calls_total{{{whose},status="ok"}} 1"#),
            ],
        ),
        (
            "infraagent_sandbox_traps_total",
            vec![r#"infraagent_sandbox_traps_total{agent="forge",kind="memory",namespace="agents"} 1"#.to_owned()],
        ),
        (
            "infraagent_decision_duration_seconds_count",
            vec![
                r#"infraagent_decision_duration_seconds_count{tier="read",verdict="allow"} 2"#.to_owned(),
                r#"infraagent_decision_duration_seconds_count{tier="service-mutation",verdict="deny"} 1"#.to_owned(),
            ],
        ),
    ] {
        assert_eq!(lines(&text, name), expected, "{text}");
    }
    let buckets: Vec<_> = lines(&text, "infraagent_run_duration_seconds_bucket")
        .iter()
        .filter_map(|line| Some(line.split_once("le=\"")?.1.split_once('"')?.0))
        .collect();
    assert_eq!(buckets, ["1", "5", "15", "30", "60", "120", "300", "600", "1200", "2400", "+Inf"]);
    let cost: f64 = lines(&text, "infraagent_cost_dollars_total")[0].split_once("} ").unwrap().1.parse().unwrap();
    // 3000 tokens in and 100 out at 3 and 15 dollars a million, and a quarter of the input price more for 100 written into the cache.
    assert!((cost - 0.010_575).abs() < 1e-9, "{cost}");
}

#[tokio::test]
async fn the_kinds_of_tokens_add_up() {
    let metrics = Metrics::new().unwrap();
    hold(&metrics, &fixture::run(|_| ()), turns(), None).await;
    let text = metrics.text().unwrap();
    let kinds: Vec<(String, u64)> = lines(&text, "infraagent_tokens_by_kind_total")
        .iter()
        .map(|line| {
            let (labels, value) = line.split_once("} ").unwrap();
            (labels.split_once("kind=\"").unwrap().1.split_once('"').unwrap().0.to_owned(), value.parse().unwrap())
        })
        .collect();
    let kind = |name: &str, tokens| (name.to_owned(), tokens);
    assert_eq!(kinds, [kind("cache_read", 600), kind("cache_write", 100), kind("input", 2300), kind("output", 100)]);
}

#[tokio::test]
async fn no_text_of_guest_or_model_becomes_a_label() {
    let metrics = Metrics::new().unwrap();
    let evil = "x\"} 1\nevil_total{a=\"b hunter2";
    let call = json!({ "name": evil, "arguments": { "password": "hunter2" } });
    let restart = json!({ "name": "restart", "arguments": { "name": "web" } });
    let talk = json!([
        { "reply": { "text": evil, "calls": [call, restart], "usage": { "input": 1, "output": 1 } } },
        { "reply": { "text": format!("CRITICAL: {evil}"), "usage": { "input": 1, "output": 1 } } },
    ]);
    hold(&metrics, &fixture::run(|_| ()), talk, Some("forged-action")).await;
    let text = metrics.text().unwrap();
    assert!(!text.contains("hunter2") && !text.contains("evil") && !text.contains("forged-action"), "{text}");
    assert_eq!(
        lines(&text, "infraagent_guardrail_blocks_total"),
        [r#"infraagent_guardrail_blocks_total{action="none",agent="forge",namespace="agents"} 2"#],
        "the unknown tool and the refused call, neither under a name of its own"
    );
    assert!(lines(&text, "infraagent_findings_total").len() == 1, "what is true is counted all the same: {text}");
}

#[tokio::test]
async fn the_name_of_a_model_stays_a_name() {
    let metrics = Metrics::new().unwrap();
    let name = format!("claude \"}} 1\n{}", "ü".repeat(500));
    let run = fixture::run(|documents| documents.models[0]["spec"]["tiers"][1]["model"] = json!(name));
    hold(&metrics, &run, turns(), None).await;
    let text = metrics.text().unwrap();
    let [line] = lines(&text, "infraagent_tokens_used_total")[..] else { panic!("{text}") };
    assert!(line.contains(r#"model="anthropic/claude____1_"#) && line.len() < 300, "{line}");
}

#[tokio::test]
async fn an_agent_that_does_not_want_to_be_counted_is_not() {
    let metrics = Metrics::new().unwrap();
    let run = fixture::run(|documents| documents.agent["spec"]["observability"] = json!({ "metrics": false }));
    let conclusion = hold(&metrics, &run, turns(), None).await;
    assert_eq!(conclusion.phase, RunPhase::Succeeded);
    metrics.ended(&Subject::from(&run), RunPhase::Failed, Some(Duration::from_secs(1)));
    assert!(!metrics.text().unwrap().contains("forge") && !metrics.text().unwrap().contains("namespace=\"agents\""));
    hold(&metrics, &fixture::run(|_| ()), turns(), None).await;
    assert!(metrics.text().unwrap().contains("agent=\"forge\""), "another one is");
}

#[tokio::test]
async fn agents_of_one_name_in_two_namespaces_are_two_and_one_of_them_can_be_forgotten() {
    let metrics = Metrics::new().unwrap();
    for namespace in ["agents", "others"] {
        let run = fixture::run(|documents| {
            documents.agent["metadata"]["namespace"] = json!(namespace);
            documents.environment["metadata"]["namespace"] = json!(namespace);
        });
        hold(&metrics, &run, turns(), Some("look")).await;
        metrics.scheduled(namespace, "forge", Duration::ZERO);
    }
    let text = metrics.text().unwrap();
    assert_eq!(lines(&text, "infraagent_runs_total").len(), 2, "{text}");
    let of = |text: &str, namespace: &str| {
        let mine = format!("namespace=\"{namespace}\"");
        text.lines().filter(|line| line.contains("agent=\"forge\"") && line.contains(&mine)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (kept, gone) = (of(&text, "others"), of(&text, "agents"));
    assert_eq!(kept.len(), gone.len());
    let agents = |names: &[&str]| names.iter().map(|&namespace| (namespace.to_owned(), "forge".to_owned())).collect();
    assert_eq!(metrics.agents(), agents(&["agents", "others"]));
    metrics.forget("agents", "forge");
    assert_eq!(metrics.agents(), agents(&["others"]));
    metrics.forget("agents", "never-seen");
    let text = metrics.text().unwrap();
    assert_eq!(of(&text, "agents"), Vec::<String>::new());
    assert_eq!(of(&text, "others"), kept);
}

#[test]
fn a_run_counts_as_active_until_whoever_executes_it_lets_go() {
    let metrics = Metrics::new().unwrap();
    let run = fixture::run(|_| ());
    let active =
        || lines(&metrics.text().unwrap(), "infraagent_active_runs").first().map(|line| line.rsplit(' ').next().unwrap().to_owned());
    let (one, two) = (metrics.begin(&Subject::from(&run)), metrics.begin(&Subject::from(&run)));
    assert_eq!(active().as_deref(), Some("2"));
    drop(one);
    assert_eq!(active().as_deref(), Some("1"), "also when it did not end");
    two.closed(RunPhase::Failed);
    drop(two);
    assert_eq!(active().as_deref(), Some("0"));
    assert_eq!(lines(&metrics.text().unwrap(), "infraagent_runs_total").len(), 1);
}

#[test]
fn controllers_and_leases_are_told() {
    let metrics = Metrics::new().unwrap();
    assert!(lines(&metrics.text().unwrap(), "infraagent_holder_lease_age_seconds").is_empty(), "never renewed is not renewed just now");
    for controller in Controller::ALL {
        metrics.reconciled(controller, Duration::from_millis(3), true);
    }
    metrics.reconciled(Controller::Run, Duration::from_millis(3), false);
    metrics.leads(true);
    metrics.lease_renewed();
    metrics.lease_renewed();
    metrics.record_written(Duration::from_millis(12), true);
    let text = metrics.text().unwrap();
    assert_eq!(lines(&text, "infraagent_reconciles_total").len(), Controller::ALL.len() + 1);
    assert!(text.contains("infraagent_reconciles_total{controller=\"agentrun\",result=\"error\"} 1"));
    assert_eq!(lines(&text, "infraagent_leader"), ["infraagent_leader 1"]);
    assert_eq!(lines(&text, "infraagent_holder_lease_age_seconds").len(), 1);
    assert!(text.contains("infraagent_record_write_duration_seconds_count{result=\"ok\"} 1"));
    assert!(text.contains(concat!("infraagent_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")));
}
