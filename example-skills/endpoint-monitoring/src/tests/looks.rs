//! The overview, a single endpoint, its certificate.

use skills_sdk::http::Response;
use skills_sdk::prelude::*;
use skills_sdk::testing::response;

use super::{DAY, NOW, ends_in, site};

#[test]
fn a_site_that_is_well_has_no_findings() {
    let host = site(&["docs", "shop"])
        .http("docs", "/", Response { tls: ends_in(90), ..response(301, "") })
        .http("shop", "/healthz", Response { elapsed_ms: 2000, ..response(204, "") })
        .install();
    let output = host.call("check_endpoints", json!({})).unwrap();
    assert_eq!(output.summary, "2 of 2 endpoints are well");
    assert_eq!((&output.content["complete"], &output.content["endpoints"][0]["certificateDays"]), (&json!(true), &json!(90)));
    assert_eq!(
        output.content["endpoints"][1],
        json!({ "endpoint": "shop", "path": "/healthz", "state": "well", "status": 204, "ms": 2000 })
    );
    assert_eq!(host.findings(), []);
    assert!(host.calls().iter().all(|call| call.action.is_none() || call.action.as_deref() == Some("probe")));
}

#[test]
fn each_endpoint_that_is_not_well_is_a_finding_with_its_severity() {
    let host = site(&["api", "docs", "gone", "hooks", "old", "slow", "soon"])
        .http("api", "/", response(503, ""))
        .http("docs", "/", response(404, ""))
        .http_fails("gone", "/", "timeout", "")
        .http_fails("hooks", "/", "credential-missing", "there is no Secret `hooks`")
        .http_fails("old", "/", "certificate-expired", "its certificate is expired (valid until 2025-12-24T00:00:00Z)")
        .http("slow", "/", Response { elapsed_ms: 2001, tls: ends_in(6), ..response(200, "") })
        .http("soon", "/", Response { tls: ends_in(20), ..response(200, "") })
        .install();
    let output = host.call("check_endpoints", json!({})).unwrap();
    assert!(
        output.summary.starts_with("0 of 7 endpoints are well; not well: api (http-503), docs (http-404), gone (timeout)"),
        "{}",
        output.summary
    );
    let told = output.content["endpoints"].as_array().unwrap();
    let states: Vec<&str> = told.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["down", "degraded", "down", "degraded", "down", "down", "degraded"]);
    let found: Vec<(Severity, String)> = host.findings().into_iter().map(|finding| (finding.severity, finding.message)).collect();
    let severities: Vec<Severity> = found.iter().map(|(severity, _)| *severity).collect();
    use Severity::{Critical, Warning};
    assert_eq!(severities, [Critical, Warning, Critical, Warning, Critical, Critical, Warning]);
    assert!(found[4].1.contains("old") && found[4].1.contains("2025-12-24"), "the day of the end is told: {}", found[4].1);
    assert!(found[5].1.contains("ends in 6 days") && found[5].1.contains("2001 ms"), "the worst first, and the rest: {}", found[5].1);
}

#[test]
fn who_is_not_allowed_to_ask_does_not_say_that_it_is_down() {
    let host = site(&["docs", "shop"])
        .deny("probe", "platform", "the platform does not allow it")
        .http("shop", "/healthz", response(200, ""))
        .install();
    let output = host.call("check_endpoints", json!({})).unwrap();
    assert_eq!(output.summary, "1 of 2 endpoints are well; not asked: docs");
    assert_eq!((&output.content["complete"], &output.content["endpoints"][0]["state"]), (&json!(false), &json!("not-asked")));
    assert_eq!(host.findings(), []);
}

#[test]
fn a_run_that_stays_offline_is_an_error_and_no_outage() {
    let host = site(&["shop"]).http_fails("shop", "/healthz", "offline", "start it with a flag").install();
    assert_eq!(host.call("check_endpoints", json!({})).unwrap_err().http_reason(), Some("offline"));
    assert_eq!(host.findings(), []);
}

