//! Which run of an agent is next: pure. The caller carries it out, each step under the condition that nothing has changed since.

use std::{sync::Arc, time::Duration};

use infraagent_api::{
    AgentRun, InfraAgent,
    agent::ConcurrencyPolicy,
    run::{RECORD_VERSION, RunPhase},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{close::Verdict, ordered_stop, orders};
use crate::{run::stop::Stop, schedule::Schedule};

/// How long a run without a due time may wait.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(600);

/// What is to be done with a waiting run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// It ends without having begun.
    End(Arc<AgentRun>, Verdict),
    /// It could begin.
    Begin(Arc<AgentRun>),
    /// It waits for so long, in this place of the agent's queue.
    Wait(Arc<AgentRun>, Duration, &'static str, Option<usize>),
}

/// The waiting runs of an agent, each with how long it has waited, oldest first; what is to be done with each. At most one begins, and none while the agent is busy
/// with another.
///
/// A run of a tick gives way to the run of a later one: its deadline is over then, if the agent sets no other.
pub(super) fn next(
    agent: &InfraAgent,
    schedule: Option<&Schedule>,
    mut waiting: Vec<(Arc<AgentRun>, Duration)>,
    busy: bool,
    retry_pause: Duration,
) -> Vec<Next> {
    waiting.sort_by_key(|(run, _)| (created(run), run.name_any()));
    let latest = waiting.iter().filter_map(|(run, _)| orders::tick(run)).max();
    let (mut begins, mut behind) = (busy, 0_usize);
    let mut all = Vec::new();
    for (run, waited) in waiting {
        // A run of a newer layout is for a newer replica.
        if run.spec.record_version > RECORD_VERSION {
            continue;
        }
        let pause = backoff(&run, retry_pause);
        let tick = orders::tick(&run);
        let deadline = deadline(agent, schedule, tick).max(pause);
        let is_followed = tick.is_some() && tick < latest;
        if let Some(stop) = ordered_stop(&run) {
            all.push(Next::End(run, Verdict::new(stop.reason(), format!("{stop} before it began"))));
        } else if is_followed && agent.spec.concurrency_policy == ConcurrencyPolicy::Replace {
            all.push(Next::End(run, Verdict::new(Stop::Replaced.reason(), format!("{} before it began", Stop::Replaced))));
        } else if is_followed && agent.spec.starting_deadline.is_none() {
            all.push(Next::End(run, overdue("until the agent was due again")));
        } else if run.spec.agent_uid.as_ref().is_some_and(|uid| agent.metadata.uid.as_ref() != Some(uid)) {
            all.push(Next::End(
                run,
                Verdict::new("AgentReplaced", "its InfraAgent was deleted, and created anew: create another AgentRun"),
            ));
        } else if waited < pause {
            all.push(Next::Wait(run, pause.saturating_sub(waited), "BackOff", None));
        } else if waited >= deadline && waited > pause {
            all.push(Next::End(run, overdue(&infraagent_api::GoDuration::from(deadline).to_string())));
        } else if !begins {
            begins = true;
            all.push(Next::Begin(run));
        } else {
            behind = behind.saturating_add(1);
            all.push(Next::Wait(run, deadline.saturating_sub(waited), "AgentBusy", Some(behind)));
        }
    }
    all
}

/// A retry waits, longer with every attempt.
fn backoff(run: &AgentRun, pause: Duration) -> Duration {
    match u32::try_from(run.spec.attempt).unwrap_or(1) {
        0 | 1 => Duration::ZERO,
        attempt => pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(2))),
    }
}

/// How long a run may wait: as the agent says, else until it is due again.
fn deadline(agent: &InfraAgent, schedule: Option<&Schedule>, tick: Option<Timestamp>) -> Duration {
    let set = agent.spec.starting_deadline.as_ref().map(infraagent_api::GoDuration::as_std);
    set.or_else(|| schedule?.lasts(tick?)).unwrap_or(WITHOUT_DEADLINE)
}

fn overdue(deadline: &str) -> Verdict {
    Verdict::new(
        "RateLimited",
        format!("it could not begin within its starting deadline ({deadline}); the condition Assigned says what it waited for"),
    )
}

