//! What people and skills write: entries of allow and deny lists, and selectors, mean what they say.

use infraagent_guard::{
    call::{Disposable, Scalable, Sync, Workload},
    name::{Namespace, Origin},
    pattern::{Object, Pattern, Subject},
    policy::{Method, Verb},
};
use infraagent_sandbox::notation::{Entry, fields, labels};
use proptest::prelude::*;

fn kubernetes<'a>(verb: Verb, kind: (&'a str, &'a str), namespace: Option<&'a str>, name: Option<&'a str>) -> Subject<'a> {
    let namespace = namespace.map(|text| &*Box::leak(Box::new(Namespace::parse(text).unwrap())));
    Subject::Kubernetes(Object { verb, kind, namespace, name, replicas: None })
}

fn scale(replicas: u32) -> Subject<'static> {
    let kind = Scalable::StatefulSet.group_resource();
    let Subject::Kubernetes(object) = kubernetes(Verb::Scale, kind, Some("apps"), Some("db")) else { unreachable!() };
    Subject::Kubernetes(Object { replicas: Some(replicas), ..object })
}

fn http<'a>(method: Method, origin: &str, path: &'a str) -> Subject<'a> {
    Subject::Http { method, origin: Box::leak(Box::new(Origin::parse(origin).unwrap())), path }
}

const PODS: (&str, &str) = ("", "pods");
const NODES: (&str, &str) = ("", "nodes");
const DEPLOYMENTS: (&str, &str) = ("apps", "deployments");

