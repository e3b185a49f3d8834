//! What became of a change whose outcome nobody wrote down, if the cluster still shows it. Looks only; what it does not know stays unknown.

use infraagent_api::run::ActionRecord;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    core::v1::PodTemplateSpec,
};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::{audit::MutationOutcome, broker::change::RESTARTED_BY};

/// Looks for what an intended change left behind. `mark`: `<run uid>/<entry>`.
pub(super) async fn find(client: &kube::Client, entry: &ActionRecord, mark: &str) -> Option<MutationOutcome> {
    if entry.tool != "kubectl.rollout restart" {
        return None;
    }
    let (kind, name, namespace) = target(&entry.target)?;
    let by = match kind {
        "deployment" => restarted_by(client, namespace, name, |found: &Deployment| found.spec.as_ref().map(|spec| &spec.template)).await?,
        "statefulset" => {
            restarted_by(client, namespace, name, |found: &StatefulSet| found.spec.as_ref().map(|spec| &spec.template)).await?
        }
        "daemonset" => restarted_by(client, namespace, name, |found: &DaemonSet| found.spec.as_ref().map(|spec| &spec.template)).await?,
        _ => return None,
    };
    (by == mark).then(|| MutationOutcome::Executed { result: format!("its mark is on {}: found after the replica was lost", entry.target) })
}

async fn restarted_by<K>(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    template: impl Fn(&K) -> Option<&PodTemplateSpec>,
) -> Option<String>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let found = Api::<K>::namespaced(client.clone(), namespace).get(name).await;
    let found = found.inspect_err(|error| tracing::debug!(%error, "no evidence could be looked for")).ok()?;
    tracing::debug!(name = found.name_any(), "looked for what became of a change");
    template(&found)?.metadata.as_ref()?.annotations.as_ref()?.get(RESTARTED_BY).cloned()
}

/// `deployment/web -n shop`
fn target(text: &str) -> Option<(&str, &str, &str)> {
    let (object, namespace) = text.split_once(" -n ")?;
    let (kind, name) = object.split_once('/')?;
    Some((kind, name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written() {
        assert_eq!(target("deployment/web -n shop"), Some(("deployment", "web", "shop")));
        assert_eq!(target("node/a"), None);
    }
}
