//! Looking around for one decision: what was listed once is not asked for again, and the target is remembered as it was observed.
//!
//! Walking up from every pod of a namespace asks for every workload in it, one by one. The second question for objects of one of
//! Kubernetes' own kinds therefore asks for all of them, so that a decision costs two requests for each at most, however many objects there are.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use infraagent_guard::{name::GroupResource, permit::Observed};
use serde_json::Value;

use super::Kubernetes;
use crate::broker::{
    object,
    world::{ServedKind, World, WorldError},
};

/// A kind, in a namespace or in the cluster.
type Spot = (GroupResource, Option<String>);

/// The world, for one decision.
#[derive(Debug)]
pub(super) struct Survey<'k> {
    kubernetes: &'k Kubernetes,
    listed: Mutex<BTreeMap<Spot, Vec<Value>>>,
    /// Where one object was asked for.
    asked: Mutex<BTreeSet<Spot>>,
}

impl<'k> Survey<'k> {
    pub(super) fn new(kubernetes: &'k Kubernetes) -> Self {
        Self { kubernetes, listed: Mutex::default(), asked: Mutex::default() }
    }

    /// From what was listed; none if it was not.
    fn known(&self, spot: &Spot, name: &str) -> Option<Result<Value, WorldError>> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let found = listed.get(spot)?.iter().find(|object| object::name(object) == name).cloned();
        let (kind, namespace) = spot;
        let absent = || WorldError::NotFound(format!("`{}`", object::shown(kind, namespace.as_deref().unwrap_or_default(), name)));
        Some(found.ok_or_else(absent))
    }
}

impl World for Survey<'_> {
    async fn get(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> Result<Value, WorldError> {
        let spot = (kind.clone(), namespace.map(str::to_owned));
        // Not for kinds of the cluster (there may be thousands of nodes), nor for custom ones, of which only the metadata is listed.
        if namespace.is_some() && !self.kubernetes.served(kind).await?.is_custom() {
            let again = !self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(spot.clone());
            // Whoever may not list may still get.
            if (!again || self.list(kind, namespace).await.is_ok())
                && let Some(known) = self.known(&spot, name)
            {
                return known;
            }
        }
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
