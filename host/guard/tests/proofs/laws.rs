//! Laws of the decision, proved by building every small world.

use infraagent_guard::{
    Allowed, Autonomy, Code, Decision, Fact, Outcome, Policy, Tier,
    call::{Call, Effect, Mutation, Workload, WriteMethod},
    facts::{Conditions, Consequence, Seen},
    pattern::Pattern,
    permit::Reach,
    policy::{Action, Grant, KubernetesGrant, Method, Precondition, Sheet, Suspend, Verb},
    screen::Circumstances,
};

use crate::support::{
    PLENTY, READS, action, actions, allows, asking, claim, clear, cluster, consequence, every_call, evict, id, judge, judge_clear, list,
    ns, on, pattern_for, policy, restart, rollback, seen, send, sending, tools, word,
};

/// One small world: every switch that a policy and its circumstances have.
#[derive(Debug, Clone, Copy)]
struct World {
    autonomy: Autonomy,
    ceiling: Autonomy,
    suspend: Suspend,
    frozen: bool,
    granted: bool,
    in_tool: bool,
    in_environment: bool,
    denied: bool,
    allowed: Option<bool>,
    budget: bool,
}

fn worlds() -> Vec<World> {
    let both = [false, true];
    let mut worlds = Vec::new();
    for autonomy in Autonomy::ALL {
        for ceiling in Autonomy::ALL {
            for suspend in [Suspend::Nothing, Suspend::Mutations, Suspend::All] {
                for bits in 0..64u32 {
                    let [frozen, granted, in_tool, in_environment, denied, budget] = [0, 1, 2, 3, 4, 5].map(|bit| bits & (1 << bit) != 0);
                    for allowed in [None, Some(both[0]), Some(both[1])] {
                        worlds.push(World {
                            autonomy,
                            ceiling,
                            suspend,
                            frozen,
                            granted,
                            in_tool,
                            in_environment,
                            denied,
                            allowed,
                            budget,
                        });
                    }
                }
            }
        }
    }
    worlds
}

/// The policy of a world, from one where everything is granted and listed.
fn build(world: &World, full: &Policy, sheets: &[Sheet; 4], call: &Call) -> (Policy, Circumstances) {
    let mut policy = Policy { autonomy: world.autonomy, ..full.clone() };
    let [nothing, no_tool, no_grant, everything] = sheets;
    policy.sheet = match (world.granted, world.in_tool) {
        (false, false) => nothing.clone(),
        (false, true) => no_grant.clone(),
        (true, false) => no_tool.clone(),
        (true, true) => everything.clone(),
    };
    policy.platform.ceiling = world.ceiling;
    policy.platform.suspend = world.suspend;
    if !world.in_environment {
        policy.environment.namespaces.clear();
        policy.environment.endpoints.clear();
        policy.environment.servers.clear();
    }
    let unrelated = on(&[Verb::Delete], "jobs", Some("unrelated"), None);
    if world.denied {
        policy.denied = vec![unrelated.clone(), pattern_for(call)];
    }
    policy.allowed = world.allowed.map(|allowed| if allowed { vec![unrelated, pattern_for(call)] } else { vec![unrelated] });
    let budget = if world.budget { PLENTY } else { Circumstances { millis: 0, ..PLENTY } };
    (policy, Circumstances { frozen: world.frozen, ..budget })
}

fn tier_of(call: &Call) -> Tier {
    infraagent_guard::policy::tier(call, &crate::support::environment()).unwrap()
}

fn is_placed(call: &Call) -> bool {
    !matches!(call, Call::Mutation(Mutation { effect: Effect::Cordon(..), .. })) && !call.to_string().contains("node/")
}

