//! A guest's call on its way to the broker and back.

use std::{sync::Arc, time::Duration};

use infraagent_sandbox::{
    broker::{Answer, Broker, CallError},
    limits::Limits,
    outcome::Failure,
};

use crate::support::{GET, LOG, NOW, REMAINING, RESTART, RESULT, Recorder, SITE, STATE_PUT, code, guest, load, run};

/// Data for restarts: the action at 4096, namespace at 4112, name at 4120, a traversal at 4128, an unknown action at 4160.
const TEXTS: &str = r#"
    (data (i32.const 4096) "restart-it")
    (data (i32.const 4112) "apps")
    (data (i32.const 4120) "web")
    (data (i32.const 4128) "../../secrets/x")
    (data (i32.const 4160) "Restart-It")"#;

fn restart(action: (i32, i32), name: (i32, i32)) -> String {
    format!(
        "(call $restart (i32.const {}) (i32.const {}) (i32.const 0) (i32.const 4112) (i32.const 4) (i32.const {}) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const {RESULT}))",
        action.0, action.1, name.0, name.1
    )
}

/// Stops with `unreachable` unless the result of the last call is an error with this number.
fn must_be_error(number: i32) -> String {
    format!(
        "(if (i32.ne (i32.load8_u (i32.const {RESULT})) (i32.const 1)) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.const {})) (i32.const {number})) (then unreachable))",
        RESULT + 4
    )
}

#[tokio::test]
async fn a_tool_runs_in_a_fresh_instance_and_its_calls_reach_the_broker() {
    let code = format!("(call $describe (i32.const {RESULT})) (drop (call $now)) {}", restart((4096, 10), (4120, 3)));
    let skill = load(&guest(&[SITE, NOW, RESTART].concat(), TEXTS, &code));
    let broker = Recorder::new();
    for _ in 0..3 {
        let outcome = skill.invoke("work", "{}", "run-1", &Limits::DEFAULT, Arc::clone(&broker) as Arc<dyn Broker>).await;
        let output = outcome.result.expect("an answer");
        assert_eq!((output.content.as_str(), output.summary.as_str()), ("{}", "done"));
        assert_eq!(outcome.usage.host_calls, 3);
        assert!(outcome.usage.peak_memory >= 2 * 65536, "{:?}", outcome.usage);
    }
    let once = ["- site.describe", "- clock.now", "restart-it kubectl.rollout restart deployment/web -n apps"];
    assert_eq!(broker.asked(), once.repeat(3));
}

#[tokio::test]
async fn nothing_of_one_call_is_left_for_the_next() {
    // Counts its own calls in memory: a second call in the same memory would end it.
    let skill = load(&guest("", "", "(if (i32.load (i32.const 8)) (then unreachable)) (i32.store (i32.const 8) (i32.const 1))"));
    for _ in 0..50 {
        assert_eq!(code(&skill.invoke("work", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await), "ok");
    }
}

#[tokio::test]
async fn what_is_no_call_is_told_to_the_broker_and_to_the_guest() {
    let forged = format!("{}{}{}{}", restart((4096, 10), (4128, 15)), must_be_error(3), restart((4160, 10), (4120, 3)), must_be_error(3));
    let broker = Recorder::new();
    let outcome = run(&guest(RESTART, TEXTS, &forged), &Limits::DEFAULT, &broker).await;
    assert_eq!(code(&outcome), "ok", "{outcome:?}");
    let asked = broker.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].starts_with("malformed kubernetes-service-mutation.restart: name `../../secrets/x`"), "{asked:?}");
    assert!(asked[1].starts_with("malformed kubernetes-service-mutation.restart: action id `Restart-It`"), "{asked:?}");
}

#[tokio::test]
async fn secrets_cannot_be_asked_for() {
    let texts = r#"(data (i32.const 4096) "look") (data (i32.const 4112) "secrets") (data (i32.const 4120) "key")"#;
    let get = format!(
        "(call $get (i32.const 4096) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4112) (i32.const 7)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4120) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const {RESULT})) {}",
        must_be_error(3)
    );
    let broker = Recorder::new();
    assert_eq!(code(&run(&guest(GET, texts, &get), &Limits::DEFAULT, &broker).await), "ok");
    assert!(broker.asked()[0].starts_with("malformed kubernetes-read.get: secrets cannot be read"), "{:?}", broker.asked());
}

