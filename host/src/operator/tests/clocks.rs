use jiff::SignedDuration;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_an_hour_either_way_ends_no_run_and_starts_none_twice() {
    let site = Site::new().await;
    let agents = ["a", "b", "c"];
    for agent in agents {
        site.agent(agent, json!({})).await;
    }
    let (one, two) = (Shift::default(), Shift::default());
    let replicas = [site.replica(&one, settings("one", &site.namespace)).await, site.replica(&two, settings("two", &site.namespace)).await];
    let (runs, api) = (site.runs(), site.agents());
    let hour = SignedDuration::from_hours(1);
    for (round, (first, second)) in
        [(hour, SignedDuration::ZERO), (-hour, hour), (SignedDuration::ZERO, -hour), (hour, -hour)].into_iter().enumerate()
    {
        for agent in agents {
            site.change(agent, json!({ "metadata": { "annotations": { RUN_NOW: "true" } } })).await;
        }
        eventually("a run is on its way", || async {
            let all = runs.list(&ListParams::default()).await.ok()?.items;
            all.iter().any(|run| phase(run) == RunPhase::Running).then_some(())
        })
        .await;
        one.set(first);
        two.set(second);
        eventually("every run of the round has ended", || async {
            let all = runs.list(&ListParams::default()).await.ok()?.items;
            (all.iter().filter(|run| phase(run).is_terminal()).count() == agents.len() * (round + 1)).then_some(())
        })
        .await;
    }
    for run in site.all_runs().await {
        assert_eq!(phase(&run), RunPhase::Succeeded, "{}: {:#?}", run.name_any(), run.status.map(|status| status.conditions));
    }
    for agent in agents {
        let counted = || async { (api.get(agent).await.ok()?.status?.run_count == 4).then_some(()) };
        eventually("every run of the agent was counted, once", counted).await;
    }
    for replica in replicas {
        replica.ends().await;
    }
}
