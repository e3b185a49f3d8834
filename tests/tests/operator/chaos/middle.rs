//! Runs in the middle: one change is made, and the model's next answer waits at a gate of the test, so that it comes exactly when the test wants it.

use infraagent_api::{
    AgentRun,
    run::{ActionRecord, ActionStatus, RunPhase},
};
use infraagent_tests::{Replica, eventually, model_server::Gate};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::json;

use crate::{
    chaos::fleet::changes,
    lab::{Lab, actions, ending, phase},
};

/// A run in the middle. It, its agent and its Deployment are called the same.
#[derive(Debug)]
pub(crate) struct Halted {
    pub(crate) name: String,
    gate: Gate,
}

impl Halted {
    /// The model says what it has to say: the next change, and then the others.
    pub(crate) fn go_on(&self) {
        self.gate.open();
    }
}

/// What there was when a run was closed by somebody who did not execute it.
#[derive(Debug)]
pub(crate) struct Closed {
    record: AgentRun,
    generation: Option<i64>,
}

/// Orders runs until each of these replicas holds so many that are in the middle.
pub(crate) async fn in_the_middle<const N: usize>(lab: &Lab<'_>, replicas: &[Replica; N], each: usize) -> [Vec<Halted>; N] {
    let mut all = [const { Vec::new() }; N];
    let mut ordered = 0;
    while all.iter().any(|halted: &Vec<Halted>| halted.len() < each) {
        ordered += 1;
        assert!(ordered < 50, "the leader gives no runs to some of these replicas: {all:?}");
        let halted = Halted { name: lab.plane.unique("web-halted"), gate: Gate::default() };
        lab.deployment(&halted.name).await;
        let plan = changes(&lab.namespace, &halted.name).held(1, &halted.gate);
        lab.agent_with(&halted.name, plan, json!({"reporting": {"onFailure": "notify"}})).await;
        lab.order(&halted.name, &halted.name, json!({})).await;
        halted.gate.reached().await;
        let run = lab.run_that(&halted.name, "knows what became of its change", |run| changes_of(run).count() == 1).await;
        if made(&run) == 1 {
            all[holder(&run, replicas)].push(halted);
        } else {
            // A controller wrote to the Deployment in between.
            lab.succeed(&[halted]).await;
        }
    }
    all
}

/// The changes of a run of which it is known what became of them.
fn changes_of(run: &AgentRun) -> impl Iterator<Item = &ActionRecord> {
    actions(run).iter().filter(|entry| entry.object_version.is_some() && entry.status != ActionStatus::Intended)
}

/// How many changes were made.
fn made(run: &AgentRun) -> usize {
    changes_of(run).filter(|entry| entry.status == ActionStatus::Executed).count()
}

/// On which of the replicas a run is.
pub(crate) fn holder(run: &AgentRun, replicas: &[Replica]) -> usize {
    let lease = &run.status.as_ref().unwrap().holder.as_ref().expect("a run that is assigned").lease;
    replicas.iter().position(|replica| is_of(lease, replica)).expect("a replica that is known")
}

/// Whether a Lease, by its name, is that of the replica.
pub(crate) fn is_of(lease: &str, replica: &Replica) -> bool {
    is_called(lease, replica.identity())
}

fn is_called(lease: &str, identity: &str) -> bool {
    lease.starts_with(&format!("infraagent-{identity}-"))
}

