//! An executor whose cluster is a real one.
//!
//! Two identities, which never mix: the kubeconfig's own user looks (discovery, and the facts that decisions rest on), the agent's ServiceAccount reads for skills
//! and changes things. The second is impersonated, in the group `infraagent:agents`, with the run and the intent in every request, so that RBAC bounds each agent
//! on its own and the API server's audit log can be held against the record.
//!
//! # Guarantees
//!
//! * A change leaves as one request, once, with the uid and the resource version that were observed when it was decided; what comes back, a conflict or a refusal
//!   to take more requests too, is the result.
//! * No change of this executor is made with the kubeconfig's own rights. If the ServiceAccount does not exist, nothing happens.
//! * An outcome is only called a failure if it is certain that nothing happened.
//!
//! # Assumptions
//!
//! The kubeconfig's user may read what the built-in ClusterRole `view` shows, read nodes and volumes, and impersonate the agent's ServiceAccount, the group and
//! the two extra fields. What it may not read is unknown, and denies.

mod client;
mod discovery;
mod failure;
mod logs;
mod mutate;
mod path;
mod read;
mod survey;
pub(crate) mod turns;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use infraagent_guard::{
    call::{Mutation, Read},
    facts::Facts,
    name::GroupResource,
    permit::Permit,
    policy::Scope,
    screen::Screened,
};
use infraagent_sandbox::broker::{Answer, CallError, Receipt};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use self::client::AGENTS;
#[cfg(test)]
pub(super) use self::client::MAX_ANSWER;
pub use self::client::{EFFECT_TIMEOUT, Identity};
use self::{
    client::{Acting, Ask, Looks},
    discovery::Discovery,
    path::{Place, query},
    read::Position,
    survey::{Sights, Survey},
};
use super::{
    facts::{self, Preconditions},
    object,
    paging::Handles,
    world::{ServedKind, World, WorldError},
};
use crate::audit::Recorded;

/// How long it is believed that the ServiceAccount exists. The facts of every change look anew.
const PRESENT: Duration = Duration::from_secs(30);
/// Objects per request when a whole list is wanted.
const CHUNK: &str = "500";
/// The most objects of one kind that facts are gathered from.
const MAX_OBJECTS: usize = 50_000;

/// A cluster, for one run.
#[derive(Debug)]
pub struct Kubernetes {
    scope: Scope,
    identity: Identity,
    looks: Looks,
    acting: Acting,
    discovery: Arc<Discovery>,
    handles: Handles<Position>,
    sights: Sights,
    present: Mutex<Option<Instant>>,
    /// The longest that an effect may take.
    effect: Duration,
}

/// Why there is no executor for a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used")]
    Config(#[source] Box<kube::Error>),
    /// The kubeconfig's user impersonates somebody.
    #[error(
        "the kubeconfig's user impersonates somebody (`as`), and an agent can only be impersonated by a user itself: use another context"
    )]
    Impersonates,
    /// The agent's ServiceAccount cannot be named in a request.
    #[error("`{0}` cannot be impersonated: no request can name it")]
    Unnameable(String),
    /// The cluster cannot be asked who it is.
    #[error("the cluster cannot be identified by its namespace `kube-system`: {0}")]
    Unknown(#[source] WorldError),
}

impl From<kube::Error> for ConnectError {
    fn from(error: kube::Error) -> Self {
        Self::Config(Box::new(error))
    }
}

/// What all runs on one cluster share: the connections, and what the cluster serves.
#[derive(Debug, Clone)]
pub struct Access {
    looks: Looks,
    discovery: Arc<Discovery>,
}

impl Access {
    /// The cluster of `config`, which must not impersonate anybody itself. Nothing is sent yet, and nothing will be sent twice.
    pub fn connect(config: &kube::Config) -> Result<Self, ConnectError> {
        if config.auth_info.impersonate.is_some() || config.auth_info.impersonate_groups.is_some() {
            return Err(ConnectError::Impersonates);
        }
        let mut config = config.clone();
        config.default_retry = false;
        let looks = Looks::new(turns::client(config)?);
        Ok(Self { discovery: Arc::new(Discovery::new(looks.clone())), looks })
    }

    /// What the cluster is called in a [`Scope`]: the uid of its namespace `kube-system`.
    pub async fn id(&self) -> Result<String, ConnectError> {
        let found = self.looks.ask(Ask::json("/api/v1/namespaces/kube-system".to_owned())).await;
        let found = found.map_err(|failure| ConnectError::Unknown(failure.of_look("get namespaces", "`namespace/kube-system`")))?;
        match object::uid(&found) {
            "" => Err(ConnectError::Unknown(WorldError::Unavailable("it has no uid".to_owned()))),
            uid => Ok(uid.to_owned()),
        }
    }
}

impl Kubernetes {
    /// An executor for the run of `scope`, acting as `identity`. Sends nothing yet. An effect may take at most `effect`.
    pub fn new(access: &Access, scope: Scope, identity: Identity, effect: Duration) -> Result<Self, ConnectError> {
        let Access { looks, discovery } = access;
        let acting = Acting::new(looks.client(), &identity).map_err(|_| ConnectError::Unnameable(identity.user()))?;
        let handles = Handles::new(&scope.run);
        let (looks, discovery, effect) = (looks.clone(), Arc::clone(discovery), effect.min(EFFECT_TIMEOUT));
        Ok(Self { scope, identity, looks, acting, discovery, handles, sights: Sights::default(), present: Mutex::new(None), effect })
    }