/// What the specification says about a call with clear facts, written down a second time, without looking at the code.
fn expected(world: &World, call: &Call) -> &'static str {
    let autonomy = world.autonomy.min(world.ceiling);
    let mutates = matches!(call, Call::Mutation(_));
    let open = world.granted
        && world.in_tool
        && (world.in_environment || !is_placed(call))
        && !world.denied
        && world.allowed != Some(false)
        && world.suspend != Suspend::All
        && !(mutates && (world.frozen || world.suspend == Suspend::Mutations))
        && world.budget;
    let reaches = match tier_of(call) {
        Tier::Read => true,
        Tier::ServiceMutation => autonomy >= Autonomy::AutomateSafe,
        Tier::DestructiveMutation => autonomy == Autonomy::AutomateDestructive,
    };
    match (open, reaches) {
        (false, _) => "deny",
        (true, true) => "allow",
        (true, false) if autonomy == Autonomy::Observe => "deny",
        (true, false) => "propose",
    }
}

#[test]
fn every_small_world_decides_as_the_specification_says() {
    // One call per verb and interface is enough here; the kinds of one verb differ in nothing that a world switches.
    let mut texts = std::collections::BTreeSet::new();
    let calls: Vec<_> = every_call()
        .into_iter()
        .filter(|(action, call)| {
            action.is_some()
                && texts.insert(call.to_string().split(' ').take(2).map(|w| w.split('/').next().unwrap().to_owned()).collect::<Vec<_>>())
        })
        .collect();
    assert!(calls.len() > 20, "{}", calls.len());
    let mut seen_words = std::collections::BTreeMap::<&str, usize>::new();
    let full = policy(Autonomy::Observe);
    for (covering, call) in &calls {
        let sheets = [(false, false), (true, false), (false, true), (true, true)].map(|(granted, in_tool)| {
            let all: Vec<Action> = actions().into_iter().filter(|action| granted || Some(action.id.as_str()) != *covering).collect();
            let all_tools = if in_tool { tools(&all) } else { tools(&[]) };
            Sheet::new(all, all_tools).unwrap()
        });
        for world in worlds() {
            let (policy, now) = build(&world, &full, &sheets, call);
            let decision = judge(&policy, &now, claim(*covering, call.clone()), Some(clear(call)));
            let actual = match &decision {
                Decision::Allow(_) => "allow",
                Decision::Propose(_) => "propose",
                Decision::Deny(denial) => {
                    assert_eq!(
                        denial.checks.first_failure().map(|(_, code)| code),
                        Some(denial.code),
                        "a denial shows the check that failed: {denial:?}"
                    );
                    assert_eq!(denial.call.as_ref(), Some(call));
                    "deny"
                }
            };
            assert_eq!(actual, expected(&world, call), "{call} in {world:?}: {decision:?}");
            *seen_words.entry(actual).or_default() += 1;
        }
    }
    assert!(seen_words.len() == 3 && seen_words.values().all(|n| *n > 100), "all outcomes occur: {seen_words:?}");
}

#[test]
fn every_combination_of_facts_decides_as_the_specification_says() {
    let policy = policy(Autonomy::AutomateDestructive);
    let states = [Fact::Clear, Fact::Impact, Fact::Unknown("list pods".into())];
    for (covering, call) in every_call() {
        let Call::Mutation(mutation) = &call else { continue };
        let relevant = Consequence::of(&mutation.effect);
        for mut code in 0..3usize.pow(10) {
            let mut pick = || {
                let state = states[code % 3].clone();
                code /= 3;
                state
            };
            let mut facts = clear(&call);
            for which in Consequence::ALL {
                *consequence(&mut facts, which) = pick();
            }
            (facts.node, facts.cooldown) = (pick(), pick());
            facts.preconditions = match pick() {
                Fact::Clear => Conditions::Hold,
                Fact::Impact => Conditions::Broken(0),
                Fact::Unknown(what) => Conditions::Unknown(what),
            };
            // Every irrelevant consequence is enumerated for two verbs only, to keep this a matter of seconds.
            let irrelevant = Consequence::ALL.iter().any(|which| !relevant.contains(which) && *facts.about(*which) != Fact::Clear);
            if irrelevant && !matches!(mutation.effect, Effect::Rollback(..) | Effect::Cordon(_, true)) {
                continue;
            }
            // What is unknown denies, whether or not the verb could have this consequence; an impact counts only where it can be one.
            let harmless = |which: &Consequence| match facts.about(*which) {
                Fact::Clear => true,
                Fact::Impact => !relevant.contains(which),
                Fact::Unknown(_) => false,
            };
            let fine = Consequence::ALL.iter().all(harmless)
                && facts.preconditions == Conditions::Hold
                && [&facts.node, &facts.cooldown].into_iter().all(|fact| *fact == Fact::Clear);
            let screened = infraagent_guard::screen(&policy, claim(covering, call.clone()), &PLENTY).unwrap();
            assert_eq!(allows(&infraagent_guard::decide(screened, Some(facts.clone()))), fine, "{call}: {facts:?}");
        }
    }
}

