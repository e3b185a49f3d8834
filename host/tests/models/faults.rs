//! What goes wrong between us and a provider.

use std::time::{Duration, Instant};

use infraagent::llm::{Endpoint, Error, Provider, retry::Pace, transport};
use infraagent_tests::model_server::{Fault, ModelServer, Reply, Script, Step};
use serde_json::json;

use crate::support::{KEY, PACE, PROVIDERS, all_were_fine, ask, provider, question};

fn faults(faults: impl IntoIterator<Item = Fault>) -> Script {
    let steps = faults.into_iter().map(Step::Fault).chain([Step::Reply(Reply::says("At last."))]);
    Script { steps: steps.collect(), ..Script::default() }
}

fn transport(error: Error) -> transport::Error {
    match error {
        Error::Transport(error) => error,
        Error::Replay(_) | Error::BadReply(_) | Error::Unavailable(_) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for name in PROVIDERS {
        for fault in [
            Fault::status(429),
            Fault::status(500),
            Fault::status(503),
            Fault::status(529),
            Fault::retry_after(429, "0"),
            Fault::retry_after(529, past),
            Fault::retry_after(503, "nonsense"),
            Fault::Truncated,
        ] {
            let server = ModelServer::start(faults([fault.clone()])).unwrap();
            let reply = ask(name, &server, &question()).await.unwrap_or_else(|error| panic!("{name} {fault:?}: {error}"));
            assert_eq!(reply.text, "At last.");
            let seen = server.seen();
            assert_eq!(seen.len(), 2, "{name} {fault:?}");
            assert_eq!(seen[0].body, seen[1].body, "the same question");
            all_were_fine(&server);
        }
        for fault in [Fault::Drip { every_ms: 20 }, Fault::Hang] {
            let server = ModelServer::start(faults([fault.clone()])).unwrap();
            let impatient = provider(name, &server).with_patience(PACE, Duration::from_secs(2));
            let reply = impatient.complete(&question(), Instant::now() + Duration::from_secs(100)).await;
            assert_eq!(reply.unwrap_or_else(|error| panic!("{name} {fault:?}: {error}")).text, "At last.");
        }
        let server = ModelServer::start(faults(vec![Fault::Hang; 4])).unwrap();
        let impatient = provider(name, &server).with_patience(PACE, Duration::from_millis(50));
        let error = transport(impatient.complete(&question(), Instant::now() + Duration::from_secs(100)).await.unwrap_err());
        assert!(
            matches!(&error, transport::Error::GaveUp { tries: 4, last } if matches!(**last, transport::Error::Timeout { .. })),
            "{error}"
        );
    }
}

#[tokio::test]
async fn three_retries_and_no_more() {
    for name in PROVIDERS {
        let server = ModelServer::start(faults(vec![Fault::status(529); 9])).unwrap();
        let error = transport(ask(name, &server, &question()).await.unwrap_err());
        assert!(matches!(error, transport::Error::GaveUp { tries: 4, .. }), "{error}");
        assert!(error.to_string().contains("answered 529") && error.to_string().contains("this is what the script wants"), "{error}");
        assert_eq!(server.seen().len(), 4);
    }
}

#[tokio::test]
async fn a_wait_is_honoured_but_never_past_the_end_of_the_run() {
    let server = ModelServer::start(faults([Fault::retry_after(429, "1")])).unwrap();
    let began = Instant::now();
    ask("anthropic", &server, &question()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "the server asked for a second");

    let in_a_year = jiff::Timestamp::now() + Duration::from_secs(365 * 24 * 3600);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&in_a_year).unwrap();
    for value in ["3600", date.as_str()] {
        let server = ModelServer::start(faults([Fault::retry_after(429, value)])).unwrap();
        let error = transport(ask("openai", &server, &question()).await.unwrap_err());
        assert!(matches!(error, transport::Error::NoTime { tries: 1, .. }), "{error}");
        assert!(error.to_string().contains("429") && error.to_string().contains("after the end of the run"), "{error}");
        assert_eq!(server.seen().len(), 1);
    }

    // Its own waits do not reach past it either.
    let server = ModelServer::start(faults(vec![Fault::status(500); 9])).unwrap();
    let patient = Pace { retries: 3, first: Duration::from_secs(60), longest: Duration::from_secs(600) };
    let provider = provider("openai", &server).with_patience(patient, Duration::from_secs(1));
    let error = provider.complete(&question(), Instant::now() + Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(transport(error), transport::Error::NoTime { tries: 1, .. }));
}

#[tokio::test]
async fn what_will_not_pass_is_told_at_once_without_the_key() {
    for name in PROVIDERS {
        for code in [400, 401, 403, 404, 413, 422] {
            let message = format!("no, {KEY} is wrong \u{1b}[31m{}", "x".repeat(5_000));
            let fault = Fault::Status { code, retry_after: Some("1".to_owned()), message: Some(message) };
            let server = ModelServer::start(faults([fault])).unwrap();
            let error = ask(name, &server, &question()).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(error.to_string().contains(&format!("answered {code}")) && shown.contains("is wrong"), "{shown}");
            assert!(!shown.contains("canary") && !shown.contains('\u{1b}') && shown.len() < 2_000, "{shown}");
            assert_eq!(server.seen().len(), 1, "{code} is not asked again");
        }
    }
    let server = ModelServer::start_with_key(Script::replies([Reply::says("x")]), "another-key").unwrap();
    let error = ask("anthropic", &server, &question()).await.unwrap_err().to_string();
    assert!(error.contains("answered 401 Unauthorized: invalid API key"), "{error}");
}

