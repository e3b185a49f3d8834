//! The cluster that a command of the people asks: which one, which namespace, and what went wrong when it did not answer.
//!
//! Everything is asked with the rights of the kubeconfig. Each request has a time limit and is made once; what is written is an order (an annotation, a field of
//! a spec, a new AgentRun) that means the same if it is given twice.

mod time;
mod trouble;

use std::{
    fmt::{self, Debug},
    future::Future,
    path::PathBuf,
    time::Duration,
};

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Config, Resource,
    api::{GetParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::Request,
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    time::Clocks,
    trouble::{Ask, Trouble, near},
};

/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Objects per page of a list.
const PAGE: u32 = 200;
/// Who writes, in managed fields.
const MANAGER: &str = "infraagent-cli";

/// Which cluster.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Flags {
    /// Namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Kubeconfig [default: $KUBECONFIG, else ~/.kube/config, else that of the pod]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Which cluster, and whether all of its namespaces.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct ListFlags {
    #[command(flatten)]
    pub(super) cluster: Flags,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
}

impl ListFlags {
    /// Connects.
    pub async fn connect(&self) -> Result<(Cluster, Scope), Trouble> {
        let cluster = Cluster::connect(&self.cluster).await?;
        let scope = if self.all_namespaces { Scope::All } else { Scope::One(cluster.namespace.clone()) };
        Ok((cluster, scope))
    }

    /// Connects, and looks at all namespaces unless one is named.
    pub async fn connect_everywhere(&self) -> Result<(Cluster, Scope), Trouble> {
        let cluster = Cluster::connect(&self.cluster).await?;
        let scope = if self.cluster.namespace.is_some() { Scope::One(cluster.namespace.clone()) } else { Scope::All };
        Ok((cluster, scope))
    }
}

/// Where is looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In one namespace.
    One(String),
    /// Everywhere.
    All,
}

impl Scope {
    /// ` in namespace x`, or nothing.
    pub fn shown(&self) -> String {
        match self {
            Self::One(namespace) => format!(" in namespace `{namespace}`"),
            Self::All => String::new(),
        }
    }
}

/// A cluster, and the namespace that is meant if none is said.
#[derive(Clone)]
pub struct Cluster {
    /// Asks the API server.
    pub client: kube::Client,
    /// The namespace.
    pub namespace: String,
    /// The address of the API server.
    pub url: String,
}

/// How the cluster is reached: that of a kubeconfig, else that of the pod that this program runs in.
pub async fn config(kubeconfig: Option<PathBuf>, context: Option<String>) -> Result<Config, Trouble> {
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let mut config = match kubeconfig {
        Some(path) => {
            let unusable = |error: kube::config::KubeconfigError| Trouble::Kubeconfig(path.display().to_string(), error.to_string());
            let file = Kubeconfig::read_from(&path).map_err(unusable)?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)?
        }
        None => match Config::from_kubeconfig(&options).await {
            Ok(config) => config,
            Err(error) => match Config::incluster() {
                // A context is one of a kubeconfig.
                Ok(config) if context.is_none() => config,
                Ok(_) | Err(_) => return Err(Trouble::NoKubeconfig(error.to_string())),
            },
        },
    };
    config.connect_timeout = Some(CONNECT);
    config.default_retry = false;
    Ok(config)
}

impl Cluster {
    /// Reads the kubeconfig. Nothing is asked yet.
    pub async fn connect(flags: &Flags) -> Result<Self, Trouble> {
        let Flags { namespace, kubeconfig, context } = flags.clone();
        let config = config(kubeconfig, context).await?;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = kube::Client::try_from(config).map_err(|error| Trouble::NoKubeconfig(error.to_string()))?;
        Ok(Self { client, namespace, url })
    }

