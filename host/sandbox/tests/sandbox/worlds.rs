//! The describer and the evaluator: worlds without imports.

use std::{sync::Arc, time::Duration};

use infraagent_sandbox::{
    broker::{Answer, Broker},
    describe::{self, DescribeError},
    engine::{Engine, EngineConfig},
    instance::Skill,
    limits::Limits,
    outcome::Failure,
    pure::{EvaluationError, Evaluator},
};

use crate::support::{ENGINE, RESULT, Recorder, SITE, admitted, component, guest, packed};

const MEMORY: &str = r#"(memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))
        (i32.sub (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))"#;

fn describer(schema: &str, code: &str) -> Vec<u8> {
    let core = format!(
        r#"(module {MEMORY}
            (data (i32.const 16) "greet") (data (i32.const 32) "Greets") (data (i32.const 48) "hello") (data (i32.const 512) "{}")
            (data (i32.const 128) "\30\00\00\00\05\00\00\00")
            (data (i32.const 256) "\10\00\00\00\05\00\00\00\20\00\00\00\06\00\00\00\00\02\00\00\{:02x}\00\00\00\80\00\00\00\01\00\00\00")
            (data (i32.const 1024) "\00\01\00\00\01\00\00\00")
            (func (export "infraagent:skill/description@0.1.0#describe") (result i32) {code} (i32.const 1024)))"#,
        schema.replace('"', "\\\""),
        schema.len()
    );
    component(&core, "describer", "")
}

#[tokio::test]
async fn a_describer_tells_its_tools() {
    let tools = describe::describe(&ENGINE, &describer(r#"{"type":"object"}"#, "")).await.expect("tools");
    assert_eq!(tools.len(), 1);
    assert_eq!(
        (tools[0].name.as_str(), tools[0].description.as_str(), tools[0].actions.as_slice()),
        ("greet", "Greets", &["hello".to_owned()][..])
    );
    assert_eq!(tools[0].input_schema, serde_json::json!({ "type": "object" }));
}

#[tokio::test]
async fn a_describer_that_is_none_is_refused() {
    let refused = describe::describe(&ENGINE, &guest("", "", "")).await;
    assert!(matches!(refused, Err(DescribeError::Refused(_))), "{refused:?}");
    let importing = describe::describe(&ENGINE, &guest(SITE, "", "")).await;
    assert!(matches!(&importing, Err(DescribeError::Refused(refusals)) if refusals[0].code == "import-not-allowed"), "{importing:?}");
    let broken = describe::describe(&ENGINE, &describer("no", "")).await;
    assert!(matches!(&broken, Err(DescribeError::Invalid(problem)) if problem.contains("not JSON")), "{broken:?}");
    let crashing = describe::describe(&ENGINE, &describer("{}", "unreachable")).await;
    assert!(matches!(&crashing, Err(DescribeError::Failed(Failure::Trap { .. }))), "{crashing:?}");
}

/// `evaluate` answers `42` unless the expression is one byte long, and never returns if it is two bytes long; `check` refuses everything.
fn evaluator(engine: &Engine) -> Evaluator {
    let core = format!(
        r#"(module {MEMORY}
            (data (i32.const 16) "42") (data (i32.const 32) "bad\1b")
            (data (i32.const 1024) "\00\00\00\00\10\00\00\00\02\00\00\00") (data (i32.const 1040) "\01\00\00\00\20\00\00\00\04\00\00\00")
            (func (export "evaluate") (param i32 i32 i32 i32) (result i32)
                (if (i32.eq (local.get 1) (i32.const 1)) (then (return (i32.const 1040))))
                (if (i32.eq (local.get 1) (i32.const 2)) (then (loop $forever (br $forever))))
                (i32.const 1024))
            (func (export "check") (param i32 i32) (result i32) (i32.const 1040)))"#
    );
    let wit = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/cel/wit/cel.wit")).expect("the evaluator's world");
    let component = component(&core, "evaluator", &wit);
    Evaluator::admit(&component).expect("it imports nothing");
    let limits = Limits { cpu: Duration::from_millis(50), ..Limits::DEFAULT };
    Evaluator::load(engine, &engine.compile_trusted(&component).expect("it compiles"), limits).expect("it loads")
}

#[tokio::test]
async fn an_evaluator_answers_refuses_and_is_bounded() {
    let evaluator = evaluator(&ENGINE);
    assert_eq!(evaluator.evaluate("xyz", "{}").await.as_deref(), Ok("42"));
    assert_eq!(evaluator.evaluate("x", "{}").await, Err(EvaluationError::Expression("bad\\u{1b}".into())));
    assert!(matches!(evaluator.evaluate("xy", "{}").await, Err(EvaluationError::Failed(failure)) if failure.code() == "cpu-budget"));
    assert_eq!(evaluator.check("xyz").await, Err(EvaluationError::Expression("bad\\u{1b}".into())));
}

#[tokio::test]
async fn evaluations_go_on_while_tool_calls_hold_every_slot() {
    let engine = Engine::new(EngineConfig { instances: 1, pooling: true }).expect("an engine");
    let evaluator = evaluator(&engine);
    let caller = guest(SITE, "", &format!("(call $describe (i32.const {RESULT}))"));
    let code = engine.compile_trusted(&packed(&caller)).expect("it compiles");
    let skill = Skill::load(&engine, admitted(&caller), &code).expect("it loads");
    let broker = Recorder::with(Duration::from_secs(60), |_| Ok(Answer::Json("{}".into())));
    let call = tokio::spawn({
        let broker = Arc::clone(&broker) as Arc<dyn Broker>;
        async move { skill.invoke("work", "{}", "run-1", &Limits::CEILING, broker).await }
    });
    while broker.count() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let evaluate = || async {
        let evaluated = tokio::time::timeout(Duration::from_secs(20), evaluator.evaluate("xyz", "{}")).await;
        assert_eq!(evaluated.expect("it does not wait for the tool call").as_deref(), Ok("42"));
    };
    // More at once than have slots wait for each other, and for nothing else.
    tokio::join!(evaluate(), evaluate(), evaluate(), evaluate(), evaluate(), evaluate());
    assert!(!call.is_finished());
    call.abort();
}

#[test]
fn an_evaluator_may_import_nothing() {
    assert_eq!(Evaluator::admit(&guest(crate::support::LOG, "", "")).map_err(|refusal| refusal.code), Err("import-not-allowed"));
}
