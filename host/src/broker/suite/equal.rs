//! A snapshot and an API server tell the same story: the same calls, one after the other, give the same receipts, denials, errors and values, word for word.
//!
//! Only what no two clusters share is made equal first: uids, versions, times, and what namespace and nodes are called.

use infraagent_guard::call::{
    Condition, Disposable, Get, Handle, List, Scalable, Select, Sync, Wait,
    Workload::{DaemonSet, Deployment, StatefulSet},
};
use infraagent_sandbox::notation;

use super::{
    reads::{list, object},
    *,
};

/// What happened, line by line.
struct Story<'e, E> {
    bench: Bench<'e, E>,
    lines: Vec<String>,
}

impl<'e, E: Cluster> Story<'e, E> {
    fn of(cluster: &'e E) -> Self {
        Self { bench: Bench::new(cluster), lines: Vec::new() }
    }

    fn line(&mut self, line: String) {
        let shop = self.bench.executor.shop();
        let line = line.replace(&format!("-{shop}"), "").replace(shop, "shop");
        self.lines.push(line);
    }

    /// Decides, and executes what is allowed.
    async fn change(&mut self, effect: Effect) {
        let told = match self.bench.permit(effect).await {
            Err(denied) => format!("denied {denied}"),
            Ok(permit) => {
                let call = Call::Mutation(permit.call().clone()).to_string();
                match self.bench.executor.execute(&permit, 7).await {
                    Ok(Receipt { audit_seq, changed, resource_version }) => {
                        format!("{call} -> {audit_seq} changed={changed} version={}", resource_version.is_some())
                    }
                    Err(error) => format!("{call} -> {error:?}"),
                }
            }
        };
        self.line(told);
    }

    async fn read(&mut self, action: &str, read: Read) {
        let call = Call::Read(read.clone()).to_string();
        let answer = self.bench.read(action, read).await;
        self.line(format!("{call} -> {answer:?}"));
    }

    /// Page after page. The tokens themselves differ.
    async fn pages(&mut self, mut query: List) {
        loop {
            let answer = self.bench.read("read", Read::List(query.clone())).await;
            let Ok(Answer::Page(page)) = answer else {
                self.line(format!("{answer:?}"));
                return;
            };
            self.line(format!("{} {} more={} cut={}", page.count, page.items, page.continue_token.is_some(), page.truncated));
            let Some(token) = page.continue_token else { return };
            query.continue_from = Some(Handle::parse(&token).unwrap());
        }
    }
}

fn select(pointers: &[&str]) -> Select {
    Select::parse(pointers.iter().map(|&pointer| pointer.to_owned()).collect()).unwrap()
}

/// The same objects, the same calls.
async fn shop<E: Cluster>(cluster: &E) -> Vec<String> {
    let mut story = Story::of(cluster);
    // Pages of every size, with and without selectors.
    for limit in [1, 2, 3, 6, 7, 8] {
        story
            .pages(List { limit, select: select(&["/spec/containers/0/image", "/status/phase", "/spec/containers/0/env"]), ..list("pods") })
            .await;
    }
    let selected = List {
        labels: notation::labels("app in (web,api),pod-template-hash!=77c4").unwrap(),
        fields: notation::fields("status.phase=Running").unwrap(),
        select: select(&["/metadata/labels"]),
        limit: 2,
        ..list("pods")
    };
    story.pages(selected).await;
    story.pages(List { select: select(&["/metadata/finalizers", "/metadata/name"]), ..list("services") }).await;
    for (field, kind) in [
        ("spec.secretName=a", "pods"),
        ("spec.replicas=1", "deployments.apps"),
        ("status.nothing=x", "kustomizations.kustomize.toolkit.fluxcd.io"),
    ] {
        story.pages(List { fields: notation::fields(field).unwrap(), ..list(kind) }).await;
    }
    for (kind, namespace, name) in [
        ("pods", Some("shop"), "web-9f4d-a"),
        ("pods", Some("shop"), "nothing"),
        ("pods", None, "web-9f4d-a"),
        ("deployments.apps", Some("shop"), "web"),
        ("jobs.batch", Some("shop"), "import"),
    ] {
        if namespace.is_some() {
            let wanted =
                select(&["/status/replicas", "/spec/replicas", "/status/succeeded", "/spec/containers/0/env", "/metadata/annotations"]);
            story.read("read", Read::Get(Get { object: object(kind, namespace, name), select: wanted })).await;
        }
    }
    let mut old = object("deployments.apps", Some("shop"), "web");
    old.kind.version = Some(infraagent_guard::call::ApiVersion::parse("v1beta1").unwrap());
    story.read("read", Read::Get(Get { object: old, select: Select::default() })).await;
    for (kind, name, condition) in [
        ("deployments.apps", "web", Condition::Ready),
        ("deployments.apps", "stuck", Condition::RolledOut),
        ("pods", "nothing", Condition::Gone),
        ("pods", "nothing", Condition::Ready),
        ("pods", "import-x", Condition::Completed),
        ("services", "nothing", Condition::Completed),
    ] {
        story.read("read", Read::Wait(Wait { object: object(kind, Some("shop"), name), condition, timeout_ms: 300 })).await;
    }

    let pod = evict(&story.bench, "web-9f4d-a").await;
    let job = delete(&story.bench, Disposable::Job, "import").await;
    for effect in [
        pod,
        Effect::Evict(ns("shop"), named("web-9f4d-b"), Uid::parse("another").unwrap()),
        restart(Deployment, "nothing"),
        restart(StatefulSet, "web"),
        restart(DaemonSet, "web"),
        scale(Scalable::Deployment, "web", 3),
        scale(Scalable::Deployment, "web", 3),
        Effect::Pause(ns("shop"), named("web"), true),
        Effect::Pause(ns("shop"), named("web"), true),
        restart(Deployment, "web"),
        rollback("web", 1),
        Effect::Pause(ns("shop"), named("web"), false),
        restart(Deployment, "web"),
        rollback("api", 2),
        rollback("api", 1),
        rollback("api", 99),
        Effect::Cordon(named("node-1"), true),
        Effect::Cordon(named("node-2"), true),
        Effect::Cordon(named("node-3"), true),
        Effect::RequestSync(Sync::FluxKustomization, ns("shop"), named("shop")),
        Effect::RequestSync(Sync::FluxKustomization, ns("shop"), named("other")),
        job.clone(),
        job,
    ] {
        story.change(effect).await;
    }
    story.lines
}

