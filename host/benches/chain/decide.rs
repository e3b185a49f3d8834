//! `decide`: screen and decide, with a sheet of one action and with one of a thousand. Pure functions, so batches are timed.

use std::{hint::black_box, sync::Arc, time::Instant};

use infraagent_guard::{
    Autonomy, Decision, Fact, Facts, Policy,
    call::{Call, Effect, Mutation, Target, Workload},
    decide,
    facts::{Conditions, Seen},
    name::{ActionId, GroupResource, Namespace, ObjectName, ResourceVersion, ToolName, Uid},
    pattern::Glob,
    permit::Observed,
    policy::{Action, Environment, Grant, KubernetesGrant, Platform, Scope, Sheet, Suspend, Tool, Verb},
    screen,
    screen::{Circumstances, Claim},
};
use infraagent_sandbox::notation::Entry;

use crate::{
    measure::{Plan, Sample},
    table::{Goal, Row},
};

const MANY: usize = 1000;

pub(crate) fn run(quick: bool) -> anyhow::Result<Vec<Row>> {
    let plan = Plan::new(quick, 400, 1000);
    let (small, large) = (policy(1)?, policy(MANY)?);
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        one.push(batch(&small, 0, plan.calls)?);
        many.push(batch(&large, MANY / 2, plan.calls)?);
    }
    let (one, many) = (Sample::of(one), Sample::of(many));
    Ok(vec![
        Row::new("decide, 1 action", one, None, "ns", Goal::AtMost(300.0), "screen + decide of a restart, all facts clear"),
        Row::new("decide, 1000 actions", many, None, "ns", Goal::AtMost(300.0), "the same"),
        Row::new("decide, 1000 against 1", many, Some(one), "ns", Goal::Times(2.0), ""),
    ])
}

/// Nanoseconds per decision. Claims and facts are made, and decisions dropped, outside of what is timed: they come from the sandbox and the broker.
fn batch(policy: &Policy, at: usize, calls: usize) -> anyhow::Result<f64> {
    let now = Circumstances { frozen: false, entries: 10, egress_bytes: 1000, millis: 1000 };
    let made: Vec<(Claim, Facts)> = (0..calls).map(|_| Ok((claim(at)?, facts()?))).collect::<anyhow::Result<_>>()?;
    let mut decisions = Vec::with_capacity(calls);
    let started = Instant::now();
    for (claim, facts) in made {
        decisions.push(black_box(screen(policy, claim, &now).map(|screened| decide(screened, Some(facts)))));
    }
    let nanos = started.elapsed().as_nanos() as f64 / calls as f64;
    anyhow::ensure!(decisions.iter().all(|decision| matches!(decision, Ok(Decision::Allow(_)))), "a restart is not allowed");
    Ok(nanos)
}

fn policy(actions: usize) -> anyhow::Result<Policy> {
    let namespace = Namespace::parse("apps")?;
    let action = |at: usize| -> anyhow::Result<Action> {
        let grant = Grant::Kubernetes(KubernetesGrant {
            verbs: vec![Verb::Restart],
            kinds: vec![GroupResource::new("apps", "deployments")?],
            namespaces: Some(vec![namespace.clone()]),
            names: vec![Glob::parse(&format!("web-{at}"))?],
            replicas: None,
            nodes: Vec::new(),
        });
        let id = ActionId::parse(&format!("action-{at}"))?;
        Ok(Action { id, grant, raise: None, data_impact: false, cooldown_seconds: 0, preconditions: Vec::new() })
    };
    let all: Vec<Action> = (0..actions).map(action).collect::<anyhow::Result<_>>()?;
    let tool = Tool::new(ToolName::parse("work")?, all.iter().map(|action| action.id.clone()).collect(), false);
    Ok(Policy {
        revision: "1".into(),
        scope: Arc::new(Scope { cluster: "c".into(), run: "r".into(), environment: "e".into() }),
        home: Namespace::parse("agents")?,
        autonomy: Autonomy::AutomateSafe,
        sheet: Sheet::new(all, vec![tool])?,
        environment: Environment { namespaces: vec![namespace], ..Environment::default() },
        denied: [Entry::parse("kubectl.delete pod/*")?.denies(), Entry::parse("kubectl.rollout restart statefulset/* -n prod")?.denies()]
            .concat(),
        allowed: Some([Entry::parse("http.* *")?.allows(), Entry::parse("kubectl.rollout restart deployment/web-*")?.allows()].concat()),
        platform: Platform { ceiling: Autonomy::AutomateDestructive, suspend: Suspend::Nothing },
    })
}

fn claim(at: usize) -> anyhow::Result<Claim> {
    let target =
        Target { kind: Workload::Deployment, namespace: Namespace::parse("apps")?, name: ObjectName::parse(&format!("web-{at}"))? };
    let call = Call::Mutation(Mutation { effect: Effect::Restart(target), reason: "stuck".into() });
    Ok(Claim { tool: ToolName::parse("work")?, action: Some(ActionId::parse(&format!("action-{at}"))?), call })
}

fn facts() -> anyhow::Result<Facts> {
    let observed = Observed { uid: Uid::parse("uid")?, resource_version: ResourceVersion::parse("1")? };
    Ok(Facts {
        target: Seen::Present(observed),
        ephemeral_volume: Fact::Clear,
        terminating_claim: Fact::Clear,
        claim_retention: Fact::Clear,
        dependants: Fact::Clear,
        declared_data: Fact::Clear,
        finalizers: Fact::Clear,
        database_operator: Fact::Clear,
        node: Fact::Clear,
        preconditions: Conditions::Hold,
        cooldown: Fact::Clear,
    })
}
