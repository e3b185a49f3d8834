//! Schedules are followed, on a real API server, by replicas whose wall clock is set to when something is due.

use std::collections::BTreeSet;

use infraagent_api::run::RunTrigger;
use jiff::{SignedDuration, Timestamp};

use super::*;

/// The time that an agent waits for, once it waits.
async fn awaited(site: &Site, agent: &str) -> Timestamp {
    let api = &site.agents();
    eventually("a time to wait for", || async move { Some(api.get(agent).await.ok()?.status?.next_run_time?.0) }).await
}

/// Waits until the agent waits for nothing.
async fn waits_for_nothing(site: &Site, agent: &str) {
    let api = &site.agents();
    eventually("an agent that waits for nothing", || async move {
        let status = api.get(agent).await.ok()?.status?;
        (status.observed_generation.is_some() && status.next_run_time.is_none()).then_some(())
    })
    .await;
}

/// Sets the clock so that this moment was a second ago.
fn set_after(shift: &Shift, moment: Timestamp) {
    shift.set(moment.duration_since(Timestamp::now()) + SignedDuration::from_secs(2));
}

/// Waits until the agent has so many runs.
async fn has_runs(site: &Site, agent: &str, count: usize) -> Vec<AgentRun> {
    eventually(&format!("{count} runs of {agent}"), || async move {
        let runs = site.runs_of(agent).await;
        (runs.len() == count).then_some(runs)
    })
    .await
}

/// Waits until nothing of the agent is on its way: a tick that comes while a run is active is skipped.
async fn is_idle(site: &Site, agent: &str) {
    let api = &site.agents();
    eventually(&format!("{agent} without a run"), || async move {
        let over = site.runs_of(agent).await.iter().all(|run| phase(run).is_terminal());
        (over && api.get(agent).await.ok()?.status?.active_run.is_none()).then_some(())
    })
    .await;
}

