//! The Lease of this replica: while it is renewed, this replica's runs are its own.
//!
//! Each process has a Lease of its own, never one of a process before it: a holder is named by the Lease's uid, so a restarted pod does not inherit runs.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_api::run::RECORD_VERSION;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::{Error, Operator, Timings};
use crate::{
    broker::fence::Tenure,
    clock::Clock,
    telemetry::{
        health::{Gate, Pulse},
        metrics::Metrics,
    },
};

/// The label of Leases by what they are for.
pub(crate) const LABEL: &str = "infraagent.io/lease";
/// The value of the label of a replica's Lease.
pub(crate) const REPLICA: &str = "replica";
/// The newest layout of a record that the replica knows.
pub(crate) const RECORD: &str = "infraagent.io/record-version";
/// The replica takes no more runs.
pub(crate) const DRAINING: &str = "infraagent.io/draining";

/// Name and uid of a replica's Lease: who holds a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaseRef {
    pub(super) name: String,
    pub(super) uid: String,
}

/// Renews this replica's Lease.
pub(super) struct Heartbeat {
    api: Api<Lease>,
    lease: LeaseRef,
    tenure: Arc<Tenure>,
    lost: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Heartbeat {
    /// Creates the Lease and begins to renew it.
    pub(super) async fn start(operator: &Operator) -> Result<Self, Error> {
        let namespace = operator.connection.operator_namespace.as_str();
        let api = Api::<Lease>::namespaced(operator.connection.leases.clone(), namespace);
        let timings = operator.settings.timings;
        let failed = |message: String| Error::NoLease { namespace: namespace.to_owned(), message };
        let asked = operator.clock.elapsed();
        let new = lease(&operator.settings.identity, timings, operator.clock.now());
        let made = api.create(&PostParams { field_manager: Some(super::MANAGER.to_owned()), ..PostParams::default() }, &new).await;
        let made = made.map_err(|error| failed(super::conditions::said(&error)))?;
        let (Some(name), Some(uid)) = (made.metadata.name, made.metadata.uid) else {
            return Err(failed("the API server answers with a Lease that has no uid".to_owned()));
        };
        let tenure = Arc::new(Tenure::new(operator.clock.clone()));
        tenure.renewed(asked, timings.good_for());
        let lease = LeaseRef { name, uid };
        let (tell, lost) = watch::channel(false);
        let gate = operator.health.gate("lease");
        gate.open_until(Instant::now() + timings.lease);
        operator.metrics.lease_renewed();
        let signs = Signs { gate, pulse: operator.health.task("heartbeat", timings.lease), metrics: operator.metrics.clone() };
        let task = tokio::spawn(renew(api.clone(), lease.clone(), Arc::clone(&tenure), operator.clock.clone(), timings, tell, signs));
        Ok(Self { api, lease, tenure, lost, task })
    }

    pub(super) fn tenure(&self) -> Arc<Tenure> {
        Arc::clone(&self.tenure)
    }

    pub(super) fn lease(&self) -> &LeaseRef {
        &self.lease
    }

    /// Waits until the Lease is lost for good.
    pub(super) async fn lost(&self) -> Error {
        let mut lost = self.lost.clone();
        let _ = lost.wait_for(|lost| *lost).await;
        Error::LeaseLost(self.lease.name.clone())
    }

    /// Tells that this replica takes no more runs.
    pub(super) async fn draining(&self) {
        let patch = json!({ "metadata": { "uid": self.lease.uid, "annotations": { DRAINING: "true" } } });
        if let Err(error) = self.api.patch(&self.lease.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            tracing::warn!(%error, "the Lease could not be marked as draining");
        }
    }

    /// Removes the Lease: nothing is held any more.
    pub(super) async fn end(self) {
        self.task.abort();
        self.tenure.stop();
        let preconditions = Preconditions { uid: Some(self.lease.uid.clone()), resource_version: None };
        let parameters = DeleteParams::default().preconditions(preconditions);
        match timeout(Duration::from_secs(3), self.api.delete(&self.lease.name, &parameters)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the Lease of this replica could not be removed"),
            Err(_) => tracing::warn!("the Lease of this replica could not be removed in time"),
        }
    }
}

/// What shows others that the Lease is renewed.
struct Signs {
    gate: Gate,
    pulse: Pulse,
    metrics: Metrics,
}

async fn renew(
    api: Api<Lease>,
    lease: LeaseRef,
    tenure: Arc<Tenure>,
    clock: Clock,
    timings: Timings,
    tell: watch::Sender<bool>,
    signs: Signs,
) {
    let mut ticks = tokio::time::interval(timings.renewal());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        signs.pulse.beat();
        let asked = clock.elapsed();
        let patch = json!({ "metadata": { "uid": lease.uid }, "spec": { "renewTime": MicroTime(clock.now()) } });
        match timeout(timings.renewal(), api.patch(&lease.name, &PatchParams::default(), &Patch::Merge(patch))).await {
            Ok(Ok(_)) => {
                tenure.renewed(asked, timings.good_for());
                signs.gate.open_until(Instant::now() + timings.lease);
                signs.metrics.lease_renewed();
            }
            // Gone, or another one under the same name.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 || status.code == 409 => {
                tenure.lost();
                signs.gate.close("the Lease is gone");
                tell.send_replace(true);
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the Lease of this replica could not be renewed"),
            Err(_) => tracing::warn!("the Lease of this replica could not be renewed in time"),
        }
    }
}

fn lease(identity: &str, timings: Timings, now: Timestamp) -> Lease {
    let stem: String =
        identity.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }).take(200).collect();
    let unique: String = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
    let annotations: BTreeMap<_, _> = [(RECORD.to_owned(), RECORD_VERSION.to_string())].into();
    let seconds = i32::try_from(timings.lease.as_secs().max(1)).unwrap_or(i32::MAX);
    Lease {
        metadata: ObjectMeta {
            name: Some(format!("infraagent-{stem}-{unique}")),
            labels: Some([(LABEL.to_owned(), REPLICA.to_owned())].into()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: Some(seconds),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}