#[test]
fn a_target_that_is_absent_unknown_or_changed_is_never_touched() {
    let policy = policy(Autonomy::AutomateDestructive);
    for (covering, call) in every_call() {
        let Call::Mutation(Mutation { effect, .. }) = &call else { continue };
        let in_cluster = !matches!(effect, Effect::Http(_) | Effect::Mcp(_));
        let with = |target: Seen| {
            let facts = infraagent_guard::Facts { target, ..clear(&call) };
            judge(&policy, &PLENTY, claim(covering, call.clone()), Some(facts))
        };
        assert_eq!(word(&with(Seen::Absent)), "target-absent");
        assert_eq!(word(&with(Seen::Unknown("get pods".into()))), "unknown");
        assert_eq!(allows(&with(Seen::Elsewhere)), !in_cluster, "{call}");
        let mut other = seen();
        other.uid = infraagent_guard::name::Uid::parse("uid-2").unwrap();
        if matches!(effect, Effect::Evict(..) | Effect::Delete(_)) {
            assert_eq!(word(&with(Seen::Present(other))), "target-changed", "{call}");
        }
        let mut newer = seen();
        newer.resource_version = infraagent_guard::name::ResourceVersion::parse("42").unwrap();
        if matches!(effect, Effect::Delete(_)) {
            assert_eq!(word(&with(Seen::Present(newer))), "target-changed", "{call}");
        }
    }
}

#[test]
fn without_facts_every_mutation_is_denied_and_nothing_else() {
    let policy = policy(Autonomy::AutomateDestructive);
    for (covering, call) in every_call() {
        let decision = judge(&policy, &PLENTY, claim(covering, call.clone()), None);
        match call {
            Call::Mutation(_) => assert_eq!(word(&decision), "unknown", "{call}"),
            Call::Read(_) | Call::Ambient(_) => assert!(allows(&decision), "{call}: {decision:?}"),
        }
    }
}

#[test]
fn an_empty_policy_allows_nothing_that_needs_an_action() {
    let mut empty = policy(Autonomy::AutomateDestructive);
    for sheet in [Sheet::default(), Sheet::new(Vec::new(), tools(&[])).unwrap()] {
        empty.sheet = sheet;
        for (covering, call) in every_call() {
            let decision = judge_clear(&empty, covering, &call);
            assert!(!allows(&decision) || matches!(call, Call::Ambient(_)), "{call}: {decision:?}");
        }
    }
    let mut bare = policy(Autonomy::AutomateDestructive);
    bare.environment = Default::default();
    for (covering, call) in every_call().into_iter().filter(|(covering, call)| covering.is_some() && is_placed(call)) {
        assert!(!allows(&judge_clear(&bare, covering, &call)), "{call}");
    }
}

