//! Puts the objects of a folder on an API server: owners before what they own, status after the rest, completed by what an API server insists on and a snapshot
//! does without.

use std::collections::{BTreeMap, BTreeSet};

use infraagent_tests::{ControlPlane, documents, eventually};
use k8s_openapi::{
    api::core::v1::{Namespace, ServiceAccount},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::broker::object;

const ABSENT: &str = "00000000-0000-0000-0000-000000000001";

/// What the cluster-scoped object `name` of a folder is called in this namespace's test.
pub(super) fn here(name: &str, shop: &str) -> String {
    format!("{name}-{shop}")
}

fn folder_documents(folder: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for document in documents(format!("host/tests/snapshots/{folder}/objects.yaml")) {
        match object::kind(&document).strip_suffix("List").map(str::to_owned) {
            Some(kind) => {
                for item in object::items(&document, "/items") {
                    let mut item = item.clone();
                    item["kind"] = json!(kind);
                    item["apiVersion"] = document["apiVersion"].clone();
                    all.push(item);
                }
            }
            None => all.push(document),
        }
    }
    all
}

/// Writes the objects of `folder`, those of the namespace `shop` into `shop`.
pub(super) async fn plant(plane: &'static ControlPlane, folder: &str, shop: &str) {
    define(plane).await;
    let admin = plane.admin().await;
    let mut open: Vec<Value> = folder_documents(folder).into_iter().map(|object| moved(object, shop)).collect();
    let others: BTreeSet<String> = open.iter().map(|o| object::namespace(o).to_owned()).filter(|n| !n.is_empty() && n != shop).collect();
    for other in others {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": other}})).unwrap();
        Api::<Namespace>::all(admin.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        Api::<ServiceAccount>::namespaced(admin.clone(), &other).create(&PostParams::default(), &account).await.unwrap();
    }
    let named = |o: &Value| (object::kind(o).to_owned(), object::name(o).to_owned());
    let mut uids: BTreeMap<(String, String), String> = BTreeMap::new();
    while !open.is_empty() {
        let waiting: BTreeSet<(String, String)> = open.iter().map(&named).collect();
        let is_ready = |o: &Value| {
            object::items(o, "/metadata/ownerReferences").iter().all(|owner| {
                let key = (object::text(owner, "/kind").to_owned(), object::text(owner, "/name").to_owned());
                !object::text(owner, "/uid").is_empty() || !waiting.contains(&key)
            })
        };
        let (ready, later): (Vec<Value>, Vec<Value>) = open.into_iter().partition(is_ready);
        assert!(!ready.is_empty(), "owners in a circle");
        for mut one in ready {
            for owner in one.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
                if object::text(owner, "/uid").is_empty() {
                    let key = (object::text(owner, "/kind").to_owned(), object::text(owner, "/name").to_owned());
                    owner["uid"] = json!(uids.get(&key).map_or(ABSENT, String::as_str));
                }
            }
            let key = named(&one);
            uids.insert(key, create(&admin, one).await);
        }
        open = later;
    }
}

/// Creates one object, then its status, then marks it for deletion if it is. Gives its uid.
async fn create(admin: &Client, mut one: Value) -> String {
    let status = one.as_object_mut().unwrap().remove("status");
    let metadata = one["metadata"].as_object_mut().unwrap();
    let terminating = metadata.remove("deletionTimestamp").is_some();
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp"] {
        metadata.remove(field);
    }
    let (name, namespace) = (object::name(&one).to_owned(), object::namespace(&one).to_owned());
    let (group, version) = object::text(&one, "/apiVersion").rsplit_once('/').unwrap_or(("", object::text(&one, "/apiVersion")));
    let gvk = GroupVersionKind::gvk(group, version, object::kind(&one));
    let resource = ApiResource::from_gvk(&gvk);
    let api: Api<DynamicObject> = match namespace.as_str() {
        "" => Api::all_with(admin.clone(), &resource),
        namespace => Api::namespaced_with(admin.clone(), namespace, &resource),
    };
    let shown = format!("{} {name}", gvk.kind);
    let body: DynamicObject = serde_json::from_value(one).unwrap();
    let created = api.create(&PostParams::default(), &body).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
    if let Some(status) = status {
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap_or_else(|error| panic!("status of {shown}: {error}"));
    }
    if terminating {
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    created.metadata.uid.unwrap()
}

/// The object as it is in this test, completed.
fn moved(mut one: Value, shop: &str) -> Value {
    match object::namespace(&one).to_owned().as_str() {
        "" => one["metadata"]["name"] = json!(here(object::name(&one), shop)),
        "shop" => one["metadata"]["namespace"] = json!(shop),
        other => one["metadata"]["namespace"] = json!(here(other, shop)),
    }
    for pointer in ["/spec/nodeName", "/spec/volumeName"] {
        if let Some(name) = one.pointer_mut(pointer) {
            *name = json!(here(name.as_str().unwrap(), shop));
        }
    }
    let storage = json!({"requests": {"storage": "1Gi"}});
    let now = "2026-11-22T11:00:00Z";
    match object::kind(&one) {
        "PersistentVolume" => {
            one["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
            one["spec"]["hostPath"] = json!({"path": "/nowhere"});
            one["spec"]["claimRef"]["namespace"] = json!(shop);
        }
        "StatefulSet" => {
            for template in one.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
                template["spec"]["resources"] = storage.clone();
            }
        }
        "PodDisruptionBudget" => {
            one["status"] =
                json!({"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2});
        }
        "Job" => {
            one["spec"]["template"] = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "import"}]}});
            let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
            one["status"] = json!({
                "startTime": now, "completionTime": now, "succeeded": 1,
                "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
            });
        }
        _ => {}
    }
    for volumes in ["/spec/volumes", "/spec/template/spec/volumes"] {
        for volume in one.pointer_mut(volumes).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(template) = volume.pointer_mut("/ephemeral/volumeClaimTemplate/spec") {
                template["resources"] = storage.clone();
            }
        }
    }
    one
}

