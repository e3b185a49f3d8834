//! Skills in ConfigMaps of the agent's own namespace: `SKILL.md` and `actions.yaml` as two keys, or a component of at most a mebibyte under a key that ends in
//! `.wasm`.
//!
//! Asking costs one request for metadata; the rest is read when the ConfigMap changed. There is no watch: it would bring every ConfigMap of the cluster into memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::{ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, core::PartialObjectMeta};
use tokio::{sync::Mutex, task::spawn_blocking};

use super::{Component, Unresolved};
use crate::skill::{
    actions,
    folder::{Folder, MAX_FILE},
    frontmatter,
};

/// The largest component: what a ConfigMap may hold.
const MAX_COMPONENT: usize = 1 << 20;
/// What nobody asked for so long is forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// How the keys of components end.
const WASM: &str = ".wasm";

/// Reads ConfigMaps, and remembers what they were.
pub(super) struct ConfigMaps {
    client: kube::Client,
    known: StdMutex<HashMap<Place, Arc<Mutex<Option<Known>>>>>,
}

/// Where a skill is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The agent's namespace. No other is ever asked.
    pub(super) namespace: String,
    /// The ConfigMap.
    pub(super) name: String,
    /// Its key; absent: found by what is there.
    pub(super) key: Option<String>,
    /// The skill's name.
    pub(super) skill: String,
}

struct Known {
    /// uid and resourceVersion of the ConfigMap that it was read from.
    version: Option<(String, String)>,
    asked: Instant,
    found: Result<Component, Unresolved>,
}

impl ConfigMaps {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client, known: StdMutex::default() }
    }

    /// The skill in a ConfigMap, as it was at most `age` ago.
    pub(super) async fn find(&self, place: Place, age: Duration) -> Result<Component, Unresolved> {
        let slot = self.slot(&place);
        // Held while it is asked for: whoever comes at the same time gets the same answer.
        let mut known = slot.lock().await;
        let asked = Instant::now();
        if let Some(Known { version: _, asked: before, found }) = &*known
            && asked.saturating_duration_since(*before) < age
        {
            return found.clone();
        }
        let before = known.take();
        let (version, found) = match self.read(&place, before).await {
            Ok((version, found)) => (Some(version), found),
            Err(unresolved) => (None, Err(unresolved)),
        };
        *known = Some(Known { version, asked, found: found.clone() });
        found
    }

    fn slot(&self, place: &Place) -> Arc<Mutex<Option<Known>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.get(place) {
            return Arc::clone(slot);
        }
        known.retain(|_, slot| match slot.try_lock() {
            Ok(slot) => slot.as_ref().is_some_and(|known| known.asked.elapsed() < FORGET),
            // Somebody asks right now.
            Err(_) => true,
        });
        Arc::clone(known.entry(place.clone()).or_default())
    }

    /// The ConfigMap's version, and what it holds: what it held if it has not changed.
    async fn read(&self, place: &Place, before: Option<Known>) -> Result<((String, String), Result<Component, Unresolved>), Unresolved> {
        let Place { namespace, name, key: _, skill: _ } = place;
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let metadata = api.get_metadata_opt(name).await.map_err(|error| unreachable(place, &error))?;
        let PartialObjectMeta { metadata, .. } = metadata.ok_or_else(|| missing(place))?;
        let now = version(&metadata);
        if let Some(Known { version: Some(then), asked: _, found }) = before
            && then == now
        {
            return Ok((now, found));
        }
        let map = api.get_opt(name).await.map_err(|error| unreachable(place, &error))?.ok_or_else(|| missing(place))?;
        let now = version(&map.metadata);
        let place = place.clone();
        let found = spawn_blocking(move || parse(&place, map)).await.map_err(|error| Unresolved {
            reason: "Interrupted",
            message: error.to_string(),
            transient: true,
        })?;
        Ok((now, found))
    }
}

fn version(metadata: &ObjectMeta) -> (String, String) {
    (metadata.uid.clone().unwrap_or_default(), metadata.resource_version.clone().unwrap_or_default())
}

fn missing(place: &Place) -> Unresolved {
    let Place { namespace, name, key: _, skill } = place;
    let message = format!(
        "there is no ConfigMap `{namespace}/{name}` for skill `{skill}`: create it in the agent's namespace (`configmap://name/key` names a ConfigMap and one of its keys; one of another namespace cannot be named)"
    );
    Unresolved::lasting("ConfigMapNotFound", message)
}