    /// Waits for an answer.
    pub async fn ask<T>(&self, ask: &Ask, answer: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Trouble::of(&error, ask, &self.url)),
            Err(_) => Err(Trouble::Unreachable(self.url.clone(), format!("it does not answer within {} s", PATIENCE.as_secs()))),
        }
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The object of this name in the namespace, exactly as the API server has it, but for who changed what when.
    pub async fn raw<K>(&self, name: &str) -> Result<Value, Trouble>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let ask = Ask::of::<K>("get", &Scope::One(self.namespace.clone())).named(name);
        let request = Request::new(K::url_path(&(), Some(&self.namespace))).get(name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(|error| Trouble::of(&error, &ask, &self.url))?;
        match self.ask(&ask, self.client.request::<Value>(request)).await {
            Ok(found) => Ok(light(found)),
            // Who looks for something that is not there is told what is.
            Err(Trouble::NotFound { kind, name, namespace, near: _ }) => {
                let names = self.names::<K>().await.unwrap_or_default();
                let near = near(&name, names.iter().map(String::as_str));
                Err(Trouble::NotFound { kind, name, namespace, near })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// The object of this name in the namespace.
    pub async fn get<K>(&self, name: &str) -> Result<K, Trouble>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
    {
        typed(self.raw::<K>(name).await?)
    }

    /// The names of all objects of a kind in the namespace.
    async fn names<K>(&self) -> Result<Vec<String>, Trouble>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let mut names = Vec::new();
        let scope = Scope::One(self.namespace.clone());
        self.pages::<K>(&scope, &ListParams::default(), |object| {
            names.extend(object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned))
        })
        .await?;
        Ok(names)
    }

    /// Has `each` look at every object, page by page, exactly as the API server has it, but for who changed what when.
    pub async fn pages<K>(&self, scope: &Scope, params: &ListParams, mut each: impl FnMut(Value)) -> Result<(), Trouble>
    where
        K: Resource<DynamicType = ()>,
    {
        let ask = Ask::of::<K>("list", scope);
        let namespace = match scope {
            Scope::One(namespace) => Some(namespace.as_str()),
            Scope::All => None,
        };
        let url = K::url_path(&(), namespace);
        let mut params = params.clone().limit(PAGE);
        loop {
            let request = Request::new(&url).list(&params);
            let request = request.map_err(kube::Error::BuildRequest).map_err(|error| Trouble::of(&error, &ask, &self.url))?;
            let mut page = self.ask(&ask, self.client.request::<Value>(request)).await?;
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                items.into_iter().map(light).for_each(&mut each);
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token.to_owned()),
                None => return Ok(()),
            }
        }
    }

    /// Every object of a kind.
    pub async fn list<K>(&self, scope: &Scope, params: &ListParams) -> Result<Vec<K>, Trouble>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let mut all = Vec::new();
        self.pages::<K>(scope, params, |object| all.push(typed(object))).await?;
        all.into_iter().collect()
    }

    /// Changes some fields of an object.
    pub async fn merge<K>(&self, name: &str, patch: &Value) -> Result<K, Trouble>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let ask = Ask::of::<K>("patch", &Scope::One(self.namespace.clone())).named(name);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.ask(&ask, self.api::<K>().patch(name, &params, &Patch::Merge(patch))).await
    }

    /// Creates an object.
    pub async fn create<K>(&self, object: &K) -> Result<K, Trouble>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let ask = Ask::of::<K>("create", &Scope::One(self.namespace.clone()));
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        self.ask(&ask, self.api::<K>().create(&params, object)).await
    }

    /// The object of this name, whenever it changes; none when it is gone. It ends with the first error that asking again does not mend.
    pub fn follow<K>(&self, name: &str) -> impl Stream<Item = Result<Option<K>, Trouble>> + Send + use<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let ask = Ask::of::<K>("watch", &Scope::One(self.namespace.clone())).named(name);
        let url = self.url.clone();
        watch_object(self.api::<K>(), name).default_backoff().map_err(move |error| Trouble::watching(&error, &ask, &url)).filter(|seen| {
            let passes = matches!(seen, Err(Trouble::Unreachable(_, _)));
            if passes {
                tracing::warn!("the API server does not answer; it is asked again");
            }
            std::future::ready(!passes)
        })
    }
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client: _, namespace, url } = self;
        f.debug_struct("Cluster").field("namespace", namespace).field("url", url).finish_non_exhaustive()
    }
}

/// Who changed what when is the largest part of most objects, and for nobody here.
fn light(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// An object of ours from what the API server has.
pub fn typed<K: DeserializeOwned>(object: Value) -> Result<K, Trouble> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    serde_json::from_value(object).map_err(|error| Trouble::Unreadable(name, error.to_string()))
}
