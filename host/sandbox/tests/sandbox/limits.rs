//! Each limit, with a guest that tries it: the guest ends with the limit's name, and its neighbours do not notice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_sandbox::{
    broker::{Answer, CallError},
    limits::Limits,
    manifest::LimitRequest,
    outcome::Failure,
};

use crate::support::{LOG, NOW, RESULT, Recorder, SITE, STATE_PUT, code, guest, guest_with_memory, load, run};

const LOOP: &str = "(loop $forever (br $forever))";

/// Limits small enough for tests.
fn limits() -> Limits {
    Limits { cpu: Duration::from_millis(100), wall: Duration::from_secs(5), ..Limits::DEFAULT }
}

async fn ends_with(expected: &str, component: &[u8], limits: &Limits) {
    let broker = Recorder::new();
    let outcome = run(component, limits, &broker).await;
    assert_eq!(code(&outcome), expected, "{outcome:?}");
    // The host is well: an honest call right after it.
    assert_eq!(code(&run(&guest(SITE, "", &format!("(call $describe (i32.const {RESULT}))")), limits, &broker).await), "ok");
}

/// A call of `site.describe`, repeated forever.
fn storm(check: &str) -> String {
    format!("(loop $again (call $describe (i32.const {RESULT})) {check} (br $again))")
}

#[tokio::test]
async fn a_loop_spends_the_cpu_budget() {
    let started = Instant::now();
    ends_with("cpu-budget", &guest("", "", LOOP), &limits()).await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_loop_in_a_start_function_is_bounded_too() {
    ends_with("cpu-budget", &guest("", &format!("(func $start {LOOP}) (start $start)"), ""), &limits()).await;
}

#[tokio::test]
async fn a_loop_of_bulk_copies_is_bounded_too() {
    let copy = "(loop $forever (memory.copy (i32.const 0) (i32.const 1048576) (i32.const 1048576)) (br $forever))";
    ends_with("cpu-budget", &guest_with_memory("(memory (export \"memory\") 64)", "", "", copy), &limits()).await;
}

#[tokio::test]
async fn bulk_copies_without_a_loop_are_bounded_too() {
    let copy = "(memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))";
    let fill = "(memory.fill (i32.const 0) (i32.const 7) (i32.const 33554432))";
    let deep = |work: &str| {
        format!("(func $deep (param i32) (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))) {work})")
    };
    let limits = Limits { memory: 128 << 20, wall: Duration::from_secs(60), ..limits() };
    // One after the other; and on the way back from a recursion, where no function is entered.
    for (items, code) in [
        (String::new(), copy.repeat(2000)),
        (String::new(), fill.repeat(2000)),
        (deep(copy), "(call $deep (i32.const 2000))".to_owned()),
        (deep(fill), "(call $deep (i32.const 2000))".to_owned()),
    ] {
        ends_with("cpu-budget", &guest_with_memory("(memory (export \"memory\") 1024)", "", &items, &code), &limits).await;
    }
}

/// Time of this thread on the processor.
fn on_processor() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().expect("positive"), now.tv_nsec.try_into().expect("positive"))
}

#[tokio::test]
async fn a_guest_is_charged_what_its_thread_took_however_busy_the_machine() {
    // Ticks are no measure: on a busy machine some go by while the guest has no processor.
    let copies = "(memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))".repeat(16);
    let copies = format!("(loop $forever {copies} (br $forever))");
    let skill = load(&guest_with_memory("(memory (export \"memory\") 1024)", "", "", &copies));
    let limits = Limits { cpu: Duration::from_millis(600), memory: 128 << 20, wall: Duration::from_secs(60), ..Limits::DEFAULT };
    let before = on_processor();
    let outcome = skill.invoke("work", "{}", "run-1", &limits, Recorder::new()).await;
    let spent = on_processor().saturating_sub(before);
    assert_eq!(code(&outcome), "cpu-budget", "{outcome:?}");
    assert!(outcome.usage.cpu >= limits.cpu && outcome.usage.cpu <= spent, "{:?} of {spent:?}", outcome.usage);
    // Dropping the instance is the host's.
    assert!(spent < outcome.usage.cpu * 3 / 2, "{:?} of {spent:?}", outcome.usage);
}

