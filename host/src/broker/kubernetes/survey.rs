//! Looking around for one decision: what was listed once is not listed again, and the target is remembered as it was observed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use infraagent_guard::{name::GroupResource, permit::Observed};
use serde_json::Value;

use super::Kubernetes;
use crate::broker::{
    object,
    world::{ServedKind, World, WorldError},
};

type Listed = BTreeMap<(GroupResource, Option<String>), Vec<Value>>;

/// The world, for one decision.
#[derive(Debug)]
pub(super) struct Survey<'k> {
    kubernetes: &'k Kubernetes,
    listed: Mutex<Listed>,
}

impl<'k> Survey<'k> {
    pub(super) fn new(kubernetes: &'k Kubernetes) -> Self {
        Self { kubernetes, listed: Mutex::default() }
    }
}

impl World for Survey<'_> {
    async fn get(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> Result<Value, WorldError> {
        let found = self.kubernetes.get(kind, namespace, name).await?;
        self.kubernetes.sights.remember(&found);
        Ok(found)
    }

    async fn list(&self, kind: &GroupResource, namespace: Option<&str>) -> Result<Vec<Value>, WorldError> {
        let key = (kind.clone(), namespace.map(str::to_owned));
        if let Some(known) = self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let found = self.kubernetes.list(kind, namespace).await?;
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
        Ok(found)
    }

    async fn kinds(&self) -> Result<Arc<[ServedKind]>, WorldError> {
        self.kubernetes.kinds().await
    }
}

/// The last objects that were looked at one by one, by uid and version. An effect whose precondition is that version can rest on them without looking again.
#[derive(Debug, Default)]
pub(super) struct Sights(Mutex<VecDeque<Arc<Value>>>);

impl Sights {
    const MAX: usize = 64;

    fn remember(&self, seen: &Value) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_front(Arc::new(seen.clone()));
        all.truncate(Self::MAX);
    }

    /// The object in exactly that version.
    pub(super) fn of(&self, observed: &Observed) -> Option<Arc<Value>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |seen: &&Arc<Value>| {
            object::uid(seen) == observed.uid.as_str() && object::resource_version(seen) == observed.resource_version.as_str()
        };
        all.iter().find(is).cloned()
    }
}