/// Each on clusters of its own, compared line by line.
async fn compare(one: Vec<String>, other: Vec<String>) {
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

#[tokio::test]
async fn the_shop_is_the_same() {
    let (snapshot, live) = (InMemory.load("shop").await, live::ApiServer.load("shop").await);
    compare(shop(&snapshot).await, shop(&live).await).await;
}

/// Every verb on every workload of a folder.
async fn everything<E: Cluster>(cluster: &E) -> Vec<String> {
    let mut story = Story::of(cluster);
    story.bench.declare("example.com/Store", "main");
    story.bench.declare("PersistentVolumeClaim", "archive");
    for (kind, scalable, disposable, words) in [
        (Deployment, Scalable::Deployment, Disposable::Deployment, "deployments.apps"),
        (StatefulSet, Scalable::StatefulSet, Disposable::StatefulSet, "statefulsets.apps"),
    ] {
        for workload in cluster.list(&GroupResource::parse(words).unwrap(), Some(cluster.shop())).await.unwrap() {
            let name = workload["metadata"]["name"].as_str().unwrap().to_owned();
            for effect in [restart(kind, &name), scale(scalable, &name, 0), scale(scalable, &name, 1), scale(scalable, &name, 9)] {
                let answer = story.bench.permit(effect.clone()).await.map(drop);
                story.line(format!("{name} {effect:?} {answer:?}"));
            }
            for effect in
                [Effect::Pause(ns("shop"), named(&name), true), Effect::Pause(ns("shop"), named(&name), false), rollback(&name, 1)]
            {
                let answer = story.bench.permit(effect.clone()).await.map(drop);
                story.line(format!("{name} {effect:?} {answer:?}"));
            }
            let answer = story.bench.permit(delete(&story.bench, disposable, &name).await).await.map(drop);
            story.line(format!("delete {name} {answer:?}"));
        }
    }
    for pod in cluster.list(&GroupResource::parse("pods").unwrap(), Some(cluster.shop())).await.unwrap() {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        for effect in [evict(&story.bench, &name).await, delete(&story.bench, Disposable::Pod, &name).await] {
            let answer = story.bench.permit(effect).await.map(drop);
            story.line(format!("end {name} {answer:?}"));
        }
    }
    story.lines
}

#[tokio::test]
async fn every_consequence_is_the_same() {
    for folder in ["claim-retention", "database-operator", "declared-data", "dependants", "ephemeral-volume", "terminating-claim", "shop"] {
        let (snapshot, live) = (InMemory.load(folder).await, live::ApiServer.load(folder).await);
        let (one, other) = (everything(&snapshot).await, everything(&live).await);
        assert!(one.iter().any(|line| line.contains("Ok(")), "{folder} has harmless changes");
        compare(one, other).await;
    }
}
