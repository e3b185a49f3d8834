//! The two identities that this executor has towards a cluster, and the one way in which a request leaves.
//!
//! [`Looks`] is the kubeconfig's own user; it has methods to read, and none to write. [`Acting`] is an agent's ServiceAccount, impersonated; reads for skills
//! and every change leave through it. Both are private to the executor. Neither follows a second thought: what `Acting` sends is sent once, without a layer
//! that tries again.
//!
//! # Caveats
//!
//! A pooled connection that the server closed while it was idle is replaced before anything was written to it. That is not a second request.

use std::time::Duration;

use futures::AsyncReadExt as _;
use http::{
    HeaderName, HeaderValue, Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use infraagent_guard::name::{Namespace, ObjectName};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{failure::Failure, path::query};

/// The longest that a look may take.
pub(super) const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that an effect may take, from the first byte sent to the last byte read. The fence of a run counts on it.
pub const EFFECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read. A page of objects that is larger is asked for in smaller parts.
pub(in crate::broker) const MAX_ANSWER: usize = 64 << 20;

/// The group that every impersonated agent is in. It replaces the groups that a ServiceAccount is in by itself.
pub(crate) const AGENTS: &str = "infraagent:agents";
const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
/// `infraagent.io/run`; the slash is not allowed in a header's name.
const EXTRA_RUN: HeaderName = HeaderName::from_static("impersonate-extra-infraagent.io%2frun");
/// `infraagent.io/intent`.
const EXTRA_INTENT: HeaderName = HeaderName::from_static("impersonate-extra-infraagent.io%2fintent");

/// Whom a run acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The agent's namespace, which is the namespace of its ServiceAccount too.
    pub namespace: Namespace,
    /// The name of the ServiceAccount.
    pub service_account: ObjectName,
    /// The name of the run, for the audit log of the API server.
    pub run: ObjectName,
}

impl Identity {
    /// The user name that Kubernetes has for the ServiceAccount.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }
}

/// The kubeconfig's own user. Reads only.
#[derive(Clone)]
pub(super) struct Looks(kube::Client);

/// The agent's ServiceAccount: no request leaves without its name. It shares the connections of everything else.
#[derive(Clone)]
pub(super) struct Acting {
    client: kube::Client,
    user: HeaderValue,
    run: HeaderValue,
}

/// One request for something.
#[derive(Debug)]
pub(super) struct Ask {
    path: String,
    accept: &'static str,
}

impl Ask {
    /// For an object or a list, below `path`.
    pub(super) fn json(path: String) -> Self {
        Self { path, accept: "application/json" }
    }

    /// For a list of which only the metadata is wanted.
    pub(super) fn metadata(path: String) -> Self {
        Self { path, accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" }
    }

    /// For text.
    pub(super) fn text(path: String) -> Self {
        Self { path, accept: "*/*" }
    }

    fn request(self) -> Result<Request<Vec<u8>>, Failure> {
        let Self { path, accept } = self;
        Request::get(path).header(ACCEPT, accept).body(Vec::new()).map_err(|error| Failure::Malformed(error.to_string()))
    }
}

/// One change.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) body: Value,
    /// The intent that this executes, `<run uid>/<entry>`.
    pub(super) intent: String,
    /// Decided and checked by the API server, and not done.
    pub(super) dry_run: bool,
}

impl Looks {
    pub(super) fn new(client: kube::Client) -> Self {
        Self(client)
    }

    /// The connections.
    pub(super) fn client(&self) -> kube::Client {
        self.0.clone()
    }

    /// Reads JSON.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Value, Failure> {
        within(LOOK_TIMEOUT, json(&self.0, ask.request()?)).await
    }

    /// Reads a document that is only sent if it is not the one with this tag. None: it still is.
    pub(super) async fn ask_if_changed(
        &self,
        path: &str,
        accept: &str,
        tag: Option<&str>,
    ) -> Result<Option<(Value, Option<String>)>, Failure> {
        let mut request = Request::get(path).header(ACCEPT, accept);
        if let Some(tag) = tag {
            request = request.header(http::header::IF_NONE_MATCH, tag);
        }
        let request = request.body(kube::client::Body::empty()).map_err(|error| Failure::Malformed(error.to_string()))?;
        within(LOOK_TIMEOUT, async {
            let response = self.0.send(request).await.map_err(Failure::from)?;
            let status = response.status();
            let tag = response.headers().get(http::header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            if status == http::StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            let bytes = whole(response.into_body()).await?;
            if !status.is_success() {
                return Err(Failure::of_body(status, bytes.as_ref()));
            }
            let value = serde_json::from_slice(bytes.as_ref()).map_err(|error| Failure::Unreadable(error.to_string()))?;
            Ok(Some((value, tag)))
        })
        .await
    }
}

