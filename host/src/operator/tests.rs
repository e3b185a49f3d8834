//! Replicas in this process, so that their wall clocks can be set.

mod clocks;
mod export;
mod limits;
mod retention;
mod schedule;

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use infraagent_api::{AgentRun, InfraAgent, run::RunPhase};
use infraagent_tests::{
    ControlPlane, apply, config_of, control_plane, eventually,
    model_server::{ModelServer, Reply, Script},
    repository,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    audit::export::Exporter,
    clock::Shift,
    compile::{CompileLimits, Compiler},
};

/// A namespace with agents, another one for their operator, and a model that finds nothing.
struct Site {
    admin: kube::Client,
    namespace: String,
    home: String,
    /// Whose rights the replicas have.
    kubeconfig: PathBuf,
}

/// A model for every test of this process, since there is one configuration of models per cluster. It finds nothing, and for agents whose purpose is to
/// [`WAIT`] it says nothing.
static MODEL: LazyLock<ModelServer> = LazyLock::new(|| {
    let replies = || {
        [Reply::says("I look.").calls("report_finding", json!({ "severity": "info", "message": "nothing" })), Reply::says("All is well.")]
    };
    let model = ModelServer::start(Script::replies(replies()).for_each_conversation().slow(Duration::from_millis(300))).unwrap();
    model.also(WAIT, Script::replies(replies()).for_each_conversation().slow(Duration::from_secs(3600)));
    model
});

const WAIT: &str = "wait-for-ever";

/// A replica that was started, and how it is told to end.
struct Replica(watch::Sender<bool>, tokio::task::JoinHandle<()>);

impl Replica {
    /// SIGTERM, and the end.
    async fn ends(self) {
        let Self(stop, replica) = self;
        stop.send_replace(true);
        replica.await.unwrap();
    }
}

/// Settings for a busy machine.
fn settings(identity: &str, namespace: &str) -> Settings {
    Settings {
        identity: identity.to_owned(),
        namespaces: vec![namespace.to_owned()],
        max_concurrent: 10,
        hourly: Hourly::default(),
        retention: Retention::default(),
        retry_pause: Duration::from_secs(1),
        timings: Timings::new(Duration::from_secs(10), Duration::from_secs(3), Duration::from_secs(5)).unwrap(),
    }
}

impl Site {
    async fn new() -> Self {
        let plane = control_plane();
        plane.install_crds().await;
        let (namespace, home) = (plane.namespace("clocks").await, plane.namespace("operator").await);
        Self::at(plane, namespace, home, plane.kubeconfig().to_owned()).await
    }

    /// In namespaces that are there, with replicas of an identity of their own.
    async fn at(plane: &'static ControlPlane, namespace: String, home: String, kubeconfig: PathBuf) -> Self {
        let admin = plane.admin().await;
        let site = Self { admin, namespace, home, kubeconfig };
        for document in [
            json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentEnvironment", "metadata": { "name": "here", "namespace": site.namespace },
                "spec": { "namespaces": { "apps": [site.namespace] } } }),
            json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": { "name": "default" },
                "spec": { "tiers": [{ "tier": "standard", "provider": "anthropic", "model": "m", "endpoint": MODEL.url(), "auth": { "type": "none" } }] } }),
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "worker", "namespace": site.namespace } }),
        ] {
            apply(&site.admin, &document).await.unwrap();
        }
        site
    }

    /// An agent, with changes to its spec.
    async fn agent(&self, name: &str, changes: Value) {
        let mut spec = json!({ "description": "d", "schedule": {}, "skills": [{ "name": "restart-hung-workloads" }], "environmentRef": "here",
            "serviceAccountName": "worker", "startingDeadline": "5m" });
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        // What is null is left out.
        spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let document = json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent",
            "metadata": { "name": name, "namespace": self.namespace }, "spec": spec });
        apply(&self.admin, &document).await.unwrap();
    }

    async fn change(&self, agent: &str, patch: Value) {
        self.agents().patch(agent, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    fn agents(&self) -> Api<InfraAgent> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    fn runs(&self) -> Api<AgentRun> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    async fn all_runs(&self) -> Vec<AgentRun> {
        self.runs().list(&ListParams::default()).await.unwrap().items
    }

    async fn runs_of(&self, agent: &str) -> Vec<AgentRun> {
        let mut all = self.all_runs().await;
        all.retain(|run| run.spec.agent_ref == agent);
        all
    }

    /// What `infraagent operator` sets up, without ports, for the one namespace.
    async fn replica(&self, shift: &Shift, settings: Settings) -> Replica {
        self.replica_with(shift, settings, None).await
    }

    /// The same, with somebody who gets copies of the records.
    async fn replica_with(&self, shift: &Shift, settings: Settings, exporter: Option<Exporter>) -> Replica {
        let config = config_of(&self.kubeconfig).await;
        let watching = kube::Client::try_from(config.clone()).unwrap();
        let mut connection = Connection::open(config, infraagent_guard::name::Namespace::parse(&self.home).unwrap()).await.unwrap();
        connection.effect = settings.timings.effect;
        let keys = keys::keys(&connection.client, &self.home).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let operator = Operator {
            settings,
            skills: Sources::new(Some(repository().join("example-skills")), connection.client.clone()),
            connection,
            watching,
            clock: Clock::shifted(shift),
            began: Clock::shifted(shift).now(),
            workshop: Workshop::new(Compiler::with_program(infraagent_tests::binary(), CompileLimits::default()), None),
            export: exporter.map(|exporter| Export::new(exporter, Arc::clone(&keys.audit), true)),
            key: keys.audit,
            telemetry: Telemetry { metrics: Some(metrics.clone()), ..Telemetry::default() },
            metrics,
            runs: SharedWatch::default(),
            agents: SharedWatch::default(),
            backlog: Arc::default(),
            ended: Ended::default(),
            health: Health::new(),
            starting: Semaphore::new(STARTING),
        };
        let (stop, stopped) = watch::channel(false);
        Replica(stop, tokio::spawn(async move { run(Arc::new(operator), stopped).await.unwrap() }))
    }
}

fn phase(run: &AgentRun) -> RunPhase {
    run.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}
