//! Attacks that a first design lets through, each beside its legitimate neighbour.

use infraagent_guard::{
    Autonomy, Decision,
    call::{
        Ambient, Call, Finding, HttpRequest, LabelSelector, List, LogLevel, LogLine, Logs, Mutation, Read, Requirement, SelectorWord,
        StatePut, WriteMethod,
    },
    name::{GroupResource, HttpPath, Readable},
    screen::{Circumstances, bytes_out},
};

use crate::support::{
    PLENTY, allows, claim, clear, every_call, fetch, finding, get, judge, judge_clear, key, list, logs, object, policy, restart, send, word,
};

#[test]
fn a_path_has_one_spelling() {
    for honest in ["/", "/api", "/repos/a/b/", "/a%20b", "/labels/fr%C3%BCh", "/@me/~x/a+b", "/v1.2/x..y", "/a%3Fb"] {
        assert!(HttpPath::parse(honest).is_ok(), "{honest}");
    }
    for trick in [
        "",
        "api",
        "//",
        "/a//b",
        "/..",
        "/a/../b",
        "/a/.",
        "/%2e%2e/x",
        "/a%2fb",
        "/a%2Fb",
        "/a%5Cb",
        "/a\\b",
        "/a?b",
        "/a#b",
        "/a;b",
        "/%252e",
        "/%00",
        "/a%0Ab",
        "/%7F",
        "/%41dmin",
        "/%7Ex",
        "/%2Ba",
        "/a%c3%bc",
        "/a%C3",
        "/%C0%AF",
        "/%E0%80%AF",
        "/%EF%BC%8E%EF%BC%8E/x",
        "/%E2%80%A5/x",
        "/%C2%85",
        "/a b",
        "/ä",
        "/a%",
        "/a%2",
        "/a%+1",
        "/a{b}",
        "/a|b",
        "/[x]",
        "/a\u{ff0f}b",
    ] {
        assert!(HttpPath::parse(trick).is_err(), "{trick}");
    }
}

#[test]
fn no_request_hides_another_method() {
    let parse = |query: &str, header: &str| {
        let pair = |name: &str| if name.is_empty() { Vec::new() } else { vec![(name.to_owned(), "DELETE".to_owned())] };
        HttpRequest::parse("site", "/x", pair(query), pair(header)).is_ok()
    };
    for query in [
        "_method",
        "_METHOD",
        " _method",
        ".method",
        "_method[]",
        "$httpMethod",
        "httpMethod",
        "x-http-method-override",
        "X-HTTP-Method",
        "methodOverride",
    ] {
        assert!(!parse(query, ""), "{query}");
    }
    for query in ["", "method", "payment_method", "page"] {
        assert!(parse(query, ""), "{query}");
    }
    for header in [
        "x-http-method-override",
        "x-method-override",
        "Accept",
        "host",
        "cookie",
        "authorization",
        "content-length",
        "transfer-encoding",
        "accept ",
    ] {
        assert!(!parse("", header), "{header}");
    }
    assert!(parse("", "accept"));
    assert!(HttpRequest::parse("site", "/x", Vec::new(), vec![("accept".into(), "a\r\nx: y".into())]).is_err());
}

#[test]
fn one_kind_has_one_name_and_a_secret_has_none() {
    for (input, canonical) in [
        ("deploy", "deployments.apps"),
        ("Deployment", "deployments.apps"),
        ("DEPLOYMENTS", "deployments.apps"),
        ("deployment.apps", "deployments.apps"),
        ("pvc", "persistentvolumeclaims"),
        ("scheduledbackups.postgresql.cnpg.io", "scheduledbackups.postgresql.cnpg.io"),
        ("po", "pods"),
        ("pods.metrics.k8s.io", "pods.metrics.k8s.io"),
    ] {
        assert_eq!(GroupResource::parse(input).unwrap().to_string(), canonical);
    }
    for secret in ["secret", "SECRETS", "secrets", "Secret", "secrets.v1", "secrets.other.example"] {
        assert!(GroupResource::parse(secret).map_or(true, |kind| Readable::new(kind).is_err()), "{secret}");
    }
    assert!(Readable::new(GroupResource::new("", "secret").unwrap()).is_err());
    for (group, resource) in [
        ("", "pods/log"),
        ("", "pods/../secrets"),
        ("", "Pods"),
        ("", ""),
        ("Apps", "deployments"),
        ("apps/v1", "deployments"),
        ("", "pods%2flog"),
        ("", "роds"),
        ("", "pods "),
        ("", "pods\0"),
        ("..", "pods"),
        ("apps.", "deployments"),
        ("", "ｐods"),
    ] {
        assert!(GroupResource::new(group, resource).is_err(), "{group}/{resource}");
    }
    for input in ["pods/log", "pods.", ".apps", "pods..apps", "deployments.Apps", "Deployments.apps", "роds", "*"] {
        assert!(GroupResource::parse(input).is_err(), "{input}");
    }
}

