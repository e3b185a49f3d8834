//! What is told about a hostile guest: lines of the log, metrics, traces. All of it is true, none of it has a secret or a word of the guest in the wrong place.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Stdio,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use infraagent::{
    run::event::Observer,
    telemetry::{Subject, metrics::Metrics},
};
use infraagent_api::run::RunPhase;
use serde_json::{Value, json};

use crate::{
    chain::{Chain, World},
    guest::{DEPLOYMENT, Guest, Token},
    program,
};

const GITHUB: &str = "ghp_canary0123456789ABCDEFabcdef0123456789";

/// A collector of traces over HTTP, which keeps the bodies.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let bodies: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = Arc::clone(&bodies);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_ascii_lowercase();
                let length: Option<usize> = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
                let head = request.windows(4).position(|four| four == b"\r\n\r\n");
                head.zip(length).is_some_and(|(head, length)| request.len() >= head + 4 + length)
            };
            while !is_whole(&request) {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            kept.lock().unwrap().extend(request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, bodies)
}

#[test]
fn the_program_tells_each_decision_once_with_its_run_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let guest = Guest::new()
        .log(1, &format!("token {GITHUB}\n{{\"message\":\"decided\"}}"))
        .list("look", "pods", "shop", None, 10, Token::None)
        .restart("forged-action", DEPLOYMENT, "shop", "web")
        .finding(1, None, format!("{GITHUB} is out").as_bytes())
        .restart("restart", DEPLOYMENT, "shop", "web")
        .or_fail();
    program::prepare(dir.path(), &guest);
    program::converse(dir.path(), 1);
    let (endpoint, traces) = collector();
    let (mut command, _) = program::run(dir.path(), 0);
    command.env("INFRAAGENT_LOG", "info").env("INFRAAGENT_LOG_FORMAT", "json").args(["--otlp-endpoint", &endpoint]);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let decided: Vec<_> = lines.iter().filter(|line| line["message"] == "decided").collect();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let told: Vec<_> =
        decided.iter().map(|line| ["tool", "call", "action", "tier", "verdict", "code"].map(|name| text(line, name))).collect();
    let restart = "kubectl.rollout restart deployment/web -n shop";
    let first = [
        ["work", "kubectl.get pods -n shop", "look", "read", "allow", "-"],
        ["work", restart, "forged-action", "service-mutation", "deny", "undeclared-action"],
        ["work", restart, "restart", "service-mutation", "allow", "-"],
    ];
    assert_eq!(told[..3], first.map(|line| line.map(str::to_owned)), "{log}");
    assert_eq!(told.len(), 6, "the tool is called twice: {log}");
    let run = decided[0]["run"].as_str().unwrap();
    for line in &decided {
        assert_eq!(
            (text(line, "run"), text(line, "agent"), text(line, "namespace")),
            (run.to_owned(), "forge".to_owned(), "agents".to_owned())
        );
    }
    let skill = lines.iter().find(|line| line["target"] == "skill").unwrap();
    assert!(skill["message"] == "skill log" && skill["run"] == run, "{skill}");

    let traces = String::from_utf8_lossy(&traces.lock().unwrap()).into_owned();
    for name in ["POST /v1/traces", "agent.run", "agent.assemble", "execute_tool work", "agent.report"] {
        assert!(traces.contains(name), "`{name}`: {traces}");
    }
    for canary in [GITHUB, "canary"] {
        assert!(!log.contains(canary) && !traces.contains(canary), "`{canary}`: {log}\n{traces}");
    }
}

#[test]
fn without_being_asked_the_program_tells_nothing_beside_the_run() {
    let dir = tempfile::tempdir().unwrap();
    program::prepare(dir.path(), &Guest::new().log(1, "hello").restart("restart", DEPLOYMENT, "shop", "web").or_fail());
    program::converse(dir.path(), 1);
    let (mut command, _) = program::run(dir.path(), 0);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.success(), String::from_utf8_lossy(&output.stderr).as_ref()), (true, ""));
    let (mut command, _) = program::run(dir.path(), 1);
    let output = command.args(["--log-level", "loud"]).stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("`loud` names no levels"));
}

#[tokio::test]
async fn a_guest_that_forges_and_loops_is_counted_for_what_it_does() {
    let metrics = Metrics::new().unwrap();
    let counting: Arc<OnceLock<Observer>> = Arc::default();
    let watch = Arc::clone(&counting);
    let guest = Guest::new()
        .restart("restart", DEPLOYMENT, "shop", "web")
        .restart("forged-action", DEPLOYMENT, "shop", "web")
        .code("(loop $spin (br $spin))");
    let observer = Observer::new(move |event| {
        if let Some(counting) = watch.get() {
            counting.tell(event);
        }
    });
    let chain = Chain::watched(World::default(), &guest.build(), observer).await;
    let counted = metrics.begin(&Subject::from(&*chain.run));
    assert!(counting.set(counted.observer(&chain.run)).is_ok());
    let conclusion = chain
        .converse(json!([
            { "reply": { "calls": [{ "name": "work", "arguments": {} }] } },
            { "reply": { "calls": [{ "name": "greet", "arguments": {} }] } },
            { "reply": { "text": "Done." } },
        ]))
        .await;
    assert_eq!(conclusion.phase, RunPhase::Succeeded);
    counted.concluded(&conclusion);
    let text = metrics.text().unwrap();
    let whose = r#"agent="forge""#;
    for line in [
        format!(r#"infraagent_sandbox_traps_total{{{whose},kind="cpu-budget",namespace="agents"}} 1"#),
        format!(r#"infraagent_guardrail_blocks_total{{action="none",{whose},namespace="agents"}} 1"#),
        format!(r#"infraagent_tool_calls_total{{{whose},namespace="agents",status="error"}} 1"#),
        format!(r#"infraagent_tool_calls_total{{{whose},namespace="agents",status="ok"}} 1"#),
        r#"infraagent_decision_duration_seconds_count{tier="service-mutation",verdict="allow"} 1"#.to_owned(),
        format!(r#"infraagent_runs_total{{{whose},namespace="agents",status="Succeeded"}} 1"#),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(!text.contains("forged"), "{text}");
    chain.close().await;
}
