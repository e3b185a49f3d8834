//! The objects of a snapshot, with what an API server adds to a write: uids, resource versions, generations, deletion in the presence of finalizers.

use std::collections::{BTreeMap, BTreeSet};

use infraagent_guard::name::{GroupResource, Namespace, ObjectName, ResourceVersion, Uid};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    kinds::Kinds,
    load::{LoadError, Loaded},
};
use crate::broker::{object, world::ServedKind};

/// Where an object is. The namespace is empty for cluster-scoped kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: GroupResource,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Store {
    kinds: Kinds,
    objects: BTreeMap<Key, Value>,
    /// Uids of objects that existed and are gone. Only their dependants are collected: an owner that the snapshot never had is none of our business.
    gone: BTreeSet<String>,
    /// Uids of workloads whose template changed since they were loaded.
    changed: BTreeSet<String>,
    /// Names that were in use once.
    used: BTreeSet<Key>,
    /// The last pod that each controller lost, by the controller's uid.
    last_pods: BTreeMap<String, Value>,
    /// Pods whose logs read like those of another pod.
    like: BTreeMap<(String, String), String>,
    version: u64,
    now: Timestamp,
}

impl Store {
    /// Checks and takes what was loaded.
    pub(super) fn new(loaded: Vec<Loaded>, now: Timestamp) -> Result<Self, LoadError> {
        let kinds = Kinds::of(loaded.iter().map(|one| &one.object)).map_err(|invalid| match loaded.first() {
            Some(first) => first.error("kind", invalid.to_string()),
            None => LoadError::Yaml { path: Default::default(), message: invalid.to_string() },
        })?;
        let mut store = Self {
            kinds,
            objects: BTreeMap::new(),
            gone: BTreeSet::new(),
            changed: BTreeSet::new(),
            used: BTreeSet::new(),
            last_pods: BTreeMap::new(),
            like: BTreeMap::new(),
            version: 1,
            now,
        };
        let mut sources: BTreeMap<Key, String> = BTreeMap::new();
        let mut uids: BTreeMap<String, Key> = BTreeMap::new();
        for one in loaded {
            let key = store.key_of(&one)?;
            let source = format!("`{}`, document {}", one.path.display(), one.document);
            if let Some(first) = sources.insert(key.clone(), source) {
                return Err(one.error("metadata.name", format!("`{}` is already in {first}: remove one of the two", show(&key))));
            }
            let mut value = one.object;
            complete(&mut value, &key, now);
            let loaded = Loaded { path: one.path, document: one.document, object: value };
            check_identity(&loaded)?;
            if let Some(other) = uids.insert(object::uid(&loaded.object).to_owned(), key.clone()) {
                return Err(loaded.error("metadata.uid", format!("is also the uid of `{}`: uids are unique", show(&other))));
            }
            let version = object::resource_version(&loaded.object).parse().unwrap_or(0);
            store.version = store.version.max(version);
            store.objects.insert(key, loaded.object);
        }
        store.imply_namespaces();
        store.complete_owners();
        // Objects that came without a version get one above all that came with one.
        for value in store.objects.values_mut().filter(|value| object::resource_version(value).is_empty()) {
            store.version = store.version.saturating_add(1);
            set(value, "metadata", "resourceVersion", json!(store.version.to_string()));
        }
        Ok(store)
    }

    fn key_of(&self, one: &Loaded) -> Result<Key, LoadError> {
        let value = &one.object;
        let (name, namespace) = (object::name(value), object::namespace(value));
        let unknown = || one.error("kind", "is not a kind that can be served");
        let kind = self.kinds.by_kind(object::group(value), object::kind(value)).ok_or_else(unknown)?;
        if name.is_empty() {
            return Err(one.error("metadata.name", "is missing: every object of a snapshot has a name"));
        }
        // RBAC objects may have names with colons; they are never addressed by a skill.
        if ObjectName::parse(name).is_err() && kind.resource.group() != "rbac.authorization.k8s.io" {
            return Err(one.error("metadata.name", format!("`{}` is not an RFC 1123 subdomain", name.escape_debug())));
        }
        match (kind.namespaced, namespace) {
            (true, "") => Err(one.error("metadata.namespace", format!("is missing: `{}` are namespaced", kind.resource))),
            (false, namespace) if !namespace.is_empty() => {
                Err(one.error("metadata.namespace", format!("`{}` are cluster-scoped: remove the namespace", kind.resource)))
            }
            (true, namespace) if Namespace::parse(namespace).is_err() => {
                Err(one.error("metadata.namespace", format!("`{}` is not an RFC 1123 label", namespace.escape_debug())))
            }
            (true | false, _) => Ok(Key { kind: kind.resource.clone(), namespace: namespace.to_owned(), name: name.to_owned() }),
        }
    }

