//! What the leader watches, and the one queue of agents that its reconciliation ([`reconcile`]) works through.
//!
//! Each watch fills a cache and puts the agents that it is about into the queue. Nothing is decided before all caches are full.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use infraagent_api::{AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy, ModelTierConfig};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Namespace};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _, applier,
        controller::{Action, Config},
        events::{Recorder, Reporter},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Operator,
    account::Accounts,
    conditions::said,
    events, export,
    heads::Heads,
    heartbeat::{LABEL, LeaseRef, REPLICA},
    rates::Rates,
    reconcile,
    replicas::Replicas,
    retention,
    shared_watch::{Listening, Sight},
    slots::Slots,
    spending::{Spending, Spent},
    statuses::{self, Dirty},
    trigger::filters::Filters,
    waiting::Waiting,
    written::Written,
};

/// How many agents are looked at side by side.
const SIDE_BY_SIDE: u16 = 16;

/// What a leader knows.
pub(super) struct Leader {
    pub(super) operator: Arc<Operator>,
    pub(super) caches: Caches,
    pub(super) replicas: Replicas,
    pub(super) slots: Slots,
    pub(super) rates: Rates,
    pub(super) accounts: Accounts,
    pub(super) spending: Spending,
    pub(super) waiting: Waiting,
    pub(super) heads: Heads,
    pub(super) filters: Filters,
    pub(super) written_agents: Written<InfraAgent>,
    pub(super) written_runs: Written<AgentRun>,
    /// Held while it is decided whether a run gets a slot.
    pub(super) dispatching: tokio::sync::Mutex<()>,
    pub(super) recorder: Recorder,
    /// Has an agent looked at.
    pub(super) wake: mpsc::UnboundedSender<ObjectRef<InfraAgent>>,
}

/// Objects as they were seen last.
#[derive(Clone)]
pub(super) struct Caches {
    pub(super) agents: Store<InfraAgent>,
    /// Those that are not over.
    pub(super) runs: Store<AgentRun>,
    pub(super) environments: Store<AgentEnvironment>,
    pub(super) models: Store<ModelTierConfig>,
    pub(super) policies: Store<InfraAgentPolicy>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
}

impl Caches {
    /// The agents that the question is answered with yes for.
    fn agents(&self, about: impl Fn(&InfraAgent) -> bool) -> Vec<ObjectRef<InfraAgent>> {
        self.agents.state().iter().filter(|agent| about(agent)).map(|agent| ObjectRef::from_obj(&**agent)).collect()
    }

    /// False if a cache will never be full.
    async fn full(&self) -> bool {
        let Self { agents, runs, environments, models, policies, namespaces } = self;
        let filled = tokio::try_join!(
            agents.wait_until_ready(),
            runs.wait_until_ready(),
            environments.wait_until_ready(),
            models.wait_until_ready(),
            policies.wait_until_ready(),
            namespaces.wait_until_ready(),
        );
        filled.is_ok()
    }
}

/// Leads until it is dropped.
pub(super) async fn lead(operator: Arc<Operator>, own: LeaseRef) {
    let (wake, mut woken) = mpsc::unbounded_channel();
    let (dirty, dirtied) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let caches = watch_all(&operator, &wake, &dirty, &mut tasks);
    if !caches.full().await {
        tracing::error!("a watch ended before its cache was full");
        return;
    }
    let _listening = listen(&operator, &caches, &wake, &dirty);
    let looked_after = |agent: &Arc<InfraAgent>| operator.settings.watches(agent.metadata.namespace.as_deref().unwrap_or_default());
    // What an active run may use is not known before its agent is looked at; until then its own token budget stands for it.
    let active = caches.agents.state().into_iter().filter(looked_after).filter_map(|agent| {
        let uid = agent.status.as_ref()?.active_run.as_ref()?.uid.clone();
        let tokens = u64::try_from(agent.spec.model.token_budget).unwrap_or(0);
        Some((uid, agent.namespace().unwrap_or_default(), Spent { tokens, nanos: 0 }))
    });
    let rates = loop {
        match Rates::load(&operator).await {
            Ok(rates) => break rates,
            Err(error) => tracing::warn!(error = said(&error), "what began within the last hour cannot be counted yet: nothing begins"),
        }
        tokio::time::sleep(operator.settings.timings.renewal()).await;
    };
    let _told = operator.ended.listen(&wake);
    let reporter = Reporter { controller: "infraagent".to_owned(), instance: Some(operator.settings.identity.clone()) };
    let leader = Arc::new(Leader {
        replicas: Replicas::new(own, operator.settings.timings),
        slots: Slots::new(operator.settings.max_concurrent, active.collect::<Vec<_>>()),
        rates,
        accounts: Accounts::default(),
        spending: Spending::default(),
        heads: Heads::default(),
        filters: Filters::new(),
        written_agents: Written::default(),
        written_runs: Written::default(),
        waiting: Waiting::new(&caches.runs.state(), operator.clock.now(), operator.clock.elapsed()),
        dispatching: tokio::sync::Mutex::default(),
        recorder: Recorder::new(operator.connection.client.clone(), reporter),
        caches,
        wake,
        operator,
    });
    tasks.spawn(watch_leases(Arc::clone(&leader)));
    tasks.spawn(statuses::keep(Arc::clone(&leader), dirtied));
    tasks.spawn(reconcile::orphans(Arc::clone(&leader)));
    tasks.spawn(reconcile::follow_clock(Arc::clone(&leader)));
    tasks.spawn(events::follow(Arc::clone(&leader)));
    tasks.spawn(export::follow(Arc::clone(&leader)));
    tasks.spawn(retention::keep_to_it(Arc::clone(&leader)));
    let queue = stream::poll_fn(move |context| woken.poll_recv(context)).map(Ok::<_, watcher::Error>);
    let reconciled = applier(
        reconcile::reconcile,
        |agent: Arc<InfraAgent>, error: &reconcile::Error, _| {
            let agent = ObjectRef::from_obj(&*agent);
            match error {
                // Everyday life: two wrote at once, or a cache was behind.
                reconcile::Error::Changed => tracing::debug!(%error, %agent, "the agent is looked at again"),
                reconcile::Error::Api(_) | reconcile::Error::Record(_) => tracing::warn!(%error, %agent, "the agent is looked at again"),
            }
            Action::requeue(error.pause())
        },
        Arc::clone(&leader),
        leader.caches.agents.clone(),
        queue,
        Config::default().concurrency(SIDE_BY_SIDE),
    );
    reconciled.for_each(|_| std::future::ready(())).await;
}

