//! Guests that break the rules of the component model: they leave where they may not, come back where nobody called them, and hand over what is none.

use infraagent::llm::ToolStatus;
use infraagent_api::run::ActionStatus;

use crate::{
    chain::{Chain, Record, World, failed, well},
    guest::{DEPLOYMENT, Guest},
};

const RESTARTED: &str = "kubectl.rollout restart deployment/web -n shop executed";

fn restart() -> Guest {
    Guest::new().restart("restart", DEPLOYMENT, "shop", "web").or_fail()
}

/// Whether `realloc` misbehaves.
const ARMED: &str = "(global $armed (mut i32) (i32.const 0))";
const ARM: &str = "(global.set $armed (i32.const 1))";

fn exiting() -> Guest {
    Guest::new().wasi("cli/exit", "exit", "exit", "(param i32)")
}

/// Runs a guest, which must end with these words and this reason, and gives its record. Unless it may, it changed nothing.
async fn ended(guest: Guest, words: &str, reason: &str, changes: &[&str]) -> Record {
    let chain = Chain::with(guest).await;
    failed(&chain.attack().await, ToolStatus::Error, words);
    if changes.is_empty() {
        chain.assert_unchanged().await;
    }
    let record = chain.close().await;
    assert_eq!((record.changes(), record.work().reason.as_deref()), (changes.iter().map(ToString::to_string).collect(), Some(reason)));
    assert_eq!(record.work().status, ActionStatus::Failed);
    record
}

#[tokio::test]
async fn an_exit_is_a_crash_whatever_its_status() {
    for status in [0, 1] {
        let exit = format!("(call $exit (i32.const {status}))");
        ended(exiting().code(&exit), "crashed: exit", "trap", &[]).await;
        let after = exiting().restart("restart", DEPLOYMENT, "shop", "web").or_fail().code(&exit);
        ended(after, "crashed: exit", "trap", &[RESTARTED]).await;
    }
}

#[tokio::test]
async fn an_exit_in_the_middle_of_a_change_keeps_neither_the_change_nor_its_record_back() {
    for status in [0, 1] {
        let realloc = format!("(if (global.get $armed) (then (call $exit (i32.const {status}))))");
        let guest = exiting().item(ARMED).realloc(&realloc).code(ARM).restart("restart", DEPLOYMENT, "shop", "web");
        ended(guest, "crashed: call-at-a-forbidden-moment", "trap", &[RESTARTED]).await;
    }
}

/// The guest, and the code of one more change in it.
fn one_more(mut guest: Guest) -> (Guest, String) {
    let [action, namespace, name, reason] = ["restart", "shop", "stuck", "because"].map(|text| guest.text(text));
    let call = format!("(call $restart {action} (i32.const {DEPLOYMENT}) {namespace} {name} {reason} (i32.const 2048))");
    (guest, call)
}

#[tokio::test]
async fn nobody_calls_the_host_while_it_hands_something_over() {
    const FORBIDDEN: &str = "crashed: call-at-a-forbidden-moment";
    // While the host asks for memory for its answer: the second change is never asked for.
    let (guest, call) = one_more(Guest::new().item(ARMED).code(ARM).restart("restart", DEPLOYMENT, "shop", "web"));
    ended(guest.realloc(&format!("(if (global.get $armed) (then {call}))")), FORBIDDEN, "trap", &[RESTARTED]).await;
    // While it hands over the arguments of the tool: nothing has begun.
    let (guest, call) = one_more(restart());
    ended(guest.realloc(&call), FORBIDDEN, "trap", &[]).await;
    // When it has taken the answer: the tool is over.
    let (guest, call) = one_more(restart());
    let late = format!("(func (export \"cabi_post_infraagent:skill/skill@0.1.0#invoke\") (param i32) {call})");
    ended(guest.item(&late), FORBIDDEN, "trap", &[RESTARTED]).await;
}

/// A component that calls its own export from inside: the function that is lifted is lowered again for the module that it comes from.
const OUROBOROS: &str = r#"(component
    (import "infraagent:skill/types@0.1.0" (instance $types
        (type $a (record (field "code" string) (field "action" string) (field "message" string)))
        (export "denial" (type $denial (eq $a)))
        (type $b (record (field "message" string) (field "retry-after-ms" (option u32))))
        (export "unavailable" (type $unavailable (eq $b)))
        (type $c (variant (case "denied" $denial) (case "not-found" string) (case "conflict" string) (case "invalid" string)
            (case "unavailable" $unavailable) (case "budget-exhausted" string) (case "timeout") (case "internal" string)))
        (export "error" (type (eq $c)))))
    (alias export $types "error" (type $error))
    (core module $shim
        (type $call (func))
        (table (export "calls") 1 funcref)
        (func (export "again") (call_indirect (type $call) (i32.const 0))))
    (core module $bind
        (import "" "calls" (table 1 funcref))
        (import "" "again" (func $again))
        (elem (i32.const 0) func $again))
    (core module $main
        (import "self" "again" (func $again))
        (memory (export "memory") 1)
        (data (i32.const 16) "{}")
        (data (i32.const 1024) "\00\00\00\00\10\00\00\00\02\00\00\00\10\00\00\00\02\00\00\00")
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (func (export "again"))
        (func (export "invoke") (param i32 i32 i32 i32 i32 i32) (result i32) AGAIN (i32.const 1024)))
    (core instance $s (instantiate $shim))
    (core instance $m (instantiate $main (with "self" (instance $s))))
    (func $again (canon lift (core func $m "again")))
    (core func $lowered (canon lower (func $again)))
    (core instance (instantiate $bind (with "" (instance (export "calls" (table $s "calls")) (export "again" (func $lowered))))))
    (type $invocation (record (field "run-id" string) (field "tool" string) (field "arguments" string)))
    (type $output (record (field "content" string) (field "summary" string)))
    (func $invoke (param "call" $invocation) (result (result $output (error $error)))
        (canon lift (core func $m "invoke") (memory $m "memory") (realloc (func $m "realloc"))))
    (instance $skill
        (export "error" (type $error)) (export "invocation" (type $invocation)) (export "output" (type $output))
        (export "invoke" (func $invoke)))
    (export "infraagent:skill/skill@0.1.0" (instance $skill)))"#;

