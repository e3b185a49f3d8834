//! The languages of names, selectors and patterns, and the text of calls.

use infraagent_guard::{
    call::{Ambient, ApiVersion, Call, FieldSelector, Handle, LabelSelector, List, Read, Select},
    name::{ActionId, EndpointName, GroupResource, HttpPath, McpTool, Namespace, ObjectName, ResourceVersion, StateKey, ToolName, Uid},
    pattern::{Glob, Pattern},
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

#[test]
fn selectors_cannot_cross_namespaces_and_are_bounded() {
    for refused in [
        "metadata.namespace=x",
        "Metadata.Namespace=x",
        "a=b,metadata.namespace!=x",
        " metadata.namespace==x",
        "a",
        "a=b,",
        "a=b&c=d",
        "=b",
        "a=b c",
    ] {
        assert!(FieldSelector::parse(refused).is_err(), "{refused}");
    }
    for fine in ["", "status.phase=Pending", "metadata.name!=x,spec.nodeName=n", "reason==BackOff"] {
        assert!(FieldSelector::parse(fine).is_ok(), "{fine}");
    }
    for refused in
        ["a=b,", ",a", "a=b=c", "a in (b", "a in b)", "a in ((b))", "a=b&fieldSelector=x", "a\n=b", "а=b", "a=-b", "!a=b", "a/b/c=d"]
    {
        assert!(LabelSelector::parse(refused).is_err(), "{refused}");
    }
    assert!(LabelSelector::parse(&vec!["a"; 17].join(",")).is_err());
    assert!(LabelSelector::parse(&format!("a in ({})", vec!["b"; 600].join(","))).is_err());
    assert!(Select::parse(vec!["status".into()]).is_err() && Select::parse(vec![String::new(), "/status".into()]).is_ok());
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
    query.labels = LabelSelector::parse(&format!("a in ({})", vec!["b"; 400].join(","))).unwrap();
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
    fn label_selectors_print_as_they_parse(input in "(!?[a-z]{1,3}|[a-z/]{1,4}(=|==|!=)[a-z0-9]{0,3}|[a-z]{1,2} (in|notin) \\([a-z]{0,2}(, ?[a-z]{1,2}){0,2}\\))(,[a-z]=[a-z]){0,3}") {
        if let Ok(selector) = LabelSelector::parse(&input) {
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }

    #[test]
    fn field_selectors_print_as_they_parse(input in "[a-zA-Z.]{1,8}(=|==|!=)[a-z0-9./:-]{0,6}(,[a-z]=[a-z]){0,3}") {
        if let Ok(selector) = FieldSelector::parse(&input) {
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }

    #[test]
    fn parsing_never_panics(input in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let _ = (LabelSelector::parse(&input), FieldSelector::parse(&input), HttpPath::parse(&input), GroupResource::parse(&input), Glob::parse(&input));
        let _ = (Pattern::parse(&input), ApiVersion::parse(&input), Handle::parse(&input), ToolName::parse(&input));
    }

    #[test]
    fn patterns_print_as_they_parse(input in "(kubectl|http|mcp|gitops|github|\\*)?\\.?(get|delete|rollout|drain|\\*|[a-z]{1,4})( [a-z*/.:-]{1,6}| -n [a-z*]{1,4}| --replicas=[0-9]){0,3}") {
        if let Ok(pattern) = Pattern::parse(&input) {
            prop_assert_eq!(Pattern::parse(&pattern.to_string()).unwrap(), pattern);
        }
    }
}
