//! Reads: scope, projection, selectors, pages, logs, waiting.

use infraagent_guard::{
    call::{Condition, FieldSelector, Get, Handle, LabelSelector, List, Logs, ObjectRef, ResourceType, Select, Wait, Workload::Deployment},
    name::{Container, Readable},
};
use infraagent_sandbox::notation;

use super::*;

fn kind(name: &str) -> ResourceType {
    ResourceType { kind: Readable::new(GroupResource::parse(name).unwrap()).unwrap(), version: None }
}

fn list(of: &str) -> List {
    List {
        kind: kind(of),
        namespace: None,
        labels: LabelSelector::default(),
        fields: FieldSelector::default(),
        select: Select::default(),
        limit: 500,
        continue_from: None,
    }
}

fn object(of: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    ObjectRef { kind: kind(of), namespace: namespace.map(ns), name: named(name) }
}

fn page(answer: Result<Answer, CallError>) -> (Vec<String>, Option<String>) {
    match answer.unwrap() {
        Answer::Page(page) => {
            let items: Vec<Value> = serde_json::from_str(&page.items).unwrap();
            assert_eq!(items.len() as u32, page.count);
            (items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect(), page.continue_token)
        }
        other => panic!("not a page: {other:?}"),
    }
}

#[tokio::test]
async fn a_list_shows_the_granted_namespaces_only() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let (names, more) = page(bench.read("read", Read::List(list("pods"))));
    assert_eq!(names, ["api-66d8-a", "api-66d8-c", "api-77c4-b", "import-x", "stuck-8a8a-a", "web-9f4d-a", "web-9f4d-b"]);
    assert_eq!(more, None);
    let web = List { labels: notation::labels("app=web").unwrap(), namespace: Some(ns("shop")), ..list("pods") };
    assert_eq!(page(bench.read("read", Read::List(web))).0, ["web-9f4d-a", "web-9f4d-b"]);
    let done = List { fields: notation::fields("status.phase=Succeeded").unwrap(), ..list("pods") };
    assert_eq!(page(bench.read("read", Read::List(done))).0, ["import-x"]);
    assert_eq!(page(bench.read("read-cluster", Read::List(list("nodes")))).0, ["node-1", "node-2"]);
}

