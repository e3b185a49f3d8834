//! Cooldowns that all agents of a cluster share: one Lease for each target and verb, in the operator's namespace.
//!
//! `acquireTime` is when the action was last used, `holderIdentity` the run that used it. A Lease is written under the condition that it is as it was read (or that
//! it is not there), so of two that take the same cooldown one is refused by the API server. Without a write nothing is taken, and without a taken cooldown
//! nothing is done.

use infraagent_guard::name::Namespace;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, PostParams, Preconditions},
};
use sha2::{Digest, Sha256};

use super::{CooldownKey, NotNow, remaining};

/// The label of every Lease that is a cooldown, so that they can be listed and cleaned up.
pub const LABEL: (&str, &str) = ("infraagent.io/lease", "cooldown");
const TARGET: &str = "infraagent.io/target";
const VERB: &str = "infraagent.io/verb";

/// The cooldowns of a cluster, as one run uses them.
pub struct Leases {
    api: Api<Lease>,
    namespace: Namespace,
    run: String,
}

/// A cooldown that was taken, as it was written, and as it was before.
#[derive(Debug)]
pub(super) struct Written {
    now: Lease,
    before: Option<Timestamp>,
}

impl Leases {
    /// Leases in `namespace`, written for the run with this uid. The client must not try anything twice.
    pub fn new(client: kube::Client, namespace: Namespace, run: &str) -> Self {
        Self { api: Api::namespaced(client, namespace.as_str()), namespace, run: run.to_owned() }
    }

    pub(super) async fn check(&self, key: &CooldownKey, seconds: u32, now: Timestamp) -> Result<(), NotNow> {
        let lease = self.read(&name(key)).await?;
        remaining(lease.as_ref().and_then(used).as_ref(), seconds, now)
    }

    pub(super) async fn take(&self, key: &CooldownKey, seconds: u32, now: Timestamp) -> Result<Written, NotNow> {
        let name = name(key);
        let known = self.read(&name).await?;
        let before = known.as_ref().and_then(used);
        remaining(before.as_ref(), seconds, now)?;
        let lease = self.lease(key, &name, seconds, now, known.as_ref());
        let written = match &known {
            None => self.api.create(&PostParams::default(), &lease).await,
            Some(_) => self.api.replace(&name, &PostParams::default(), &lease).await,
        };
        match written {
            Ok(now) => Ok(Written { now, before }),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                // Somebody else was faster. What is there now says for how long.
                let taken = self.read(&name).await?;
                remaining(taken.as_ref().and_then(used).as_ref(), seconds, now)?;
                Err(NotNow::Unknown("another run uses this action on this target at the same moment".to_owned()))
            }
            Err(error) => Err(self.unknown("create", &error)),
        }
    }

    /// Undoes a taking, unless somebody wrote the Lease since.
    pub(super) async fn give_back(&self, Written { now, before }: Written) {
        let Some(name) = now.metadata.name.clone() else { return };
        let undone = match before {
            None => {
                let preconditions =
                    Preconditions { uid: now.metadata.uid.clone(), resource_version: now.metadata.resource_version.clone() };
                self.api.delete(&name, &DeleteParams::default().preconditions(preconditions)).await.map(drop)
            }
            Some(before) => {
                let mut lease = now;
                if let Some(spec) = &mut lease.spec {
                    spec.acquire_time = Some(MicroTime(before));
                }
                self.api.replace(&name, &PostParams::default(), &lease).await.map(drop)
            }
        };
        if let Err(error) = undone {
            tracing::warn!(%error, lease = name, "a cooldown could not be given back");
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Lease>, NotNow> {
        self.api.get_opt(name).await.map_err(|error| self.unknown("get", &error))
    }

    /// The Lease to write. One that exists keeps what else is in it, its version included: that is the condition of the write.
    fn lease(&self, key: &CooldownKey, name: &str, seconds: u32, now: Timestamp, known: Option<&Lease>) -> Lease {
        let mut metadata = known.map_or_else(ObjectMeta::default, |lease| lease.metadata.clone());
        metadata.name = Some(name.to_owned());
        metadata.managed_fields = None;
        metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(TARGET.to_owned(), key.target.clone());
        annotations.insert(VERB.to_owned(), key.verb.clone());
        let spec = LeaseSpec {
            acquire_time: Some(MicroTime(now)),
            holder_identity: Some(self.run.clone()),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    fn unknown(&self, verb: &str, error: &kube::Error) -> NotNow {
        let namespace = &self.namespace;
        NotNow::Unknown(match error {
            kube::Error::Api(status) if status.code == 403 => {
                format!("missing permission to {verb} leases.coordination.k8s.io in namespace `{namespace}`")
            }
            kube::Error::Api(status) if status.code == 404 => {
                format!(
                    "namespace `{namespace}`, which keeps cooldowns, does not exist: create it, or name another with --operator-namespace"
                )
            }
            kube::Error::Api(status) => format!("{verb} leases.coordination.k8s.io: the API server answers {}", status.code),
            _ => format!("{verb} leases.coordination.k8s.io: the API server does not answer"),
        })
    }
}

/// One name per key. A length before each part, so that no two keys read alike.
fn name(CooldownKey { cluster, target, verb }: &CooldownKey) -> String {
    let mut hash = Sha256::new();
    for part in [cluster, target, verb] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hex: String = hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("cooldown-{hex}")
}

fn used(lease: &Lease) -> Option<Timestamp> {
    lease.spec.as_ref()?.acquire_time.as_ref().map(|time| time.0)
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