impl Acting {
    /// `client` is the kubeconfig's own user's, who impersonates nobody, and tries nothing twice.
    pub(super) fn new(client: kube::Client, identity: &Identity) -> Result<Self, http::header::InvalidHeaderValue> {
        let run = format!("{}/{}", identity.namespace, identity.run);
        Ok(Self { client, user: HeaderValue::from_str(&identity.user())?, run: HeaderValue::from_str(&run)? })
    }

    /// The request, as the agent.
    fn dressed(&self, mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
        let headers = request.headers_mut();
        headers.insert(USER, self.user.clone());
        headers.insert(GROUP, HeaderValue::from_static(AGENTS));
        headers.insert(EXTRA_RUN, self.run.clone());
        request
    }

    /// Reads JSON.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Value, Failure> {
        within(LOOK_TIMEOUT, json(&self.client, self.dressed(ask.request()?))).await
    }

    /// Reads text: its last `keep` bytes, and whether there was more.
    pub(super) async fn tail(&self, ask: Ask, keep: usize) -> Result<(Vec<u8>, bool), Failure> {
        let request = self.dressed(ask.request()?);
        within(LOOK_TIMEOUT, async {
            let mut stream = self.client.request_stream(request).await.map_err(Failure::from)?;
            let (mut kept, mut cut, mut chunk) = (Vec::new(), false, vec![0; 64 << 10]);
            loop {
                let read = stream.read(&mut chunk).await.map_err(|error| Failure::Lost(error.to_string()))?;
                if read == 0 {
                    return Ok((kept, cut));
                }
                kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
                if kept.len() > keep.saturating_mul(2) {
                    kept.drain(..kept.len().saturating_sub(keep));
                    cut = true;
                }
            }
        })
        .await
    }

    /// Sends a change, once, and waits until then. The answer is the object as it is now, or a status.
    pub(super) async fn order(&self, order: Order, until: Instant) -> Result<Value, Failure> {
        let Order { method, path, content_type, mut body, intent, dry_run } = order;
        let mark = HeaderValue::from_str(&intent).map_err(|_| Failure::Malformed(format!("`{intent}` is no intent")))?;
        let manager = if method == Method::PATCH { "infraagent" } else { "" };
        // Of a deletion with a body the API server reads the options there, and only there.
        let in_body = method == Method::DELETE;
        if let (true, true, Some(options)) = (dry_run, in_body, body.as_object_mut()) {
            options.insert("dryRun".to_owned(), json!(["All"]));
        }
        let rehearse = if dry_run && !in_body { "All" } else { "" };
        // The API server gives up before this program does.
        let patience = format!("{}ms", until.saturating_duration_since(Instant::now()).as_millis() * 4 / 5);
        let query = query(&[("timeout", patience.as_str()), ("fieldManager", manager), ("dryRun", rehearse)]);
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}{query}"))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, content_type)
            .header(EXTRA_INTENT, mark)
            .body(body.to_string().into_bytes())
            .map_err(|error| Failure::Malformed(error.to_string()))?;
        tokio::time::timeout_at(until, json(&self.client, self.dressed(request))).await.unwrap_or(Err(Failure::TimedOut))
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
}

async fn json(client: &kube::Client, request: Request<Vec<u8>>) -> Result<Value, Failure> {
    let response = client.send(request.map(kube::client::Body::from)).await.map_err(Failure::from)?;
    let status = response.status();
    let bytes = whole(response.into_body()).await?;
    if !status.is_success() {
        return Err(Failure::of_body(status, bytes.as_ref()));
    }
    serde_json::from_slice(bytes.as_ref()).map_err(|error| Failure::Unreadable(error.to_string()))
}

/// A body, unless it is larger than the cap.
async fn whole(body: kube::client::Body) -> Result<impl AsRef<[u8]> + use<>, Failure> {
    let collected = Limited::new(body, MAX_ANSWER).collect().await;
    collected
        .map(Collected::to_bytes)
        .map_err(|error| if error.is::<LengthLimitError>() { Failure::TooLarge } else { Failure::Lost(error.to_string()) })
}

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looks")
    }
}

impl std::fmt::Debug for Acting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acting")
    }
}