#[test]
fn a_permit_carries_exactly_its_call_action_scope_revision_and_object() {
    let policy = policy(Autonomy::AutomateDestructive);
    for (covering, call) in every_call() {
        let text = call.to_string();
        match (judge_clear(&policy, covering, &call), call) {
            (Decision::Allow(Allowed::Ambient(permit)), Call::Ambient(call)) => {
                assert_eq!((permit.call(), permit.action(), permit.tier()), (&call, None, Tier::Read));
            }
            (Decision::Allow(Allowed::Read(permit)), Call::Read(call)) => {
                assert_eq!((permit.call(), permit.action()), (&call, covering.map(id).as_ref()));
                assert_eq!((permit.scope(), permit.policy(), permit.tier()), (&*policy.scope, &*policy.revision, Tier::Read));
                assert_eq!(permit.observed(), None);
            }
            (Decision::Allow(Allowed::Mutation(permit)), Call::Mutation(call)) => {
                let in_cluster = !matches!(call.effect, Effect::Http(_) | Effect::Mcp(_));
                assert_eq!((permit.call(), permit.action()), (&call, covering.map(id).as_ref()));
                assert_eq!((permit.scope(), permit.policy()), (&*policy.scope, &*policy.revision));
                assert_eq!(permit.observed(), in_cluster.then(seen).as_ref(), "{text}");
                assert!(permit.tier() > Tier::Read);
            }
            (decision, _) => panic!("{text}: {decision:?}"),
        }
    }
}

#[test]
fn a_proposal_is_made_of_mutations_only_and_only_when_nothing_else_stands_against_it() {
    for autonomy in Autonomy::ALL {
        let policy = policy(autonomy);
        for (covering, call) in every_call() {
            let decision = judge_clear(&policy, covering, &call);
            if let Decision::Propose(proposal) = &decision {
                assert!(matches!(autonomy, Autonomy::Recommend | Autonomy::AutomateSafe));
                assert_eq!((&Call::Mutation(proposal.call().clone()), proposal.action()), (&call, covering.map(id).as_ref()));
                assert_eq!(proposal.policy(), &*policy.revision);
                let mut cooling = clear(&call);
                cooling.cooldown = Fact::Impact;
                assert_eq!(word(&judge(&policy, &PLENTY, claim(covering, call.clone()), Some(cooling))), "cooldown");
                assert_eq!(word(&judge(&policy, &PLENTY, claim(covering, call.clone()), None)), "unknown");
            }
        }
    }
}

#[test]
fn more_autonomy_never_takes_anything_away() {
    for (covering, call) in every_call() {
        let rank = |autonomy| match judge_clear(&policy(autonomy), covering, &call) {
            Decision::Deny(_) => 0,
            Decision::Propose(_) => 1,
            Decision::Allow(_) => 2,
        };
        assert!(Autonomy::ALL.map(rank).is_sorted(), "{call}");
    }
}

#[test]
fn a_write_has_the_highest_tier_that_any_spelling_of_its_path_has_and_is_listed_only_as_spelled() {
    let tier = |method, path| infraagent_guard::policy::tier(&send(method, "site", path), &crate::support::environment());
    for path in ["/admin/users", "/Admin/users", "/ADMIN/USERS", "/admin/users/", "/Admin/"] {
        assert_eq!(tier(WriteMethod::Post, path), Some(Tier::DestructiveMutation), "{path}");
    }
    for path in ["/issues", "/administration", "/a/admin/users"] {
        assert_eq!(tier(WriteMethod::Post, path), Some(Tier::ServiceMutation), "{path}");
    }
    assert_eq!(tier(WriteMethod::Put, "/labels/bug"), Some(Tier::ServiceMutation));
    for path in ["/Labels/bug", "/labels/bug/", "/labels/a/b"] {
        assert_eq!(tier(WriteMethod::Put, path), None, "{path}");
    }
}

