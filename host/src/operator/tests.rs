//! Replicas in this process, so that their wall clocks can be set.

use std::time::Duration;

use infraagent_api::{AgentRun, InfraAgent, run::RunPhase};
use infraagent_tests::{
    ControlPlane, apply, config_of, control_plane, eventually,
    model_server::{ModelServer, Reply, Script},
    repository,
};
use jiff::SignedDuration;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::*;
use crate::{
    clock::Shift,
    compile::{CompileLimits, Compiler},
};

/// What `infraagent operator` sets up, without ports, for one namespace.
async fn replica(
    plane: &ControlPlane,
    identity: &str,
    namespace: &str,
    home: &str,
    shift: &Shift,
) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let timings = Timings::new(Duration::from_secs(2), Duration::from_secs(1), Duration::from_secs(5)).unwrap();
    let config = config_of(plane.kubeconfig()).await;
    let watching = kube::Client::try_from(config.clone()).unwrap();
    let mut connection = Connection::open(config, infraagent_guard::name::Namespace::parse(home).unwrap()).await.unwrap();
    connection.effect = timings.effect;
    let keys = keys::keys(&connection.client, home).await.unwrap();
    let metrics = Metrics::new().unwrap();
    let operator = Operator {
        settings: Settings {
            identity: identity.to_owned(),
            namespaces: vec![namespace.to_owned()],
            max_concurrent: 10,
            retry_pause: Duration::from_secs(1),
            timings,
        },
        skills: Sources::new(Some(repository().join("example-skills")), connection.client.clone()),
        connection,
        watching,
        clock: Clock::shifted(shift),
        workshop: Workshop::new(Compiler::with_program(infraagent_tests::binary(), CompileLimits::default()), None),
        key: keys.audit,
        telemetry: Telemetry { metrics: Some(metrics.clone()), ..Telemetry::default() },
        metrics,
        health: Health::new(),
        starting: Semaphore::new(STARTING),
    };
    let (stop, stopped) = watch::channel(false);
    (stop, tokio::spawn(async move { run(Arc::new(operator), stopped).await.unwrap() }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_an_hour_either_way_ends_no_run_and_starts_none_twice() {
    let plane = control_plane();
    plane.install_crds().await;
    let admin = plane.admin().await;
    let (namespace, home) = (plane.namespace("clocks").await, plane.namespace("operator").await);
    let model = ModelServer::start(
        Script::replies([
            Reply::says("I look.").calls("report_finding", json!({ "severity": "info", "message": "nothing" })),
            Reply::says("All is well."),
        ])
        .for_each_conversation()
        .slow(Duration::from_millis(300)),
    )
    .unwrap();
    let agents = ["a", "b", "c"];
    for document in [
        json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentEnvironment", "metadata": { "name": "here", "namespace": namespace },
            "spec": { "namespaces": { "apps": [namespace] } } }),
        json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": { "name": "default" },
            "spec": { "tiers": [{ "tier": "standard", "provider": "anthropic", "model": "m", "endpoint": model.url(), "auth": { "type": "none" } }] } }),
    ] {
        apply(&admin, &document).await.unwrap();
    }
    for agent in agents {
        for document in [
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": format!("infraagent-{agent}"), "namespace": namespace } }),
            json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent", "metadata": { "name": agent, "namespace": namespace },
                "spec": { "description": "d", "schedule": { "interval": "1h" }, "skills": [{ "name": "restart-hung-workloads" }], "environmentRef": "here",
                    "startingDeadline": "5m" } }),
        ] {
            apply(&admin, &document).await.unwrap();
        }
    }
    let (one, two) = (Shift::default(), Shift::default());
    let replicas = [replica(plane, "one", &namespace, &home, &one).await, replica(plane, "two", &namespace, &home, &two).await];
    let (runs, api) = (Api::<AgentRun>::namespaced(admin.clone(), &namespace), Api::<InfraAgent>::namespaced(admin, &namespace));
    let hour = SignedDuration::from_hours(1);
    for (round, (first, second)) in
        [(hour, SignedDuration::ZERO), (-hour, hour), (SignedDuration::ZERO, -hour), (hour, -hour)].into_iter().enumerate()
    {
        for agent in agents {
            let order = json!({ "metadata": { "annotations": { RUN_NOW: "true" } } });
            api.patch(agent, &PatchParams::default(), &Patch::Merge(order)).await.unwrap();
        }
        eventually("a run is on its way", || async {
            let all = runs.list(&ListParams::default()).await.ok()?.items;
            all.iter().any(|run| run.status.as_ref().and_then(|status| status.phase) == Some(RunPhase::Running)).then_some(())
        })
        .await;
        one.set(first);
        two.set(second);
        eventually("every run of the round has ended", || async {
            let all = runs.list(&ListParams::default()).await.ok()?.items;
            let ended = |run: &&AgentRun| run.status.as_ref().and_then(|status| status.phase).is_some_and(RunPhase::is_terminal);
            (all.iter().filter(ended).count() == agents.len() * (round + 1)).then_some(())
        })
        .await;
    }
    for run in runs.list(&ListParams::default()).await.unwrap().items {
        let status = run.status.clone().unwrap();
        assert_eq!(status.phase, Some(RunPhase::Succeeded), "{}: {:#?}", run.name_any(), status.conditions);
    }
    for agent in agents {
        let counted = || async { (api.get(agent).await.ok()?.status?.run_count == 4).then_some(()) };
        eventually("every run of the agent was counted, once", counted).await;
    }
    for (stop, replica) in replicas {
        stop.send_replace(true);
        replica.await.unwrap();
    }
}