    /// A namespace that has objects exists, even if nobody exported it.
    fn imply_namespaces(&mut self) {
        let Ok(kind) = GroupResource::new("", "namespaces") else { return };
        let used: BTreeSet<String> = self.objects.keys().filter(|k| !k.namespace.is_empty()).map(|k| k.namespace.clone()).collect();
        for name in used {
            let key = Key { kind: kind.clone(), namespace: String::new(), name: name.clone() };
            let mut namespace = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "status": {"phase": "Active"},
            });
            complete(&mut namespace, &key, self.now);
            self.objects.entry(key).or_insert(namespace);
        }
    }

    /// Owner references of hand-written objects may leave the uid out.
    fn complete_owners(&mut self) {
        let mut uids: BTreeMap<(String, String, String), String> = BTreeMap::new();
        for (key, value) in &self.objects {
            uids.insert((key.namespace.clone(), object::kind(value).to_owned(), key.name.clone()), object::uid(value).to_owned());
        }
        for (key, value) in &mut self.objects {
            let Some(owners) = value.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else { continue };
            for owner in owners.iter_mut().filter(|owner| object::text(owner, "/uid").is_empty()) {
                let (kind, name) = (object::text(owner, "/kind").to_owned(), object::text(owner, "/name").to_owned());
                let find = |namespace: &str| uids.get(&(namespace.to_owned(), kind.clone(), name.clone())).cloned();
                let uid =
                    find(&key.namespace).or_else(|| find("")).unwrap_or_else(|| derived_uid(&["absent", &key.namespace, &kind, &name]));
                if let Some(owner) = owner.as_object_mut() {
                    owner.insert("uid".to_owned(), json!(uid));
                }
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn all_kinds(&self) -> Vec<ServedKind> {
        self.kinds.all()
    }

    pub(super) fn kind(&self, resource: &GroupResource) -> Option<&ServedKind> {
        self.kinds.by_resource(resource)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Objects of one kind, sorted by namespace and name.
    pub(super) fn list<'a>(&'a self, kind: &'a GroupResource, namespace: Option<&'a str>) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        let first = Key { kind: kind.clone(), namespace: namespace.unwrap_or_default().to_owned(), name: String::new() };
        self.objects
            .range(first..)
            .take_while(move |(key, _)| key.kind == *kind && namespace.is_none_or(|namespace| key.namespace == namespace))
    }

    /// Everything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    /// The object with this uid.
    pub(super) fn by_uid(&self, uid: &str) -> Option<(&Key, &Value)> {
        self.objects.iter().find(|(_, value)| object::uid(value) == uid)
    }

    pub(super) fn exists(&self, uid: &str) -> bool {
        self.by_uid(uid).is_some()
    }

    /// Advances with every write.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The workload's template is not the one that was loaded.
    pub(super) fn is_changed(&self, uid: &str) -> bool {
        self.changed.contains(uid)
    }

    /// An object of this name exists or existed.
    pub(super) fn was_used(&self, key: &Key) -> bool {
        self.objects.contains_key(key) || self.used.contains(key)
    }

    /// The last pod that this controller lost.
    pub(super) fn last_pod_of(&self, controller: &str) -> Option<&Value> {
        self.last_pods.get(controller)
    }

    /// The logs of a new pod read like those of `other`, a pod of the same namespace.
    pub(super) fn logs_like(&mut self, key: &Key, other: &str) {
        let other = self.logs_of(&key.namespace, other).to_owned();
        self.like.insert((key.namespace.clone(), key.name.clone()), other);
    }

    /// The pod whose log files stand for this pod's.
    pub(super) fn logs_of<'a>(&'a self, namespace: &str, pod: &'a str) -> &'a str {
        self.like.get(&(namespace.to_owned(), pod.to_owned())).map_or(pod, String::as_str)
    }

    pub(super) fn is_gone(&self, uid: &str) -> bool {
        self.gone.contains(uid)
    }

    /// Creates an object unless one of that name exists.
    pub(super) fn create(&mut self, key: Key, mut value: Value) -> bool {
        if self.objects.contains_key(&key) {
            return false;
        }
        self.version = self.version.saturating_add(1);
        let salt = self.version.to_string();
        set(&mut value, "metadata", "uid", json!(derived_uid(&[&key.kind.to_string(), &key.namespace, &key.name, &salt])));
        set(&mut value, "metadata", "resourceVersion", json!(salt));
        complete(&mut value, &key, self.now);
        self.objects.insert(key, value);
        true
    }

    /// Changes an object. A write that changes nothing leaves the version alone; one that changes the spec advances the generation.
    pub(super) fn update(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> bool {
        let Some(value) = self.objects.get_mut(key) else { return false };
        let before = value.clone();
        change(value);
        if *value == before {
            return false;
        }
        if value.get("spec") != before.get("spec")
            && let Some(generation) = object::number(&before, "/metadata/generation")
        {
            set(value, "metadata", "generation", json!(generation.saturating_add(1)));
        }
        if value.pointer("/spec/template") != before.pointer("/spec/template") {
            self.changed.insert(object::uid(&before).to_owned());
        }
        self.version = self.version.saturating_add(1);
        set(value, "metadata", "resourceVersion", json!(self.version.to_string()));
        true
    }

    /// Deletes an object, or marks it if finalizers hold it.
    pub(super) fn delete(&mut self, key: &Key) {
        let Some(value) = self.objects.get(key) else { return };
        if object::items(value, "/metadata/finalizers").is_empty() {
            self.remove(key);
        } else if !object::is_terminating(value) {
            let now = self.now.to_string();
            self.update(key, |value| set(value, "metadata", "deletionTimestamp", json!(now)));
        }
    }

    /// Removes an object, whatever holds it.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(value) = self.objects.remove(key) {
            self.gone.insert(object::uid(&value).to_owned());
            self.used.insert(key.clone());
            let controller = object::owners(&value).find(|owner| owner.controller).map(|owner| owner.uid.to_owned());
            if let Some(controller) = controller.filter(|_| key.kind.is("", "pods")) {
                self.last_pods.insert(controller, value);
            }
            self.version = self.version.saturating_add(1);
        }
    }
}