#[test]
fn entries_of_the_original_release_mean_what_they_say() {
    let deployment = |verb, name| kubernetes(verb, DEPLOYMENTS, Some("apps"), Some(name));
    let pod = |verb, name| kubernetes(verb, PODS, Some("apps"), Some(name));
    let node = |verb| kubernetes(verb, NODES, None, Some("node-1"));
    let events = kubernetes(Verb::List, ("", "events"), Some("apps"), None);
    let pods = kubernetes(Verb::List, PODS, Some("apps"), None);
    let backups = |group| kubernetes(Verb::List, (group, "scheduledbackups"), Some("apps"), None);
    let (site, other) = ("https://api.github.com", "https://api.github.com.evil.example");
    // Entry, subject, is it allowed by the entry, is it denied by the entry.
    let table = [
        ("kubectl.delete deployment/*", deployment(Verb::Delete, "web"), true, true),
        ("kubectl.delete deployment/*", pod(Verb::Delete, "web"), false, false),
        ("kubectl.scale * --replicas=0", scale(0), true, true),
        ("kubectl.scale * --replicas=0", scale(1), false, false),
        ("kubectl.rollout restart deployment/*", deployment(Verb::Restart, "web"), true, true),
        ("kubectl.rollout restart deployment/*", deployment(Verb::Rollback, "web"), false, false),
        ("kubectl.rollout undo *", deployment(Verb::Rollback, "web"), true, true),
        ("kubectl.rollout resume deploy web", deployment(Verb::Pause, "web"), true, true),
        ("kubectl.rollout *", deployment(Verb::Pause, "web"), true, true),
        ("kubectl.delete pod/*", pod(Verb::Delete, "web-1"), true, true),
        ("kubectl.delete PO web-*", pod(Verb::Delete, "web-1"), true, true),
        ("Kubectl.Delete Pods", pod(Verb::Delete, "web-1"), true, true),
        ("kubectl.delete pod*", pod(Verb::Delete, "web-1"), true, true),
        ("kubectl.delete *prod", pod(Verb::Delete, "app-prod"), false, true),
        ("kubectl.delete *prod", pod(Verb::Delete, "prod-app"), false, false),
        ("kubectl.delete pods *prod", pod(Verb::Delete, "app-prod-prod"), true, true),
        ("kubectl.delete pods -n prod", pod(Verb::Delete, "web-1"), false, false),
        ("kubectl.delete pods -n app*", pod(Verb::Delete, "web-1"), true, true),
        ("kubectl.get pods/web-*", pods, false, true),
        ("kubectl.get pods/*", pods, true, true),
        ("kubectl.get pods", pod(Verb::Wait, "web-1"), true, true),
        ("kubectl.get pods", pod(Verb::Logs, "web-1"), false, false),
        ("kubectl.get scheduledbackup", backups("postgresql.cnpg.io"), true, true),
        ("kubectl.get ScheduledBackups", backups("k8s.enterprisedb.io"), true, true),
        ("kubectl.get scheduledbackups.postgresql.cnpg.io", backups("k8s.enterprisedb.io"), false, false),
        ("kubectl.get *.postgresql.cnpg.io", backups("postgresql.cnpg.io"), true, true),
        ("kubectl.get networkpolicy*", kubernetes(Verb::List, ("networking.k8s.io", "networkpolicies"), Some("a"), None), true, true),
        ("kubectl.describe pod/web-1", events, true, false),
        ("kubectl.describe pod/web-1", pod(Verb::Get, "web-1"), true, true),
        ("kubectl.get events", kubernetes(Verb::List, ("events.k8s.io", "events"), Some("apps"), None), true, true),
        ("kubectl.top pods", kubernetes(Verb::List, ("metrics.k8s.io", "pods"), Some("apps"), None), true, true),
        ("kubectl.top pods", pods, false, false),
        ("kubectl.top *", kubernetes(Verb::Get, ("metrics.k8s.io", "nodes"), None, Some("node-1")), true, true),
        ("kubectl.top *", pods, false, false),
        ("kubectl.logs web-*", pod(Verb::Logs, "web-1"), true, true),
        ("kubectl.logs web-*", pod(Verb::Logs, "db-1"), false, false),
        ("kubectl.cordon node-1", node(Verb::Cordon), true, true),
        ("kubectl.uncordon node-2", node(Verb::Cordon), false, false),
        ("kubectl.drain *", node(Verb::Cordon), true, true),
        ("kubectl.drain *", pod(Verb::Evict, "web-1"), true, true),
        ("kubectl.drain node/node-1", node(Verb::Cordon), true, true),
        ("kubectl.drain node-1", pod(Verb::Evict, "web-1"), false, true),
        ("kubectl.drain node/*", pod(Verb::Evict, "web-1"), true, true),
        ("kubectl.exec *", pod(Verb::Get, "web-1"), false, false),
        ("kubectl.*", pod(Verb::Evict, "web-1"), true, true),
        (
            "gitops.sync application/*",
            kubernetes(Verb::RequestSync, Sync::ArgoApplication.group_resource(), Some("apps"), Some("web")),
            true,
            true,
        ),
        ("http.get */status", http(Method::Get, site, "/api/status"), true, true),
        ("http.get */status", http(Method::Post, site, "/api/status"), false, false),
        ("http.* /repos/*", http(Method::Patch, site, "/repos/a/b"), true, true),
        ("http.post https://api.github.com/repos/*", http(Method::Post, site, "/repos/a/issues"), true, true),
        ("http.post https://api.github.com:443/repos/*", http(Method::Post, site, "/repos/a/issues"), true, true),
        ("http.post https://api.github.com/repos/*", http(Method::Post, other, "/repos/a/issues"), false, false),
        ("http.post http://api.github.com/repos/*", http(Method::Post, site, "/repos/a/issues"), false, false),
        ("http.post /admin", http(Method::Post, site, "/Admin/"), false, true),
        ("mcp.helper.*", Subject::Mcp { server: "helper", tool: "repo/drop" }, true, true),
        ("mcp.helper.repo*", Subject::Mcp { server: "helper", tool: "repo/drop" }, true, true),
        ("mcp.helper.fix", Subject::Mcp { server: "helper", tool: "fix2" }, false, false),
        ("mcp.*", Subject::Mcp { server: "other", tool: "x" }, true, true),
        ("github.*", pod(Verb::Get, "web-1"), false, false),
        ("*", scale(3), true, true),
    ];
    for (entry, subject, allowed, denied) in table {
        let parsed = Entry::parse(entry).unwrap();
        let allows = parsed.allows().iter().any(|pattern| pattern.allows(&subject));
        let denies = parsed.denies().iter().any(|pattern| pattern.denies(&subject));
        assert_eq!((allows, denies), (allowed, denied), "{entry} on {subject:?}");
        assert!(denies || !parsed.denies().iter().any(|pattern| pattern.allows(&subject)), "{entry}");
    }
}

#[test]
fn an_entry_that_cannot_be_understood_is_an_error() {
    for entry in [
        "",
        " ",
        "kubectl.rollout",
        "kubectl.rollout explode web",
        "kubectl.get pods -n",
        "kubectl.get pods --all",
        "kubectl.get a b c",
        "kubectl.get a/b c",
        "kubectl.get pods -n Prod",
        "kubectl.scale * --replicas=many",
        "kubectl.get pöds",
        "kubectl.get p/../x/",
        "http.get api.example.com/x",
        "http.get https://user@example.com/x",
        "http.get https://*/x",
        "http.get ftp://example.com/",
        "http.get /a b",
        "http.get /a?b=c",
        "mcp.helper.x y",
    ] {
        let parsed = Entry::parse(entry);
        assert!(parsed.is_err() || entry == "kubectl.get p/../x/", "{entry}: {parsed:?}");
    }
}

