//! The languages of names and globs, and the text of calls and selectors.

use infraagent_guard::{
    call::{
        Ambient, ApiVersion, Call, FieldRequirement, FieldSelector, Handle, LabelSelector, List, Read, Requirement, Select, SelectorWord,
    },
    name::{
        ActionId, EndpointName, GroupResource, HttpPath, McpTool, Namespace, ObjectName, Origin, ResourceVersion, StateKey, ToolName, Uid,
    },
    pattern::Glob,
};
use proptest::prelude::*;

use crate::support::{every_call, get, kind, list};

const HOSTILE: &[&str] = &[
    "",
    "..",
    "a/..",
    "../a",
    "a..b",
    "a%2fb",
    "a\0",
    "\0",
    "a b",
    " a",
    "a ",
    "a\n",
    "ａ",
    "а",
    "é",
    "a\u{202e}b",
    "a\\b",
    "a?b",
    "a#b",
    "a;b",
    "a:b@c",
    "-a",
    "a-",
];

#[test]
fn no_name_takes_what_could_change_a_url() {
    for input in HOSTILE {
        assert!(Namespace::parse(input).is_err(), "{input:?}");
        assert!(ObjectName::parse(input).is_err(), "{input:?}");
        assert!(ActionId::parse(input).is_err(), "{input:?}");
        assert!(EndpointName::parse(input).is_err(), "{input:?}");
        assert!(ToolName::parse(input).is_err(), "{input:?}");
        if !matches!(*input, "-a" | "a-") {
            for parsed in [
                McpTool::parse(input).is_ok(),
                Uid::parse(input).is_ok(),
                ResourceVersion::parse(input).is_ok(),
                StateKey::parse(input).is_ok(),
            ] {
                assert!(!parsed, "{input:?}");
            }
            assert!(Handle::parse(input).is_err(), "{input:?}");
        }
    }
    for upper in ["A", "aB", "Prod"] {
        assert!(Namespace::parse(upper).is_err() && ObjectName::parse(upper).is_err() && ToolName::parse(upper).is_err());
    }
    let long = "a".repeat(64);
    assert!(Namespace::parse(&long).is_err() && Namespace::parse(&long[1..]).is_ok() && ObjectName::parse(&long).is_ok());
    assert!(ToolName::parse("list.pods").is_err() && ToolName::parse("list-pods").is_err() && ToolName::parse("list_pods").is_ok());
    for (version, fine) in [
        ("v1", true),
        ("v2beta1", true),
        ("v1alpha", false),
        ("v", false),
        ("1", false),
        ("v1/..", false),
        ("V1", false),
        ("v1beta1alpha1", false),
    ] {
        assert_eq!(ApiVersion::parse(version).is_ok(), fine, "{version}");
    }
}

fn words(texts: &[&str]) -> Vec<SelectorWord> {
    texts.iter().map(|text| SelectorWord::parse(text).unwrap()).collect()
}

#[test]
fn no_word_of_a_selector_ends_a_requirement_and_its_text_is_what_kubernetes_reads() {
    for refused in [",", "a,b", "a=b", "a!", "(a", "a)", "a b", "a&b", "a\n", "\0", "é", "а", "%2c", "a;b", &"a".repeat(318)] {
        assert!(SelectorWord::parse(refused).is_err(), "{refused:?}");
    }
    let [key, a, b] = words(&["example.com/tier", "a", "b-1_c.D"]).try_into().unwrap();
    let set = || vec![a.clone(), b.clone()];
    let labels = LabelSelector(vec![
        Requirement::Equals(key.clone(), a.clone()),
        Requirement::Differs(key.clone(), b.clone()),
        Requirement::In(key.clone(), set()),
        Requirement::NotIn(key.clone(), set()),
        Requirement::Exists(key.clone()),
        Requirement::Absent(key),
    ]);
    let text = "example.com/tier=a,example.com/tier!=b-1_c.D,example.com/tier in (a,b-1_c.D),example.com/tier notin (a,b-1_c.D),\
                example.com/tier,!example.com/tier";
    assert_eq!(labels.to_string(), text);
    let [path, value, empty] = words(&["status.phase", "Pending", ""]).try_into().unwrap();
    let fields = FieldSelector(vec![
        FieldRequirement { path: path.clone(), equal: true, value },
        FieldRequirement { path, equal: false, value: empty },
    ]);
    assert_eq!(fields.to_string(), "status.phase=Pending,status.phase!=");
    assert_eq!((LabelSelector::default().to_string(), FieldSelector::default().to_string()), (String::new(), String::new()));
    assert!(Select::parse(vec!["status".into()]).is_err() && Select::parse(vec![String::new(), "/status".into()]).is_ok());
}

