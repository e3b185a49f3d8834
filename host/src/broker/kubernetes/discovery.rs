//! What the cluster serves, from two documents (aggregated discovery), each asked for again only if it has changed.
//!
//! A decision asks every time, and is refused if a group did not answer: what is not known could hold data. A read is content with what was known a moment ago,
//! and asks again for a kind that it does not find.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_guard::name::GroupResource;
use kube::core::discovery::v2::{ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscovery, APIGroupDiscoveryList};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{client::Looks, failure::Failure};
use crate::broker::world::{ServedKind, WorldError};

const RULE: &str = "list kinds";
/// How old the answer for a read may be.
const RECENT: Duration = Duration::from_secs(30);
/// Below it are the core group, and all others.
const DOCUMENTS: [&str; 2] = ["/api", "/apis"];

/// The kinds of one cluster.
#[derive(Debug)]
pub(super) struct Discovery {
    looks: Looks,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    tags: [Option<String>; 2],
    groups: [Vec<APIGroupDiscovery>; 2],
    served: Served,
    asked: Option<Instant>,
}

/// Everything that is served, at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    kinds: Arc<[ServedKind]>,
    by_resource: Arc<HashMap<GroupResource, usize>>,
    /// Groups that did not answer and may store something.
    missing: Arc<[String]>,
}

impl Served {
    /// None if the cluster does not serve it.
    pub(super) fn find(&self, resource: &GroupResource) -> Option<&ServedKind> {
        self.by_resource.get(resource).and_then(|index| self.kinds.get(*index))
    }

    /// Every kind, or which group did not answer.
    pub(super) fn complete(&self) -> Result<Arc<[ServedKind]>, WorldError> {
        if self.missing.is_empty() {
            Ok(Arc::clone(&self.kinds))
        } else {
            Err(WorldError::Unavailable(format!("{RULE}: `{}` does not answer", self.missing.join("`, `"))))
        }
    }

    fn of(groups: &[Vec<APIGroupDiscovery>; 2]) -> Self {
        let (mut kinds, mut by_resource, mut missing) = (Vec::<ServedKind>::new(), HashMap::new(), Vec::new());
        for group in groups.iter().flatten() {
            let name = group.metadata.as_ref().and_then(|meta| meta.name.as_deref()).unwrap_or_default();
            let mut stale = false;
            for version in &group.versions {
                stale |= version.freshness.as_deref() == Some("Stale");
                let number = version.version.as_deref().unwrap_or_default();
                for resource in &version.resources {
                    let plural = resource.resource.as_deref().unwrap_or_default();
                    let Ok(kind) = GroupResource::new(name, plural) else { continue };
                    let index = *by_resource.entry(kind.clone()).or_insert_with(|| {
                        kinds.push(ServedKind {
                            resource: kind,
                            kind: resource.response_kind.as_ref().and_then(|kind| kind.kind.clone()).unwrap_or_default(),
                            namespaced: resource.scope.as_deref() == Some("Namespaced"),
                            versions: Vec::new(),
                            listable: resource.verbs.iter().any(|verb| verb == "list"),
                        });
                        kinds.len().saturating_sub(1)
                    });
                    if let Some(kind) = kinds.get_mut(index) {
                        kind.versions.push(number.to_owned());
                    }
                }
            }
            if stale && !ServedKind::is_computed(name) {
                missing.push(name.to_owned());
            }
        }
        Self { kinds: kinds.into(), by_resource: Arc::new(by_resource), missing: missing.into() }
    }
}

impl Discovery {
    pub(super) fn new(looks: Looks) -> Self {
        Self { looks, known: Mutex::default() }
    }

    /// As the cluster says it now.
    pub(super) async fn now(&self) -> Result<Served, WorldError> {
        let mut known = self.known.lock().await;
        self.ask(&mut known).await
    }

    /// One kind, known a moment ago or looked for now. None: it is not served.
    pub(super) async fn find(&self, resource: &GroupResource) -> Result<Option<ServedKind>, WorldError> {
        let mut known = self.known.lock().await;
        if known.asked.is_some_and(|asked| asked.elapsed() < RECENT)
            && let Some(found) = known.served.find(resource)
        {
            return Ok(Some(found.clone()));
        }
        Ok(self.ask(&mut known).await?.find(resource).cloned())
    }

