//! The suite on a real API server: the stage, and what only a real one can show.
//!
//! Nothing but the API server runs there, so objects stay as they were written, like in a snapshot. What needs controllers is in [`garbage`].

mod cooldowns;
mod discovery;
mod failures;
mod garbage;
mod identity;
mod plant;
mod proxy;

use infraagent_tests::{ControlPlane, config_of, control_plane, eventually};
use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{Api, api::PostParams};
use serde_json::json;

use super::*;
use crate::broker::{
    kubernetes::{Access, EFFECT_TIMEOUT, Identity, Kubernetes},
    world::{ServedKind, WorldError},
};

/// The shared API server.
pub(crate) struct ApiServer;

/// A namespace of it, and an executor.
pub(crate) struct Live {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) config: kube::Config,
    pub(crate) plane: &'static ControlPlane,
    pub(crate) shop: String,
}

/// The agent's ServiceAccount.
pub(crate) const AGENT: &str = "infraagent-web";

impl Live {
    /// The objects of a folder, and an agent that may do everything in the cluster.
    pub(crate) async fn new(plane: &'static ControlPlane, folder: &str) -> Self {
        let shop = planted(plane, folder).await;
        allow(
            plane,
            &shop,
            &[AGENT],
            json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "create", "patch", "delete"]}]),
        )
        .await;
        let config = config_of(plane.kubeconfig()).await;
        Self::of(plane, shop, config, "run-1").await
    }

    pub(crate) async fn of(plane: &'static ControlPlane, shop: String, config: kube::Config, run: &str) -> Self {
        let cluster = Access::connect(&config_of(plane.kubeconfig()).await).unwrap().id().await.unwrap();
        let scope = Scope { cluster, run: format!("{run}-{shop}"), environment: "env-1".to_owned() };
        let kubernetes = Kubernetes::new(&Access::connect(&config).unwrap(), scope, identity(&shop), EFFECT_TIMEOUT).unwrap();
        Self { kubernetes, config, plane, shop }
    }
}

pub(crate) fn identity(shop: &str) -> Identity {
    Identity { namespace: ns(shop), service_account: named(AGENT), run: named("run-1") }
}

/// A namespace with the objects of a folder, and the agent's ServiceAccount.
pub(crate) async fn planted(plane: &'static ControlPlane, folder: &str) -> String {
    let shop = plane.namespace("shop").await;
    plant::plant(plane, folder, &shop).await;
    account(plane, &shop).await;
    shop
}

async fn account(plane: &ControlPlane, shop: &str) {
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": AGENT}})).unwrap();
    Api::<ServiceAccount>::namespaced(plane.admin().await, shop).create(&PostParams::default(), &account).await.unwrap();
}

/// Gives ServiceAccounts of `shop` a ClusterRole of these rules, and waits until the API server knows.
pub(crate) async fn allow(plane: &ControlPlane, shop: &str, accounts: &[&str], rules: Value) {
    let (admin, name) = (plane.admin().await, plane.unique(&format!("suite-{shop}")));
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules})).unwrap();
    let subjects: Vec<Value> =
        accounts.iter().map(|account| json!({"kind": "ServiceAccount", "name": account, "namespace": shop})).collect();
    let binding = json!({
        "metadata": {"name": name}, "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
    });
    let binding: ClusterRoleBinding = serde_json::from_value(binding).unwrap();
    Api::<ClusterRole>::all(admin.clone()).create(&PostParams::default(), &role).await.unwrap();
    Api::<ClusterRoleBinding>::all(admin.clone()).create(&PostParams::default(), &binding).await.unwrap();
    let last = role.rules.unwrap().pop().unwrap();
    let attribute = |values: &Option<Vec<String>>| values.as_ref().and_then(|values| values.first()).filter(|value| *value != "*").cloned();
    for account in accounts {
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": format!("system:serviceaccount:{shop}:{account}"),
            "resourceAttributes": {
                "namespace": shop, "verb": last.verbs.first(),
                "group": attribute(&last.api_groups).unwrap_or_default(),
                "resource": attribute(&last.resources).unwrap_or_else(|| "pods".to_owned()),
                "name": attribute(&last.resource_names).unwrap_or_default(),
            },
        }}))
        .unwrap();
        let reviews = Api::<SubjectAccessReview>::all(admin.clone());
        eventually("the role is known", || async {
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
            answer.status.filter(|status| status.allowed)
        })
        .await;
    }
}

impl Stage for ApiServer {
    type Cluster = Live;

    async fn load(&self, folder: &str) -> Live {
        Live::new(control_plane(), folder).await
    }

    async fn load_without(&self, folder: &str, rules: &[&str]) -> Live {
        let plane = control_plane();
        let shop = planted(plane, folder).await;
        let everybody = Live::of(plane, shop.clone(), config_of(plane.kubeconfig()).await, "run-1").await;
        let may = |verb: &str, kind: &ServedKind| !rules.contains(&format!("{verb} {}", kind.resource).as_str());
        let mut granted: Vec<Value> = everybody
            .kinds()
            .await
            .unwrap()
            .iter()
            .map(|kind| {
                let verbs: Vec<&str> = ["get", "list"].into_iter().filter(|verb| may(verb, kind)).collect();
                json!({"apiGroups": [kind.resource.group()], "resources": [kind.resource.resource()], "verbs": verbs})
            })
            .filter(|rule| rule["verbs"] != json!([]))
            .collect();
        granted.push(json!({"apiGroups": [""], "resources": ["serviceaccounts", "groups"], "verbs": ["impersonate"]}));
        let extras = ["userextras/infraagent.io/run", "userextras/infraagent.io/intent"];
        granted.push(json!({"apiGroups": ["authentication.k8s.io"], "resources": extras, "verbs": ["impersonate"]}));
        let looks = config_of(&plane.kubeconfig_for(&shop, "looks").await).await;
        allow(plane, &shop, &["looks", AGENT], json!(granted)).await;
        Live::of(plane, shop, looks, "run-1").await
    }

    async fn of_another_run(&self, cluster: &Live, run: &str) -> Live {
        Live::of(cluster.plane, cluster.shop.clone(), cluster.config.clone(), run).await
    }
}

impl World for Live {
    async fn get(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> Result<Value, WorldError> {
        self.kubernetes.get(kind, namespace, name).await
    }

    async fn list(&self, kind: &GroupResource, namespace: Option<&str>) -> Result<Vec<Value>, WorldError> {
        self.kubernetes.list(kind, namespace).await
    }

    async fn kinds(&self) -> Result<Arc<[ServedKind]>, WorldError> {
        self.kubernetes.kinds().await
    }
}

impl Cluster for Live {
    fn scope(&self) -> Scope {
        self.kubernetes.scope().clone()
    }

    fn shop(&self) -> &str {
        &self.shop
    }

    fn here(&self, name: &str) -> String {
        plant::here(name, &self.shop)
    }

    async fn gather<P: Preconditions>(&self, context: &Context<'_, P>, screened: &Screened) -> Option<Facts> {
        self.kubernetes.facts(context, screened).await
    }

    async fn execute_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.kubernetes.try_read(permit).await
    }

    async fn execute(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError> {
        self.kubernetes.try_change(permit, seq).await
    }
}
