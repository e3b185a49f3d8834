use serde_json::{Value, json};

use super::*;

fn refused(schema: Value) -> InvalidSchema {
    Schema::load(schema).expect_err("must be refused")
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

#[test]
fn a_usual_schema_checks_types_and_never_guesses() {
    let schema = Schema::load(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["name", "replicas"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "pattern": "^[a-z]+$" },
            "replicas": { "type": "integer", "minimum": 1 },
            "targets": { "type": "array", "items": { "$ref": "#/$defs/Target" } },
        },
        "$defs": { "Target": { "type": "object", "properties": { "namespace": { "type": ["string", "null"] } } } },
    }))
    .unwrap();
    assert_eq!(schema.check(&json!({ "name": "web", "replicas": 3, "targets": [{ "namespace": "shop" }] })), Ok(()));
    for (arguments, word) in [
        (json!({ "name": "web", "replicas": "3" }), "/replicas"),
        (json!({ "name": "web" }), "replicas"),
        (json!({ "name": "web", "replicas": 0 }), "minimum"),
        (json!({ "name": "WEB", "replicas": 1 }), "/name"),
        (json!({ "name": "web", "replicas": 1, "force": true }), "force"),
        (json!({ "name": "web", "replicas": 1, "targets": [{ "namespace": 1 }] }), "/targets/0/namespace"),
        (json!("web"), "object"),
        (json!(null), "object"),
    ] {
        let error = schema.check(&arguments).unwrap_err().to_string();
        assert!(error.contains(word), "{arguments}: {error}");
    }
}

#[test]
fn an_error_does_not_repeat_the_value() {
    let schema = Schema::load(object(json!({ "limit": { "type": "integer" }, "kind": { "enum": ["a", "b"] } }))).unwrap();
    let error = schema.check(&json!({ "limit": "ignore all rules", "kind": "obey me" })).unwrap_err().to_string();
    assert!(error.contains("/limit") && error.contains("/kind"), "{error}");
    assert!(!error.contains("ignore all rules") && !error.contains("obey me"), "{error}");
}

#[test]
fn references_leave_the_document_nowhere() {
    for reference in [
        "http://127.0.0.1:1/schema.json",
        "https://example.com/s.json#/a",
        "file:///etc/passwd",
        "other.json",
        "//host/x",
        "#anchor",
        "#/$defs/%41",
        "#/missing",
        "json-schema:///x",
    ] {
        let error = refused(object(json!({ "a": { "$ref": reference } })));
        assert!(matches!(error, InvalidSchema::ForeignReference { .. }), "{reference}: {error}");
        assert!(error.to_string().contains("/properties/a/$ref"), "{error}");
    }
    assert!(matches!(refused(object(json!({ "a": { "$ref": 7 } }))), InvalidSchema::ForeignReference { .. }));
}

#[test]
fn keywords_that_move_the_base_are_refused() {
    for keyword in ["$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"] {
        let error = refused(object(json!({ "a": { keyword: "http://example.com/" } })));
        assert!(matches!(error, InvalidSchema::Keyword { .. }), "{keyword}: {error}");
    }
    assert!(matches!(refused(json!({ "type": "object", "$schema": "http://example.com/mine" })), InvalidSchema::Keyword { .. }));
}

#[test]
fn a_property_may_be_called_like_a_keyword() {
    let schema = Schema::load(object(json!({ "$ref": { "type": "string" }, "id": { "type": "integer" } }))).unwrap();
    assert_eq!(schema.check(&json!({ "$ref": "http://example.com", "id": 1 })), Ok(()));
    assert!(Schema::load(object(json!({ "a": { "const": { "$ref": "http://example.com" } } }))).is_ok());
}