#[test]
fn an_object_of_a_namespaced_kind_without_its_namespace_is_nobodys() {
    let policy = policy(Autonomy::AutomateDestructive);
    let denied = [
        ("read", get("pods", None, "web-1")),
        ("read-nodes", get("pods", None, "web-1")),
        ("read-nodes", list("pods", None)),
        ("read-nodes", list("pods", Some("apps"))),
        ("read", list("nodes", None)),
        ("read", get("agentruns.core.infraagent.io", None, "run-0")),
        ("read", get("agentruns.core.infraagent.io", Some("apps"), "run-0")),
        ("read", list("infraagentpolicies.core.infraagent.io", Some("agents"))),
        ("read", logs("foreign", "web-1")),
    ];
    for (action, call) in denied {
        assert!(!allows(&judge_clear(&policy, Some(action), &call)), "{action}: {call}");
    }
    for (action, call) in [("read-nodes", list("nodes", None)), ("read", get("agentruns.core.infraagent.io", Some("agents"), "run-0"))] {
        assert!(allows(&judge_clear(&policy, Some(action), &call)), "{action}: {call}");
    }
}

#[test]
fn a_finding_speaks_only_of_what_is_in_scope() {
    let policy = policy(Autonomy::Observe);
    let run = "agentruns.core.infraagent.io";
    for (about, fine) in [
        (("pods", Some("apps"), "web"), true),
        (("pods", Some("foreign"), "web"), false),
        (("pods", None, "web"), false),
        (("nodes", None, "node-1"), true),
        (("persistentvolumes", None, "pv"), false),
        (("namespaces", None, "prod"), true),
        (("namespaces", None, "kube-system"), false),
        ((run, Some("agents"), "run-0"), true),
        ((run, Some("apps"), "run-0"), false),
        ((run, None, "run-0"), false),
        (("infraagentpolicies.core.infraagent.io", None, "default"), false),
        (("agentenvironments.core.infraagent.io", Some("agents"), "site"), false),
    ] {
        let call = finding(Some(object(about.0, about.1, about.2)));
        assert_eq!(allows(&judge_clear(&policy, None, &call)), fine, "{call}");
    }
}

#[test]
fn numbers_and_texts_beyond_their_bounds_are_malformed() {
    let policy = policy(Autonomy::AutomateDestructive);
    let with_limit = |limit| match list("pods", Some("apps")) {
        Call::Read(Read::List(query)) => Call::Read(Read::List(List { limit, ..query })),
        other => other,
    };
    let with_requirements = |count| match list("pods", Some("apps")) {
        Call::Read(Read::List(query)) => {
            let one = Requirement::Exists(SelectorWord::parse("app").unwrap());
            Call::Read(Read::List(List { labels: LabelSelector(vec![one; count]), ..query }))
        }
        other => other,
    };
    let with_lines = |tail_lines| match logs("apps", "web-1") {
        Call::Read(Read::Logs(query)) => Call::Read(Read::Logs(Logs { tail_lines, ..query })),
        other => other,
    };
    let with_reason = |length| match restart(infraagent_guard::call::Workload::Deployment, "apps", "web") {
        Call::Mutation(Mutation { effect, .. }) => Call::Mutation(Mutation { effect, reason: "x".repeat(length) }),
        other => other,
    };
    let with_message = |length| match finding(None) {
        Call::Ambient(Ambient::Finding(old)) => Call::Ambient(Ambient::Finding(Finding { message: "x".repeat(length), ..old })),
        other => other,
    };
    for (action, call, fine) in [
        (Some("read"), with_limit(0), false),
        (Some("read"), with_limit(501), false),
        (Some("read"), with_limit(500), true),
        (Some("read"), with_requirements(33), false),
        (Some("read"), with_requirements(32), true),
        (Some("read"), with_lines(2001), false),
        (Some("read"), with_lines(2000), true),
        (Some("restart"), with_reason(257), false),
        (Some("restart"), with_reason(256), true),
        (None, with_message(1025), false),
        (None, with_message(1024), true),
    ] {
        assert_eq!(word(&judge_clear(&policy, action, &call)), if fine { "allow" } else { "malformed" });
    }
}

#[test]
fn what_leaves_is_counted_and_bounded() {
    let put = Call::Ambient(Ambient::StatePut(StatePut { key: key("a"), value: vec![0; 10], expect: None }));
    let line =
        Call::Ambient(Ambient::Log(LogLine { level: LogLevel::Info, message: "12345".into(), fields: vec![("ab".into(), "cde".into())] }));
    let policy = policy(Autonomy::AutomateDestructive);
    for (call, bytes) in [(put, 10), (line, 10), (fetch("site", "/status"), 9), (send(WriteMethod::Post, "site", "/issues"), 9)] {
        assert_eq!(bytes_out(&call), bytes);
        let action = match call {
            Call::Ambient(_) => None,
            Call::Read(_) => Some("probe"),
            Call::Mutation(_) => Some("write"),
        };
        for (left, fine) in [(bytes, true), (bytes - 1, false)] {
            let now = Circumstances { egress_bytes: left, ..PLENTY };
            assert_eq!(allows(&judge(&policy, &now, claim(action, call.clone()), Some(clear(&call)))), fine);
        }
    }
}

#[test]
fn a_forged_action_id_opens_nothing() {
    let policy = policy(Autonomy::AutomateDestructive);
    for forged in ["Read", "read ", "read\0", "rеad", "", "read/../restart", "ｒead"] {
        assert!(infraagent_guard::name::ActionId::parse(forged).is_err(), "{forged:?}");
    }
    // Every action with every call: only the one that covers it opens it.
    for (covering, call) in every_call().into_iter().filter(|(covering, _)| covering.is_some()) {
        for action in policy.sheet.actions() {
            let decision = judge_clear(&policy, Some(action.id.as_str()), &call);
            assert_eq!(allows(&decision), Some(action.id.as_str()) == covering, "{} on {call}: {decision:?}", action.id);
            assert!(!matches!(decision, Decision::Propose(_)));
        }
    }
}