/// Sets a field of a part of an object; creates the part.
pub(super) fn set(value: &mut Value, part: &str, field: &str, to: Value) {
    if let Some(root) = value.as_object_mut() {
        let part = root.entry(part).or_insert_with(|| json!({}));
        if let Some(part) = part.as_object_mut() {
            part.insert(field.to_owned(), to);
        }
    }
}

/// See [`object::shown`].
pub(super) fn show(key: &Key) -> String {
    object::shown(&key.kind, &key.namespace, &key.name)
}

/// What an API server would have added.
fn complete(value: &mut Value, key: &Key, now: Timestamp) {
    if object::uid(value).is_empty() {
        set(value, "metadata", "uid", json!(derived_uid(&[&key.kind.to_string(), &key.namespace, &key.name])));
    }
    if object::text(value, "/metadata/creationTimestamp").is_empty() {
        set(value, "metadata", "creationTimestamp", json!(now.to_string()));
    }
    if value.get("spec").is_some() && object::number(value, "/metadata/generation").is_none() && key.kind.resource() != "pods" {
        let observed = object::number(value, "/status/observedGeneration").unwrap_or(1);
        set(value, "metadata", "generation", json!(observed));
    }
    // The content of a Secret has no reader here.
    if key.kind.is("", "secrets")
        && let Some(secret) = value.as_object_mut()
    {
        secret.remove("data");
        secret.remove("stringData");
    }
}

fn check_identity(one: &Loaded) -> Result<(), LoadError> {
    let uid = object::uid(&one.object);
    if Uid::parse(uid).is_err() {
        return Err(one.error("metadata.uid", format!("`{}` is not a uid", uid.escape_debug())));
    }
    let version = object::resource_version(&one.object);
    if !version.is_empty() && ResourceVersion::parse(version).is_err() {
        return Err(one.error("metadata.resourceVersion", format!("`{}` is not a resource version", version.escape_debug())));
    }
    Ok(())
}

/// A uid that only depends on the parts, in the form of a UUID.
pub(super) fn derived_uid(parts: &[&str]) -> String {
    let hex = digest(parts);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// SHA-256 over the parts, as hex.
pub(super) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