fn unreachable(place: &Place, error: &kube::Error) -> Unresolved {
    let what = format!("ConfigMap `{}/{}` of skill `{}`", place.namespace, place.name, place.skill);
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            let message = format!("{what} cannot be read: {}: let the operator `get` ConfigMaps there", status.message);
            Unresolved::lasting("ConfigMapForbidden", message)
        }
        kube::Error::Api(status) => {
            Unresolved { reason: "SourceUnreachable", message: format!("{what} cannot be read: {}", status.message), transient: true }
        }
        other => Unresolved { reason: "SourceUnreachable", message: format!("{what} cannot be read: {other}"), transient: true },
    }
}

/// What a ConfigMap holds.
fn parse(place: &Place, map: ConfigMap) -> Result<Component, Unresolved> {
    let ConfigMap { data, binary_data, immutable: _, metadata: _ } = map;
    let (texts, binaries) = (data.unwrap_or_default(), binary_data.unwrap_or_default());
    let shown = format!("ConfigMap {}/{}", place.namespace, place.name);
    let invalid = |message: String| Unresolved::lasting("SkillInvalid", format!("{shown}: {message}"));
    let key = match &place.key {
        Some(key) => key.clone(),
        None => {
            let components: Vec<&String> = binaries.keys().filter(|key| key.ends_with(WASM)).collect();
            match (texts.contains_key(frontmatter::FILE), components.as_slice()) {
                (true, []) => frontmatter::FILE.to_owned(),
                (false, [component]) => (*component).clone(),
                (false, []) => {
                    let keys: Vec<_> = texts.keys().chain(binaries.keys()).map(|key| format!("`{key}`")).collect();
                    let has = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
                    return Err(invalid(format!(
                        "has neither `{}` nor a component under a key that ends in `{WASM}`, but {has}: add one, or name the key in the source (`configmap://{}/key`)",
                        frontmatter::FILE,
                        place.name
                    )));
                }
                (true, [_, ..]) | (false, [_, _, ..]) => {
                    return Err(invalid(format!("has several skills: name the key in the source (`configmap://{}/key`)", place.name)));
                }
            }
        }
    };
    let shown = format!("{shown}, key {key}");
    let invalid = |message: String| Unresolved::lasting("SkillInvalid", format!("{shown}: {message}"));
    let found = if key.ends_with(WASM) {
        let Some(ByteString(component)) = binaries.into_iter().find(|(name, _)| *name == key).map(|(_, bytes)| bytes) else {
            return Err(invalid("there is no such key under `binaryData`: add the component there".to_owned()));
        };
        if component.len() > MAX_COMPONENT {
            return Err(invalid(format!("the component has {} bytes, more than a ConfigMap may hold ({MAX_COMPONENT})", component.len())));
        }
        Component::of(&shown, component).map_err(|error| invalid(error.to_string()))?
    } else {
        let text = |name: &str| match texts.get(name) {
            Some(text) if text.len() as u64 > MAX_FILE => Err(invalid(format!("`{name}` has more than {MAX_FILE} bytes: shorten it"))),
            Some(text) => Ok(Some(text.as_str())),
            None if binaries.contains_key(name) => {
                Err(invalid(format!("`{name}` stands under `binaryData`: it is a text, write it under `data`")))
            }
            None => Ok(None),
        };
        if key == actions::FILE {
            return Err(invalid(format!("is the action sheet: name the key with the text of `{}`", frontmatter::FILE)));
        }
        let Some(document) = text(&key)? else { return Err(invalid("there is no such key under `data`: add it".to_owned())) };
        let folder = Folder::without_code(document, text(actions::FILE)?);
        folder.and_then(|folder| Component::without_code(&shown, &folder)).map_err(|error| invalid(error.to_string()))?
    };
    if found.manifest.name == place.skill {
        return Ok(found);
    }
    let message = format!("{shown}: is skill `{}`, and the agent names `{}`: correct one of the two", found.manifest.name, place.skill);
    Err(Unresolved::lasting("SkillNameMismatch", message))
}

#[cfg(test)]
mod tests;
