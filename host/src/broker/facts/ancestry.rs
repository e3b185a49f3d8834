//! Walking upwards: what an object belongs to, by uid, until nothing is above.
//!
//! An owner reference counts if an object of that kind, name *and uid* exists. What does not exist is no owner; what cannot be read is unknown.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use infraagent_guard::name::GroupResource;
use serde_json::Value;

use crate::broker::{
    object::{self, Owner},
    world::{ServedKind, World, WorldError},
};

/// Remembers what was read while the facts of one call are gathered.
pub(super) struct Ancestry<'w, W> {
    world: &'w W,
    kinds: Arc<[ServedKind]>,
    seen: BTreeMap<(GroupResource, String, String), Option<Value>>,
}

/// One step up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ancestor {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// The owner itself; none if the reference dangles.
    pub(super) object: Option<Value>,
}

/// Everything above an object, as far as it could be found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Above {
    pub(super) ancestors: Vec<Ancestor>,
    /// The first rule that was missing on the way.
    pub(super) unknown: Option<String>,
}

impl Above {
    /// True if one of these uids is above.
    pub(super) fn reaches(&self, uids: &BTreeSet<String>) -> bool {
        self.ancestors.iter().any(|ancestor| ancestor.object.is_some() && uids.contains(&ancestor.uid))
    }
}

impl<'w, W: World> Ancestry<'w, W> {
    pub(super) async fn new(world: &'w W) -> Result<Self, WorldError> {
        Ok(Self { world, kinds: world.kinds().await?, seen: BTreeMap::new() })
    }

    pub(super) fn kinds(&self) -> &[ServedKind] {
        &self.kinds
    }

    /// Objects that were read anyway need not be read again.
    pub(super) fn remember(&mut self, kind: &GroupResource, objects: &[Value]) {
        for value in objects {
            let key = (kind.clone(), object::namespace(value).to_owned(), object::name(value).to_owned());
            self.seen.insert(key, Some(value.clone()));
        }
    }

    /// Everything above `start`, `start` not included. Ends for cycles too.
    pub(super) async fn above(&mut self, start: &Value) -> Above {
        let mut above = Above::default();
        let mut visited = BTreeSet::from([object::uid(start).to_owned()]);
        let mut open = vec![start.clone()];
        while let Some(child) = open.pop() {
            for owner in object::owners(&child) {
                if !visited.insert(owner.uid.to_owned()) {
                    continue;
                }
                let (namespace, found) = match self.resolve(&owner, object::namespace(&child)).await {
                    Ok(found) => found,
                    Err(missing) => {
                        above.unknown.get_or_insert(missing);
                        (object::namespace(&child).to_owned(), None)
                    }
                };
                open.extend(found.clone());
                above.ancestors.push(Ancestor {
                    group: owner.group.to_owned(),
                    kind: owner.kind.to_owned(),
                    namespace,
                    name: owner.name.to_owned(),
                    uid: owner.uid.to_owned(),
                    object: found,
                });
            }
        }
        above
    }

    /// The owner's namespace (empty if cluster-scoped), and the owner if it exists with that uid.
    async fn resolve(&mut self, owner: &Owner<'_>, namespace: &str) -> Result<(String, Option<Value>), String> {
        let kind = self.kinds.iter().find(|kind| kind.resource.group() == owner.group && kind.kind == owner.kind);
        let Some(ServedKind { resource, kind: _, namespaced, versions: _, listable: _ }) = kind.cloned() else {
            return Err(format!("discover the kind {}.{}", owner.kind, owner.group));
        };
        let namespace = if namespaced { namespace } else { "" };
        let key = (resource.clone(), namespace.to_owned(), owner.name.to_owned());
        let found = match self.seen.get(&key) {
            Some(known) => known.clone(),
            None => {
                let found = match self.world.get(&resource, Some(namespace).filter(|n| !n.is_empty()), owner.name).await {
                    Ok(found) => Some(found),
                    Err(WorldError::NotFound(_)) => None,
                    Err(WorldError::Forbidden { rule }) => return Err(rule),
                    Err(WorldError::Unavailable(why)) => return Err(why),
                };
                self.seen.insert(key, found.clone());
                found
            }
        };
        Ok((namespace.to_owned(), found.filter(|found| object::uid(found) == owner.uid)))
    }
}
