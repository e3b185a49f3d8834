//! What an administrator installs: the custom resource definitions and other manifests of the repository.

use std::path::{Path, PathBuf};

use futures::{StreamExt as _, stream};
use k8s_openapi::{
    api::core::v1::{Namespace, PersistentVolumeClaim},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    discovery::{Scope, pinned_kind},
    runtime::{conditions, wait::Condition as _},
};
use serde_json::{Value, json};

use crate::{ControlPlane, Programs, client_of, eventually};

/// Namespace and name of the operator's ServiceAccount, once [`ControlPlane::install_operator`] has installed it.
pub const OPERATOR: (&str, &str) = ("infraagent-system", "infraagent");

/// How many ServiceAccounts are created at a time.
const SIDE_BY_SIDE: usize = 8;

/// Root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the repository")
}

/// The documents of a YAML file of the repository, or of all YAML files of a folder in the order of their names.
pub fn documents(path: impl AsRef<Path>) -> Vec<Value> {
    let path = repository().join(path);
    let mut files = vec![path.clone()];
    if path.is_dir() {
        files = std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("entry").path()).collect::<Vec<PathBuf>>();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
    }
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    files.iter().flat_map(read).filter(|document| !document.is_null()).collect()
}

/// Applies one object as `kubectl apply --server-side --force-conflicts` does: whatever its kind, into the namespace that it names.
///
/// # Errors
///
/// What the API server answers; an unknown field is an error too.
pub async fn apply(client: &Client, document: &Value) -> Result<DynamicObject, kube::Error> {
    let object: DynamicObject = serde_json::from_value(document.clone()).map_err(kube::Error::SerdeError)?;
    let kind = GroupVersionKind::try_from(object.types.clone().unwrap_or_default()).expect("apiVersion and kind");
    let (resource, capabilities) = pinned_kind(client, &kind).await?;
    let api = match (&object.metadata.namespace, capabilities.scope) {
        (Some(namespace), Scope::Namespaced) => Api::namespaced_with(client.clone(), namespace, &resource),
        (_, Scope::Namespaced | Scope::Cluster) => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams { force: true, ..PatchParams::apply("infraagent-tests").validation_strict() };
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await
}

impl ControlPlane {
    /// Installs the definitions of `crds/` as `kubectl apply --server-side` does and waits until they are served. Once per control plane.
    ///
    /// # Panics
    ///
    /// If the API server refuses one.
    pub async fn install_crds(&self) {
        let install = || async {
            let client = self.admin().await;
            let definitions = Api::<CustomResourceDefinition>::all(client.clone());
            let documents = documents("crds");
            for document in &documents {
                let name = &document["metadata"]["name"];
                apply(&client, document).await.unwrap_or_else(|error| panic!("the API server refuses {name}: {error}"));
            }
            for name in documents.iter().filter_map(|document| document["metadata"]["name"].as_str()) {
                let definitions = &definitions;
                let is_served = conditions::is_crd_established();
                let served = || async { is_served.matches_object(definitions.get_opt(name).await.ok()?.as_ref()).then_some(()) };
                eventually(&format!("{name} is served"), served).await;
            }
        };
        self.crds.get_or_init(install).await;
    }

    /// Installs the definitions, the operator's identity, the agents' roles and the admission policies (`deploy/rbac.yaml`,
    /// `deploy/agent-roles.yaml`, `deploy/admission.yaml`) and waits until the policies hold, and with controllers until the operator's rights
    /// do. Once per control plane; they bind every test on it.
    ///
    /// The operator's ServiceAccount is [`OPERATOR`]. What it may look at is aggregated by a controller, so without controllers it is nothing.
    pub async fn install_operator(&self) {
        let install = || async {
            self.install_crds().await;
            let client = self.admin().await;
            for document in ["deploy/rbac.yaml", "deploy/agent-roles.yaml", "deploy/admission.yaml"].iter().flat_map(documents) {
                apply(&client, &document).await.unwrap_or_else(|error| panic!("{}: {error}", document["metadata"]["name"]));
            }
            // The API server takes over policies all at once. One refuses the operator to delete a namespace, whatever its rights; it is one of
            // those that look for the operator's binding too.
            let user = format!("system:serviceaccount:{}:{}", OPERATOR.0, OPERATOR.1);
            let operator = client_of(&self.kubeconfig_as(&user, &["system:masters"])).await;
            let namespaces = &Api::<Namespace>::all(operator);
            let probe = &DeleteParams::default().dry_run();
            eventually("policies that hold", || async move { namespaces.delete(OPERATOR.0, probe).await.is_err().then_some(()) }).await;
            if self.programs == Programs::Controllers {
                let operator = client_of(&self.kubeconfig_for(OPERATOR.0, OPERATOR.1).await).await;
                let claims = &Api::<PersistentVolumeClaim>::all(operator);
                eventually("the aggregated right to look", || async move { claims.list(&ListParams::default()).await.ok() }).await;
            }
        };
        self.operator.get_or_init(install).await;
    }

    /// Gives a namespace what `deploy/agent-namespace.yaml` does: these ServiceAccounts of agents, and the operator's right to act as them.
    pub async fn enroll(&self, namespace: &str, accounts: &[&str]) {
        self.enroll_for(OPERATOR, namespace, accounts).await;
    }

    /// The same for an operator elsewhere.
    pub(crate) async fn enroll_for(&self, operator: (&str, &str), namespace: &str, accounts: &[&str]) {
        let client = self.admin().await;
        for mut document in documents("deploy/agent-namespace.yaml") {
            document["metadata"]["namespace"] = namespace.into();
            let own_name = document["metadata"]["name"].as_str().expect("a name").to_owned();
            let names = if document["kind"] == "ServiceAccount" { accounts.to_vec() } else { vec![own_name.as_str()] };
            if let Some(subject) = document.pointer_mut("/subjects/0") {
                (subject["namespace"], subject["name"]) = (operator.0.into(), operator.1.into());
            }
            if document["kind"] == "Role" {
                document["rules"][0]["resourceNames"] = json!(accounts);
            }
            let named = names.into_iter().map(|name| {
                let mut document = document.clone();
                document["metadata"]["name"] = name.into();
                let client = &client;
                async move { apply(client, &document).await.unwrap_or_else(|error| panic!("{name}: {error}")) }
            });
            stream::iter(named).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<_>>().await;
        }
    }
}
