//! Several writers of one record on a real API server, whose rules hold beside the preconditions of each write.

use std::collections::BTreeSet;

use infraagent_api::AgentRun;
use infraagent_tests::{config_of, control_plane};
use kube::{Api, api::PostParams};
use tokio::task::JoinSet;

use super::*;
use crate::audit::{
    AuditKey, Document, Error as AuditError, Journal, Sink, ToolOutcome,
    tests::support::{closing, run, setup},
    verify::{Answer, verify},
};

/// A run without a record, and how to write it.
struct Order {
    config: kube::Config,
    object: AgentRun,
    key: Arc<AuditKey>,
}

impl Order {
    async fn new() -> Self {
        let plane = control_plane();
        plane.install_crds().await;
        let config = config_of(plane.kubeconfig()).await;
        let mut order = run("none");
        (order.metadata.uid, order.status) = (None, None);
        order.metadata.namespace = Some(plane.namespace("writers").await);
        let namespace = order.metadata.namespace.clone().unwrap();
        let runs = Api::<AgentRun>::namespaced(plane.admin().await, &namespace);
        let object = runs.create(&PostParams::default(), &order).await.unwrap();
        Self { config, object, key: Arc::new(AuditKey::generate().unwrap()) }
    }

    fn runs(&self) -> Api<AgentRun> {
        let client = kube::Client::try_from(self.config.clone()).unwrap();
        Api::namespaced(client, self.object.metadata.namespace.as_deref().unwrap())
    }

    /// A writer that takes the object for one of this version without a record.
    fn sink(&self, resource_version: &str) -> Sink {
        let mut config = self.config.clone();
        config.default_retry = false;
        let metadata = &self.object.metadata;
        let [namespace, name, uid] = [&metadata.namespace, &metadata.name, &metadata.uid].map(|text| text.as_deref().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        Sink::Cluster(ClusterSink::holding(client, namespace, name, uid, resource_version.to_owned()))
    }

    async fn open(&self, resource_version: &str) -> Result<Arc<Journal>, AuditError> {
        Journal::open(self.sink(resource_version), self.object.clone(), setup(Arc::clone(&self.key), 20)).await
    }

    /// The targets of the record's entries, and whether it is what one writer signed.
    async fn found(&self) -> (Vec<String>, bool) {
        let object = self.runs().get(self.object.metadata.name.as_deref().unwrap()).await.unwrap();
        let entries = object.status.clone().unwrap().actions.into_iter().map(|entry| entry.target).collect();
        let document = Document::from_value(serde_json::to_value(object).unwrap()).unwrap();
        let report = verify(&document, Some(&self.key.public()), None);
        (entries, report.closed && matches!(report.authentic, Answer::Yes(_)))
    }
}

/// A tool call about `name`, written.
async fn note(journal: &Arc<Journal>, name: &str) -> Result<(), AuditError> {
    let tool = journal.tool("look", name, "look {}").await?;
    tool.close(ToolOutcome::Executed { result: "seen".to_owned() }).await?;
    journal.flush().await
}

#[tokio::test]
async fn of_many_that_begin_the_same_record_one_writes_it_and_nothing_of_the_others_is_in_it() {
    let order = Arc::new(Order::new().await);
    let version = order.object.metadata.resource_version.clone().unwrap();
    let mut writers = JoinSet::new();
    for number in 0..6 {
        let (order, version) = (Arc::clone(&order), version.clone());
        writers.spawn(async move {
            let journal = order.open(&version).await.map_err(|error| error.to_string())?;
            note(&journal, &format!("web-{number}")).await.map_err(|error| error.to_string())?;
            journal.finish(closing()).await.map_err(|error| error.to_string())?;
            Ok::<_, String>(format!("web-{number}"))
        });
    }
    let (wrote, lost): (Vec<_>, Vec<_>) = writers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((wrote.len(), lost.len()), (1, 5), "{lost:?}");
    let why: BTreeSet<_> = lost.into_iter().map(Result::unwrap_err).collect();
    assert!(why.iter().all(|why| why.contains("no longer held by this run: somebody else wrote its status")), "{why:?}");
    assert_eq!(order.found().await, (vec![wrote[0].clone().unwrap()], true));
}

#[tokio::test]
async fn whoever_knows_the_version_but_not_the_record_is_refused_and_its_writer_goes_on() {
    let order = Order::new().await;
    let journal = order.open(&order.object.metadata.resource_version.clone().unwrap()).await.unwrap();
    note(&journal, "web").await.unwrap();
    // It has seen the newest version, so no precondition keeps it away: it would begin the record anew.
    let now = order.runs().get(order.object.metadata.name.as_deref().unwrap()).await.unwrap();
    let error = order.open(&now.metadata.resource_version.unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("could not be written"), "{error}");
    note(&journal, "api").await.unwrap();
    journal.finish(closing()).await.unwrap();
    assert_eq!(order.found().await, (vec!["web".to_owned(), "api".to_owned()], true));
}
