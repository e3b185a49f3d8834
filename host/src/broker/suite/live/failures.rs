//! What goes wrong between the host and the API server, and that the record tells the truth about it: one request for one intent, and an outcome that is only
//! called a failure if nothing happened.

use infraagent_api::run::ActionStatus;
use infraagent_guard::call::{Scalable::Deployment as ScaleDeployment, Workload::Deployment};
use infraagent_tests::AuditEvent;
use k8s_openapi::api::apps::v1::Deployment as Object;
use kube::api::{Patch, PatchParams};

use super::{
    proxy::{Proxy, Wire},
    *,
};
use crate::audit::{FileSink, Journal, MutationOutcome, Recorded, Redactor, Setup, Sink, ToolEntry, ToolOutcome};

/// A run with its record in a file, on a cluster behind a wire.
struct Run {
    live: Live,
    proxy: Proxy,
    journal: Arc<Journal>,
    tool: ToolEntry,
    _folder: tempfile::TempDir,
}

impl Run {
    async fn new() -> Self {
        let direct = ApiServer.load("shop").await;
        let proxy = Proxy::before(&direct.config).await;
        let live = Live::of(direct.plane, direct.shop.clone(), proxy.config(&direct.config), "run-1").await;
        let uid = &live.kubernetes.scope().run;
        let folder = tempfile::tempdir().unwrap();
        let run = serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": {"name": "run-1", "namespace": live.shop, "uid": uid},
            "spec": {"agentRef": "web", "environmentRef": "lab", "trigger": "manual"},
        }))
        .unwrap();
        let sink = Sink::File(FileSink::new(folder.path().join("run.agentrun.json")).unwrap());
        let setup = Setup { redactor: Arc::new(Redactor::new([""; 0])), key: None, entries: 64, now: Timestamp::now };
        let journal = Journal::open(sink, run, setup).await.unwrap();
        let tool = journal.tool("tool", "", "tool {}").await.unwrap();
        Self { live, proxy, journal, tool, _folder: folder }
    }

    async fn intend(&self, effect: Effect) -> Recorded<Permit<Mutation>> {
        let permit = Bench::new(&self.live).permit(effect).await.unwrap();
        self.tool.intend(permit).await.unwrap()
    }

    /// Executes, and records what came of it.
    async fn execute(&self, recorded: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        let seq = recorded.seq();
        let outcome = self.live.kubernetes.mutate(recorded).await;
        self.tool.outcome(seq, MutationOutcome::of(&outcome)).await.unwrap();
        outcome
    }

    /// The last change of the record.
    async fn status(&self) -> ActionStatus {
        let actions = self.journal.document().await.status.unwrap().actions;
        actions.last().unwrap().status
    }

    async fn replicas(&self) -> i32 {
        let api = Api::<Object>::namespaced(self.live.plane.admin().await, &self.live.shop);
        api.get("web").await.unwrap().spec.unwrap().replicas.unwrap()
    }

    /// What the API server knows of this run's intents.
    async fn known(&self) -> Vec<(String, u16)> {
        known(&self.live.plane.audit_events().await, &self.live.kubernetes.scope().run)
    }
}

fn known(events: &[AuditEvent], run: &str) -> Vec<(String, u16)> {
    let mine = |event: &&AuditEvent| event.intent().is_some_and(|intent| intent.starts_with(&format!("{run}/")));
    let mut known: Vec<_> = events.iter().filter(mine).map(|event| (event.intent().unwrap_or_default().to_owned(), event.code())).collect();
    known.sort();
    known
}

#[tokio::test]
async fn gone_between_intent_and_effect_nothing_happened_and_the_record_says_so() {
    let run = Run::new().await;
    let intended = run.intend(scale(ScaleDeployment, "web", 5)).await;
    let Run { live, proxy, journal, tool, _folder } = run;
    proxy.cut().await;
    let seq = intended.seq();
    let outcome = live.kubernetes.mutate(intended).await;
    assert!(matches!(&outcome, Err(CallError::Unavailable { message, .. }) if message.contains("nothing was sent")), "{outcome:?}");
    tool.outcome(seq, MutationOutcome::of(&outcome)).await.unwrap();
    assert_eq!(journal.document().await.status.unwrap().actions.last().unwrap().status, ActionStatus::Failed);
    assert_eq!(known(&live.plane.audit_events().await, &live.kubernetes.scope().run), []);
}

#[tokio::test]
async fn a_request_that_was_lost_on_its_way_has_an_unknown_outcome() {
    let run = Run::new().await;
    let intended = run.intend(scale(ScaleDeployment, "web", 5)).await;
    run.proxy.is(Wire::LosesRequests);
    let outcome = run.execute(intended).await;
    assert!(matches!(outcome, Err(CallError::Internal(_))), "{outcome:?}");
    assert_eq!((run.status().await, run.replicas().await), (ActionStatus::Unknown, 2));
    assert_eq!(run.known().await, []);
}

#[tokio::test]
async fn an_answer_that_was_lost_leaves_an_unknown_outcome_and_one_request() {
    let run = Run::new().await;
    // A connection that was used before is the one that could be tried again.
    run.execute(run.intend(scale(ScaleDeployment, "web", 3)).await).await.unwrap();
    let intended = run.intend(scale(ScaleDeployment, "web", 5)).await;
    let (first, second) = (intended.seq() - 1, intended.seq());
    run.proxy.is(Wire::LosesAnswers);
    let outcome = run.execute(intended).await;
    assert!(matches!(outcome, Err(CallError::Internal(_))), "{outcome:?}");
    let uid = run.live.kubernetes.scope().run.clone();
    run.live.plane.await_audit_events("the change", |event| event.intent() == Some(&format!("{uid}/{second}"))).await;
    assert_eq!((run.status().await, run.replicas().await), (ActionStatus::Unknown, 5), "it did happen");
    assert_eq!(run.known().await, [(format!("{uid}/{first}"), 200), (format!("{uid}/{second}"), 200)]);
}