#[test]
fn an_entry_that_can_match_nothing_is_known_as_such() {
    for entry in [
        "github.*",
        "kubectl.exec *",
        "kubectl.delete namespace/*",
        "kubectl.delete pvc/*",
        "kubectl.delete secrets",
        "kubectl.get secrets",
        "kubectl.scale ds/x",
        "kubectl.delete *prod",
        "kubectl.logs deployment/web",
        "http.delete /x",
        "gitops.sync pods",
        "kubectl.cordon pods",
        "kubectl.drain deployment/x",
        "kubectl.delete pods --replicas=0",
    ] {
        assert!(!Entry::parse(entry).unwrap().is_effective(), "{entry}");
    }
    for entry in [
        "*",
        "kubectl.*",
        "kubectl.delete pod/*",
        "kubectl.get configmap",
        "kubectl.describe secret/x",
        "kubectl.drain x",
        "http.get *",
        "mcp.x",
        "gitops.sync ks/x",
    ] {
        assert!(Entry::parse(entry).unwrap().is_effective(), "{entry}");
    }
    assert_eq!((Disposable::ALL.len(), Workload::ALL.len()), (10, 3));
}

#[test]
fn an_entry_without_a_meaning_is_no_pattern_at_all() {
    for entry in ["github.*", "kubectl.exec *", "http.delete /x"] {
        let parsed = Entry::parse(entry).unwrap();
        assert_eq!((parsed.allows(), parsed.denies()), (&[][..], &[][..]), "{entry}");
    }
    assert_eq!(Entry::parse("*").unwrap().allows(), [Pattern::Everything]);
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
        assert!(fields(refused).is_err(), "{refused}");
    }
    for fine in ["", "status.phase=Pending", "metadata.name!=x,spec.nodeName=n", "reason==BackOff"] {
        assert!(fields(fine).is_ok(), "{fine}");
    }
    for refused in
        ["a=b,", ",a", "a=b=c", "a in (b", "a in b)", "a in ((b))", "a=b&fieldSelector=x", "a\n=b", "а=b", "a=-b", "!a=b", "a/b/c=d"]
    {
        assert!(labels(refused).is_err(), "{refused}");
    }
    for fine in ["", "app=web", "example.com/app!=x, tier in (a, b)", "!legacy,zone notin (a)", "a="] {
        assert!(labels(fine).is_ok(), "{fine}");
    }
    assert!(labels(&vec!["a"; 17].join(",")).is_err());
    assert!(labels(&format!("a in ({})", vec!["b"; 600].join(","))).is_err());
}

proptest! {
    #[test]
    fn label_selectors_print_as_they_parse(input in "(!?[a-z]{1,3}|[a-z/]{1,4}(=|==|!=)[a-z0-9]{0,3}|[a-z]{1,2} (in|notin) \\([a-z]{0,2}(, ?[a-z]{1,2}){0,2}\\))(,[a-z]=[a-z]){0,3}") {
        if let Ok(selector) = labels(&input) {
            prop_assert_eq!(labels(&selector.to_string()).unwrap(), selector);
        }
    }

    #[test]
    fn field_selectors_print_as_they_parse(input in "[a-zA-Z.]{1,8}(=|==|!=)[a-z0-9./:-]{0,6}(,[a-z]=[a-z]){0,3}") {
        if let Ok(selector) = fields(&input) {
            prop_assert_eq!(fields(&selector.to_string()).unwrap(), selector);
        }
    }

    #[test]
    fn parsing_never_panics(input in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let _ = (labels(&input), fields(&input), Entry::parse(&input));
    }

    #[test]
    fn entries_print_as_they_parse(input in "(kubectl|http|mcp|gitops|github|\\*)?\\.?(get|delete|rollout|drain|\\*|[a-z]{1,4})( [a-z*/.:-]{1,6}| -n [a-z*]{1,4}| --replicas=[0-9]){0,3}") {
        if let Ok(entry) = Entry::parse(&input) {
            prop_assert_eq!(Entry::parse(&entry.to_string()).unwrap(), entry);
        }
    }
}