/// Defines the custom kinds of all folders, once per API server, so that what is served does not change while tests look at it.
pub(super) async fn define(plane: &'static ControlPlane) {
    static DEFINED: Mutex<BTreeSet<String>> = Mutex::const_new(BTreeSet::new());
    let mut defined = DEFINED.lock().await;
    if !defined.insert(plane.kubeconfig().display().to_string()) {
        return;
    }
    let admin = plane.admin().await;
    let folders = std::fs::read_dir(super::super::folder("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let all: Vec<Value> = folders.flat_map(|folder| folder_documents(&folder)).collect();
    let custom = |o: &&Value| object::group(o).contains('.') && !object::group(o).ends_with(".k8s.io");
    let mut kinds = BTreeSet::new();
    for one in all.iter().filter(custom) {
        kinds.insert((object::text(one, "/apiVersion").to_owned(), object::kind(one).to_owned()));
    }
    let definitions = Api::<CustomResourceDefinition>::all(admin.clone());
    for (api_version, kind) in &kinds {
        let (group, version) = api_version.split_once('/').unwrap();
        let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let definition = json!({
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": singular, "listKind": format!("{kind}List")},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}}],
            },
        });
        definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    }
    // Known to discovery, and served.
    for (api_version, kind) in &kinds {
        let (group, version) = api_version.split_once('/').unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let discovered = || async {
            let known = admin.list_api_groups_aggregated().await.unwrap();
            let of_group = known.items.into_iter().find(|known| known.metadata.as_ref().and_then(|m| m.name.as_deref()) == Some(group))?;
            of_group.versions.iter().flat_map(|v| &v.resources).any(|r| r.resource.as_deref() == Some(&resource.plural)).then_some(())
        };
        eventually("a defined kind is discovered", discovered).await;
        let api = Api::<DynamicObject>::all_with(admin.clone(), &resource);
        eventually("a defined kind is served", || async { api.list(&Default::default()).await.ok() }).await;
    }
}