/// When it was created.
pub(super) fn created(run: &AgentRun) -> Timestamp {
    run.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// A run that nobody holds yet.
pub(super) fn is_waiting(run: &AgentRun) -> bool {
    let status = run.status.as_ref();
    let phase = status.and_then(|status| status.phase).unwrap_or_default();
    phase == RunPhase::Pending && status.is_none_or(|status| status.holder.is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::operator::{CANCEL, REPLACED, orders::TICK};

    fn agent(spec: Value) -> InfraAgent {
        let mut whole = json!({ "description": "d", "schedule": { "interval": "1h" }, "skills": [{ "name": "s" }], "environmentRef": "e" });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent", "metadata": { "name": "a", "uid": "u" }, "spec": whole })).unwrap()
    }

    fn run(name: &str, second: i64, spec: Value, annotations: Value) -> Arc<AgentRun> {
        let mut whole = json!({ "agentRef": "a", "environmentRef": "e", "trigger": "manual" });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let time = at(second).to_string();
        let metadata = json!({ "name": name, "uid": name, "creationTimestamp": time, "annotations": annotations });
        Arc::new(
            serde_json::from_value(
                json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": metadata, "spec": whole }),
            )
            .unwrap(),
        )
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn told(agent: &InfraAgent, runs: Vec<Arc<AgentRun>>, now: i64) -> Vec<String> {
        told_while(false, agent, runs, now)
    }

    fn told_while(busy: bool, agent: &InfraAgent, runs: Vec<Arc<AgentRun>>, now: i64) -> Vec<String> {
        let shown = |next: Next| match next {
            Next::End(run, verdict) => format!("end {} {}", run.name_any(), verdict.reason),
            Next::Begin(run) => format!("begin {}", run.name_any()),
            Next::Wait(run, left, why, place) => {
                let place = place.map_or_else(String::new, |place| format!(" {place}"));
                format!("wait {} {} {why}{place}", run.name_any(), left.as_secs())
            }
        };
        let waited = |run: &Arc<AgentRun>| Duration::try_from(at(now).duration_since(created(run))).unwrap();
        let runs = runs.into_iter().map(|run| (Arc::clone(&run), waited(&run))).collect();
        let schedule = Schedule::of(agent).unwrap();
        next(agent, schedule.as_ref(), runs, busy, Duration::from_secs(10)).into_iter().map(shown).collect()
    }

    #[test]
    fn the_oldest_run_begins_and_the_others_wait() {
        let runs = vec![run("b", 2, json!({}), json!({})), run("a", 1, json!({}), json!({}))];
        assert_eq!(told(&agent(json!({})), runs, 3), ["begin a", "wait b 599 AgentBusy 1"]);
    }

    #[test]
    fn while_the_agent_is_busy_none_begins_and_what_is_over_ends_all_the_same() {
        let runs = vec![run("a", 1, json!({}), json!({})), run("c", 2, json!({}), json!({ CANCEL: "true" }))];
        assert_eq!(told_while(true, &agent(json!({})), runs.clone(), 3), ["wait a 598 AgentBusy 1", "end c Cancelled"]);
        assert_eq!(told_while(true, &agent(json!({})), runs, 601), ["end a RateLimited", "end c Cancelled"]);
    }

    #[test]
    fn what_cannot_begin_any_more_ends_with_its_reason() {
        let late = agent(json!({ "startingDeadline": "5s" }));
        let plain = |name| run(name, 1, json!({}), json!({}));
        assert_eq!(told(&late, vec![plain("a")], 5), ["begin a"]);
        assert_eq!(told(&late, vec![plain("a")], 6), ["end a RateLimited"]);
        assert_eq!(told(&agent(json!({})), vec![plain("a")], 601), ["end a RateLimited"]);
        let cancelled = run("c", 1, json!({}), json!({ CANCEL: "true" }));
        let not = run("n", 2, json!({}), json!({ CANCEL: "false" }));
        assert_eq!(told(&late, vec![cancelled, not], 3), ["end c Cancelled", "begin n"]);
        let foreign = run("f", 1, json!({ "agentUid": "other" }), json!({}));
        assert_eq!(told(&late, vec![foreign, run("o", 2, json!({ "agentUid": "u" }), json!({}))], 3), ["end f AgentReplaced", "begin o"]);
    }

    #[test]
    fn a_scheduled_run_waits_until_the_agent_is_due_again_and_gives_way_to_the_next() {
        let of_tick =
            |name: &str, second: i64| run(name, second + 1, json!({ "trigger": "scheduled" }), json!({ TICK: at(second).to_string() }));
        let hourly = json!({ "schedule": { "cron": "0 * * * *" } });
        assert_eq!(told(&agent(hourly.clone()), vec![of_tick("a", 3600)], 3601 + 3599), ["begin a"]);
        assert_eq!(told(&agent(hourly.clone()), vec![of_tick("a", 3600)], 3601 + 3601), ["end a RateLimited"]);
        let both = || vec![of_tick("a", 3600), of_tick("b", 7200), run("m", 7000, json!({}), json!({}))];
        assert_eq!(
            told_while(true, &agent(hourly), both(), 7202),
            ["end a RateLimited", "wait m 398 AgentBusy 1", "wait b 3599 AgentBusy 2"]
        );
        let patient = json!({ "schedule": { "cron": "0 * * * *" }, "startingDeadline": "3h" });
        assert_eq!(told(&agent(patient), both(), 7202), ["begin a", "wait m 10598 AgentBusy 1", "wait b 10799 AgentBusy 2"]);
        let replaces = json!({ "schedule": { "cron": "0 * * * *" }, "startingDeadline": "3h", "concurrencyPolicy": "Replace" });
        assert_eq!(told(&agent(replaces), both(), 7202), ["end a Replaced", "begin m", "wait b 10799 AgentBusy 1"]);
        let replaced = run("r", 1, json!({}), json!({ CANCEL: REPLACED }));
        assert_eq!(told(&agent(json!({})), vec![replaced], 2), ["end r Replaced"]);
    }

    #[test]
    fn a_retry_waits_longer_with_every_attempt_and_lets_others_begin() {
        let retry = |attempt: i32| run("r", 100, json!({ "retryOf": "x", "attempt": attempt }), json!({}));
        assert_eq!(told(&agent(json!({})), vec![retry(2)], 109), ["wait r 1 BackOff"]);
        assert_eq!(told(&agent(json!({})), vec![retry(2)], 110), ["begin r"]);
        assert_eq!(told(&agent(json!({})), vec![retry(4), run("o", 101, json!({}), json!({}))], 139), ["wait r 1 BackOff", "begin o"]);
    }

    #[test]
    fn a_run_of_a_newer_layout_is_left_to_a_newer_replica() {
        let newer = run("n", 1, json!({ "recordVersion": RECORD_VERSION + 1 }), json!({}));
        assert_eq!(told(&agent(json!({})), vec![newer, run("o", 2, json!({}), json!({}))], 3), ["begin o"]);
    }
}
