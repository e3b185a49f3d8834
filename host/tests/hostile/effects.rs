//! What happens around a change: the guest dies, time ends, two want the same, the rules are edited, the record cannot be written.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use infraagent::{
    audit::verify::{self, Answer},
    llm::ToolStatus,
    run::{
        event::{Event, Observer, Verdict},
        tools::Tools as _,
    },
};
use infraagent_api::run::{ActionStatus, RunPhase};
use serde_json::{Value, json};

use crate::{
    chain::{Chain, World, agent, failed, policy, well, write},
    guest::{DAEMON_SET, DEPLOYMENT, FOREVER, Guest},
};

const RESTARTED: &str = "kubectl.rollout restart deployment/web -n shop executed";

fn restart() -> Guest {
    Guest::new().restart("restart", DEPLOYMENT, "shop", "web").or_fail()
}

fn is_restarted(object: &Value) -> bool {
    object.pointer("/spec/template/metadata/annotations").is_some_and(|annotations| annotations.to_string().contains("run-uid"))
}

#[tokio::test]
async fn a_guest_that_dies_after_a_change_leaves_the_change_in_the_record() {
    let panic = |guest: Guest| guest.log(3, "panicked at src/lib.rs:1: done with it").code("unreachable");
    for (guest, reason) in [
        (restart().code("unreachable"), "trap"),
        (restart().code("(drop (i32.load (i32.const -8)))"), "trap"),
        (panic(restart()), "panic"),
        (restart().code(FOREVER), "cpu-budget"),
        (restart().answer(b"no JSON", b""), "bad-answer"),
    ] {
        let chain = Chain::with(guest).await;
        let outcome = chain.attack().await;
        assert_eq!(outcome.status, ToolStatus::Error, "{outcome:?}");
        assert!(is_restarted(&chain.object("deployments.apps", "web").await.unwrap()));
        let record = chain.close().await;
        assert_eq!(record.changes(), [RESTARTED], "{reason}");
        assert_eq!(record.work().reason.as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn time_that_ends_during_or_after_a_change_loses_neither_the_change_nor_its_record() {
    // Every few hundred microseconds around the write-ahead: wherever the cut falls, record and cluster agree.
    for micros in [0, 300, 1_000, 3_000, 10_000, 60_000] {
        let chain = Chain::with(restart().forever()).await;
        let call = chain.call("work", json!({}));
        assert!(tokio::time::timeout(Duration::from_micros(micros), call).await.is_err());
        well(&chain.call("greet", json!({})).await);
        chain.shared.settle().await;
        let restarted = is_restarted(&chain.object("deployments.apps", "web").await.unwrap());
        let changes = chain.close().await.changes();
        assert_eq!(changes.iter().any(|change| change == RESTARTED), restarted, "{micros}: {changes:?}");
        // What was never begun is not called unknown.
        assert!(changes.iter().all(|change| change.ends_with(" executed") || change.ends_with(" interrupted")), "{changes:?}");
    }
    let world = World { limits: json!({ "wallMillis": 1500, "cpuMillis": 9000 }), ..World::default() };
    let chain = Chain::open(world, &restart().code(FOREVER).build()).await;
    failed(&chain.attack().await, ToolStatus::Error, "wall-clock");
    let record = chain.close().await;
    assert_eq!((record.changes(), record.work().reason.as_deref()), (vec![RESTARTED.to_owned()], Some("wall-clock")));
}

#[tokio::test]
async fn of_two_calls_that_want_the_same_one_takes_the_cooldown() {
    let chain = Chain::open(cooling(), &restart().build()).await;
    let calls = (0..6).map(|_| chain.call("work", json!({})));
    let outcomes = futures::future::join_all(calls).await;
    let done = outcomes.iter().filter(|outcome| outcome.status == ToolStatus::Ok).count();
    assert_eq!(done, 1, "{outcomes:?}");
    for outcome in outcomes.iter().filter(|outcome| outcome.status != ToolStatus::Ok) {
        failed(outcome, ToolStatus::Blocked, "cooldown");
    }
    well(&chain.call("greet", json!({})).await);
    let mut changes = chain.close().await.changes();
    changes.sort();
    let refused = "kubectl.rollout restart deployment/web -n shop blocked cooldown";
    assert_eq!(changes, [vec![refused; 5], vec![RESTARTED]].concat(), "every attempt has an entry of its own");
}

#[tokio::test]
async fn a_shadow_run_respects_a_cooldown_and_takes_none() {
    let mut world = World::default();
    world.actions.retain(|action| action["id"] != "restart" && action["id"] != "other-restart");
    world.other = vec![];
    world.actions.push(json!({ "id": "restart", "cooldown": "5m",
        "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["shop"] } }));
    let chain = Chain::open(world, &restart().build()).await;
    let mode = |mode: &str| {
        let mut agent = agent("automate-destructive");
        agent["spec"]["mode"] = json!(mode);
        write(&chain.dir.path().join("agent.yaml"), &agent);
    };
    mode("shadow");
    for _ in 0..2 {
        assert_eq!(chain.call("work", json!({})).await.status, ToolStatus::Ok);
    }
    chain.assert_unchanged().await;
    mode("live");
    assert_eq!(chain.call("work", json!({})).await.status, ToolStatus::Ok);
    mode("shadow");
    failed(&chain.call("work", json!({})).await, ToolStatus::Blocked, "cooldown");
    let done = |what: &str| format!("kubectl.rollout restart deployment/web -n shop {what}");
    let expected = [done("skipped shadow"), done("skipped shadow"), RESTARTED.to_owned(), done("blocked cooldown")];
    assert_eq!(chain.close().await.changes(), expected);
}

#[tokio::test]
async fn changes_of_one_reply_never_run_side_by_side() {
    let running = Arc::new(Mutex::new((0, 0)));
    let seen = Arc::clone(&running);
    let observer = Observer::new(move |event: &Event| {
        let mut running = seen.lock().unwrap();
        match event {
            Event::ToolStarted { .. } => running.0 += 1,
            Event::ToolEnded { .. } => running.0 -= 1,
            Event::Effect { .. } if running.0 > 1 => running.1 += 1,
            _ => {}
        }
    });
    let guest = restart().in_the_other_tool().restart("other-restart", DAEMON_SET, "shop", "probe").or_fail();
    let chain = Chain::watched(World::default(), &guest.build(), observer).await;
    let call = |name: &str| json!({ "name": name, "arguments": {} });
    let turns = json!([
        { "reply": { "calls": [call("work"), call("greet"), call("other"), call("greet"), call("work"), call("delete_volume")] } },
        { "reply": { "text": "All done." } },
    ]);
    let conclusion = chain.converse(turns).await;
    assert_eq!(running.lock().unwrap().1, 0, "a change was made while another call ran");
    assert_eq!((conclusion.tally.changed, conclusion.tally.blocked), (3, 1));
    let record = chain.close().await;
    let other = "kubectl.rollout restart daemonset/probe -n shop executed";
    assert_eq!(record.changes(), [RESTARTED, other, RESTARTED]);
    assert!(record.entries.iter().any(|entry| entry.tool == "delete_volume" && entry.reason.as_deref() == Some("unknown-tool")));
}

/// Edits a file when the first change was decided on, so that the next call meets the new rules. Gives the chain and the outcome.
async fn edited(file: &'static str, text: String) -> (Chain, infraagent::run::tools::Outcome) {
    let folder: Arc<Mutex<Option<std::path::PathBuf>>> = Arc::default();
    let known = Arc::clone(&folder);
    let observer = Observer::new(move |event: &Event| {
        if let (Event::Decided { verdict: Verdict::Allow, tier: Some(tier), .. }, Some(folder)) = (event, known.lock().unwrap().take())
            && tier.as_str() != "read"
        {
            fs::write(folder.join(file), &text).unwrap();
        }
    });
    let guest = restart().restart("restart", DEPLOYMENT, "shop", "stuck").or_fail();
    let chain = Chain::watched(World::default(), &guest.build(), observer).await;
    *folder.lock().unwrap() = Some(chain.dir.path().to_owned());
    let outcome = chain.call("work", json!({})).await;
    (chain, outcome)
}

#[tokio::test]
async fn rules_that_are_edited_in_the_middle_of_a_tool_call_hold_for_its_next_call() {
    let mut paused = agent("automate-destructive");
    paused["spec"]["paused"] = json!(true);
    let mut denying = agent("automate-destructive");
    denying["spec"]["guardrails"]["deniedActions"] = json!(["kubectl.rollout restart deployment/stuck"]);
    for (file, document, code) in [
        ("policy.yaml", policy("mutations"), "suspended"),
        ("policy.yaml", policy("all"), "suspended"),
        ("agent.yaml", paused, "suspended"),
        ("agent.yaml", agent("observe"), "tier-not-granted"),
        ("agent.yaml", denying, "deny-listed"),
    ] {
        let (chain, outcome) = edited(file, document.to_string()).await;
        failed(&outcome, ToolStatus::Blocked, code);
        assert!(!is_restarted(&chain.object("deployments.apps", "stuck").await.unwrap()));
        // Put right again, everything goes on.
        write(&chain.dir.path().join("policy.yaml"), &policy("none"));
        write(&chain.dir.path().join("agent.yaml"), &agent("automate-destructive"));
        well(&chain.call("greet", json!({})).await);
        let refused = format!("kubectl.rollout restart deployment/stuck -n shop blocked {code}");
        assert_eq!(chain.close().await.changes(), [RESTARTED.to_owned(), refused]);
    }
}

#[tokio::test]
async fn rules_that_are_broken_in_the_middle_deny_everything() {
    let misspelled = agent("automate-destructive").to_string().replace("\"autonomy\"", "\"deniedAction\":[],\"autonomy\"");
    for (file, text) in [("policy.yaml", "spec: [".to_owned()), ("agent.yaml", misspelled), ("environment.yaml", String::new())] {
        let (chain, outcome) = edited(file, text).await;
        failed(&outcome, ToolStatus::Error, "no decision without a policy");
        assert_eq!(chain.call("greet", json!({})).await.status, ToolStatus::Error, "reads are denied too");
        assert!(!is_restarted(&chain.object("deployments.apps", "stuck").await.unwrap()));
        let record = chain.close().await;
        assert_eq!(record.changes(), [RESTARTED]);
        assert!(record.folded().iter().any(|line| line.starts_with("policy: ")), "{:?}", record.folded());
    }
}

/// With one action that cools down for five minutes.
fn cooling() -> World {
    let mut world = World::default();
    world.actions.retain(|action| action["id"] != "restart");
    world.actions.push(json!({ "id": "restart", "cooldown": "5m",
        "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["shop"] } }));
    world
}

#[tokio::test]
async fn without_a_record_nothing_happens_and_nothing_cools_down() {
    let chain = Chain::open(cooling(), &restart().build()).await;
    let (folder, away) = (chain.dir.path().join("records"), chain.dir.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    failed(&chain.attack().await, ToolStatus::Error, "the record cannot be written, so nothing may happen");
    chain.assert_unchanged().await;
    assert!(chain.shared.journal.flush().await.is_err(), "and the run is told so");
    fs::rename(&away, &folder).unwrap();
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "{outcome:?}");
    failed(&chain.attack().await, ToolStatus::Blocked, "cooldown");
    let ends = [
        "kubectl.rollout restart deployment/web -n shop blocked not-recorded",
        RESTARTED,
        "kubectl.rollout restart deployment/web -n shop blocked cooldown",
    ];
    assert_eq!(chain.close().await.changes(), ends);
}

#[tokio::test]
async fn a_shadow_run_cools_down_for_itself_and_keeps_nobody_else_from_acting() {
    let chain = Chain::open(cooling(), &restart().build()).await;
    let mut shadow = agent("automate-destructive");
    shadow["spec"]["mode"] = json!("shadow");
    write(&chain.dir.path().join("agent.yaml"), &shadow);
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "the guest is not told: {outcome:?}");
    failed(&chain.attack().await, ToolStatus::Blocked, "cooldown");
    chain.assert_unchanged().await;
    // The same places where cooldowns are kept, and a run that acts.
    write(&chain.dir.path().join("agent.yaml"), &agent("automate-destructive"));
    assert_eq!(chain.attack().await.status, ToolStatus::Ok);
    assert!(is_restarted(&chain.object("deployments.apps", "web").await.unwrap()));
    let ends = [
        "kubectl.rollout restart deployment/web -n shop skipped shadow",
        "kubectl.rollout restart deployment/web -n shop blocked cooldown",
        RESTARTED,
    ];
    assert_eq!(chain.close().await.changes(), ends);
}

#[tokio::test]
async fn a_change_whose_outcome_cannot_be_written_stays_an_intent_and_is_the_last() {
    for regardless in [false, true] {
        // Once the guest goes on regardless, once it gives the error of its change back.
        let tried = Guest::new().restart("restart", DEPLOYMENT, "shop", "web");
        let (tried, words) = if regardless {
            (tried, "the record cannot be written, so nothing may happen")
        } else {
            (tried.or_fail(), "internal error, incident entry-1")
        };
        let chain = Chain::with(tried.restart("restart", DEPLOYMENT, "shop", "stuck").or_fail()).await;
        let (folder, away) = (chain.dir.path().join("records"), chain.dir.path().join("away"));
        // The effect waits here, after its intent was written: then the disk goes away.
        let held = Arc::clone(&chain.shared.effects).write_owned().await;
        let attack = chain.call("work", json!({}));
        let sabotage = async {
            // The journal answers only between its writes.
            while chain.shared.journal.document().await.status.unwrap().actions.len() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            fs::rename(&folder, &away).unwrap();
            drop(held);
        };
        let (outcome, ()) = tokio::join!(attack, sabotage);
        failed(&outcome, ToolStatus::Error, words);
        assert!(is_restarted(&chain.object("deployments.apps", "web").await.unwrap()), "the effect had begun");
        assert!(!is_restarted(&chain.object("deployments.apps", "stuck").await.unwrap()), "and nothing follows it");
        assert!(chain.tools.turn_ended().await.is_err(), "the run is told so");
        well(&chain.call("greet", json!({})).await);

        fs::rename(&away, &folder).unwrap();
        let document = chain.on_disk();
        let report = verify::verify(&document, None, None);
        assert!(matches!(report.consistent, Answer::Yes(_)) && report.complete.is_no(), "{report:?}");
        let entries = document.run.status.unwrap().actions;
        let change = entries.iter().find(|entry| entry.tool.starts_with("kubectl.")).unwrap();
        assert_eq!((change.status, report.open.as_slice()), (ActionStatus::Intended, [0, 1].as_slice()), "at most this change is unknown");
        let refused = "kubectl.rollout restart deployment/stuck -n shop blocked not-recorded";
        let known = if regardless { vec![RESTARTED, refused] } else { vec![RESTARTED] };
        assert_eq!(chain.close().await.changes(), known, "with the disk back, what is known is not lost");
    }
}

#[tokio::test]
async fn a_run_that_loses_its_record_ends() {
    let folders: Arc<Mutex<Option<(std::path::PathBuf, std::path::PathBuf)>>> = Arc::default();
    let known = Arc::clone(&folders);
    // As soon as the first change was made, the disk goes away.
    let observer = Observer::new(move |event: &Event| {
        if let Event::Effect { .. } = event
            && let Some((folder, away)) = known.lock().unwrap().take()
        {
            fs::rename(folder, away).unwrap();
        }
    });
    let guest = restart().in_the_other_tool().restart("other-restart", DAEMON_SET, "shop", "probe").or_fail();
    let chain = Chain::watched(World::default(), &guest.build(), observer).await;
    *folders.lock().unwrap() = Some((chain.dir.path().join("records"), chain.dir.path().join("away")));
    let call = |name: &str| json!({ "reply": { "calls": [{ "name": name, "arguments": {} }] } });
    let conclusion = chain.converse(json!([call("work"), call("other"), { "reply": { "text": "All done." } }])).await;
    assert_eq!(conclusion.phase, RunPhase::Failed);
    assert!(conclusion.conditions.iter().any(|condition| condition.reason == "RecordLost"), "{:?}", conclusion.conditions);
    assert!(!is_restarted(&chain.object("daemonsets.apps", "probe").await.unwrap()));
    assert!(
        infraagent::run::close(&chain.shared.journal, conclusion).await.is_err(),
        "whoever runs it is told that the record is not closed"
    );
}

#[tokio::test]
async fn an_intent_is_on_disk_before_its_effect() {
    let found: Arc<Mutex<Vec<String>>> = Arc::default();
    let (record, seen): (Arc<Mutex<Option<std::path::PathBuf>>>, _) = (Arc::default(), Arc::clone(&found));
    let path = Arc::clone(&record);
    let observer = Observer::new(move |event: &Event| {
        if let (Event::Effect { .. }, Some(path)) = (event, path.lock().unwrap().as_ref()) {
            seen.lock().unwrap().push(fs::read_to_string(path).unwrap());
        }
    });
    let guest = Guest::new().restart("restart", DEPLOYMENT, "shop", "web").or_fail().code("unreachable");
    let chain = Chain::watched(World::default(), &guest.build(), observer).await;
    *record.lock().unwrap() = Some(chain.record.clone());
    chain.call("work", json!({})).await;
    let found = found.lock().unwrap().clone();
    assert!(found.len() == 1 && found[0].contains("kubectl.rollout restart"), "{found:?}");
    chain.close().await;
}

#[tokio::test]
async fn a_storm_of_calls_ends_and_leaves_a_record_of_bounded_size() {
    let started = Instant::now();
    for guest in [
        Guest::new().get("look", ("apps", "deployments"), "shop", "web", false).forever(),
        Guest::new().get("nothing-of-the-kind", ("apps", "deployments"), "shop", "web", false).forever(),
        Guest::new().restart("restart", DEPLOYMENT, "shop", "../../x").forever(),
        Guest::new().site().forever(),
    ] {
        let chain = Chain::with(guest).await;
        failed(&chain.attack().await, ToolStatus::Error, "host-calls");
        chain.assert_unchanged().await;
        let record = chain.close().await;
        assert_eq!(record.entries.len(), 3, "one entry for each tool call");
        assert!(record.folded().len() <= 32);
    }
    // A storm of refused changes fills the record and no more: then they are folded. The neighbour shares the record, so it is called before.
    let chain = Chain::with(Guest::new().scale("restart", DEPLOYMENT, "shop", "web", 0).forever()).await;
    well(&chain.call("greet", json!({})).await);
    let outcome = chain.call("work", json!({})).await;
    assert_ne!(outcome.status, ToolStatus::Ok);
    chain.assert_unchanged().await;
    let record = chain.close().await;
    assert_eq!(record.entries.len(), 48, "as many as the run may have");
    assert!(record.work().reads.as_ref().is_some_and(|reads| reads.denied >= 400), "{:?}", record.work().reads);
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_limits_of_the_sandbox_hold_in_the_chain() {
    let grow = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))) unreachable)";
    let copy = "(loop $forever (memory.copy (i32.const 0) (i32.const 1048576) (i32.const 1048576)) (br $forever))";
    for (guest, code) in [
        (Guest::new().code(FOREVER), "cpu-budget"),
        (Guest::new().memory(64).code(copy), "cpu-budget"),
        (Guest::new().code(grow), "memory"),
        (Guest::new().site().code("(i32.store (i32.const 1032) (i32.const 2147483647))"), "trap"),
    ] {
        let chain = Chain::with(guest).await;
        assert_eq!(chain.attack().await.status, ToolStatus::Error);
        chain.assert_unchanged().await;
        assert_eq!(chain.close().await.work().reason.as_deref(), Some(code));
    }
}

#[tokio::test]
async fn an_expression_that_never_ends_denies_in_bounded_time() {
    let nested = (0..12).fold("true".to_owned(), |inner, at| format!("[1,2,3,4,5,6,7,8].all(x{at}, {inner})"));
    for (cel, code) in [(nested.as_str(), "unknown"), ("object.nothing.at.all", "unknown"), ("1 + 1", "unknown"), ("false", "precondition")]
    {
        let mut world = World::default();
        world.actions.retain(|action| action["id"] != "restart");
        world.actions.push(json!({ "id": "restart", "preConditions": [{ "cel": cel, "message": "must hold" }],
            "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["shop"] } }));
        let started = Instant::now();
        let chain = Chain::open(world, &restart().build()).await;
        failed(&chain.attack().await, ToolStatus::Blocked, code);
        assert!(started.elapsed() < Duration::from_secs(20), "{cel}: {:?}", started.elapsed());
        chain.assert_unchanged().await;
        assert_eq!(chain.close().await.changes(), [format!("kubectl.rollout restart deployment/web -n shop blocked {code}")]);
    }
}