#[tokio::test]
async fn what_the_broker_computes_is_not_the_guests() {
    let broker = Recorder::with(Duration::ZERO, |_| {
        let until = on_processor() + Duration::from_millis(200);
        while on_processor() < until {}
        Ok(Answer::Json("{}".into()))
    });
    let outcome = run(&guest(SITE, "", &format!("(call $describe (i32.const {RESULT}))")), &limits(), &broker).await;
    assert_eq!(code(&outcome), "ok", "{outcome:?}");
    assert!(outcome.usage.cpu < Duration::from_millis(100), "{:?}", outcome.usage);
}

#[tokio::test]
async fn waiting_costs_no_cpu_but_the_clock_goes_on() {
    let broker = Recorder::with(Duration::from_secs(60), |_| Ok(Answer::Json("{}".into())));
    let limits = Limits { wall: Duration::from_millis(200), ..limits() };
    let started = Instant::now();
    let outcome = run(&guest(SITE, "", &storm("")), &limits, &broker).await;
    assert_eq!(code(&outcome), "wall-clock", "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(10));

    let broker = Recorder::with(Duration::from_millis(250), |_| Ok(Answer::Json("{}".into())));
    let limits = Limits { cpu: Duration::from_millis(100), ..Limits::DEFAULT };
    let outcome = run(&guest(SITE, "", &format!("(call $describe (i32.const {RESULT}))")), &limits, &broker).await;
    assert_eq!(code(&outcome), "ok", "{outcome:?}");
}

#[tokio::test]
async fn memory_is_summed_over_all_memories() {
    let grow =
        |memory: &str| format!("(loop $more (br_if $more (i32.ne (memory.grow {memory} (i32.const 16)) (i32.const -1))) unreachable)");
    let small = Limits { memory: 8 << 20, ..limits() };
    ends_with("memory", &guest("", "", &grow("")), &small).await;
    let two = "(memory (export \"memory\") 2) (memory $other 0) (memory $third 0)";
    // Each stays under the cap on its own.
    let both =
        "(drop (memory.grow $other (i32.const 80))) (if (i32.eq (memory.grow $third (i32.const 80)) (i32.const -1)) (then unreachable))";
    ends_with("memory", &guest_with_memory(two, "", "", both), &small).await;
    ends_with("memory", &guest_with_memory("(memory (export \"memory\") 200)", "", "", ""), &small).await;
    // A guest that copes with a refusal goes on.
    ends_with("ok", &guest("", "", "(drop (memory.grow (i32.const 65000)))"), &small).await;
}

#[tokio::test]
async fn memories_tables_and_instances_are_counted() {
    let memories = format!("(memory (export \"memory\") 2) {}", "(memory 0)".repeat(8));
    ends_with("memories", &guest_with_memory(&memories, "", "", ""), &limits()).await;
    let short = Limits { table_elements: 100, ..limits() };
    ends_with("tables", &guest("", "(table 101 funcref)", ""), &short).await;
    let grow = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))) unreachable)";
    ends_with("tables", &guest("", "(table $t 0 funcref)", grow), &limits()).await;
    let few = Limits { tables: 3, ..limits() };
    ends_with("tables", &guest("", &"(table 0 funcref)".repeat(4), ""), &few).await;
    let alone = Limits { instances: 0, ..limits() };
    let outcome = run(&guest("", "", ""), &alone, &Recorder::new()).await;
    assert_eq!(code(&outcome), "instances", "{outcome:?}");
}

#[tokio::test]
async fn recursion_exhausts_the_stack() {
    ends_with(
        "stack",
        &guest(
            "",
            "(func $deep (param i64) (result i64) (i64.add (call $deep (local.get 0)) (i64.const 1)))",
            "(drop (call $deep (i64.const 1)))",
        ),
        &limits(),
    )
    .await;
}

