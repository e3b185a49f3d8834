//! Skills for wasm32-wasip2 as Rust builds them: admitted under the compat profile, and run. What the standard library finds there is a clock, random numbers,
//! output that is captured, an empty environment and no files; with a socket it is not even admitted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, LazyLock},
};

use infraagent_sandbox::{
    admission,
    broker::{Answer, Answering, Broker, Request},
    engine::{Engine, EngineConfig},
    instance::Skill,
    limits::Limits,
    outcome::ToolOutcome,
};
use serde_json::Value;

/// Builds a guest with `infraagent skill build`. Where the target is not installed, what that says is what to do.
fn build(guest: &str) -> (PathBuf, Output) {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = scratch.join(format!("{guest}-guest.wasm"));
    let _ = fs::remove_file(&file);
    let output = Command::new(env!("CARGO_BIN_EXE_infraagent"))
        .args(["skill", "build", "--target", "wasm32-wasip2"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests").join(guest))
        .arg("-o")
        .arg(&file)
        .env("CARGO_TARGET_DIR", scratch.join("skills"))
        .output()
        .expect("infraagent starts");
    (file, output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

static SKILL: LazyLock<Skill> = LazyLock::new(|| {
    let (file, output) = build("wasip2");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let bytes = fs::read(file).expect("the component");
    let engine = Engine::new(EngineConfig { instances: 4, pooling: true }).expect("an engine");
    let admitted = admission::admit(&bytes).unwrap_or_else(|refusals| panic!("{refusals:?}"));
    assert!(admitted.is_compat());
    Skill::load(&engine, admitted, &engine.compile_trusted(&bytes).expect("it compiles")).expect("it loads")
});

/// Only the log may be asked for.
struct OnlyLog;

impl Broker for OnlyLog {
    fn perform(&self, request: Request) -> Answering<'_> {
        assert!(matches!(&request, Request::Call { action: None, call } if call.to_string() == "log.emit"), "{request:?}");
        Box::pin(std::future::ready(Ok(Answer::Done)))
    }
}

async fn call(tool: &str) -> ToolOutcome {
    SKILL.invoke(tool, "{}", "run-1", &Limits::DEFAULT, Arc::new(OnlyLog)).await
}

#[tokio::test]
async fn the_standard_library_finds_clocks_and_random_numbers_and_nothing_of_the_host() {
    let outcome = call("look_around").await;
    let found: Value = serde_json::from_str(&outcome.result.expect("an answer").content).expect("JSON");
    assert_eq!((&found["letters"], &found["slept"]), (&4.into(), &true.into()), "{found}");
    assert!(found["unix"].as_u64().is_some_and(|seconds| seconds > 1_700_000_000), "{found}");
    assert_eq!((&found["variables"], &found["arguments"]), (&0.into(), &0.into()), "{found}");
    for way in ["read", "relative", "write", "list"] {
        assert_eq!(found[way], "entity not found", "{way}: {found}");
    }
    assert_eq!(outcome.log, "printed \\u{1b}[31min red\nand on standard error\n");
    assert_eq!(outcome.usage.host_calls, 0);
}

#[tokio::test]
async fn what_it_prints_is_captured_up_to_the_cap() {
    let outcome = call("shout").await;
    assert_eq!(outcome.result.expect_err("too much").code(), "log");
    assert!(outcome.log.len() as u64 <= Limits::DEFAULT.log_bytes * 2, "{}", outcome.log.len());
    assert!(outcome.log.starts_with(&format!("{:080}\n{:080}\n", 0, 1)));
}

#[tokio::test]
async fn a_panic_says_why_and_an_exit_is_none() {
    let panic = call("trip").await.result.expect_err("a panic").to_string();
    assert!(panic.starts_with("the skill panicked: ") && panic.contains("there is no such pod") && panic.contains("src/lib.rs"), "{panic}");
    assert_eq!(call("leave").await.result.expect_err("no answer").to_string(), "the skill crashed: exit");
}

#[test]
fn a_skill_with_a_socket_is_not_admitted_and_told_what_to_use_instead() {
    let (file, output) = build("sockets");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}{}", text(&output.stderr));
    assert!(told.contains("import-not-allowed: the import `wasi:sockets/tcp@0.2."), "{told}");
    assert!(told.contains("a skill has no network of its own: use http-read and http-mutation"), "{told}");
    assert!(!file.exists(), "what is not admitted is not written");
}
