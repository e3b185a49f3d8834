//! The client that the record is compared with: it changes a Deployment as an agent and writes two patches of a status. Its requests are as frugal as ours (only
//! the metadata of a run comes back) and have the same preconditions, but the API server need not look for unknown fields, and nothing is known here of
//! decisions, chains or bounds.

use http::{
    HeaderName, Request,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use infraagent_api::AgentRun;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Config, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::{self, PartialObjectMeta},
};
use serde_json::{Value, json};

const INTENT: HeaderName = HeaderName::from_static("impersonate-extra-infraagent.io%2fintent");
const ONLY_METADATA: HeaderValue = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// A client of the operator's user, and one that impersonates the agent.
pub(crate) struct BareClient {
    runs: Api<AgentRun>,
    statuses: core::Request,
    operator: Client,
    deployments: Api<Deployment>,
    agent: Client,
    parameters: PatchParams,
}

/// An AgentRun as it was last seen.
pub(crate) struct Run {
    name: String,
    pub(crate) uid: String,
    resource_version: String,
}

impl BareClient {
    pub(crate) fn new(config: &Config, namespace: &str, account: &str) -> anyhow::Result<Self> {
        let operator = Client::try_from(config.clone())?;
        let mut agent = config.clone();
        agent.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{account}"));
        agent.auth_info.impersonate_groups = Some(vec!["infraagent:agents".to_owned()]);
        agent.auth_info.impersonate_user_extra =
            Some([("infraagent.io/run".to_owned(), vec![format!("{namespace}/forge-bare-0000")])].into());
        Ok(Self {
            runs: Api::namespaced(operator.clone(), namespace),
            deployments: Api::namespaced(operator.clone(), namespace),
            statuses: core::Request::new(AgentRun::url_path(&(), Some(namespace))),
            operator,
            agent: Client::try_from(agent)?,
            parameters: PatchParams { field_manager: Some("infraagent".to_owned()), ..PatchParams::default() },
        })
    }

    pub(crate) async fn create(&self, run: &AgentRun) -> anyhow::Result<Run> {
        let parameters = PostParams { field_manager: Some("infraagent".to_owned()), ..PostParams::default() };
        let created = self.runs.create(&parameters, run).await?;
        Ok(Run {
            name: created.name_any(),
            uid: created.uid().unwrap_or_default(),
            resource_version: created.resource_version().unwrap_or_default(),
        })
    }

    /// One operation on the status of a run that nobody else wrote since.
    pub(crate) async fn record(&self, run: &mut Run, operation: Value) -> anyhow::Result<()> {
        let precondition = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": run.resource_version });
        let patch = Patch::<()>::Json(serde_json::from_value(json!([precondition, operation]))?);
        let mut request = self.statuses.patch_subresource("status", &run.name, &self.parameters, &patch)?;
        request.headers_mut().insert(ACCEPT, ONLY_METADATA);
        let written: PartialObjectMeta<AgentRun> = self.operator.request(request).await?;
        run.resource_version = written.resource_version().unwrap_or_default();
        Ok(())
    }

    pub(crate) async fn deployment(&self, name: &str) -> anyhow::Result<Deployment> {
        Ok(self.deployments.get(name).await?)
    }

    /// Restarts a Deployment that is as it was seen, as the agent.
    pub(crate) async fn restart(&self, seen: &Deployment, intent: &str) -> anyhow::Result<()> {
        let annotations =
            json!({ "kubectl.kubernetes.io/restartedAt": Timestamp::now().to_string(), "infraagent.io/restarted-by": intent });
        let body = json!({
            "metadata": { "uid": seen.uid(), "resourceVersion": seen.resource_version() },
            "spec": { "template": { "metadata": { "annotations": annotations } } },
        });
        let path = format!(
            "/apis/apps/v1/namespaces/{}/deployments/{}?timeout=8s&fieldManager=infraagent",
            seen.namespace().unwrap_or_default(),
            seen.name_any()
        );
        let request = Request::patch(path)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/merge-patch+json")
            .header(INTENT, intent)
            .body(body.to_string().into_bytes())?;
        let changed: Deployment = self.agent.request(request).await?;
        anyhow::ensure!(changed.resource_version() != seen.resource_version(), "nothing was changed");
        Ok(())
    }
}
