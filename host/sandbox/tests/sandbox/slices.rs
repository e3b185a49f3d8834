//! A guest that never runs for long: it is charged for the sum, on whichever threads, and only for its own.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use infraagent_sandbox::{
    broker::{Answer, Answering, Broker, Request},
    limits::Limits,
    outcome::ToolOutcome,
};

use crate::support::{RESULT, Recorder, SITE, code, guest, load};

/// Suspends the guest once in each call.
struct Suspending;

impl Broker for Suspending {
    fn perform(&self, _request: Request) -> Answering<'_> {
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Answer::Json("{}".into()))
        })
    }
}

/// Counts to `steps`, then calls the host; again and again.
fn slices(steps: u32) -> Vec<u8> {
    let code = format!(
        "(loop $again
            (local.set $run (i32.const {steps}))
            (loop $step (br_if $step (local.tee $run (i32.sub (local.get $run) (i32.const 1)))))
            (call $describe (i32.const {RESULT}))
            (br $again))"
    );
    guest(SITE, "", &code)
}

/// As many calls to the host as it likes: only its time on the processor can end it.
fn limits() -> Limits {
    Limits { cpu: Duration::from_millis(100), wall: Duration::from_secs(120), host_calls: u32::MAX / 2, ..Limits::DEFAULT }
}

#[tokio::test]
async fn many_short_slices_spend_the_budget_however_they_lie_between_the_ticks() {
    // A few microseconds, thousands of them in a tick; and some tenths of a millisecond.
    for steps in [2_000, 200_000] {
        let skill = load(&slices(steps));
        for broker in [Recorder::new() as Arc<dyn Broker>, Arc::new(Suspending)] {
            let outcome = skill.invoke("work", "{}", "run-1", &limits(), broker).await;
            assert_eq!(code(&outcome), "cpu-budget", "{steps}: {outcome:?}");
            assert!(outcome.usage.cpu > limits().cpu && outcome.usage.host_calls > 20, "{steps}: {:?}", outcome.usage);
        }
    }
}

/// Polls a call to its end, each time on a thread that has computed nothing yet.
fn scattered(call: impl Future<Output = ToolOutcome> + Send) -> ToolOutcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let started = Instant::now();
    let mut call = pin!(call);
    while started.elapsed() < Duration::from_secs(120) {
        let poll = || {
            let _here = runtime.enter();
            call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        if let Poll::Ready(outcome) = thread::scope(|scope| scope.spawn(poll).join().expect("no panic")) {
            return outcome;
        }
    }
    panic!("it never ended");
}

#[test]
fn a_guest_that_moves_from_thread_to_thread_is_charged_on_each() {
    // The second never calls anybody: it moves with every tick.
    for component in [slices(200_000), guest("", "", "(loop $forever (br $forever))")] {
        let skill = load(&component);
        let limits = limits();
        let outcome = scattered(skill.invoke("work", "{}", "run-1", &limits, Arc::new(Suspending)));
        assert_eq!(code(&outcome), "cpu-budget", "{outcome:?}");
        assert!(outcome.usage.cpu > limits.cpu, "{:?}", outcome.usage);
    }
}

#[tokio::test]
async fn neighbours_on_one_thread_pay_for_themselves() {
    let hog = load(&guest("", "", "(loop $forever (br $forever))"));
    let calls = format!("(call $describe (i32.const {RESULT}))").repeat(20);
    let honest = load(&guest(SITE, "", &calls));
    let limits = Limits { cpu: Duration::from_millis(300), ..limits() };
    let (hog, honest) = tokio::join!(
        hog.invoke("work", "{}", "run-1", &limits, Arc::new(Suspending)),
        honest.invoke("work", "{}", "run-1", &limits, Arc::new(Suspending)),
    );
    assert_eq!((code(&hog), code(&honest)), ("cpu-budget", "ok"), "{hog:?} {honest:?}");
    assert!(honest.usage.cpu < Duration::from_millis(100), "{:?} beside {:?}", honest.usage, hog.usage);
}