impl Lab<'_> {
    /// Waits until somebody else has closed these runs of a lost replica.
    pub(crate) async fn interrupted(&self, lost: &[Halted]) -> Vec<Closed> {
        let mut closed = Vec::new();
        for Halted { name, gate: _ } in lost {
            let record = self.ended(name).await;
            assert_eq!(ending(&record), (RunPhase::Failed, "Interrupted".to_owned()), "{name}: {:?}", record.status);
            assert_eq!(made(&record), 1, "{name}: {:?}", record.status);
            closed.push(Closed { generation: self.generation(name).await, record });
        }
        closed
    }

    /// Nothing was added to these runs, and nothing changed for them.
    pub(crate) async fn are_as_they_were(&self, closed: &[Closed]) {
        for Closed { record, generation } in closed {
            let name = record.name_any();
            assert_eq!(self.runs().get(&name).await.unwrap(), *record, "the record of {name} is closed");
            assert_eq!(self.generation(&name).await, *generation, "nothing was changed for {name}");
            let said = self.verify(&name).await;
            assert_eq!(said["authentic"]["answer"], "yes", "{name}: {said}");
            // Whoever closed it told people how it ended, and nobody told them anything else.
            let told = self.events_about(&name).await;
            let [event] = told.as_slice() else { panic!("{name}: {told:?}") };
            assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Normal"), Some("RunFailed")), "{name}: {event:?}");
            assert!(event.message.as_ref().is_some_and(|note| note.ends_with("is gone")), "{name}: {event:?}");
        }
    }

    /// Waits until this replica executes nothing: what it held it has let go.
    pub(crate) async fn has_let_go(&self, replica: &Replica) {
        let none = format!("infraagent_active_runs{{namespace=\"{}\"}} 0", self.namespace);
        let none = &none;
        eventually(
            "a replica without runs",
            || async move { replica.ask("--metrics-address", "/metrics").await?.contains(none).then_some(()) },
        )
        .await;
    }

    /// Lets these runs go on: all of them succeed. A change may find that a controller was faster.
    pub(crate) async fn succeed(&self, whole: &[Halted]) {
        whole.iter().for_each(Halted::go_on);
        for Halted { name, gate: _ } in whole {
            let run = self.ended(name).await;
            assert_eq!((phase(&run), changes_of(&run).count()), (RunPhase::Succeeded, 4), "{name}: {:?}", run.status);
            // What is not resumed for that reason cannot be restarted.
            let overtaken = |entry: &ActionRecord| matches!(entry.reason.as_deref(), Some("conflict" | "invalid"));
            let fine = |entry: &ActionRecord| entry.status == ActionStatus::Executed || overtaken(entry);
            assert!(changes_of(&run).all(fine), "{name}: {:?}", run.status);
        }
    }

    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.operator.home)
    }

    /// The resourceVersion of the Lease of a replica, if there is one.
    pub(crate) async fn renewal(&self, identity: &str) -> Option<String> {
        let named = ListParams::default().labels("infraagent.io/lease=replica");
        let all = self.leases().list(&named).await.unwrap().items;
        all.into_iter().find(|lease| is_called(&lease.name_any(), identity))?.resource_version()
    }

    /// Waits until there are so many replicas.
    pub(crate) async fn replicas(&self, count: usize) {
        let (leases, named) = (&self.leases(), &ListParams::default().labels("infraagent.io/lease=replica"));
        eventually("all replicas", || async move { (leases.list(named).await.ok()?.items.len() >= count).then_some(()) }).await;
    }

    /// Waits until every replica has renewed its Lease twice: it knows of the first time at the latest when it does it again.
    pub(crate) async fn replicas_are_back(&self) {
        let (leases, named) = (&self.leases(), &ListParams::default().labels("infraagent.io/lease=replica"));
        let renewed = async |before: &[(String, String)]| {
            eventually("a renewal by every replica", || async move {
                let all = leases.list(named).await.ok()?.items;
                let now: Vec<_> = all.iter().map(|lease| (lease.name_any(), lease.resource_version().unwrap_or_default())).collect();
                before.iter().all(|known| !now.contains(known)).then_some(now)
            })
            .await
        };
        let before = renewed(&[]).await;
        let first = renewed(&before).await;
        renewed(&first).await;
    }

    /// Calls a replica back with `wake`, and waits for a sign of it: it renews its Lease, or it finds that this is gone and ends, as it must. True if it goes on.
    pub(crate) async fn comes_back(&self, replica: &mut Replica, wake: impl FnOnce(&Replica)) -> bool {
        let identity = &replica.identity().to_owned();
        let before = &self.renewal(identity).await;
        wake(replica);
        let replica = &std::cell::RefCell::new(replica);
        eventually("a sign of the replica that was away", || async move {
            if !replica.borrow_mut().is_alive() {
                return Some(false);
            }
            let now = self.renewal(identity).await;
            (now.is_some() && now != *before).then_some(true)
        })
        .await
    }
}