#[tokio::test]
async fn a_storm_of_host_calls_is_refused_then_ended() {
    let few = Limits { host_calls: 20, ..limits() };
    let broker = Recorder::new();
    let outcome = run(&guest(SITE, "", &storm("")), &few, &broker).await;
    assert_eq!((code(&outcome), broker.count()), ("host-calls", 20), "{outcome:?}");
    let outcome = run(&guest(NOW, "", "(loop $again (drop (call $now)) (br $again))"), &few, &broker).await;
    assert_eq!(code(&outcome), "host-calls", "{outcome:?}");
    // One that stops when it is told so has its answer.
    let polite = guest(SITE, "", &format!("(block $enough {})", storm(&format!("(br_if $enough (i32.load8_u (i32.const {RESULT})))"))));
    assert_eq!(code(&run(&polite, &few, &Recorder::new()).await), "ok");
}

/// An `invoke` that answers what `answer` puts at 1024.
fn answering(items: &str, answer: &str) -> Vec<u8> {
    guest("", items, answer)
}

#[tokio::test]
async fn an_answer_is_bounded_and_must_be_json() {
    let length = |bytes: u32| format!("(i32.store (i32.const 1032) (i32.const {bytes}))");
    // 2 GiB is beyond the guest's own memory, 5 MiB beyond what may be handed over, 70,000 bytes beyond what is accepted.
    ends_with("trap", &answering("", &length(1 << 31)), &limits()).await;
    let large = guest_with_memory("(memory (export \"memory\") 200)", "", "", &length(5 << 20));
    ends_with("hostcall-fuel", &large, &limits()).await;
    let medium = guest_with_memory("(memory (export \"memory\") 200)", "", "", &length(70_000));
    ends_with("output-size", &medium, &limits()).await;
    ends_with("bad-answer", &answering("(data (i32.const 16) \"no\")", ""), &limits()).await;
    ends_with("trap", &answering("(data (i32.const 16) \"\\ff\\fe\")", ""), &limits()).await;
    let outcome = run(&answering("(data (i32.const 32) \"\\1b[2J\")", ""), &limits(), &Recorder::new()).await;
    assert_eq!(outcome.result.expect("an answer").summary, "\\u{1b}[2J");
}

#[tokio::test]
async fn what_is_handed_over_in_a_call_is_bounded() {
    let put = |bytes: u32| {
        format!(
            "(call $put (i32.const 4096) (i32.const 1) (i32.const 0) (i32.const {bytes}) (i32.const 0) (i64.const 0) (i32.const {RESULT}))"
        )
    };
    let memory = "(memory (export \"memory\") 200)";
    let key = "(data (i32.const 4096) \"k\")";
    ends_with("hostcall-fuel", &guest_with_memory(memory, STATE_PUT, key, &put(5 << 20)), &limits()).await;

    // Beyond the egress limit the guest is told, the broker records it, and nothing is sent.
    let told = format!("{} (if (i32.ne (i32.load8_u (i32.const {})) (i32.const 5)) (then unreachable))", put(300_000), RESULT + 8);
    let broker = Recorder::new();
    let outcome = run(&guest_with_memory(memory, STATE_PUT, key, &told), &limits(), &broker).await;
    assert_eq!(code(&outcome), "ok", "{outcome:?}");
    assert!(
        broker.asked().iter().all(|asked| asked.starts_with("malformed state.put: egress")) && broker.count() == 1,
        "{:?}",
        broker.asked()
    );
}

