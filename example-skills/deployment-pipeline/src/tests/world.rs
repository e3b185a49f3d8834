//! Small clusters for the tests: one deployment whose newest revision has one pod that is not ready.

use skills_sdk::prelude::*;
use skills_sdk::testing::Host;

use crate::SKILL;

/// A deployment `web` at revision 2, its two replica sets, and the pod `web-2-x` of the newest one, in the state that is given in YAML.
pub(super) struct World {
    pub(super) status: &'static str,
    pub(super) events: &'static str,
    pub(super) conditions: &'static str,
    pub(super) limit: &'static str,
    pub(super) created: &'static str,
    pub(super) paused: bool,
}

impl Default for World {
    fn default() -> Self {
        Self { status: "{phase: Running}", events: "", conditions: "[]", limit: "{}", created: "2026-01-01T00:00:00Z", paused: false }
    }
}

impl World {
    /// The host with these objects.
    pub(super) fn host(&self) -> Host {
        let Self { status, events, conditions, limit, created, paused } = self;
        let selector = "selector: {matchLabels: {app: web}}";
        let template = |image: &str| {
            format!(
                "template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: app, image: '{image}', resources: {{limits: {limit}}}}}]}}}}"
            )
        };
        let (old, new) = (template("registry.example/web:1"), template("registry.example/web:2"));
        let set = |name: &str, uid: &str, revision: u32, replicas: u32, ready: u32, template: &str| {
            format!(
                "{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{namespace: shop, name: {name}, uid: {uid}, labels: {{app: web}}, \
                 annotations: {{deployment.kubernetes.io/revision: '{revision}'}}, ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, \
                 controller: true}}]}}, spec: {{replicas: {replicas}, {selector}, {template}}}, status: {{replicas: {replicas}, readyReplicas: {ready}}}}}"
            )
        };
        let deployment = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{namespace: shop, name: web, uid: d, generation: 2, labels: {{app: web}}, \
             annotations: {{deployment.kubernetes.io/revision: '2'}}}}, spec: {{replicas: 2, paused: {paused}, {selector}, {new}}}, \
             status: {{observedGeneration: 2, replicas: 3, updatedReplicas: 1, readyReplicas: 2, conditions: {conditions}}}}}"
        );
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{namespace: shop, name: web-2-x, uid: p, creationTimestamp: '{created}', labels: {{app: web}}, ownerReferences: \
             [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-2, uid: r2, controller: true}}]}}, spec: {{containers: [{{name: app, image: \
             'registry.example/web:2', resources: {{limits: {limit}}}}}]}}, status: {status}}}"
        );
        let mut documents = vec![deployment, set("web-1", "r1", 1, 2, 2, &old), set("web-2", "r2", 2, 1, 0, &new), pod];
        let events = events.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate();
        documents.extend(events.map(|(at, event)| {
            format!("{{apiVersion: v1, kind: Event, metadata: {{namespace: shop, name: event-{at}}}, lastTimestamp: '2026-01-01T00:00:{at:02}Z', {event}}}")
        }));
        Host::new(SKILL).namespace_group("apps", &["shop", "orders"]).yaml(&documents.join("\n---\n"))
    }
}

/// The arguments that name the deployment.
pub(super) fn web() -> Value {
    json!({ "kind": "deployment", "namespace": "shop", "name": "web" })
}
