//! Reads: scope, projection, selectors, pages, logs, waiting.

use infraagent_guard::{
    call::{Condition, FieldSelector, Get, Handle, LabelSelector, List, ObjectRef, ResourceType, Select, Wait},
    name::Readable,
};
use infraagent_sandbox::notation;

use super::*;

pub(super) fn kind(name: &str) -> ResourceType {
    ResourceType { kind: Readable::new(GroupResource::parse(name).unwrap()).unwrap(), version: None }
}

pub(super) fn list(of: &str) -> List {
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

pub(super) fn object(of: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    ObjectRef { kind: kind(of), namespace: namespace.map(ns), name: named(name) }
}

pub(super) fn page(answer: Result<Answer, CallError>) -> (Vec<String>, Option<String>) {
    match answer.unwrap() {
        Answer::Page(page) => {
            let items: Vec<Value> = serde_json::from_str(&page.items).unwrap();
            assert_eq!(items.len() as u32, page.count);
            (items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect(), page.continue_token)
        }
        other => panic!("not a page: {other:?}"),
    }
}

on_both!(
    a_list_shows_the_granted_namespaces_only,
    a_grant_without_namespaces_reads_no_namespaced_kind,
    pages_follow_each_other_and_tokens_belong_to_their_query,
    an_object_is_projected_and_its_version_checked,
    waiting_ends_as_soon_as_it_is_so_or_the_time_is_over,
    a_forbidden_read_says_what_is_missing,
);

async fn a_list_shows_the_granted_namespaces_only(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let (names, more) = page(bench.read("read", Read::List(list("pods"))).await);
    assert_eq!(names, ["api-66d8-a", "api-66d8-c", "api-77c4-b", "import-x", "stuck-8a8a-a", "web-9f4d-a", "web-9f4d-b"]);
    assert_eq!(more, None);
    let web = List { labels: notation::labels("app=web").unwrap(), namespace: Some(ns("shop")), ..list("pods") };
    assert_eq!(page(bench.read("read", Read::List(web)).await).0, ["web-9f4d-a", "web-9f4d-b"]);
    let done = List { fields: notation::fields("status.phase=Succeeded").unwrap(), ..list("pods") };
    assert_eq!(page(bench.read("read", Read::List(done)).await).0, ["import-x"]);
    // A cluster may have more nodes than those of this test.
    let nodes = page(bench.read("read-cluster", Read::List(list("nodes"))).await).0;
    assert!(["node-1", "node-2"].iter().all(|node| nodes.contains(&cluster.here(node))), "{nodes:?}");
}

async fn a_grant_without_namespaces_reads_no_namespaced_kind(stage: &impl Stage) {
    // The guard knows Kubernetes' own kinds; whether a custom one is namespaced only the cluster knows.
    let cluster = stage.load("dependants").await;
    let bench = Bench::new(&cluster);
    let refused = bench.read("read-cluster", Read::List(list("buckets.example.com"))).await;
    assert!(matches!(&refused, Err(CallError::Invalid(why)) if why.contains("namespaced")), "{refused:?}");
    let bucket = Get { object: object("buckets.example.com", None, "pictures"), select: Select::default() };
    let refused = bench.read("read-cluster", Read::Get(bucket)).await;
    assert!(matches!(refused, Err(CallError::Invalid(_))), "{refused:?}");
}

async fn pages_follow_each_other_and_tokens_belong_to_their_query(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let mut all = Vec::new();
    let mut query = List { limit: 3, ..list("pods") };
    let mut first_token = None;
    loop {
        let (names, more) = page(bench.read("read", Read::List(query.clone())).await);
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
        let answer = bench.read("read", Read::List(stolen)).await;
        assert!(matches!(&answer, Err(CallError::Invalid(why)) if why.contains("continue token")), "{answer:?}");
    }
    let other_run = stage.of_another_run(&cluster, "run-2").await;
    let of_other_run = List { limit: 3, continue_from: Some(first_token), ..list("pods") };
    assert!(matches!(Bench::new(&other_run).read("read", Read::List(of_other_run)).await, Err(CallError::Invalid(_))));
}

async fn an_object_is_projected_and_its_version_checked(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let whole = Select::parse(vec![String::new()]).unwrap();
    let pod = Get { object: object("pods", Some("shop"), "web-9f4d-a"), select: whole };
    let answer = bench.read("read", Read::Get(pod)).await;
    let Ok(Answer::Json(text)) = answer else { panic!("{answer:?}") };
    assert!(text.contains("PASSWORD") && !text.contains("canary"), "{text}");
    let mut old = object("deployments.apps", Some("shop"), "web");
    old.kind.version = Some(infraagent_guard::call::ApiVersion::parse("v1beta1").unwrap());
    let answer = bench.read("read", Read::Get(Get { object: old, select: Select::default() })).await;
    assert!(matches!(&answer, Err(CallError::Invalid(why)) if why.contains("`v1`")), "{answer:?}");
    let nothing = Get { object: object("pods", Some("shop"), "nothing"), select: Select::default() };
    let answer = bench.read("read", Read::Get(nothing)).await;
    assert!(matches!(answer, Err(CallError::NotFound(_))), "{answer:?}");
    let unsupported = List { fields: notation::fields("spec.secretName=a").unwrap(), ..list("pods") };
    let answer = bench.read("read", Read::List(unsupported)).await;
    assert!(matches!(&answer, Err(CallError::Invalid(why)) if why.contains("`spec.secretName`")), "{answer:?}");
}

async fn waiting_ends_as_soon_as_it_is_so_or_the_time_is_over(stage: &impl Stage) {
    let cluster = stage.load("shop").await;
    let bench = Bench::new(&cluster);
    let wait = async |of: &str, name: &str, condition| {
        bench.read("read", Read::Wait(Wait { object: object(of, Some("shop"), name), condition, timeout_ms: 400 })).await
    };
    assert_eq!(wait("deployments.apps", "web", Condition::RolledOut).await, Ok(Answer::Reached(true)));
    assert_eq!(wait("deployments.apps", "stuck", Condition::RolledOut).await, Ok(Answer::Reached(false)));
    assert_eq!(wait("jobs.batch", "import", Condition::Completed).await, Ok(Answer::Reached(true)));
    assert_eq!(wait("pods", "nothing", Condition::Gone).await, Ok(Answer::Reached(true)));
    assert!(matches!(wait("pods", "nothing", Condition::Ready).await, Err(CallError::NotFound(_))));
    assert!(matches!(wait("services", "nothing", Condition::RolledOut).await, Err(CallError::NotFound(_))));
    assert!(matches!(wait("jobs.batch", "import", Condition::RolledOut).await, Err(CallError::Invalid(_))));
}

async fn a_forbidden_read_says_what_is_missing(stage: &impl Stage) {
    let cluster = stage.load_without("shop", &["list pods"]).await;
    let bench = Bench::new(&cluster);
    let refused = bench.read("read", Read::List(list("pods"))).await;
    assert!(matches!(&refused, Err(CallError::Denied { message, .. }) if message.contains("list pods")), "{refused:?}");
    assert_eq!(page(bench.read("read", Read::List(list("services"))).await).0, [""; 0]);
}