    async fn ask(&self, known: &mut Known) -> Result<Served, WorldError> {
        let mut changed = false;
        for ((path, tag), groups) in DOCUMENTS.iter().zip(&mut known.tags).zip(&mut known.groups) {
            let answer = self.looks.ask_if_changed(path, ACCEPT_AGGREGATED_DISCOVERY_V2, tag.as_deref()).await;
            if let Some((document, new)) = answer.map_err(|failure| failure.of_look(RULE, "discovery"))? {
                *groups = parse(document).map_err(|failure| failure.of_look(RULE, "discovery"))?;
                *tag = new;
                changed = true;
            }
        }
        if changed {
            known.served = Served::of(&known.groups);
        }
        known.asked = Some(Instant::now());
        Ok(known.served.clone())
    }
}

/// A server too old for aggregated discovery answers with something else.
fn parse(document: Value) -> Result<Vec<APIGroupDiscovery>, Failure> {
    if document.get("kind").and_then(Value::as_str) != Some("APIGroupDiscoveryList") {
        return Err(Failure::Unreadable("this is no aggregated discovery".to_owned()));
    }
    let list: APIGroupDiscoveryList = serde_json::from_value(document).map_err(|error| Failure::Unreadable(error.to_string()))?;
    Ok(list.items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn groups(stale: &str) -> [Vec<APIGroupDiscovery>; 2] {
        let resource = |plural: &str, kind: &str, scope: &str, verbs: &[&str]| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": verbs});
        let version = |name: &str, group: &str, resources: Value| {
            let freshness = if group == stale { "Stale" } else { "Current" };
            json!({"version": name, "freshness": freshness, "resources": resources})
        };
        let group = |name: &str, versions: Value| json!({"metadata": {"name": name}, "versions": versions});
        let document = |items: Value| parse(json!({"kind": "APIGroupDiscoveryList", "items": items})).unwrap();
        [
            document(json!([group("", json!([version("v1", "", json!([resource("pods", "Pod", "Namespaced", &["get", "list"])]))]))])),
            document(json!([
                group(
                    "example.com",
                    json!([
                        version("v2", "example.com", json!([resource("cows", "Cow", "Cluster", &["get", "list"])])),
                        version(
                            "v1",
                            "example.com",
                            json!([
                                resource("cows", "Cow", "Cluster", &["get", "list"]),
                                resource("milk", "Milk", "Namespaced", &["create"])
                            ])
                        ),
                    ])
                ),
                group("metrics.k8s.io", json!([version("v1beta1", "metrics.k8s.io", json!([]))])),
            ])),
        ]
    }

    #[test]
    fn kinds_have_all_their_versions_the_preferred_first() {
        let served = Served::of(&groups("none"));
        let cow = served.find(&GroupResource::parse("cows.example.com").unwrap()).unwrap();
        assert_eq!((cow.versions.as_slice(), cow.namespaced, cow.listable), (["v2".to_owned(), "v1".to_owned()].as_slice(), false, true));
        assert!(!served.find(&GroupResource::parse("milk.example.com").unwrap()).unwrap().listable);
        assert!(served.find(&GroupResource::parse("pods").unwrap()).unwrap().namespaced);
        assert_eq!(served.complete().unwrap().len(), 3);
    }

    #[test]
    fn a_group_that_does_not_answer_makes_the_whole_incomplete_unless_it_stores_nothing() {
        let error = Served::of(&groups("example.com")).complete().unwrap_err();
        assert_eq!(error, WorldError::Unavailable("list kinds: `example.com` does not answer".to_owned()));
        assert!(Served::of(&groups("metrics.k8s.io")).complete().is_ok());
    }

    #[test]
    fn a_list_of_groups_is_no_discovery() {
        assert!(parse(json!({"kind": "APIGroupList", "groups": []})).is_err());
    }
}
