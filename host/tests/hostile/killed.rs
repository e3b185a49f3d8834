//! `infraagent run`, killed without warning at any moment: the record that is left can be read, and never says less than what was done.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use infraagent::audit::{Document, verify};
use serde_json::json;

use crate::{
    chain::{World, agent, environment, models, packed, policy, write},
    guest::{DEPLOYMENT, Guest},
};

/// The command for a run in this folder; everything that it reads is there.
fn run(folder: &Path, number: usize) -> (Command, std::path::PathBuf) {
    let record = folder.join(format!("{number}.agentrun.yaml"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_infraagent"));
    command.current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache")).env("HOME", folder).arg("run");
    for (option, file) in [
        ("--agent", "agent.yaml"),
        ("--environment", "environment.yaml"),
        ("--models", "models.yaml"),
        ("--policy", "policy.yaml"),
        ("--skill", "hostile.wasm"),
        ("--snapshot", "snapshot"),
        ("--replay", "conversation.yaml"),
        ("--audit-key", "audit.key"),
    ] {
        command.arg(option).arg(file);
    }
    command.arg("--update-replay").arg("--record-to").arg(&record).stdout(Stdio::null()).stderr(Stdio::null());
    (command, record)
}

#[test]
fn a_run_that_is_killed_leaves_a_record_that_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut alone = agent("automate-destructive");
    alone["spec"]["skills"] = json!([{ "name": "hostile" }]);
    alone["spec"]["guardrails"]["maxIterations"] = json!(20);
    write(&at("agent.yaml"), &alone);
    write(&at("environment.yaml"), &environment(&json!({}), &json!({})));
    write(&at("models.yaml"), &models());
    write(&at("policy.yaml"), &policy("none"));
    crate::chain::fill(&World::default(), &at("snapshot"));
    let guest =
        Guest::new().restart("restart", DEPLOYMENT, "shop", "web").or_fail().restart("restart", DEPLOYMENT, "shop", "stuck").or_fail();
    fs::write(at("hostile.wasm"), packed(&guest.build(), |_| ())).unwrap();
    let turn = json!({ "reply": { "calls": [{ "name": "work", "arguments": {} }, { "name": "work", "arguments": {} }] } });
    let mut turns = vec![turn; 12];
    turns.push(json!({ "reply": { "text": "Done." } }));
    let conversation = json!({ "conversation": 1, "turns": turns }).to_string();

    // Once to the end, which also fills the cache; its length says where to cut.
    fs::write(at("conversation.yaml"), &conversation).unwrap();
    let (mut command, record) = run(dir.path(), 0);
    let status = command.status().unwrap();
    assert!(status.success(), "{status}");
    assert!(matches!(read(&record).1.complete, verify::Answer::NotChecked(_)), "closed");

    let mut cut_off = 0;
    for number in 1..=8 {
        fs::write(at("conversation.yaml"), &conversation).unwrap();
        let (mut command, record) = run(dir.path(), number);
        let mut child = command.spawn().unwrap();
        // From the moment when the record is there: a little later each time.
        let started = Instant::now();
        while !record.exists() && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(40 * number as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let (document, report) = read(&record);
        assert!(matches!(report.consistent, verify::Answer::Yes(_)), "{report:?}");
        cut_off += usize::from(!report.closed);
        let entries = document.run.status.unwrap().actions;
        assert!(report.open.len() <= 2, "at most a tool call and one change of it are open: {report:?}");
        assert!(entries.iter().all(|entry| entry.tool != "kubectl.rollout restart" || !entry.intent_hash.is_empty()));
    }
    assert!(cut_off > 0, "none was killed before its end");
}

fn read(record: &Path) -> (Document, verify::Report) {
    let text = fs::read_to_string(record).unwrap();
    let document = Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let report = verify::verify(&document, None, None);
    (document, report)
}