/// Policies that differ in everything but the sheet.
fn many_policies() -> Vec<Policy> {
    let denied = [
        vec![],
        vec![on(&[Verb::Delete], "*", None, None), sending(&[Method::Post], "**/admin**")],
        vec![on(READS, "pods", None, Some("prod"))],
    ];
    let allowed = [None, Some(vec![Pattern::Everything]), Some(vec![on(&Verb::ALL, "*", None, None), asking("**", "**")])];
    let mut many = Vec::new();
    for autonomy in Autonomy::ALL {
        for denied in &denied {
            for allowed in &allowed {
                many.push(Policy { denied: denied.clone(), allowed: allowed.clone(), ..policy(autonomy) });
            }
        }
    }
    many
}

#[test]
fn one_more_grant_never_removes_an_allow() {
    let extra = [
        action("aaa", Grant::Kubernetes(cluster(&[Verb::Get, Verb::List], &["pods"], Some(&["elsewhere"])))),
        action("zzz", Grant::Kubernetes(cluster(&[Verb::Delete], &["jobs"], Some(&["elsewhere"])))),
    ];
    for old in many_policies() {
        for one in &extra {
            let more: Vec<_> = old.sheet.actions().iter().cloned().chain([one.clone()]).collect();
            let all_tools = tools(&more);
            let new = Policy { sheet: Sheet::new(more, all_tools).unwrap(), ..old.clone() };
            for (covering, call) in every_call() {
                assert_eq!(judge_clear(&old, covering, &call), judge_clear(&new, covering, &call), "{call}");
            }
        }
    }
}

#[test]
fn one_more_deny_entry_never_adds_an_allow_and_one_less_allow_entry_neither() {
    let entries = [
        Pattern::Everything,
        on(&Verb::ALL, "*", None, None),
        on(READS, "pods", None, None),
        on(READS, "pods", None, Some("apps")),
        on(&[Verb::Evict, Verb::Cordon], "nodes", Some("x"), None),
        on(&[Verb::Evict], "*", None, None),
        sending(&Method::ALL, "**"),
        asking("**", "**"),
        on(&[Verb::Delete], "*", Some("*prod"), None),
    ];
    let reach = |decision: &Decision| match decision {
        Decision::Allow(Allowed::Read(permit)) => match permit.reach() {
            Reach::Namespaces(all) => all.clone(),
            Reach::Cluster | Reach::Elsewhere => Vec::new(),
        },
        Decision::Allow(Allowed::Ambient(_) | Allowed::Mutation(_)) | Decision::Propose(_) | Decision::Deny(_) => Vec::new(),
    };
    let narrower = |new: &Decision, old: &Decision, what: &str| {
        let rank = |decision: &Decision| match decision {
            Decision::Deny(_) => 0,
            Decision::Propose(_) => 1,
            Decision::Allow(_) => 2,
        };
        assert!(rank(new) <= rank(old) && reach(new).iter().all(|one| reach(old).contains(one)), "{what}");
    };
    for old in many_policies() {
        for entry in &entries {
            let mut stricter = old.clone();
            stricter.denied.push(entry.clone());
            let mut wider = old.clone();
            wider.allowed.iter_mut().for_each(|allowed| allowed.push(entry.clone()));
            for (covering, call) in every_call() {
                let before = judge_clear(&old, covering, &call);
                narrower(&judge_clear(&stricter, covering, &call), &before, &format!("{call} with {entry:?}"));
                narrower(&before, &judge_clear(&wider, covering, &call), &format!("{call} without {entry:?}"));
            }
        }
    }
}

