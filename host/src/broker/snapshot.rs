//! An executor whose cluster is a folder: YAML objects in memory, with Kubernetes' semantics, and no clock of its own.
//!
//! [`load`](Snapshot::load) -> [`World`] for facts -> `read` and `mutate` for permits. What a mutation sets off (rollouts, garbage collection, claims that go with
//! their pods) happens at once and always in the same way, so that a run can be repeated and a test can see what would have been lost.
//!
//! A folder may also have `logs/<namespace>/<pod>/<container>.log` and `.previous.log`, and `faults.yaml` with planted failures.

mod collect;
mod evict;
mod faults;
mod kinds;
mod load;
mod logs;
mod mutate;
mod pods;
mod read;
mod rollout;
mod select;
mod sets;
mod store;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use infraagent_guard::{
    call::{Mutation, Read},
    name::GroupResource,
    permit::Permit,
    policy::Scope,
};
use infraagent_sandbox::broker::{Answer, CallError, Receipt};
use jiff::Timestamp;
use serde_json::Value;

pub use self::load::LoadError;
use self::{
    faults::Faults,
    logs::Logs,
    store::{Key, Store, show},
};
use super::{
    object,
    paging::Handles,
    world::{ServedKind, World, WorldError},
};
use crate::audit::Recorded;

/// A cluster in memory, for one run.
#[derive(Debug)]
pub struct Snapshot {
    scope: Scope,
    faults: Faults,
    logs: Logs,
    handles: Handles<(String, String)>,
    store: Mutex<Store>,
}

impl Snapshot {
    /// Loads a folder for one run. `now` is the cluster's time for the whole run; none: the newest time that any object bears, so that a snapshot tells the same
    /// story whenever it is looked at.
    pub fn load(dir: &Path, run: &str, environment: &str, now: Option<Timestamp>) -> Result<Self, LoadError> {
        let objects = load::objects(dir)?;
        let now = now.or_else(|| load::newest(&objects)).unwrap_or_else(Timestamp::now);
        let store = Store::new(objects, now)?;
        let kube_system = GroupResource::new("", "namespaces").ok().and_then(|kind| {
            let key = Key { kind, namespace: String::new(), name: "kube-system".to_owned() };
            store.get(&key).map(|namespace| object::uid(namespace).to_owned())
        });
        let cluster = kube_system.unwrap_or_else(|| {
            let name = dir.canonicalize().ok().and_then(|dir| dir.file_name().map(|name| name.to_string_lossy().into_owned()));
            format!("snapshot-{}", name.unwrap_or_default())
        });
        let scope = Scope { cluster, run: run.to_owned(), environment: environment.to_owned() };
        let handles = Handles::new(run);
        Ok(Self { scope, faults: Faults::load(dir)?, logs: Logs::load(dir)?, handles, store: Mutex::new(store) })
    }

    /// Executes a recorded read.
    pub fn read(&self, permit: Recorded<Permit<Read>>) -> Result<Answer, CallError> {
        self.look(permit.get())
    }

    /// Executes a recorded mutation: one write, under the precondition that the target is as it was observed.
    pub fn mutate(&self, permit: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        self.change(permit.get(), permit.seq())
    }

    /// Where permits must be good to be executed here.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The time of this cluster.
    pub fn now(&self) -> Timestamp {
        self.store().now()
    }

    /// A permit of another cluster, run or environment is good for nothing here.
    fn check_scope(&self, scope: &Scope) -> Result<(), CallError> {
        let Scope { cluster, run, environment } = &self.scope;
        if scope.cluster == *cluster && scope.run == *run && scope.environment == *environment {
            Ok(())
        } else {
            Err(CallError::Internal("the permit is for another cluster, run or environment".to_owned()))
        }
    }

    /// Writes happen in one step, so a store is never left half-written by a panic.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_up(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> Result<Value, WorldError> {
        self.faults.check("get", kind)?;
        let key = Key { kind: kind.clone(), namespace: namespace.unwrap_or_default().to_owned(), name: name.to_owned() };
        self.store().get(&key).cloned().ok_or_else(|| WorldError::NotFound(format!("`{}`", show(&key))))
    }

    fn look_through(&self, kind: &GroupResource, namespace: Option<&str>) -> Result<Vec<Value>, WorldError> {
        self.faults.check("list", kind)?;
        let store = self.store();
        if store.kind(kind).is_none() {
            return Err(WorldError::NotFound(format!("the kind `{kind}`")));
        }
        Ok(store.list(kind, namespace).map(|(_, value)| value.clone()).collect())
    }
}

impl World for Snapshot {
    async fn get(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> Result<Value, WorldError> {
        self.look_up(kind, namespace, name)
    }

    async fn list(&self, kind: &GroupResource, namespace: Option<&str>) -> Result<Vec<Value>, WorldError> {
        self.look_through(kind, namespace)
    }

    async fn kinds(&self) -> Result<Arc<[ServedKind]>, WorldError> {
        self.faults.check_rule("list kinds")?;
        Ok(self.store().all_kinds().into())
    }
}

#[cfg(test)]
impl Snapshot {
    /// A read that nobody recorded.
    pub(crate) fn try_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.look(permit)
    }

    /// A change that nobody recorded.
    pub(crate) fn try_change(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError> {
        self.change(permit, seq)
    }
}
