//! The log of a container, as the agent.

use infraagent_guard::{
    call::{Logs, ObjectRef, ResourceType},
    name::{GroupResource, Readable},
    permit::Reach,
};
use infraagent_sandbox::broker::{Answer, CallError};

use super::{
    Kubernetes,
    client::Ask,
    failure::Failure,
    path::{Place, query},
};
use crate::broker::{
    object,
    reading::{self, MAX_BYTES},
    tail::cut,
};

/// The most that the API server is asked for: a limit of bytes cuts the newest lines, so it is far beyond what is kept.
const LIMIT_BYTES: usize = 16 << 20;

impl Kubernetes {
    pub(super) async fn log(&self, wanted: &Logs, reach: &Reach) -> Result<Answer, CallError> {
        let Logs { namespace, pod: name, container, tail_lines, since_seconds, previous } = wanted;
        let invalid = |invalid: infraagent_guard::name::Invalid| CallError::Invalid(invalid.to_string());
        let kind = Readable::new(GroupResource::new("", "pods").map_err(invalid)?).map_err(invalid)?;
        if !matches!(reach, Reach::Namespaces(granted) if granted.contains(namespace)) {
            return Err(reading::out_of_reach(namespace.as_str()));
        }
        let served = self.served(kind.kind()).await.map_err(CallError::from)?;
        let kind = ResourceType { kind, version: None };
        let pod = self.object(&ObjectRef { kind, namespace: Some(namespace.clone()), name: name.clone() }, &served).await?;
        let container = reading::container(&pod, container.as_ref().map(|container| container.as_str()))?;
        let tail = (*tail_lines).clamp(1, Logs::MAX_LINES);
        let asked = query(&[
            ("container", &container),
            // One more than wanted says whether there were more.
            ("tailLines", &tail.saturating_add(1).to_string()),
            ("sinceSeconds", &since_seconds.map(|seconds| seconds.max(1).to_string()).unwrap_or_default()),
            ("previous", if *previous { "true" } else { "" }),
            ("limitBytes", &LIMIT_BYTES.to_string()),
        ]);
        let path = Place::of(&served, None, Some(namespace.as_str())).sub(name.as_str(), "log");
        let answer = self.acting().await?.tail(Ask::text(format!("{path}{asked}")), LIMIT_BYTES).await;
        let (bytes, lost) = answer.map_err(|failure| match failure {
            Failure::Refused(status) if status.code == 400 => {
                reading::no_log(&pod, &container, *previous).unwrap_or_else(|| Failure::Refused(status).of_read("get pods/log", ""))
            }
            other => {
                let what = format!("`{}`", object::shown(&served.resource, namespace.as_str(), name.as_str()));
                other.of_read("get pods/log", &what)
            }
        })?;
        let full = bytes.len() >= LIMIT_BYTES;
        let (text, truncated) = cut(&String::from_utf8_lossy(&bytes), tail, None, self.now(), MAX_BYTES);
        Ok(Answer::Text(text, truncated || lost || full))
    }
}