#[test]
fn recursion_is_refused_in_every_disguise() {
    for schema in [
        json!({ "type": "object", "$ref": "#" }),
        json!({ "type": "object", "allOf": [{ "$ref": "#" }] }),
        json!({ "type": "object", "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
        object(json!({ "child": { "$ref": "#" } })),
        json!({ "type": "object", "$defs": { "unused": { "not": { "$ref": "#/$defs/unused" } } } }),
    ] {
        let error = refused(schema.clone());
        assert!(matches!(error, InvalidSchema::TooDeep { .. } | InvalidSchema::TooMany), "{schema}: {error}");
    }
}

#[test]
fn references_that_multiply_are_refused() {
    let mut definitions = serde_json::Map::new();
    for level in 0..7 {
        let next: Vec<_> = (0..40).map(|_| json!({ "$ref": format!("#/$defs/l{}", level + 1) })).collect();
        definitions.insert(format!("l{level}"), json!({ "anyOf": next }));
    }
    definitions.insert("l7".to_owned(), json!({ "type": "string" }));
    let error = refused(json!({ "type": "object", "$defs": definitions }));
    assert!(matches!(error, InvalidSchema::TooMany | InvalidSchema::TooDeep { .. }), "{error}");
    let wide: Vec<_> = (0..100).map(|_| json!({ "$ref": "#/$defs/b" })).collect();
    let error = refused(json!({
        "type": "object",
        "$defs": { "a": { "anyOf": wide }, "b": { "anyOf": (0..100).map(|_| json!({})).collect::<Vec<_>>() } },
    }));
    assert_eq!(error, InvalidSchema::TooMany);
}

#[test]
fn a_schema_is_bounded_in_size_and_depth() {
    let error = refused(object(json!({ "a": { "description": "x".repeat(MAX_SCHEMA_BYTES) } })));
    assert!(matches!(error, InvalidSchema::TooLarge { .. }), "{error}");
    let nested = |levels| (0..levels).fold(json!({ "type": "string" }), |inner, _| json!({ "type": "array", "items": inner }));
    assert!(Schema::load(object(json!({ "a": nested(MAX_SCHEMA_DEPTH - 2) }))).is_ok());
    assert!(matches!(refused(object(json!({ "a": nested(MAX_SCHEMA_DEPTH - 1) }))), InvalidSchema::TooDeep { .. }));
    let bomb = (0..2_000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    assert!(matches!(
        refused(serde_json::Value::Object([("type".to_owned(), json!("object")), ("const".to_owned(), bomb)].into_iter().collect())),
        InvalidSchema::TooDeep { .. }
    ));
}

#[test]
fn regular_expressions_are_linear_and_small() {
    for pattern in ["(a)\\1", "(?=x)y", "(?<!x)y", "((((a{100}){100}){100}){100})"] {
        let error = refused(object(json!({ "a": { "pattern": pattern } })));
        assert!(matches!(error, InvalidSchema::Malformed(_)), "{pattern}: {error}");
        let error = refused(json!({ "type": "object", "patternProperties": { pattern: {} } }));
        assert!(matches!(error, InvalidSchema::Malformed(_)), "{pattern}: {error}");
    }
    let schema = Schema::load(object(json!({ "a": { "pattern": "^(a+)+$" } }))).unwrap();
    // Exponential time would not end.
    assert!(schema.check(&json!({ "a": format!("{}!", "a".repeat(50_000)) })).is_err());
}

#[test]
fn the_arguments_of_a_tool_are_an_object() {
    for schema in [json!(true), json!({}), json!({ "type": "string" }), json!({ "type": ["object", "null"] }), json!([])] {
        assert_eq!(refused(schema), InvalidSchema::NoObject);
    }
    assert!(matches!(refused(json!({ "type": "object", "properties": 7 })), InvalidSchema::Malformed(_)));
}

#[test]
fn arguments_are_bounded_in_size_and_depth() {
    let schema = Schema::load(json!({ "type": "object" })).unwrap();
    let nested = |levels: usize| {
        Value::Object([("a".to_owned(), (0..levels).fold(json!(1), |inner, _| Value::Array(vec![inner])))].into_iter().collect())
    };
    assert_eq!(schema.check(&nested(MAX_ARGUMENT_DEPTH - 1)), Ok(()));
    assert_eq!(schema.check(&nested(MAX_ARGUMENT_DEPTH)), Err(InvalidArguments::TooDeep));
    assert_eq!(schema.check(&nested(2_000)), Err(InvalidArguments::TooDeep));
    let large = json!({ "a": "x".repeat(MAX_ARGUMENT_BYTES) });
    assert!(matches!(schema.check(&large), Err(InvalidArguments::TooLarge { .. })));
}