#[test]
fn the_order_of_actions_tools_patterns_and_namespaces_is_irrelevant() {
    for mut old in many_policies() {
        old.denied.extend([on(READS, "pods", None, Some("foreign")), on(READS, "events", None, None)]);
        if let Some(allowed) = &mut old.allowed {
            allowed.extend([on(&[Verb::Wait], "*", None, None), sending(&[Method::Get], "**")]);
        }
        let mut new = old.clone();
        let mut reversed: Vec<Action> = old.sheet.actions().iter().rev().cloned().collect();
        for action in &mut reversed {
            if let Grant::Kubernetes(KubernetesGrant { namespaces: Some(namespaces), verbs, kinds, .. }) = &mut action.grant {
                namespaces.reverse();
                verbs.reverse();
                kinds.reverse();
            }
        }
        let mut reversed_tools = tools(&reversed);
        reversed_tools.reverse();
        new.sheet = Sheet::new(reversed, reversed_tools).unwrap();
        new.denied.reverse();
        new.allowed.iter_mut().for_each(|allowed| allowed.reverse());
        new.environment.namespaces.reverse();
        for (covering, call) in every_call() {
            assert_eq!(judge_clear(&old, covering, &call), judge_clear(&new, covering, &call), "{call}");
        }
    }
}

#[test]
fn no_namespace_is_crossed() {
    let names = ["a", "b", "c"];
    let subset =
        |bits: u32| names.iter().enumerate().filter(move |(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name).collect::<Vec<_>>();
    let mut policy = policy(Autonomy::Observe);
    for granted in 0..8 {
        // Named twice, in another order: still each once.
        let twice: Vec<&str> = subset(granted).into_iter().rev().chain(subset(granted)).collect();
        let grant = cluster(&[Verb::Get, Verb::List], &["pods"], Some(&twice));
        let all = vec![action("read", Grant::Kubernetes(grant))];
        let all_tools = tools(&all);
        policy.sheet = Sheet::new(all, all_tools).unwrap();
        for (environment, denied, allowed) in (0..512).map(|bits: u32| (bits & 7, (bits >> 3) & 7, bits >> 6)) {
            policy.environment.namespaces = subset(environment).into_iter().map(ns).collect();
            let entries = |bits| subset(bits).into_iter().map(|name| on(READS, "pods", None, Some(name))).collect::<Vec<_>>();
            (policy.denied, policy.allowed) = (entries(denied), (allowed != 0).then(|| entries(allowed)));
            let open = granted & environment & !denied & if allowed == 0 { 7 } else { allowed };
            let reach = |decision: Decision| match decision {
                Decision::Allow(Allowed::Read(permit)) => Some(permit.reach().clone()),
                Decision::Allow(Allowed::Ambient(_) | Allowed::Mutation(_)) | Decision::Propose(_) | Decision::Deny(_) => None,
            };
            let all = reach(judge_clear(&policy, Some("read"), &list("pods", None)));
            assert_eq!(all, (open != 0).then(|| Reach::Namespaces(subset(open).into_iter().map(ns).collect())));
            for (at, name) in names.iter().enumerate() {
                let one = reach(judge_clear(&policy, Some("read"), &list("pods", Some(name))));
                assert_eq!(one, (open & (1 << at) != 0).then(|| Reach::Namespaces(vec![ns(name)])));
            }
        }
    }
}

#[test]
fn data_protection_depends_on_no_configuration() {
    for policy in many_policies() {
        for (covering, call) in every_call() {
            let Call::Mutation(Mutation { effect, .. }) = &call else { continue };
            for which in Consequence::of(effect) {
                for fact in [Fact::Impact, Fact::Unknown("x".into())] {
                    let mut facts = clear(&call);
                    *consequence(&mut facts, *which) = fact;
                    assert!(
                        matches!(judge(&policy, &PLENTY, claim(covering, call.clone()), Some(facts)), Decision::Deny(_)),
                        "{call}: {which:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn whatever_ends_a_pod_looks_at_what_dies_with_a_pod() {
    for (_, call) in every_call() {
        let Call::Mutation(Mutation { effect, .. }) = &call else { continue };
        let ends_pods = matches!(
            effect,
            Effect::Restart(_)
                | Effect::Scale(_)
                | Effect::Evict(..)
                | Effect::Rollback(..)
                | Effect::Delete(_)
                | Effect::Pause(_, _, false)
        );
        for which in [Consequence::EphemeralVolume, Consequence::TerminatingClaim, Consequence::Dependants] {
            assert_eq!(Consequence::of(effect).contains(&which), ends_pods, "{call}: {which:?}");
        }
    }
}

#[test]
fn nothing_is_ever_written_to_an_endpoint_that_holds_data() {
    for policy in many_policies() {
        for method in [WriteMethod::Post, WriteMethod::Put, WriteMethod::Patch] {
            let call = send(method, "bucket", "/object");
            let decision = judge_clear(&policy, Some("write"), &call);
            let Decision::Deny(denial) = decision else { panic!("{call}: {decision:?}") };
            assert_eq!(denial.checks.outcome(infraagent_guard::Check::Data), Outcome::Fail(Code::DataProtection));
        }
    }
}

#[test]
fn possible_data_impact_needs_full_autonomy_for_reads_too() {
    for autonomy in Autonomy::ALL {
        let mut policy = policy(autonomy);
        let mut all = actions();
        for action in &mut all {
            action.data_impact = true;
        }
        let all_tools = tools(&all);
        policy.sheet = Sheet::new(all, all_tools).unwrap();
        for (covering, call) in every_call().into_iter().filter(|(covering, _)| covering.is_some()) {
            assert_eq!(allows(&judge_clear(&policy, covering, &call)), autonomy == Autonomy::AutomateDestructive, "{call}");
        }
    }
}

#[test]
fn a_sheet_may_raise_a_tier_and_never_lower_it() {
    for raise in Tier::ALL {
        for autonomy in Autonomy::ALL {
            let mut policy = policy(autonomy);
            let mut all = actions();
            for action in &mut all {
                action.raise = Some(raise);
            }
            let all_tools = tools(&all);
            policy.sheet = Sheet::new(all, all_tools).unwrap();
            for (covering, call) in every_call().into_iter().filter(|(covering, _)| covering.is_some()) {
                let needs = tier_of(&call).max(raise).needs();
                assert_eq!(allows(&judge_clear(&policy, covering, &call)), autonomy >= needs, "{call} raised to {raise:?}");
            }
        }
    }
}

#[test]
fn an_allow_list_without_a_meaning_allows_nothing_that_has_a_target() {
    let policy = Policy { allowed: Some(Vec::new()), ..policy(Autonomy::AutomateDestructive) };
    for (covering, call) in every_call() {
        let decision = judge_clear(&policy, covering, &call);
        match call {
            Call::Ambient(_) => assert!(allows(&decision), "{call}"),
            Call::Read(_) | Call::Mutation(_) => assert_eq!(word(&decision), "not-allow-listed", "{call}"),
        }
    }
}

#[test]
fn a_broken_precondition_is_told_in_the_words_of_the_sheet_and_nothing_else_is() {
    let mut policy = policy(Autonomy::AutomateDestructive);
    let call = rollback("web");
    for count in 0..4 {
        let mut all = actions();
        for action in all.iter_mut().filter(|action| action.id.as_str() == "rollback") {
            action.preconditions =
                (0..count).map(|at| Precondition { cel: format!("object.spec.{at}"), message: format!("sentence {at}") }).collect();
        }
        let all_tools = tools(&all);
        policy.sheet = Sheet::new(all, all_tools).unwrap();
        let told = |facts| match judge(&policy, &PLENTY, claim(Some("rollback"), call.clone()), Some(facts)) {
            Decision::Deny(denial) => (denial.code, denial.detail),
            other => panic!("{other:?}"),
        };
        for at in 0..5 {
            let broken = || infraagent_guard::Facts { preconditions: Conditions::Broken(at), ..clear(&call) };
            let message = (at < count).then(|| format!("sentence {at}"));
            assert_eq!(told(broken()), (Code::Precondition, message.clone()), "{at} of {count}");
            assert_eq!(told(infraagent_guard::Facts { cooldown: Fact::Impact, ..broken() }), (Code::Precondition, message));
            // What is told belongs to the first failure.
            assert_eq!(told(infraagent_guard::Facts { target: Seen::Absent, ..broken() }), (Code::TargetAbsent, None));
            assert_eq!(told(infraagent_guard::Facts { node: Fact::Impact, ..broken() }), (Code::NodeNotCovered, None));
        }
        let unknown = Conditions::Unknown("why".into());
        let (code, detail) = told(infraagent_guard::Facts { preconditions: unknown, ..clear(&call) });
        assert_eq!((code, detail.as_deref()), (Code::Unknown, Some("pre-conditions: why")));
        assert!(allows(&judge_clear(&policy, Some("rollback"), &call)));
    }
}

#[test]
fn a_thousand_identical_calls_get_one_answer() {
    let policy = &many_policies()[22];
    for (covering, call) in every_call() {
        let first = judge_clear(policy, covering, &call);
        for _ in 0..1000 {
            assert_eq!(judge_clear(policy, covering, &call), first, "{call}");
        }
    }
}

#[test]
fn two_mutating_actions_never_cover_one_target() {
    let pair = |a: Grant, b: Grant| Sheet::new(vec![action("a", a), action("b", b)], Vec::new()).is_err();
    let restart_in = |namespaces: &[&str], names: &[&str]| {
        let mut grant = cluster(&[Verb::Restart], &["deployments"], Some(namespaces));
        grant.names = names.iter().map(|name| infraagent_guard::pattern::Glob::parse(name).unwrap()).collect();
        Grant::Kubernetes(grant)
    };
    assert!(pair(restart_in(&["apps"], &[]), restart_in(&["apps", "prod"], &[])));
    assert!(pair(restart_in(&["apps"], &["web-*"]), restart_in(&["apps"], &["*-1"])));
    assert!(pair(restart_in(&["apps"], &["*"]), restart_in(&["apps"], &["db"])));
    assert!(!pair(restart_in(&["apps"], &["web-*"]), restart_in(&["apps"], &["db-*"])));
    assert!(!pair(restart_in(&["apps"], &[]), restart_in(&["prod"], &[])));
    let server = infraagent_guard::name::EndpointName::parse("helper").unwrap();
    let mcp = |tool: &str| {
        let tools = vec![infraagent_guard::pattern::Glob::parse(tool).unwrap()];
        Grant::Mcp(infraagent_guard::policy::McpGrant { server: server.clone(), tools })
    };
    assert!(pair(mcp("*"), mcp("repo/drop")), "a star that covers every tool meets every tool");
    assert!(!pair(mcp("fix"), mcp("analyze")));
    let twice = vec![actions().remove(0), actions().remove(0)];
    assert!(Sheet::new(twice, Vec::new()).is_err());
    assert!(Sheet::new(Vec::new(), tools(&actions())).is_err(), "a tool names actions that no sheet has");
}

#[test]
fn a_condition_that_would_never_be_asked_for_is_an_error() {
    let mut read = actions().remove(0);
    read.cooldown_seconds = 60;
    assert!(Sheet::new(vec![read], Vec::new()).is_err());
    let mut change = actions().into_iter().find(|action| action.id.as_str() == "restart").unwrap();
    change.cooldown_seconds = 60;
    assert!(Sheet::new(vec![change], Vec::new()).is_ok());
}

#[test]
fn a_suspension_is_stronger_than_a_full_grant() {
    let mut policy = policy(Autonomy::AutomateDestructive);
    policy.platform.suspend = Suspend::All;
    for (covering, call) in every_call() {
        assert_eq!(word(&judge_clear(&policy, covering, &call)), "suspended", "{call}");
    }
    let _ = (restart(Workload::Deployment, "apps", "web"), evict("web-1", "uid-1"));
}