#[tokio::test]
async fn a_limit_that_the_tool_passes_on_is_named() {
    // Answers what it was told: an error of the same layout as the result of `describe`.
    let pass_on = format!(
        "(call $describe (i32.const {RESULT}))
         (memory.copy (i32.const 1024) (i32.const {RESULT}) (i32.const 64))"
    );
    let broker = Recorder::with(Duration::ZERO, |_| Ok(Answer::Json("x".repeat(2 << 20))));
    let outcome = run(&guest(SITE, "", &pass_on), &limits(), &broker).await;
    assert_eq!(code(&outcome), "result-size", "{outcome:?}");
    let broker = Recorder::with(Duration::ZERO, |_| Err(CallError::NotFound("web".into())));
    let outcome = run(&guest(SITE, "", &pass_on), &limits(), &broker).await;
    assert_eq!(outcome.result, Err(Failure::Guest(CallError::NotFound("web".into()))));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_refused_then_ended() {
    let emit = format!("(call $emit (i32.const 1) (i32.const 32) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const {RESULT}))");
    let broker = Recorder::new();
    let outcome = run(&guest(LOG, "", &format!("(loop $again {emit} (br $again))")), &limits(), &broker).await;
    assert_eq!((code(&outcome), broker.count(), outcome.usage.log_lines), ("log", 200, 200), "{outcome:?}");
}

#[tokio::test]
async fn a_crash_is_named_and_a_panic_speaks() {
    ends_with("trap", &guest("", "", "unreachable"), &limits()).await;
    ends_with("trap", &guest("", "", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"), &limits()).await;
    ends_with("trap", &guest("", "", "(drop (i32.load (i32.const -8)))"), &limits()).await;
    let text = "(data (i32.const 4096) \"panicked at src/lib.rs:7: no such \\1b[31mpod\")";
    let panic =
        format!("(call $emit (i32.const 3) (i32.const 4096) (i32.const 42) (i32.const 0) (i32.const 0) (i32.const {RESULT})) unreachable");
    let outcome = run(&guest(LOG, text, &panic), &limits(), &Recorder::new()).await;
    assert_eq!(outcome.result, Err(Failure::Panic { message: "panicked at src/lib.rs:7: no such \\u{1b}[31mpod".into() }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_do_not_notice() {
    let hostile = [
        guest("", "", LOOP),
        guest("", "", "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))) unreachable)"),
        guest("", "", "unreachable"),
    ];
    let bombs: Vec<_> = hostile
        .into_iter()
        .map(|component| {
            let skill = load(&component);
            tokio::spawn(async move { skill.invoke("work", "{}", "run-1", &limits(), Recorder::new()).await })
        })
        .collect();
    let honest = Arc::new(load(&guest(SITE, "", &format!("(call $describe (i32.const {RESULT}))"))));
    for _ in 0..100 {
        let broker = Recorder::new();
        assert_eq!(code(&honest.invoke("work", "{}", "run-1", &limits(), broker).await), "ok");
    }
    let mut ends = Vec::new();
    for bomb in bombs {
        ends.push(code(&bomb.await.expect("no panic")));
    }
    assert_eq!(ends, ["cpu-budget", "memory", "trap"]);
}

#[tokio::test]
async fn more_calls_than_slots_wait_for_their_turn() {
    let skill = Arc::new(load(&guest(SITE, "", &format!("(call $describe (i32.const {RESULT}))"))));
    let broker = Recorder::with(Duration::from_millis(20), |_| Ok(Answer::Json("{}".into())));
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let (skill, broker) = (Arc::clone(&skill), Arc::clone(&broker));
            tokio::spawn(async move { skill.invoke("work", "{}", "run-1", &Limits::DEFAULT, broker).await })
        })
        .collect();
    for call in calls {
        assert_eq!(code(&call.await.expect("no panic")), "ok");
    }
    assert_eq!(broker.count(), 64);
}

#[tokio::test]
async fn a_dropped_call_takes_its_host_call_with_it() {
    let skill = load(&guest(SITE, "", &storm("")));
    let broker = Recorder::with(Duration::from_secs(60), |_| Ok(Answer::Json("{}".into())));
    let limits = Limits::DEFAULT;
    let call = skill.invoke("work", "{}", "run-1", &limits, Arc::clone(&broker) as Arc<dyn infraagent_sandbox::broker::Broker>);
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    assert_eq!(Arc::strong_count(&broker), 1, "store and instance are gone");
}

#[test]
fn a_request_is_granted_up_to_every_cap() {
    let wish = LimitRequest {
        memory_bytes: Some(1 << 40),
        cpu_millis: Some(3000),
        wall_millis: Some(1),
        host_calls: Some(u64::MAX),
        ..LimitRequest::default()
    };
    let granted = Limits::granted(Some(&wish), &[]);
    assert_eq!((granted.memory, granted.cpu, granted.wall), (256 << 20, Duration::from_secs(3), Duration::from_millis(1)));
    assert_eq!(granted.host_calls, 500);
    let agent = Limits { cpu: Duration::from_secs(2), ..Limits::CEILING };
    let platform = Limits { memory: 1 << 20, ..Limits::CEILING };
    let granted = Limits::granted(Some(&wish), &[agent, platform]);
    assert_eq!((granted.memory, granted.cpu), (1 << 20, Duration::from_secs(2)));
    assert_eq!(Limits::granted(None, &[]), Limits::DEFAULT);
}