#[test]
fn an_origin_has_one_spelling() {
    for fine in ["https://api.github.com", "http://grafana.monitoring.svc:3000", "https://[::1]:8443", "http://10.0.0.1", "https://a:80"] {
        assert!(Origin::parse(fine).is_ok(), "{fine}");
    }
    for refused in [
        "",
        "https://",
        "api.github.com",
        "ftp://a",
        "HTTPS://a",
        "https://A",
        "https://a:443",
        "http://a:80",
        "https://a/",
        "https://a/b",
        "https://u@a",
        "https://*.a",
        "https://a?b",
        "https://a#b",
        "https://a b",
        "https://ä",
    ] {
        assert!(Origin::parse(refused).is_err(), "{refused}");
    }
}

/// The meaning of a glob, as directly as it can be said.
fn naive(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| naive(rest, &text[at..])),
        [b'*', rest @ ..] => (0..=text.len()).take_while(|at| !text[..*at].contains(&b'/')).any(|at| naive(rest, &text[at..])),
        [byte, rest @ ..] => text.first() == Some(byte) && naive(rest, &text[1..]),
    }
}

#[test]
fn a_long_glob_is_matched_in_no_time() {
    let glob = Glob::parse(&"*a".repeat(256)).unwrap();
    let started = std::time::Instant::now();
    assert!(!glob.matches(&format!("{}b", "a".repeat(1023))));
    assert!(started.elapsed().as_secs() < 2);
}

#[test]
fn the_text_of_a_call_is_one_short_line() {
    let check = |call: &Call| {
        let text = call.to_string();
        assert!(text.len() <= 600 && !text.chars().any(char::is_control) && !text.is_empty(), "{text}");
    };
    for (_, call) in every_call() {
        check(&call);
        assert!(!call.to_string().contains("because"), "no content");
    }
    let (group, long) = (format!("{}.example", "g".repeat(200)), vec!["n".repeat(63); 3].join("."));
    check(&get(&format!("things.{group}"), Some(&"a".repeat(63)), &long));
    let Call::Read(Read::List(mut query)) = list("pods", None) else { panic!() };
    let [key] = words(&["a"]).try_into().unwrap();
    query.labels = LabelSelector(vec![Requirement::In(key, words(&["b"; 400]))]);
    let cut = Call::Read(Read::List(List { kind: kind("pods"), ..query }));
    check(&cut);
    assert!(cut.to_string().ends_with('…'));
    check(&Call::Ambient(Ambient::StateGet(StateKey::parse(&"k".repeat(128)).unwrap())));
}

proptest! {
    #[test]
    fn names_are_exactly_their_language(input in "[a-zA-Z0-9._/%-]{0,12}|\\PC{0,6}") {
        let edge = |s: &str| s.bytes().next().zip(s.bytes().last()).is_some_and(|(a, z)| a != b'-' && z != b'-');
        let label = |s: &str| edge(s) && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        prop_assert_eq!(Namespace::parse(&input).is_ok(), label(&input));
        prop_assert_eq!(ActionId::parse(&input).is_ok(), label(&input));
        prop_assert_eq!(ObjectName::parse(&input).is_ok(), input.split('.').all(label));
        let word = |extra: &str| !input.is_empty() && !input.contains("..") && input.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
        prop_assert_eq!(StateKey::parse(&input).is_ok(), word("_-./"));
        prop_assert_eq!(McpTool::parse(&input).is_ok(), word("_-./"));
        prop_assert_eq!(ResourceVersion::parse(&input).is_ok(), word("_-."));
        prop_assert_eq!(Uid::parse(&input).is_ok(), word("_-.:"));
    }

    #[test]
    fn kinds_print_as_they_parse(input in "[a-zA-Z]{1,8}(\\.[a-z]{1,6}){0,3}") {
        if let Ok(kind) = GroupResource::parse(&input) {
            let again = GroupResource::new(kind.group(), kind.resource()).unwrap();
            prop_assert_eq!(&again, &kind);
            let printed = GroupResource::parse(&kind.to_string()).unwrap();
            prop_assert_eq!(printed.resource(), kind.resource());
            prop_assert_eq!(GroupResource::parse(&kind.singular()).unwrap(), kind);
        }
    }

    #[test]
    fn an_accepted_path_has_no_hidden_segment(input in "/[a-c./%2EeFf5CcB8;\\\\?#~]{0,12}") {
        if HttpPath::parse(&input).is_ok() {
            let lower = input.to_ascii_lowercase();
            for bad in ["//", "%2f", "%2e", "%5c", "%25", "\\", ";", "?", "#"] {
                prop_assert!(!lower.contains(bad), "{} in {}", bad, input);
            }
            prop_assert!(!input.split('/').any(|segment| matches!(segment, "." | "..")));
        }
    }

    #[test]
    fn globs_match_as_a_naive_matcher_does(pattern in "[ab/*]{1,7}", text in "[ab/]{0,8}") {
        let glob = Glob::parse(&pattern).unwrap();
        prop_assert_eq!(glob.matches(&text), naive(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn parsing_never_panics(input in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let _ = (SelectorWord::parse(&input), HttpPath::parse(&input), GroupResource::parse(&input), Glob::parse(&input));
        let _ = (Origin::parse(&input), ApiVersion::parse(&input), Handle::parse(&input), ToolName::parse(&input));
    }
}
