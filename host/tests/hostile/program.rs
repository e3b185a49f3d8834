//! `infraagent run` as a program: given a skill that is a trap for its compiler, or killed without warning at any moment. The record that is left can be
//! read, and never says less than what was done.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use infraagent::audit::{Document, verify};
use infraagent_api::run::RunPhase;
use serde_json::json;

use crate::{
    chain::{World, agent, environment, models, packed, policy, write},
    guest::{DEPLOYMENT, Guest},
};

/// The command for a run in this folder; everything that it reads is there.
pub fn run(folder: &Path, number: usize) -> (Command, std::path::PathBuf) {
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

/// Everything that a run of one agent with one skill needs.
pub fn prepare(folder: &Path, guest: &Guest) {
    let at = |name: &str| folder.join(name);
    let mut alone = agent("automate-destructive");
    alone["spec"]["skills"] = json!([{ "name": "hostile" }]);
    alone["spec"]["guardrails"]["maxIterations"] = json!(20);
    write(&at("agent.yaml"), &alone);
    write(&at("environment.yaml"), &environment(&json!({}), &json!({})));
    write(&at("models.yaml"), &models());
    write(&at("policy.yaml"), &policy("none"));
    crate::chain::fill(&World::default(), &at("snapshot"));
    fs::write(at("hostile.wasm"), packed(&guest.build(), |_| ())).unwrap();
}

/// The model calls the tool twice in each of so many turns.
pub fn converse(folder: &Path, turns: usize) {
    let turn = json!({ "reply": { "calls": [{ "name": "work", "arguments": {} }, { "name": "work", "arguments": {} }] } });
    let mut turns = vec![turn; turns];
    turns.push(json!({ "reply": { "text": "Done." } }));
    fs::write(folder.join("conversation.yaml"), json!({ "conversation": 1, "turns": turns }).to_string()).unwrap();
}

#[test]
fn a_skill_that_is_a_trap_for_the_compiler_ends_the_run_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let restart = || Guest::new().restart("restart", DEPLOYMENT, "shop", "web").or_fail();
    // One function that is small for a file and large for a compiler.
    let step = "(local.set $run (i32.xor (i32.mul (local.get $run) (local.get $tool)) (local.get $run_len))) (local.set $tool (i32.add (local.get $run) (local.get $tool)))\n";
    prepare(dir.path(), &restart().code(&step.repeat(150_000)).code("(i32.store (i32.const 8) (local.get $run))"));
    converse(dir.path(), 1);
    let (mut command, record) = run(dir.path(), 0);
    let output = command.args(["--compile-cpu", "1"]).stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    // Which of its limits the compiler meets first depends on the machine.
    let limits = ["takes more than 1 s of processor time", "took longer than 3.0 s and was stopped", "needs more than 256Mi of memory"];
    assert!(told.contains("cannot load the skill") && limits.iter().any(|limit| told.contains(limit)), "{told}");
    let (document, report) = read(&record);
    let status = document.run.status.unwrap();
    assert!(status.actions.is_empty(), "{:?}", status.actions);
    assert_eq!((status.phase, report.closed), (Some(RunPhase::Failed), true), "a run that could not start has ended");
    assert!(
        status.conditions.iter().any(|condition| condition.reason == "NotStarted" && condition.message.contains("compiling the component"))
    );

    // The next run in the same folder, with the same cache and an honest skill.
    prepare(dir.path(), &restart());
    let (mut command, record) = run(dir.path(), 1);
    assert!(command.status().unwrap().success());
    assert!(read(&record).0.run.status.unwrap().actions.iter().any(|entry| entry.tool == "kubectl.rollout restart"));
}

#[test]
fn a_run_that_is_killed_leaves_a_record_that_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let guest =
        Guest::new().restart("restart", DEPLOYMENT, "shop", "web").or_fail().restart("restart", DEPLOYMENT, "shop", "stuck").or_fail();
    prepare(dir.path(), &guest);

    // Once to the end, which also fills the cache; its length says where to cut.
    converse(dir.path(), 12);
    let (mut command, record) = run(dir.path(), 0);
    let status = command.status().unwrap();
    assert!(status.success(), "{status}");
    assert!(matches!(read(&record).1.complete, verify::Answer::NotChecked(_)), "closed");

    let mut cut_off = 0;
    for number in 1..=8 {
        converse(dir.path(), 12);
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