#[test]
fn a_single_endpoint_is_judged_by_the_middle_of_its_samples() {
    let slow = || Response { elapsed_ms: 900, headers: vec![("server".to_owned(), "nginx".to_owned())], ..response(200, "") };
    let host = site(&["shop"]).http("shop", "/healthz", slow()).install();
    let output = host.call("check_endpoint", json!({ "endpoint": "shop", "slow_ms": 500 })).unwrap();
    assert_eq!((&output.content["state"], &output.content["ms"]["middle"]), (&json!("degraded"), &json!(900)));
    assert_eq!((&output.content["samples"], &output.content["server"]), (&json!(["200", "200", "200"]), &json!("nginx")));
    assert_eq!(output.summary, "shop/healthz is degraded, slow");
    let output = host.call("check_endpoint", json!({ "endpoint": "shop", "samples": 1 })).unwrap();
    assert_eq!((&output.content["state"], &output.content["problems"]), (&json!("well"), &json!([])));
}

#[test]
fn a_single_endpoint_that_fails_or_moved_says_how() {
    let moved = Response { headers: vec![("Location".to_owned(), "https://www.example.com/".to_owned())], ..response(302, "") };
    let host = site(&["shop"]).http("shop", "/", moved).http_fails("shop", "/healthz", "timeout", "").install();
    let output = host.call("check_endpoint", json!({ "endpoint": "shop", "path": "/" })).unwrap();
    assert_eq!((&output.content["state"], &output.content["location"]), (&json!("well"), &json!("https://www.example.com/")));
    let output = host.call("check_endpoint", json!({ "endpoint": "shop" })).unwrap();
    assert_eq!((&output.content["state"], &output.content["samples"]), (&json!("down"), &json!(["timeout"])), "one time-out is enough");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let host = site(&["shop"]).install();
    for (arguments, words) in [
        (json!({ "endpoint": "nobody" }), "it has: shop"),
        (json!({ "endpoint": "shop", "samples": 0 }), "1 to 5"),
        (json!({ "endpoint": "shop", "samples": 6 }), "1 to 5"),
        (json!({ "endpoint": "shop", "url": "https://evil.example" }), "url"),
    ] {
        let error = host.call("check_endpoint", arguments).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(host.calls().iter().all(|call| call.function == "site.describe"), "nobody was asked");
}

#[test]
fn a_certificate_is_told_with_what_is_left_of_it() {
    for (days, severity) in [(90, "info"), (21, "info"), (20, "warning"), (7, "warning"), (6, "critical"), (0, "critical")] {
        let host = site(&["shop"]).http("shop", "/healthz", Response { tls: ends_in(days), ..response(200, "") }).install();
        let output = host.call("check_certificate", json!({ "endpoint": "shop" })).unwrap();
        assert_eq!((&output.content["daysLeft"], &output.content["severity"]), (&json!(days), &json!(severity)));
        assert_eq!((&output.content["state"], &output.content["validUntil"]), (&json!("believed"), &json!(NOW + days * DAY)));
        let call = host.calls().into_iter().find(|call| call.function == "http-read.send").unwrap();
        assert_eq!(call.arguments["method"], "HEAD", "nothing else is needed");
    }
}

#[test]
fn a_certificate_that_nobody_believes_is_told_as_such() {
    let host = site(&["docs", "gone", "shop"])
        .http_fails("shop", "/healthz", "certificate-wrong-name", "its certificate is for another name (subject `CN=other.example.com`)")
        .http_fails("gone", "/", "connection-refused", "nothing accepts connections there")
        .http("docs", "/", response(200, ""))
        .install();
    let of = |name: &str| host.call("check_certificate", json!({ "endpoint": name })).unwrap();
    let shop = of("shop").content;
    assert_eq!(
        (&shop["state"], &shop["severity"], &shop["code"]),
        (&json!("not-believed"), &json!("critical"), &json!("certificate-wrong-name"))
    );
    assert!(shop["message"].as_str().unwrap().contains("CN=other.example.com"));
    assert_eq!((&of("gone").content["state"], &of("docs").content["state"]), (&json!("not-seen"), &json!("plain-http")));
}

#[test]
fn the_manifest_will_say_that_all_tools_only_probe() {
    let tools = (crate::SKILL.describe)();
    let actions: Vec<_> = tools.iter().map(|tool| (tool.name, tool.actions)).collect();
    let probe = ["probe"].as_slice();
    assert_eq!(actions, [("check_endpoints", probe), ("check_endpoint", probe), ("check_certificate", probe), ("check_content", probe)]);
}
