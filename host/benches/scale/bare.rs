//! The client that the operator is compared with: it makes the writes of a run that was watched, with the same content, in the same order and under the same
//! preconditions, and nothing else. It reads nothing, watches nothing, asks no model and knows no rules.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{ACCEPT, HeaderValue};
use infraagent_api::{AgentRun, InfraAgent};
use infraagent_tests::AuditEvent;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::{self, PartialObjectMeta},
};
use serde_json::{Value, json};

const ONLY_METADATA: HeaderValue = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// What is written in a run, in order.
#[derive(Debug, Clone)]
pub(crate) struct Sequence(Arc<Vec<Write>>);

#[derive(Debug, Clone)]
enum Write {
    /// The whole agent with this status.
    Agent(Value),
    /// The whole run with this status.
    Run(Value),
    /// The members of the run's status that are new.
    RunMembers(Vec<Value>),
}

/// Versions of an agent and of its run, as they come.
pub(crate) struct Watching {
    versions: tokio::task::JoinHandle<anyhow::Result<Vec<(u64, Version)>>>,
}

enum Version {
    Agent(Box<InfraAgent>),
    Run(Box<AgentRun>),
}

impl Watching {
    /// From now on, until the run is over and its agent is free again.
    pub(crate) async fn start(agents: Api<InfraAgent>, runs: Api<AgentRun>, agent: &str, run: &str) -> anyhow::Result<Self> {
        let one = |name: &str| WatchParams::default().fields(&format!("metadata.name={name}")).timeout(290);
        let now = agents.get(agent).await?.resource_version().unwrap_or_default();
        let of_agent =
            agents.watch(&one(agent), &now).await?.map_ok(|event| applied(event).map(|agent| Version::Agent(Box::new(agent)))).boxed();
        let of_run = runs.watch(&one(run), &now).await?.map_ok(|event| applied(event).map(|run| Version::Run(Box::new(run)))).boxed();
        let versions = tokio::spawn(async move {
            let (mut both, mut versions) = (stream::select(of_agent, of_run), Vec::new());
            let (mut over, mut begun, mut free) = (false, false, false);
            while !(over && begun && free) {
                let Some(version) = both.try_next().await?.flatten() else { continue };
                let number = match &version {
                    Version::Agent(agent) => {
                        let status = agent.status.clone().unwrap_or_default();
                        begun |= status.active_run.is_some();
                        // The last of its writes says that it is ready.
                        free = status.active_run.is_none() && status.phase == Some(infraagent_api::agent::AgentPhase::Ready);
                        agent.resource_version()
                    }
                    Version::Run(run) => {
                        over |= run.status.as_ref().and_then(|status| status.phase).is_some_and(|phase| phase.is_terminal());
                        run.resource_version()
                    }
                };
                versions.push((number.unwrap_or_default().parse()?, version));
            }
            Ok(versions)
        });
        Ok(Self { versions })
    }

    /// What was written, given what the API server says about the writes of the same time.
    pub(crate) async fn sequence(self, events: &[AuditEvent]) -> anyhow::Result<Sequence> {
        let mut versions = self.versions.await??;
        versions.sort_by_key(|(number, _)| *number);
        let mut verbs = Verbs { events: events.iter().filter(|event| event.is_mutation() && event.is_success()).collect() };
        let (mut writes, mut known) = (Vec::new(), Value::Null);
        for (_, version) in versions {
            match version {
                Version::Agent(agent) => match verbs.next("infraagents")?.as_str() {
                    "update" => writes.push(Write::Agent(serde_json::to_value(agent.status)?)),
                    other => bail!("an agent's status is written by `{other}`: teach the bare client to do the same"),
                },
                // That is how it was created.
                Version::Run(run) if run.status.is_none() => {}
                Version::Run(run) => {
                    let status = serde_json::to_value(run.status)?;
                    match verbs.next("agentruns")?.as_str() {
                        "update" => writes.push(Write::Run(status.clone())),
                        "patch" => writes.push(Write::RunMembers(members(&known, &status))),
                        other => bail!("a record is written by `{other}`: teach the bare client to do the same"),
                    }
                    known = status;
                }
            }
        }
        anyhow::ensure!(
            verbs.events.iter().all(|event| event.object_ref.as_ref().is_some_and(|what| what.resource == "leases")),
            "{:?}",
            verbs.events
        );
        Ok(Sequence(Arc::new(writes)))
    }
}

/// Writes that were not met yet.
struct Verbs<'e> {
    events: Vec<&'e AuditEvent>,
}

impl Verbs<'_> {
    fn next(&mut self, resource: &str) -> anyhow::Result<String> {
        let is_it =
            |event: &&AuditEvent| event.object_ref.as_ref().is_some_and(|what| what.resource == resource && what.subresource == "status");
        let at = self.events.iter().position(is_it).with_context(|| format!("{resource} changed without a write of the operator's"))?;
        Ok(self.events.remove(at).verb.clone())
    }
}

fn applied<K>(event: WatchEvent<K>) -> Option<K> {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Some(object),
        WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
    }
}

/// Operations that add what is new.
fn members(old: &Value, new: &Value) -> Vec<Value> {
    let new = new.as_object().into_iter().flatten().filter(|(name, value)| old.get(name.as_str()) != Some(*value));
    new.map(|(name, value)| json!({ "op": "add", "path": format!("/status/{name}"), "value": value })).collect()
}

impl Sequence {
    /// How many writes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes them for each run and its agent, so many runs at a time.
    pub(crate) async fn repeat(&self, client: &Client, pairs: Vec<(InfraAgent, AgentRun)>, side_by_side: usize) -> anyhow::Result<()> {
        stream::iter(pairs).map(Ok).try_for_each_concurrent(side_by_side, |(agent, run)| self.once(client, agent, run)).await
    }

    async fn once(&self, client: &Client, mut agent: InfraAgent, mut run: AgentRun) -> anyhow::Result<()> {
        let namespace = run.namespace().unwrap_or_default();
        let agents = Api::<InfraAgent>::namespaced(client.clone(), &namespace);
        let runs = Api::<AgentRun>::namespaced(client.clone(), &namespace);
        let parameters = PatchParams { field_manager: Some("infraagent".to_owned()), ..PatchParams::default() }.validation_strict();
        for write in self.0.iter() {
            match write {
                Write::Agent(status) => {
                    agent.status = serde_json::from_value(status.clone())?;
                    agent = agents.replace_status(&agent.name_any(), &PostParams::default(), &agent).await?;
                }
                Write::Run(status) => {
                    run.status = serde_json::from_value(status.clone())?;
                    run = runs.replace_status(&run.name_any(), &PostParams::default(), &run).await?;
                }
                Write::RunMembers(operations) => {
                    let precondition = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": run.resource_version() });
                    let all: Vec<Value> = std::iter::once(precondition).chain(operations.iter().cloned()).collect();
                    let patch = Patch::<()>::Json(serde_json::from_value(Value::Array(all))?);
                    let request = core::Request::new(AgentRun::url_path(&(), Some(&namespace)));
                    let mut request = request.patch_subresource("status", &run.name_any(), &parameters, &patch)?;
                    request.headers_mut().insert(ACCEPT, ONLY_METADATA);
                    let written: PartialObjectMeta<AgentRun> = client.request(request).await?;
                    run.metadata.resource_version = written.metadata.resource_version;
                }
            }
        }
        Ok(())
    }
}