#[tokio::test]
async fn a_component_that_is_being_called_is_not_called_again() {
    let component = |code: &str| wat::parse_str(OUROBOROS.replace("AGAIN", code)).unwrap();
    let chain = Chain::open(World::default(), &component("(call $again)")).await;
    failed(&chain.attack().await, ToolStatus::Error, "crashed: re-entrance");
    chain.assert_unchanged().await;
    assert_eq!(chain.close().await.work().reason.as_deref(), Some("trap"));
    // The same component, if it keeps to itself.
    let chain = Chain::open(World::default(), &component("")).await;
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "{outcome:?}");
    chain.close().await;
}

fn printing() -> Guest {
    Guest::new().wasi("cli/stdout", "get-stdout", "stdout", "(result i32)").wasi(
        "io/streams",
        "[resource-drop]output-stream",
        "drop",
        "(param i32)",
    )
}

/// So many handles, none of them closed.
fn leak(handles: u32) -> String {
    format!(
        "(local.set $run (i32.const {handles}))
         (loop $again (drop (call $stdout)) (br_if $again (local.tee $run (i32.sub (local.get $run) (i32.const 1)))))"
    )
}

#[tokio::test]
async fn handles_are_few_and_each_is_closed_once() {
    let restarting = || printing().restart("restart", DEPLOYMENT, "shop", "web").or_fail();
    ended(restarting().code(&leak(1000)), "(limit `handles`)", "handles", &[RESTARTED]).await;
    let twice = "(local.set $run (call $stdout)) (call $drop (local.get $run)) (call $drop (local.get $run))";
    for forged in [twice, "(call $drop (i32.const 7))", "(call $drop (i32.const 0))", "(call $drop (i32.const -1))"] {
        ended(printing().code(forged), "crashed: contract-violation", "trap", &[]).await;
        ended(restarting().code(forged), "crashed: contract-violation", "trap", &[RESTARTED]).await;
    }
    // As many as one needs are not too many, and closing them makes room.
    let open_and_close = format!(
        "{} (local.set $tool (i32.const 2000))
         (loop $more (call $drop (call $stdout)) (br_if $more (local.tee $tool (i32.sub (local.get $tool) (i32.const 1)))))",
        leak(200)
    );
    let chain = Chain::with(printing().code(&open_and_close)).await;
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "{outcome:?}");
    chain.close().await;
}

#[tokio::test]
async fn what_is_not_text_never_becomes_one() {
    // Cut off, never allowed, a surrogate, an overlong NUL, beyond Unicode.
    for bytes in [b"web\xe2\x82".as_slice(), b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"] {
        let mut put = Guest::new().put("key", 1);
        let key = put.text(bytes);
        let call = format!("(call $put {key} (i32.const 65536) (i32.const 1) (i32.const 0) (i64.const 0) (i32.const 2048))");
        for guest in [
            Guest::new().restart("restart", DEPLOYMENT, "shop", bytes),
            Guest::new().finding(1, Some(("shop", "web")), bytes),
            put.code(&call),
        ] {
            let record = ended(guest, "crashed: contract-violation", "trap", &[]).await;
            assert!(!record.text.contains('\u{fffd}'), "{bytes:?}");
        }
    }
}

/// Logs with so many fields, of which each is `length` bytes at 131072.
fn fields(written: u32, claimed: u32, length: u32) -> Guest {
    let store = |at: u32, value: u32| format!("(i32.store offset={at} (local.get $run) (i32.const {value}))");
    Guest::new().memory(64).log(1, "fields").code(&format!(
        "(local.set $run (i32.const 262144)) (local.set $tool (i32.const {written}))
         (loop $next {} {} {} {}
            (local.set $run (i32.add (local.get $run) (i32.const 16)))
            (br_if $next (local.tee $tool (i32.sub (local.get $tool) (i32.const 1)))))
         (call $emit (i32.const 1) (i32.const 16) (i32.const 2) (i32.const 262144) (i32.const {claimed}) (i32.const 2048))",
        store(0, 131_072),
        store(4, length),
        store(8, 131_072),
        store(12, length)
    ))
}

#[tokio::test]
async fn lists_that_are_larger_than_what_they_are_made_of() {
    // 2 GiB, 4 GiB, and a length that wraps around: beyond the guest's own memory.
    for claimed in [1 << 27, (1 << 28) - 1, 1 << 28, u32::MAX] {
        ended(fields(1, claimed, 1), "crashed: contract-violation", "trap", &[]).await;
    }
    // Every element is the same 64 KiB: a few hundred bytes of list are 13 MiB of text, and a few MiB of list as many more.
    ended(fields(100, 100, 65_536), "(limit `hostcall-fuel`)", "hostcall-fuel", &[]).await;
    ended(fields(200_000, 200_000, 64), "(limit `hostcall-fuel`)", "hostcall-fuel", &[]).await;
    // The same list with little in it is only a line of log.
    let chain = Chain::with(fields(3, 3, 8).or_fail()).await;
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "{outcome:?}");
    well(&chain.call("greet", serde_json::json!({})).await);
    chain.close().await;
}