#[tokio::test]
async fn a_reply_that_is_none_is_an_error_and_not_asked_again() {
    for name in PROVIDERS {
        let usage = json!({ "input_tokens": 1, "output_tokens": 1, "prompt_tokens": -1, "completion_tokens": "many" });
        for body in [
            json!("{\"content\": ["),
            json!("<html>"),
            json!({}),
            json!([]),
            json!({ "content": "words", "choices": [] }),
            json!({ "content": [{ "type": "text" }], "choices": [{ "message": { "content": 1 } }] }),
            json!({ "content": [{ "type": "tool_use", "id": "a", "name": 1, "input": {} }], "choices": [{ "message": { "tool_calls": {} } }] }),
            json!({ "content": 1, "choices": [{ "message": { "content": "x" } }], "usage": usage }),
            json!({ "content": [{ "type": "text", "text": "x" }], "usage": { "input_tokens": -1 }, "choices": null }),
        ] {
            let server = ModelServer::start(faults([Fault::Raw { code: 200, body: body.clone() }])).unwrap();
            let error = ask(name, &server, &question()).await.expect_err(&format!("{name} {body}"));
            assert!(matches!(error, Error::BadReply(_)), "{name} {body}: {error}");
            assert_eq!(server.seen().len(), 1);
        }
        let server = ModelServer::start(faults([Fault::Oversized { bytes: transport::MAX_REPLY + 1 }])).unwrap();
        let error = transport(ask(name, &server, &question()).await.unwrap_err());
        assert!(matches!(error, transport::Error::TooLarge { .. }), "{error}");
    }
}

#[tokio::test]
async fn blocks_and_members_that_nobody_asked_for_are_left_out() {
    let anthropic = json!({ "type": "message", "new": 1, "stop_reason": "end_turn", "content": [
        { "type": "thinking", "thinking": "...", "signature": "x" }, { "type": "text", "text": "Hm.", "citations": null },
    ] });
    let openai = json!({ "choices": [{ "finish_reason": "stop", "message": { "content": "Hm.", "reasoning_content": "...", "tool_calls": null } }] });
    for (name, body) in [("anthropic", anthropic), ("openai", openai.clone()), ("somebody-else", openai)] {
        let server = ModelServer::start(faults([Fault::Raw { code: 200, body }])).unwrap();
        let reply = ask(name, &server, &question()).await.unwrap();
        assert_eq!(reply.text, "Hm.");
        assert!(
            reply.usage.input > 20 && reply.usage.output > 20,
            "estimated where nobody counts, so that budgets hold: {:?}",
            reply.usage
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed_so_the_key_stays() {
    for name in PROVIDERS {
        for code in [301, 302, 303, 307, 308] {
            let thief = ModelServer::start(Script::replies([Reply::says("Thank you.")])).unwrap();
            let to = format!("{}/v1/messages?x=1", thief.url());
            let server = ModelServer::start(faults([Fault::Redirect { code, to }])).unwrap();
            let error = transport(ask(name, &server, &question()).await.unwrap_err());
            assert!(matches!(&error, transport::Error::Redirect { target, .. } if *target == thief.url()), "{error}");
            assert_eq!(thief.seen(), [], "{name} {code}");
            assert_eq!(server.seen().len(), 1, "nor is it asked again");
        }
        // Not even to another place of the same server.
        let server = ModelServer::start(faults([Fault::Redirect { code: 307, to: "/v1/messages".to_owned() }])).unwrap();
        assert!(ask(name, &server, &question()).await.is_err());
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn nobody_there_is_a_network_error() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = Endpoint::new("openai", Some(&format!("http://{closed}/v1")), Some(KEY.into())).unwrap();
    let pace = Pace { retries: 1, first: Duration::from_millis(1), longest: Duration::from_millis(1) };
    let provider = Provider::connect("openai", "m", &endpoint).unwrap().with_patience(pace, Duration::from_secs(1));
    let error = provider.complete(&question(), Instant::now() + Duration::from_secs(10)).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(&format!("`http://{closed}` could not be reached")) && shown.contains("refused"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn dropping_the_question_cancels_it() {
    let server = ModelServer::start(faults([Fault::Hang])).unwrap();
    let provider = provider("anthropic", &server).with_patience(Pace::default(), transport::TIMEOUT);
    let request = question();
    let until = Instant::now() + Duration::from_secs(1000);
    let result = tokio::time::timeout(Duration::from_millis(300), provider.complete(&request, until)).await;
    assert!(result.is_err(), "it was still waiting");
    // The provider can be asked again, and nothing of the first question is in the way.
    assert_eq!(provider.complete(&request, until).await.unwrap().text, "At last.");
    assert_eq!(server.seen().len(), 2);
}