/// Waits until an agent was looked at after everything that was ordered before.
async fn looked_at(site: &Site, agent: &str) {
    let before = site.runs_of(agent).await.len();
    site.change(agent, json!({ "metadata": { "annotations": { RUN_NOW: "true" } } })).await;
    has_runs(site, agent, before + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_fires_when_it_is_due_and_a_paused_one_does_not_and_makes_up_for_nothing() {
    let site = Site::new().await;
    let shift = Shift::default();
    site.agent("working", json!({ "schedule": { "interval": "1h" } })).await;
    site.agent("paused", json!({ "schedule": { "interval": "1h" }, "paused": true })).await;
    site.agent("broken", json!({ "schedule": { "interval": "1h" }, "environmentRef": "nowhere" })).await;
    let replica = site.replica(&shift, settings("one", &site.namespace)).await;
    let first = awaited(&site, "working").await;
    waits_for_nothing(&site, "paused").await;
    waits_for_nothing(&site, "broken").await;
    assert!(site.all_runs().await.is_empty(), "a new agent waits for its next tick");
    set_after(&shift, first);
    let runs = has_runs(&site, "working", 1).await;
    assert_eq!((runs[0].spec.trigger, runs[0].spec.attempt), (RunTrigger::Scheduled, 1));
    let created = site.agents().get("working").await.unwrap();
    let tick = created.creation_timestamp().unwrap().0 + SignedDuration::from_hours(1);
    let uid8: String = created.uid().unwrap().chars().take(8).collect();
    assert_eq!(runs[0].name_any(), format!("working-{uid8}-{}", tick.as_second() / 60));
    assert_eq!(orders::tick(&runs[0]), Some(tick));
    assert!((0..30).contains(&first.duration_since(tick).as_secs()), "{first}");
    // Days in which nothing was looked at: once.
    is_idle(&site, "working").await;
    set_after(&shift, first + SignedDuration::from_hours(50));
    has_runs(&site, "working", 2).await;
    site.change("paused", json!({ "spec": { "paused": false } })).await;
    let next = awaited(&site, "paused").await;
    looked_at(&site, "working").await;
    assert!(site.runs_of("paused").await.is_empty(), "nothing is made up for");
    set_after(&shift, next);
    has_runs(&site, "paused", 1).await;
    // Somebody turns the clock back, and what comes round again has been.
    let count = site.runs_of("working").await.len();
    set_after(&shift, first - SignedDuration::from_mins(5));
    eventually("a time to wait for after the jump", || async { (awaited(&site, "working").await <= first).then_some(()) }).await;
    set_after(&shift, first);
    eventually("the next time", || async { (awaited(&site, "working").await > first).then_some(()) }).await;
    assert_eq!(site.runs_of("working").await.len(), count, "that tick has had its run");
    assert!(site.runs_of("broken").await.is_empty());
    replica.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leads_next_fires_what_is_due_and_nothing_twice() {
    let site = Site::new().await;
    let shift = Shift::default();
    for agent in ["a", "b"] {
        site.agent(agent, json!({ "schedule": { "cron": "30 * * * *", "timezone": "Asia/Kathmandu" } })).await;
    }
    let one = site.replica(&shift, settings("one", &site.namespace)).await;
    let first = awaited(&site, "a").await.max(awaited(&site, "b").await);
    set_after(&shift, first);
    let two = site.replica(&shift, settings("two", &site.namespace)).await;
    for agent in ["a", "b"] {
        has_runs(&site, agent, 1).await;
        is_idle(&site, agent).await;
    }
    // Nobody leads while it becomes due again.
    one.1.abort();
    set_after(&shift, first + SignedDuration::from_hours(1));
    let three = site.replica(&shift, settings("three", &site.namespace)).await;
    for agent in ["a", "b"] {
        let runs = has_runs(&site, agent, 2).await;
        let ticks: BTreeSet<_> = runs.iter().map(|run| orders::tick(run).unwrap().as_second() % 3600).collect();
        assert_eq!(ticks, BTreeSet::from([45 * 60]), "half past the hour in Kathmandu, each once");
    }
    two.ends().await;
    three.ends().await;
    for agent in ["a", "b"] {
        assert_eq!(site.runs_of(agent).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forbid_skips_a_tick_while_a_run_is_active_and_replace_ends_that_run() {
    let site = Site::new().await;
    let shift = Shift::default();
    let hourly = |policy: &str| json!({ "description": WAIT, "schedule": { "interval": "1h" }, "concurrencyPolicy": policy, "model": { "timeout": "1h" } });
    site.agent("forbids", hourly("Forbid")).await;
    site.agent("replaces", hourly("Replace")).await;
    let replica = site.replica(&shift, settings("one", &site.namespace)).await;
    let first = awaited(&site, "forbids").await.max(awaited(&site, "replaces").await);
    set_after(&shift, first);
    for agent in ["forbids", "replaces"] {
        eventually("a run that hangs", || async {
            site.runs_of(agent).await.iter().any(|run| phase(run) == RunPhase::Running).then_some(())
        })
        .await;
    }
    set_after(&shift, first + SignedDuration::from_hours(1));
    eventually("a run that was replaced and one that runs", || async {
        let runs = site.runs_of("replaces").await;
        let reason = |run: &AgentRun| {
            let conditions = run.status.clone()?.conditions;
            Some((phase(run), conditions.into_iter().find(|known| known.type_ == "Complete").map(|known| known.reason)))
        };
        let replaced = runs.iter().any(|run| reason(run) == Some((RunPhase::Failed, Some("Replaced".to_owned()))));
        (runs.len() == 2 && replaced && runs.iter().any(|run| phase(run) == RunPhase::Running)).then_some(())
    })
    .await;
    let waits = || async { (awaited(&site, "forbids").await > first + SignedDuration::from_hours(1)).then_some(()) };
    eventually("the next tick of the agent that skipped one", waits).await;
    assert_eq!(site.runs_of("forbids").await.len(), 1);
    for run in site.all_runs().await {
        site.runs()
            .patch(&run.name_any(), &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "annotations": { CANCEL: "true" } } })))
            .await
            .unwrap();
    }
    replica.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_agents_of_the_same_minute_are_spread_and_each_fires_once() {
    const AGENTS: usize = 500;
    let site = Site::new().await;
    let shift = Shift::default();
    let names: Vec<String> = (0..AGENTS).map(|index| format!("agent-{index}")).collect();
    for chunk in names.chunks(20) {
        // One run at a time and the others wait: how they are executed is another test.
        let agents = chunk.iter().map(|name| site.agent(name, json!({ "schedule": { "cron": "0 * * * *" }, "startingDeadline": null })));
        futures::future::join_all(agents).await;
    }
    let one = site.replica(&shift, Settings { max_concurrent: 1, ..settings("one", &site.namespace) }).await;
    let two = site.replica(&shift, Settings { max_concurrent: 1, ..settings("two", &site.namespace) }).await;
    let moments = eventually("five hundred agents that wait", || async {
        let all = site.agents().list(&ListParams::default()).await.ok()?.items;
        let moments: Vec<i64> = all.iter().filter_map(|agent| Some(agent.status.as_ref()?.next_run_time.as_ref()?.0.as_second())).collect();
        (moments.len() == AGENTS).then_some(moments)
    })
    .await;
    let distinct: BTreeSet<i64> = moments.iter().copied().collect();
    assert!(distinct.len() >= 25 && distinct.iter().all(|moment| (0..30).contains(&moment.rem_euclid(3600))), "{distinct:?}");
    let last = Timestamp::from_second(*distinct.last().unwrap()).unwrap();
    set_after(&shift, last);
    eventually("a run of each agent", || async {
        let all = site.runs().list_metadata(&ListParams::default()).await.ok()?.items;
        (all.len() >= AGENTS).then_some(())
    })
    .await;
    eventually("agents that wait for the next hour", || async {
        let all = site.agents().list(&ListParams::default()).await.ok()?.items;
        let next = |agent: &InfraAgent| Some(agent.status.as_ref()?.next_run_time.as_ref()?.0 > last);
        all.iter().all(|agent| next(agent) == Some(true)).then_some(())
    })
    .await;
    let runs = site.all_runs().await;
    let agents: BTreeSet<&str> = runs.iter().map(|run| run.spec.agent_ref.as_str()).collect();
    assert_eq!((runs.len(), agents.len()), (AGENTS, AGENTS));
    assert!(runs.iter().all(|run| orders::tick(run).is_some_and(|tick| tick.as_second().rem_euclid(3600) == 0)));
    one.ends().await;
    two.ends().await;
}
