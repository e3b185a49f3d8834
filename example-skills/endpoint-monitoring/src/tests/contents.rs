//! Content checks.

use skills_sdk::http::Response;
use skills_sdk::prelude::*;
use skills_sdk::testing::response;

use super::site;

const HEALTH: &str = r#"{"status": "ok", "checks": [{"name": "db", "up": true, "lag": 3}]}"#;

/// The codes of everything that is not as expected.
fn codes(answer: Response, mut expected: Value) -> Vec<String> {
    expected["endpoint"] = json!("shop");
    let host = site(&["shop"]).http("shop", "/healthz", answer).install();
    let content = host.call("check_content", expected).unwrap().content;
    let problems = content["problems"].as_array().unwrap();
    assert_eq!(content["asExpected"], json!(problems.is_empty()));
    problems.iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_as_expected_is_called_so() {
    let expected = json!({
        "status": 200, "contains": ["ok", "\"db\""], "lacks": ["error"],
        "json": [{ "pointer": "/status", "equals": "ok" }, { "pointer": "/checks/0/up", "equals": true }, { "pointer": "/checks/0/lag", "equals": 3 }],
    });
    assert_eq!(codes(response(200, HEALTH), expected), [""; 0]);
    assert_eq!(codes(response(204, ""), json!({})), [""; 0]);
}

#[test]
fn each_difference_is_told() {
    let expected = json!({
        "contains": ["fine"], "lacks": ["db"],
        "json": [{ "pointer": "/status", "equals": "fine" }, { "pointer": "/checks/0/lag", "equals": "3" }, { "pointer": "/nothing", "equals": 1 }],
    });
    assert_eq!(codes(response(200, HEALTH), expected), ["missing", "unwanted", "different", "different", "missing"]);
    assert_eq!(codes(response(500, "x"), json!({})), ["status"]);
    assert_eq!(codes(response(200, "x"), json!({ "status": 201 })), ["status"]);
    assert_eq!(codes(response(200, "<html>"), json!({ "json": [{ "pointer": "/a", "equals": 1 }] })), ["no-json"]);
}

#[test]
fn in_an_answer_that_was_cut_nothing_is_said_to_be_missing() {
    let cut = || Response { truncated: true, ..response(200, HEALTH) };
    assert_eq!(codes(cut(), json!({ "contains": ["ok", "at the end"] })), ["cut"]);
    assert_eq!(codes(cut(), json!({ "json": [{ "pointer": "/status", "equals": "ok" }] })), ["cut"]);
    assert_eq!(codes(cut(), json!({ "lacks": ["db"] })), ["unwanted"]);
}

#[test]
fn an_endpoint_that_does_not_answer_is_a_problem_and_a_refusal_is_none() {
    let host = site(&["shop"]).http_fails("shop", "/healthz", "unresolved", "the name has no address").install();
    let output = host.call("check_content", json!({ "endpoint": "shop" })).unwrap();
    assert_eq!((&output.content["asExpected"], &output.content["problems"][0]["severity"]), (&json!(false), &json!("critical")));
    drop(host);
    let host = site(&["shop"]).deny("probe", "deny-list", "the agent's list denies it").install();
    let output = host.call("check_content", json!({ "endpoint": "shop" })).unwrap();
    assert_eq!((&output.content["asExpected"], &output.content["why"]), (&Value::Null, &json!("the agent's list denies it")));
}