#[tokio::test]
async fn every_error_of_the_broker_reaches_the_guest_as_itself() {
    let errors = [
        CallError::Denied { code: "out-of-scope".into(), action: "restart-it".into(), message: "no".into() },
        CallError::NotFound("x".into()),
        CallError::Conflict("x".into()),
        CallError::Invalid("x".into()),
        CallError::Unavailable { message: "x".into(), retry_after_ms: Some(5) },
        CallError::BudgetExhausted("x".into()),
        CallError::Timeout,
        CallError::Internal("x".into()),
    ];
    for (number, error) in (0..).zip(errors) {
        let guest = guest(RESTART, TEXTS, &format!("{}{}", restart((4096, 10), (4120, 3)), must_be_error(number)));
        let broker = Recorder::with(Duration::ZERO, move |_| Err(error.clone()));
        assert_eq!(code(&run(&guest, &Limits::DEFAULT, &broker).await), "ok", "{number}");
    }
}

#[tokio::test]
async fn an_answer_of_another_kind_is_an_internal_error() {
    let guest = guest(RESTART, TEXTS, &format!("{}{}", restart((4096, 10), (4120, 3)), must_be_error(7)));
    let broker = Recorder::with(Duration::ZERO, |_| Ok(Answer::Done));
    assert_eq!(code(&run(&guest, &Limits::DEFAULT, &broker).await), "ok");
}

#[tokio::test]
async fn a_refusal_of_a_function_without_errors_ends_the_guest() {
    let broker = Recorder::with(Duration::ZERO, |_| Err(CallError::Timeout));
    let outcome = run(&guest(NOW, "", "(drop (call $now))"), &Limits::DEFAULT, &broker).await;
    assert_eq!(outcome.result, Err(Failure::Refused(CallError::Timeout)));
}

#[tokio::test]
async fn what_is_left_is_told_without_asking_the_broker() {
    // 500 host calls, of which this is the first: 499 are left, and 256 KiB.
    let code_ = format!(
        "(call $remaining (i32.const {RESULT}))
         (if (i32.ne (i32.load (i32.const {})) (i32.const 499)) (then unreachable))
         (if (i32.ne (i32.load (i32.const {})) (i32.const 262144)) (then unreachable))
         (if (i32.gt_u (i32.load (i32.const {RESULT})) (i32.const 30000)) (then unreachable))
         (if (i32.eqz (i32.load (i32.const {RESULT}))) (then unreachable))",
        RESULT + 8,
        RESULT + 12
    );
    let broker = Recorder::new();
    let outcome = run(&guest(REMAINING, "", &code_), &Limits::DEFAULT, &broker).await;
    assert_eq!((code(&outcome), broker.count()), ("ok", 0), "{outcome:?}");
}

#[tokio::test]
async fn state_and_log_carry_their_values() {
    let texts = r#"(data (i32.const 4096) "seen/web") (data (i32.const 4112) "hello")"#;
    let calls = format!(
        "(call $put (i32.const 4096) (i32.const 8) (i32.const 4112) (i32.const 5) (i32.const 1) (i64.const 7) (i32.const {RESULT}))
         (if (i32.load8_u (i32.const {RESULT})) (then unreachable))
         (call $emit (i32.const 2) (i32.const 4112) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const {RESULT}))
         (if (i32.load8_u (i32.const {RESULT})) (then unreachable))"
    );
    let broker = Recorder::new();
    let outcome = run(&guest(&[STATE_PUT, LOG].concat(), texts, &calls), &Limits::DEFAULT, &broker).await;
    assert_eq!(code(&outcome), "ok", "{outcome:?}");
    assert_eq!(broker.asked(), ["- state.put seen/web", "- log.emit"]);
    assert_eq!((outcome.usage.egress, outcome.usage.log_lines), (10, 1));
}

#[tokio::test]
async fn an_unknown_tool_never_starts() {
    let skill = load(&guest("", "", "unreachable"));
    let outcome = skill.invoke("other\u{1b}[2J", "{}", "run-1", &Limits::DEFAULT, Recorder::new()).await;
    assert_eq!(code(&outcome), "unknown-tool");
    assert!(!format!("{}", outcome.result.unwrap_err()).contains('\u{1b}'));
}
