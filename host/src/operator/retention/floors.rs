//! Where the floors of agents are kept: one ConfigMap per agent in the operator's namespace, which outlives the agent. Who may write there is the cluster's matter;
//! what counts is the signature.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};

use crate::audit::floor::SignedFloor;

/// In front of the agent's uid.
const NAME: &str = "infraagent-floor-";
/// Says which agent it is about.
const LABEL: &str = "infraagent.io/floor-of";
const FLOOR: &str = "floor.json";
const KEY: &str = "keyId";
const SIGNATURE: &str = "signature";

/// Floors in a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Floors(Api<ConfigMap>);

/// A floor, and the version in which it was found.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// What is written there. None: something else.
    pub(crate) signed: Option<SignedFloor>,
    version: Option<String>,
}

impl Floors {
    /// In the namespace of an operator.
    pub(crate) fn new(client: kube::Client, namespace: &str) -> Self {
        Self(Api::namespaced(client, namespace))
    }

    /// That of an agent.
    pub(crate) async fn of(&self, agent_uid: &str) -> Result<Option<Kept>, kube::Error> {
        let found = self.0.get_opt(&format!("{NAME}{agent_uid}")).await?;
        Ok(found.map(|found| {
            let version = found.resource_version();
            let mut data = found.data.unwrap_or_default();
            let mut text = |name: &str| data.remove(name);
            let signed = match (text(FLOOR), text(KEY), text(SIGNATURE)) {
                (Some(floor), Some(key_id), Some(signature)) => Some(SignedFloor { floor, key_id, signature }),
                (_, _, _) => None,
            };
            Kept { signed, version }
        }))
    }

    /// Writes it, if nobody wrote since it was found.
    pub(crate) async fn put(&self, agent_uid: &str, floor: SignedFloor, before: Option<&Kept>) -> Result<(), kube::Error> {
        let SignedFloor { floor, key_id, signature } = floor;
        let name = format!("{NAME}{agent_uid}");
        let data: BTreeMap<String, String> =
            [(FLOOR, floor), (KEY, key_id), (SIGNATURE, signature)].map(|(name, text)| (name.to_owned(), text)).into();
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            resource_version: before.and_then(|before| before.version.clone()),
            labels: Some([(LABEL.to_owned(), agent_uid.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        match before {
            Some(_) => self.0.replace(&name, &PostParams::default(), &map).await.map(drop),
            None => self.0.create(&PostParams::default(), &map).await.map(drop),
        }
    }

    /// The uids of the agents that have one.
    pub(crate) async fn all(&self) -> Result<Vec<String>, kube::Error> {
        let found = self.0.list_metadata(&ListParams::default().labels(LABEL)).await?;
        Ok(found.items.iter().filter_map(|map| map.labels().get(LABEL).cloned()).collect())
    }

    /// Removes that of an agent of which nothing is left.
    pub(crate) async fn remove(&self, agent_uid: &str) -> Result<(), kube::Error> {
        let name = format!("{NAME}{agent_uid}");
        let Some(found) = self.0.get_metadata_opt(&name).await? else { return Ok(()) };
        let preconditions = Preconditions { uid: found.uid(), resource_version: found.resource_version() };
        match self.0.delete(&name, &DeleteParams::default().preconditions(preconditions)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }
}