type Queue = mpsc::UnboundedSender<ObjectRef<InfraAgent>>;

/// Follows what all parts of a replica watch, as long as what is returned lives.
fn listen(
    operator: &Operator,
    caches: &Caches,
    wake: &Queue,
    dirty: &mpsc::UnboundedSender<Dirty>,
) -> (Listening<InfraAgent>, Listening<AgentRun>) {
    let look_at = {
        let (wake, dirty, environments) = (wake.clone(), dirty.clone(), caches.environments.clone());
        move |agent: &InfraAgent| {
            // Also the one that it named before.
            for environment in environments.state_filter(|environment| environment.namespace() == agent.namespace()) {
                let _ = dirty.send(Dirty::Environment(ObjectRef::from_obj(&*environment)));
            }
            let _ = wake.send(ObjectRef::from_obj(agent));
        }
    };
    let agents = operator.agents.listen(move |sight| match sight {
        Sight::All(agents) => agents.iter().for_each(|agent| look_at(agent)),
        Sight::There(agent) => look_at(agent),
        Sight::Gone(agent) => look_at(agent),
    });
    let wake = wake.clone();
    let look_at = move |run: &AgentRun| {
        let _ = wake.send(ObjectRef::new(&run.spec.agent_ref).within(&run.namespace().unwrap_or_default()));
    };
    let runs = operator.runs.listen(move |sight| match sight {
        Sight::All(runs) => runs.iter().for_each(|run| look_at(run)),
        Sight::There(run) => look_at(run),
        Sight::Gone(run) => look_at(run),
    });
    (agents, runs)
}

/// Watches what only a leader needs, each kind in a task.
fn watch_all(operator: &Arc<Operator>, wake: &Queue, dirty: &mpsc::UnboundedSender<Dirty>, tasks: &mut JoinSet<()>) -> Caches {
    let client = &operator.watching;
    let everything = watcher::Config::default;
    let (environments, of_environments) = watched(Api::all(client.clone()), everything());
    let (models, of_models) = watched(Api::all(client.clone()), everything());
    let (policies, of_policies) = watched(Api::all(client.clone()), everything());
    let (namespaces, of_namespaces) = watched(Api::all(client.clone()), everything());
    let (agents, runs) = (operator.agents.cache(), operator.runs.cache());
    let caches = Caches { agents, runs, environments, models, policies, namespaces };
    let say = |wake: &Queue, agents: Vec<ObjectRef<InfraAgent>>| {
        for agent in agents {
            // Nobody listens only when this replica no longer leads.
            let _ = wake.send(agent);
        }
    };
    {
        let (wake, dirty, caches) = (wake.clone(), dirty.clone(), caches.clone());
        tasks.spawn(of_environments.each(move |environment: &AgentEnvironment| {
            let _ = dirty.send(Dirty::Environment(ObjectRef::from_obj(environment)));
            let names =
                |agent: &InfraAgent| agent.spec.environment_ref == environment.name_any() && agent.namespace() == environment.namespace();
            say(&wake, caches.agents(names));
        }));
    }
    {
        let (wake, dirty, caches) = (wake.clone(), dirty.clone(), caches.clone());
        tasks.spawn(of_models.each(move |models: &ModelTierConfig| {
            let _ = dirty.send(Dirty::Models(ObjectRef::from_obj(models)));
            say(&wake, caches.agents(|_| true));
        }));
    }
    {
        let (wake, dirty, caches) = (wake.clone(), dirty.clone(), caches.clone());
        tasks.spawn(of_policies.each(move |policy: &InfraAgentPolicy| {
            let _ = dirty.send(Dirty::Policy(ObjectRef::from_obj(policy)));
            say(&wake, caches.agents(|_| true));
        }));
    }
    {
        let (wake, dirty, caches) = (wake.clone(), dirty.clone(), caches.clone());
        tasks.spawn(of_namespaces.each(move |namespace: &PartialObjectMeta<Namespace>| {
            for policy in caches.policies.state() {
                let _ = dirty.send(Dirty::Policy(ObjectRef::from_obj(&*policy)));
            }
            say(&wake, caches.agents(|agent| agent.namespace() == namespace.metadata.name));
        }));
    }
    caches
}