    /// Executes a recorded read, as the agent.
    pub async fn read(&self, permit: Recorded<Permit<Read>>) -> Result<Answer, CallError> {
        self.look(permit.get()).await
    }

    /// Executes a recorded mutation, as the agent: one request, under the precondition that the target is as it was observed.
    pub async fn mutate(&self, permit: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        self.change(permit.get(), permit.seq(), false).await
    }

    /// Lets the API server check a recorded mutation without doing it.
    pub async fn rehearse(&self, permit: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        self.change(permit.get(), permit.seq(), true).await
    }

    /// What a screened mutation would do, looked at with the kubeconfig's own rights. None for calls that change nothing.
    pub async fn facts<P: Preconditions>(&self, context: &facts::Context<'_, P>, screened: &Screened) -> Option<Facts> {
        // Whoever is missing changes nothing; nothing else need be looked at.
        let present = match facts::changes_the_cluster(screened) {
            true => self.look_for_service_account().await,
            false => Ok(()),
        };
        match present {
            Ok(()) => facts::gather(&Survey::new(self), context, screened).await,
            Err(why) => facts::unknown_target(screened, &why),
        }
    }

    /// Where permits must be good to be executed here.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// A permit of another cluster, run or environment is good for nothing here.
    fn check_scope(&self, scope: &Scope) -> Result<(), CallError> {
        let Scope { cluster, run, environment } = &self.scope;
        if scope.cluster == *cluster && scope.run == *run && scope.environment == *environment {
            Ok(())
        } else {
            Err(CallError::Internal("the permit is for another cluster, run or environment".to_owned()))
        }
    }

    /// The only way to the agent's identity. A ServiceAccount that does not exist can still be impersonated, and has the roles that were bound to its name.
    async fn acting(&self) -> Result<&Acting, CallError> {
        let known = *self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|since| since.elapsed() >= PRESENT) {
            self.look_for_service_account().await.map_err(|why| CallError::Denied {
                code: "forbidden".to_owned(),
                action: String::new(),
                message: why,
            })?;
        }
        Ok(&self.acting)
    }

    /// Looks whether the ServiceAccount exists. The error says what to do.
    async fn look_for_service_account(&self) -> Result<(), String> {
        let Identity { namespace, service_account, run: _ } = &self.identity;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}");
        let found = self.looks.ask(Ask::json(path)).await.map_err(|failure| failure.of_look("get serviceaccounts", ""));
        let present = match found {
            Ok(account) if !object::is_terminating(&account) => Ok(()),
            Ok(_) | Err(WorldError::NotFound(_)) => {
                Err(format!("the agent's service account `{service_account}` does not exist in namespace `{namespace}`: create it"))
            }
            Err(WorldError::Forbidden { rule }) => Err(rule),
            Err(WorldError::Unavailable(why)) => Err(why),
        };
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = present.is_ok().then(Instant::now);
        present
    }

    /// The kind, or that the cluster does not have it.
    async fn served(&self, kind: &GroupResource) -> Result<ServedKind, WorldError> {
        self.discovery.find(kind).await?.ok_or_else(|| WorldError::NotFound(format!("the kind `{kind}`")))
    }
}

impl World for Kubernetes {
    async fn get(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> Result<Value, WorldError> {
        let served = self.served(kind).await?;
        let place = Place::of(&served, None, namespace);
        let what = format!("`{}`", object::shown(kind, namespace.unwrap_or_default(), name));
        let found = self.looks.ask(Ask::json(place.object(name))).await;
        found.map_err(|failure| failure.of_look(&format!("get {kind}"), &what))
    }

    /// Read from the store, not from a cache of the API server, in parts. Of kinds that are not Kubernetes' own only the metadata.
    async fn list(&self, kind: &GroupResource, namespace: Option<&str>) -> Result<Vec<Value>, WorldError> {
        let served = self.served(kind).await?;
        let place = Place::of(&served, None, namespace);
        let rule = format!("list {kind}");
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{}{}", place.list(), query(&[("limit", CHUNK), ("continue", &token)]));
            let ask = if served.is_custom() { Ask::metadata(path) } else { Ask::json(path) };
            let mut page = self.looks.ask(ask).await.map_err(|failure| failure.of_look(&rule, &format!("the kind `{kind}`")))?;
            token = object::text(&page, "/metadata/continue").to_owned();
            found.extend(items(&mut page, &served, &place));
            if token.is_empty() {
                return Ok(found);
            }
            if found.len() > MAX_OBJECTS {
                return Err(WorldError::Unavailable(format!("{rule}: there are more than {MAX_OBJECTS}")));
            }
        }
    }

    async fn kinds(&self) -> Result<Arc<[ServedKind]>, WorldError> {
        self.discovery.now().await?.complete()
    }
}

/// The objects of a list. In it they leave out what they are.
fn items(page: &mut Value, served: &ServedKind, place: &Place<'_>) -> Vec<Value> {
    let Some(Value::Array(mut items)) = page.get_mut("items").map(Value::take) else { return Vec::new() };
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.insert("apiVersion".to_owned(), Value::String(place.api_version()));
        item.insert("kind".to_owned(), Value::String(served.kind.clone()));
    }
    items
}

#[cfg(test)]
impl Kubernetes {
    /// A read that nobody recorded.
    pub(crate) async fn try_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.look(permit).await
    }

    /// A change that nobody recorded.
    pub(crate) async fn try_change(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError> {
        self.change(permit, seq, false).await
    }
}
