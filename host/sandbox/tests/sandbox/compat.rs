//! Components that were built against WASI: what they get, and what they do not.

use std::time::Duration;

use infraagent_sandbox::limits::Limits;

use crate::support::{Recorder, WASI, code, component, load};

fn guest(imports: &str, code: &str) -> Vec<u8> {
    let core = format!(
        r#"(module {imports}
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))
                (i32.sub (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))
            (data (i32.const 16) "{{}}") (data (i32.const 32) "done") (data (i32.const 64) "hi \1b[31m\n")
            (data (i32.const 1024) "\00\00\00\00\10\00\00\00\02\00\00\00\20\00\00\00\04\00\00\00")
            (func (export "infraagent:skill/skill@0.1.0#invoke") (param i32 i32 i32 i32 i32 i32) (result i32) {code} (i32.const 1024)))"#
    );
    component(&core, "wasi", WASI)
}

const STDOUT: &str = r#"
    (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
    (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))"#;

#[tokio::test]
async fn standard_output_is_captured_and_escaped() {
    let skill = load(&guest(STDOUT, "(call $write (call $stdout) (i32.const 64) (i32.const 9) (i32.const 2048))"));
    assert!(skill.admitted().is_compat());
    let outcome = skill.invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    assert_eq!((code(&outcome), outcome.log.as_str()), ("ok", "hi \\u{1b}[31m\n"), "{outcome:?}");
}

#[tokio::test]
async fn a_flood_of_output_is_capped() {
    let flood = "(local $out i32) (local.set $out (call $stdout))
        (loop $again (call $write (local.get $out) (i32.const 64) (i32.const 4000) (i32.const 2048)) (br_if $again (i32.eqz (i32.load8_u (i32.const 2048)))))
        unreachable";
    let outcome = load(&guest(STDOUT, flood)).invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    assert_eq!(code(&outcome), "log", "{:?}", outcome.result);
    assert!(outcome.log.len() <= 128 * 1024, "{}", outcome.log.len());
}

#[tokio::test]
async fn handles_that_are_never_closed_are_counted() {
    let leak = "(loop $again (drop (call $stdout)) (br $again))";
    let outcome = load(&guest(STDOUT, leak)).invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    assert_eq!(code(&outcome), "handles", "{:?}", outcome.result);
}

#[tokio::test]
async fn environment_and_filesystem_are_empty_and_exit_ends_the_guest() {
    let imports = r#"
        (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
        (import "wasi:cli/environment@0.2.6" "get-arguments" (func $arguments (param i32)))
        (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $directories (param i32)))
        (import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#;
    let empty = |function: &str| format!("(call ${function} (i32.const 2048)) (if (i32.load (i32.const 2052)) (then unreachable))");
    let all = format!("{}{}{} (call $exit (i32.const 0))", empty("environment"), empty("arguments"), empty("directories"));
    let outcome = load(&guest(imports, &all)).invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    assert_eq!(outcome.result.unwrap_err().to_string(), "the skill crashed: exit");
}

#[tokio::test]
async fn random_bytes_are_few_in_one_call() {
    let imports = r#"(import "wasi:random/random@0.2.6" "get-random-bytes" (func $random (param i64 i32)))"#;
    let ask = |bytes: u32| guest(imports, &format!("(call $random (i64.const {bytes}) (i32.const 2048))"));
    let outcome = load(&ask(32 * 1024)).invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    assert_eq!(code(&outcome), "ok", "{:?}", outcome.result);
    let outcome = load(&ask(64 * 1024 + 1)).invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    let failure = outcome.result.expect_err("too many").to_string();
    assert!(failure.contains("contract-violation") && failure.contains("exceeds limit 65536"), "{failure}");
}

#[tokio::test]
async fn a_guest_that_sleeps_costs_no_cpu() {
    let imports = r#"
        (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $after (param i64) (result i32)))
        (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;
    let skill = load(&guest(imports, "(call $block (call $after (i64.const 300000000)))"));
    let limits = Limits { cpu: Duration::from_millis(100), ..Limits::DEFAULT };
    let outcome = skill.invoke("work", "{}", "run-1", &limits, Recorder::new()).await;
    assert_eq!(code(&outcome), "ok", "{:?}", outcome.result);
    assert!(outcome.usage.wall >= Duration::from_millis(300) && outcome.usage.cpu < Duration::from_millis(100), "{:?}", outcome.usage);
}
