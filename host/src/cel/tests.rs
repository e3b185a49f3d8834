//! Good expressions, wrong ones, and bombs.

use infraagent_sandbox::{engine::EngineConfig, limits::Limit, outcome::Failure};
use serde_json::json;

use super::*;

/// One evaluator for all tests of a process: compiling it is the slow part.
async fn evaluate(expression: &str, object: &Value) -> Result<bool, Error> {
    static CODE: std::sync::OnceLock<(Engine, Authentic)> = std::sync::OnceLock::new();
    let (engine, code) = CODE.get_or_init(|| {
        let engine = Engine::new(EngineConfig { instances: 4, pooling: false }).unwrap();
        let code = engine.compile_trusted(COMPONENT).unwrap();
        (engine, code)
    });
    Evaluator::compiled(engine.clone(), code).unwrap().evaluate(expression, object).await
}

fn deployment() -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "apps", "labels": { "app": "web" } },
        "spec": { "replicas": 3, "paused": false },
        "status": { "replicas": 3, "updatedReplicas": 3, "conditions": [{ "type": "Available", "status": "True" }] },
    })
}

#[tokio::test]
async fn expressions_over_the_object_answer_yes_and_no() {
    for (expression, holds) in [
        ("object.status.updatedReplicas == object.spec.replicas", true),
        ("object.status.updatedReplicas < object.spec.replicas", false),
        ("object.spec.replicas + 1 == 4 && !object.spec.paused", true),
        ("object.status.conditions.exists(c, c.type == 'Available' && c.status == 'True')", true),
        ("has(object.metadata.annotations) && object.metadata.annotations['x'] == 'y'", false),
        ("object.metadata.name.matches('^w.b$') && object.metadata.name.startsWith('we')", true),
        ("object.metadata.labels['app'] in ['db', 'cache']", false),
    ] {
        assert_eq!(evaluate(expression, &deployment()).await.unwrap(), holds, "{expression}");
    }
}

#[tokio::test]
async fn an_expression_that_does_not_fit_has_no_answer() {
    for (expression, word) in [
        ("object.status.readyReplicas == 3", "readyReplicas"),
        ("object.metadata.name > 3", "overload"),
        ("object.metadata.name", "a text"),
        ("object.spec.replicas", "a number"),
        ("object.spec", "a map"),
        ("object.spec.missing == null", "missing"),
        ("replicas == 3", "replicas"),
        ("object.spec.replicas ==", "line 1"),
        ("", "not valid"),
        ("object.metadata.name.matches('(')", "regular expression"),
        ("1 / 0 == 1", "division by zero"),
    ] {
        let error = evaluate(expression, &deployment()).await.expect_err(expression).to_string();
        assert!(error.contains(word), "{expression}: {error}");
    }
}

#[tokio::test]
async fn an_error_never_shows_the_object() {
    let object = json!({ "password": "hunter2", "n": 1 });
    for expression in
        ["object.password + 1 == 2", "object[object.password]", "object.password > 1", "int(object.password) == 1", "object.password"]
    {
        let error = evaluate(expression, &object).await.expect_err(expression).to_string();
        assert!(!error.contains("hunter2"), "{expression}: {error}");
    }
}

#[tokio::test]
async fn nested_loops_end_with_a_named_limit() {
    let object = json!({ "xs": (0..100).collect::<Vec<_>>() });
    let bomb = "object.xs.all(a, object.xs.all(b, object.xs.all(c, object.xs.all(d, a + b + c + d >= 0))))";
    let error = evaluate(bomb, &object).await.unwrap_err();
    assert!(matches!(&error, Error::Expression(EvaluationError::Failed(Failure::Limit { limit: Limit::Cpu, .. }))), "{error:?}");
    assert!(evaluate("size(object.xs) == 100", &object).await.unwrap(), "the next expression is well");
}

#[tokio::test]
async fn doubling_texts_end_with_a_named_limit() {
    let doubling = (0..20).fold("'0123456789'".to_owned(), |inner, at| format!("[{inner}].map(s{at}, s{at} + s{at} + s{at} + s{at})[0]"));
    let error = evaluate(&format!("size({doubling}) > 0"), &json!({})).await.unwrap_err();
    assert!(
        matches!(&error, Error::Expression(EvaluationError::Failed(Failure::Limit { limit: Limit::Memory | Limit::Cpu, .. }))),
        "{error:?}"
    );
}

#[tokio::test]
async fn deep_nesting_is_refused_or_understood_and_never_harms() {
    for (open, close) in [("(", ")"), ("[", "]"), ("!", ""), ("-", ""), ("{1: ", "}"), ("true ? ", " : false")] {
        let expression = format!("{}true{}", open.repeat(20_000), close.repeat(20_000));
        let answer = evaluate(&expression, &json!({})).await;
        // An even number of negations changes nothing, so understanding it means true; what is no boolean, or too deep, has no answer.
        let bracket = matches!(open, "[" | "{1: ");
        assert!(matches!((bracket, &answer), (false, Ok(true)) | (_, Err(_))), "{open}: {answer:?}");
    }
}

#[tokio::test]
async fn it_compiles_itself_when_it_is_first_asked() {
    let evaluator = Evaluator::new(Engine::new(EngineConfig { instances: 1, pooling: false }).unwrap());
    assert!(evaluator.check("object.a == 1 && true").await.is_ok());
    assert!(evaluator.check("object.a = 1").await.is_err());
    assert!(evaluator.evaluate("object.a == 1", &json!({ "a": 1 })).await.unwrap());
}

#[test]
fn the_component_imports_nothing() {
    assert!(pure::Evaluator::admit(COMPONENT).is_ok());
}