#[tokio::test]
async fn a_grant_without_namespaces_reads_no_namespaced_kind() {
    // The guard knows Kubernetes' own kinds; whether a custom one is namespaced only the cluster knows.
    let snapshot = load("dependants");
    let bench = Bench::new(&snapshot);
    let refused = bench.read("read-cluster", Read::List(list("buckets.example.com")));
    assert!(matches!(&refused, Err(CallError::Invalid(why)) if why.contains("namespaced")), "{refused:?}");
    let refused =
        bench.read("read-cluster", Read::Get(Get { object: object("buckets.example.com", None, "pictures"), select: Select::default() }));
    assert!(matches!(refused, Err(CallError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn pages_follow_each_other_and_tokens_belong_to_their_query() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let mut all = Vec::new();
    let mut query = List { limit: 3, ..list("pods") };
    let mut first_token = None;
    loop {
        let (names, more) = page(bench.read("read", Read::List(query.clone())));
        all.extend(names);
        let Some(more) = more else { break };
        first_token.get_or_insert_with(|| more.clone());
        query.continue_from = Some(Handle::parse(&more).unwrap());
    }
    assert_eq!(all.len(), 7);
    let first_token = Handle::parse(&first_token.unwrap()).unwrap();
    for stolen in [
        List { continue_from: Some(first_token.clone()), ..list("deployments.apps") },
        List { continue_from: Some(first_token.clone()), labels: notation::labels("app=web").unwrap(), ..list("pods") },
        List { continue_from: Some(first_token.clone()), select: Select::parse(vec![String::new()]).unwrap(), ..list("pods") },
        List { continue_from: Some(Handle::parse("Zm9yZ2Vk").unwrap()), ..list("pods") },
    ] {
        let answer = bench.read("read", Read::List(stolen));
        assert!(matches!(&answer, Err(CallError::Invalid(why)) if why.contains("continue token")), "{answer:?}");
    }
    let other_run = Snapshot::load(&folder("shop"), "run-2", "env-1", Some(now())).unwrap();
    let of_other_run = List { limit: 3, continue_from: Some(first_token), ..list("pods") };
    assert!(matches!(Bench::new(&other_run).read("read", Read::List(of_other_run)), Err(CallError::Invalid(_))));
}

#[tokio::test]
async fn an_object_is_projected_and_its_version_checked() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let whole = Select::parse(vec![String::new()]).unwrap();
    let answer = bench.read("read", Read::Get(Get { object: object("pods", Some("shop"), "web-9f4d-a"), select: whole }));
    let Ok(Answer::Json(text)) = answer else { panic!("{answer:?}") };
    assert!(text.contains("PASSWORD") && !text.contains("canary"), "{text}");
    let mut old = object("deployments.apps", Some("shop"), "web");
    old.kind.version = Some(infraagent_guard::call::ApiVersion::parse("v1beta1").unwrap());
    let answer = bench.read("read", Read::Get(Get { object: old, select: Select::default() }));
    assert!(matches!(&answer, Err(CallError::Invalid(why)) if why.contains("`v1`")), "{answer:?}");
    let answer = bench.read("read", Read::Get(Get { object: object("pods", Some("shop"), "nothing"), select: Select::default() }));
    assert!(matches!(answer, Err(CallError::NotFound(_))), "{answer:?}");
    let unsupported = List { fields: notation::fields("spec.secretName=a").unwrap(), ..list("pods") };
    assert!(matches!(bench.read("read", Read::List(unsupported)), Err(CallError::Invalid(_))));
}

fn logs(pod: &str) -> Logs {
    Logs { namespace: ns("shop"), pod: named(pod), container: None, tail_lines: 100, since_seconds: None, previous: false }
}

#[tokio::test]
async fn logs_come_from_files() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let answer = bench.read("read", Read::Logs(Logs { tail_lines: 2, ..logs("web-9f4d-a") }));
    assert_eq!(answer, Ok(Answer::Text("request 9\nrequest 10\n".to_owned(), true)));
    let answer = bench.read("read", Read::Logs(Logs { previous: true, ..logs("api-77c4-b") }));
    assert_eq!(answer, Ok(Answer::Text("2026-11-22T11:50:00Z starting\npanic: no ledger\n".to_owned(), false)));
    assert_eq!(bench.read("read", Read::Logs(logs("web-9f4d-b"))), Ok(Answer::Text(String::new(), false)));
    assert!(matches!(bench.read("read", Read::Logs(Logs { previous: true, ..logs("web-9f4d-b") })), Err(CallError::Invalid(_))));
    let other = Logs { container: Some(Container::parse("sidecar").unwrap()), ..logs("web-9f4d-a") };
    assert!(matches!(bench.read("read", Read::Logs(other)), Err(CallError::Invalid(why)) if why.contains("`main`")));
    // A pod that crashes like the one before says so in the same words.
    bench.act(restart(Deployment, "api")).await.unwrap();
    let (names, _) = page(bench.read("read", Read::List(List { labels: notation::labels("app=api").unwrap(), ..list("pods") })));
    let new = names.iter().find(|name| !["api-66d8-a", "api-66d8-c"].contains(&name.as_str())).unwrap();
    let answer = bench.read("read", Read::Logs(logs(new)));
    assert!(matches!(&answer, Ok(Answer::Text(text, _)) if text.contains("cannot reach ledger")), "{answer:?}");
}

#[tokio::test]
async fn waiting_answers_from_the_state_at_once() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let wait = |of: &str, name: &str, condition| {
        bench.read("read", Read::Wait(Wait { object: object(of, Some("shop"), name), condition, timeout_ms: 60_000 }))
    };
    assert_eq!(wait("deployments.apps", "web", Condition::RolledOut), Ok(Answer::Reached(true)));
    assert_eq!(wait("deployments.apps", "stuck", Condition::RolledOut), Ok(Answer::Reached(false)));
    bench.act(restart(Deployment, "stuck")).await.unwrap();
    assert_eq!(wait("deployments.apps", "stuck", Condition::RolledOut), Ok(Answer::Reached(true)));
    assert_eq!(wait("jobs.batch", "import", Condition::Completed), Ok(Answer::Reached(true)));
    assert_eq!(wait("pods", "nothing", Condition::Gone), Ok(Answer::Reached(true)));
    assert!(matches!(wait("pods", "nothing", Condition::Ready), Err(CallError::NotFound(_))));
    assert!(matches!(wait("services", "nothing", Condition::RolledOut), Err(CallError::NotFound(_))));
}

#[tokio::test]
async fn a_forbidden_read_says_what_is_missing() {
    let snapshot = load_with_faults("shop", "forbidden: [list pods]\nunavailable: [get nodes]\n");
    let bench = Bench::new(&snapshot);
    assert!(
        matches!(bench.read("read", Read::List(list("pods"))), Err(CallError::Denied { message, .. }) if message.contains("list pods"))
    );
    let node = Read::Get(Get { object: object("nodes", None, "node-1"), select: Select::default() });
    assert!(matches!(bench.read("read-cluster", node), Err(CallError::Unavailable { .. })));
}
