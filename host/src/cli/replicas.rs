//! The operator as its Leases show it: who leads, and which replicas take runs.

use infraagent_api::run::RECORD_VERSION;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use serde::Serialize;

use super::cluster::{Cluster, Scope, Trouble};
use crate::operator::{DRAINING, LEADER_LEASE, LEASE_LABEL, RECORD, REPLICA};

/// How long a Lease holds that does not say it.
const USUAL: i64 = 30;

/// The operator's Leases, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// Who leads; none if nobody does.
    pub leader: Option<Held>,
    /// Those that have a Lease, by name.
    pub replicas: Vec<Replica>,
}

/// A Lease that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Who.
    pub holder: String,
    /// Seconds since it was renewed, by the times that are written in it.
    pub silent_seconds: i64,
    /// It was not renewed for as long as it holds.
    pub has_run_out: bool,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// Name of its Lease.
    pub lease: String,
    /// What it calls itself.
    pub identity: String,
    /// Seconds since it was renewed.
    pub silent_seconds: i64,
    /// Whether it takes runs: `yes`, `no: it drains`, `no: it is silent`, `only of an older record layout`.
    pub takes_runs: &'static str,
}

impl Replica {
    /// Whether it takes runs.
    pub fn serves(&self) -> bool {
        self.takes_runs == TAKES
    }
}

const TAKES: &str = "yes";

impl Replicas {
    /// Reads the Leases of the operator in a namespace. `now` is the time of the API server.
    pub async fn read(cluster: &Cluster, namespace: &str, now: Timestamp) -> Result<Self, Trouble> {
        let leases = cluster.list::<Lease>(&Scope::One(namespace.to_owned()), &ListParams::default()).await?;
        Ok(Self::of(&leases, now))
    }

    fn of(leases: &[Lease], now: Timestamp) -> Self {
        let is_replica =
            |lease: &&Lease| lease.metadata.labels.as_ref().and_then(|labels| labels.get(LEASE_LABEL)).is_some_and(|of| of == REPLICA);
        let name = |lease: &Lease| lease.metadata.name.clone().unwrap_or_default();
        let leader = leases.iter().find(|lease| lease.metadata.name.as_deref() == Some(LEADER_LEASE));
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty());
        let leader = leader.and_then(|lease| {
            let (silent_seconds, has_run_out) = silence(lease, now);
            Some(Held { holder: holder(lease)?, silent_seconds, has_run_out })
        });
        let replica = |lease: &Lease| {
            let (silent_seconds, has_run_out) = silence(lease, now);
            let annotation = |key: &str| lease.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
            let layout: i32 = annotation(RECORD).and_then(|text| text.parse().ok()).unwrap_or(1);
            let takes_runs = match (has_run_out, annotation(DRAINING).is_some(), layout < RECORD_VERSION) {
                (true, _, _) => "no: it is silent",
                (false, true, _) => "no: it drains",
                (false, false, true) => "only of an older record layout",
                (false, false, false) => TAKES,
            };
            Replica { lease: name(lease), identity: holder(lease).unwrap_or_default(), silent_seconds, takes_runs }
        };
        let mut replicas: Vec<Replica> = leases.iter().filter(is_replica).map(replica).collect();
        replicas.sort_by(|a, b| a.lease.cmp(&b.lease));
        Self { leader, replicas }
    }
}

/// Seconds since a Lease was renewed, and whether that is too long. Clocks differ by some seconds, so only twice its duration is.
fn silence(lease: &Lease, now: Timestamp) -> (i64, bool) {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let duration = spec.and_then(|spec| spec.lease_duration_seconds).map_or(USUAL, i64::from);
    let silent = now.duration_since(renewed).max(SignedDuration::ZERO).as_secs();
    (silent, silent > duration.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lease(name: &str, labels: Value, annotations: Value, holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels, "annotations": annotations },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 30, "renewTime": renewed },
        }))
        .unwrap()
    }

    #[test]
    fn leases_say_who_leads_and_who_takes_runs() {
        let replica = json!({ LEASE_LABEL: REPLICA });
        let leases = [
            lease("cooldown-1", json!({}), json!({}), "x", "2026-11-22T10:00:00.000000Z"),
            lease("r-draining", replica.clone(), json!({ DRAINING: "true" }), "three", "2026-11-22T09:59:55.000000Z"),
            lease("r-alive", replica.clone(), json!({ RECORD: RECORD_VERSION.to_string() }), "one", "2026-11-22T09:59:55.000000Z"),
            lease("r-dead", replica, json!({}), "two", "2026-11-22T09:50:00.000000Z"),
            lease(LEADER_LEASE, json!({}), json!({}), "r-alive", "2026-11-22T09:59:58.000000Z"),
        ];
        let seen = Replicas::of(&leases, "2026-11-22T10:00:00Z".parse().unwrap());
        assert_eq!(seen.leader, Some(Held { holder: "r-alive".to_owned(), silent_seconds: 2, has_run_out: false }));
        let replicas: Vec<_> = seen.replicas.iter().map(|replica| (replica.lease.as_str(), replica.takes_runs)).collect();
        assert_eq!(replicas, [("r-alive", "yes"), ("r-dead", "no: it is silent"), ("r-draining", "no: it drains")]);
        let released = lease(LEADER_LEASE, json!({}), json!({}), "", "2026-11-22T09:59:58.000000Z");
        assert_eq!(Replicas::of(&[released], "2026-11-22T10:00:00Z".parse().unwrap()).leader, None);
    }
}