/// A watch that fills a cache.
struct Watched<K: Resource<DynamicType = ()> + Clone + 'static> {
    api: Api<K>,
    config: watcher::Config,
    writer: reflector::store::Writer<K>,
}

fn watched<K>(api: Api<K>, config: watcher::Config) -> (Store<K>, Watched<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, writer) = reflector::store();
    (store, Watched { api, config, writer })
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Calls `about` for each object that came, changed or went.
    async fn each(self, about: impl Fn(&K) + Send + 'static) {
        let Self { api, config, writer } = self;
        let changes = watcher(api, config)
            .default_backoff()
            // Who changed what when is not needed, and is the largest part of most objects.
            .modify(|object| {
                object.meta_mut().managed_fields = None;
            })
            .reflect(writer)
            .touched_objects();
        let mut changes = std::pin::pin!(changes);
        loop {
            match changes.try_next().await {
                Ok(Some(object)) => about(&object),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "cannot be watched"),
            }
        }
    }
}

/// Watches the Leases of replicas: whose runs are to be closed.
async fn watch_leases(leader: Arc<Leader>) {
    let operator = &leader.operator;
    let namespace = operator.connection.operator_namespace.as_str();
    let api = Api::<Lease>::namespaced(operator.watching.clone(), namespace);
    let config = watcher::Config::default().labels(&format!("{LABEL}={REPLICA}"));
    let mut changes = watcher(api.clone(), config).default_backoff().boxed();
    let mut listed = BTreeSet::new();
    loop {
        let dead = match changes.try_next().await {
            Ok(Some(watcher::Event::Init)) => {
                listed.clear();
                Vec::new()
            }
            Ok(Some(watcher::Event::InitApply(lease))) => {
                listed.extend(lease.metadata.uid.clone());
                leader.replicas.seen(&lease, operator.clock.elapsed())
            }
            Ok(Some(watcher::Event::InitDone)) => {
                leader.replicas.only(&listed);
                // Whoever waited for a replica need not wait any more.
                leader.wake_everybody();
                Vec::new()
            }
            Ok(Some(watcher::Event::Apply(lease))) => leader.replicas.seen(&lease, operator.clock.elapsed()),
            Ok(Some(watcher::Event::Delete(lease))) => {
                leader.replicas.gone(&lease);
                Vec::new()
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the Leases of replicas cannot be watched");
                Vec::new()
            }
        };
        for uid in dead {
            tracing::warn!(lease = uid, "a replica is gone: its runs are closed");
            for run in leader.caches.runs.state().iter().filter(|run| holder(run) == Some(uid.as_str())) {
                let _ = leader.wake.send(ObjectRef::new(&run.spec.agent_ref).within(&run.namespace().unwrap_or_default()));
            }
        }
        let buried = leader.replicas.buried(|uid| leader.caches.runs.state().iter().any(|run| holder(run) == Some(uid)));
        for LeaseRef { name, uid } in buried {
            let preconditions = Preconditions { uid: Some(uid), resource_version: None };
            if let Err(error) = api.delete(&name, &DeleteParams::default().preconditions(preconditions)).await {
                tracing::debug!(%error, name, "the Lease of a dead replica is not there to be removed");
            }
        }
    }
}

/// The uid of the Lease that holds the run.
pub(super) fn holder(run: &AgentRun) -> Option<&str> {
    run.status.as_ref()?.holder.as_ref().map(|holder| holder.uid.as_str())
}

impl Leader {
    /// Has every agent looked at.
    pub(super) fn wake_everybody(&self) {
        for agent in self.caches.agents(|_| true) {
            let _ = self.wake.send(agent);
        }
    }

    /// The runs of an agent that are not over, as they are known to be by now.
    pub(super) fn open_runs(&self, namespace: &str, agent: &str) -> Vec<Arc<AgentRun>> {
        let names = self.operator.backlog.of(&(namespace.to_owned(), agent.to_owned()));
        let cached = names.into_iter().filter_map(|name| self.caches.runs.get(&ObjectRef::new(&name).within(namespace)));
        cached.map(|run| self.written_runs.newest(run)).collect()
    }

    /// How many runs a replica holds.
    pub(super) fn load(&self, uid: &str) -> usize {
        self.caches.runs.state().iter().filter(|run| holder(run) == Some(uid)).count()
    }
}