#[tokio::test]
async fn the_audit_log_of_the_api_server_and_the_record_have_the_same_intents() {
    let run = Run::new().await;
    let bench = Bench::new(&run.live);
    let effects = [
        scale(ScaleDeployment, "web", 4),
        restart(Deployment, "web"),
        rollback("api", 1),
        evict(&bench, "web-9f4d-a").await,
        evict(&bench, "api-66d8-a").await,
        Effect::Pause(ns("shop"), named("stuck"), true),
    ];
    for effect in effects {
        let _ = run.execute(run.intend(effect).await).await;
    }
    // And one that comes too late.
    let late = run.intend(restart(Deployment, "web")).await;
    let touched = Patch::Merge(json!({"metadata": {"labels": {"touched": "yes"}}}));
    let web = Api::<Object>::namespaced(run.live.plane.admin().await, &run.live.shop);
    web.patch("web", &PatchParams::default(), &touched).await.unwrap();
    assert!(matches!(run.execute(late).await, Err(CallError::Conflict(_))));

    run.tool.close(ToolOutcome::Executed { result: String::new() }).await.unwrap();
    let actions = run.journal.document().await.status.unwrap().actions;
    let uid = &run.live.kubernetes.scope().run;
    let changes: Vec<_> = actions.iter().filter(|action| action.object_version.is_some()).collect();
    let mut recorded: Vec<_> = changes
        .iter()
        .map(|action| {
            let code = match (action.status, action.reason.as_deref()) {
                (ActionStatus::Executed, _) => 200,
                (_, Some("conflict")) => 409,
                (_, Some("unavailable")) => 429,
                other => panic!("{other:?}"),
            };
            (format!("{uid}/{}", action.seq), code)
        })
        .collect();
    recorded.sort();
    let known: Vec<_> = run.known().await.into_iter().map(|(intent, code)| (intent, if code == 201 { 200 } else { code })).collect();
    assert_eq!(known, recorded);
    assert_eq!(known.len(), 7);
}

#[tokio::test]
async fn of_many_that_decided_on_the_same_version_one_acts_and_nobody_tries_again() {
    let run = Arc::new(Run::new().await);
    let mut intended = Vec::new();
    for replicas in 10..18 {
        intended.push(run.intend(scale(ScaleDeployment, "web", replicas)).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for one in intended {
        let run = Arc::clone(&run);
        tasks.spawn(async move { run.live.kubernetes.mutate(one).await });
    }
    let outcomes = tasks.join_all().await;
    let changed = outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(|receipt| receipt.changed)).count();
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(CallError::Conflict(_)))).count();
    assert_eq!((changed, conflicts), (1, 7), "{outcomes:?}");
    let known = run.known().await;
    assert_eq!(known.len(), 8, "one request each");
    assert_eq!(known.iter().filter(|(_, code)| *code == 409).count(), 7);
}

#[tokio::test]
async fn another_object_of_the_same_name_is_not_the_one_that_was_decided_on() {
    let run = Run::new().await;
    let intended = run.intend(restart(Deployment, "stuck")).await;
    let api = Api::<Object>::namespaced(run.live.plane.admin().await, &run.live.shop);
    let mut again = api.get("stuck").await.unwrap();
    api.delete("stuck", &Default::default()).await.unwrap();
    again.metadata = kube::api::ObjectMeta { name: again.metadata.name, labels: again.metadata.labels, ..Default::default() };
    api.create(&PostParams::default(), &again).await.unwrap();
    let outcome = run.execute(intended).await;
    assert!(matches!(outcome, Err(CallError::Conflict(_))), "{outcome:?}");
    let template = api.get("stuck").await.unwrap().spec.unwrap().template;
    assert_eq!(template.metadata.unwrap().annotations, None);
}

#[tokio::test]
async fn facts_that_cannot_be_gathered_deny() {
    let run = Run::new().await;
    let Run { live, proxy, .. } = run;
    proxy.cut().await;
    let bench = Bench::new(&live);
    bench.unknown(restart(Deployment, "web"), "target: get serviceaccounts: the API server does not answer").await;
}

#[tokio::test]
async fn a_rehearsal_is_checked_by_the_api_server_and_changes_nothing() {
    let run = Run::new().await;
    let bench = Bench::new(&run.live);
    let receipt = run.live.kubernetes.rehearse(run.intend(scale(ScaleDeployment, "web", 5)).await).await.unwrap();
    assert!(receipt.changed);
    let receipt = run.live.kubernetes.rehearse(run.intend(evict(&bench, "api-66d8-a").await).await).await.unwrap();
    assert!(receipt.changed);
    let gone = delete(&bench, Disposable::Deployment, "stuck").await;
    assert!(run.live.kubernetes.rehearse(run.intend(gone).await).await.unwrap().changed);
    let late = run.intend(scale(ScaleDeployment, "web", 5)).await;
    run.execute(run.intend(scale(ScaleDeployment, "web", 6)).await).await.unwrap();
    assert!(matches!(run.live.kubernetes.rehearse(late).await, Err(CallError::Conflict(_))));
    assert_eq!(run.replicas().await, 6);
    assert!(bench.object("deployments.apps", "stuck").await.is_some());
    assert!(bench.object("pods", "api-66d8-a").await.unwrap()["metadata"].get("deletionTimestamp").is_none());
}
