//! Prints what one decision costs: `cargo run --release -p infraagent-guard --example decide_cost`.

use std::{hint::black_box, sync::Arc, time::Instant};

use infraagent_guard::{
    Autonomy, Decision, Fact, Facts, Policy,
    call::{Call, Effect, HttpRead, HttpRequest, Mutation, Read, ReadMethod, Target, Workload},
    decide,
    facts::Seen,
    name::{ActionId, EndpointName, GroupResource, Namespace, ObjectName, ResourceVersion, ToolName, Uid},
    pattern::{Glob, Pattern},
    permit::Observed,
    policy::{Action, Endpoint, Environment, Grant, HttpGrant, KubernetesGrant, Method, Platform, Scope, Sheet, Suspend, Tool, Verb},
    screen,
    screen::{Circumstances, Claim},
};

type Anything = Result<(), Box<dyn std::error::Error>>;

fn policy(actions: usize) -> Result<Policy, Box<dyn std::error::Error>> {
    let namespace = Namespace::parse("apps")?;
    let mut all = Vec::new();
    for at in 0..actions {
        let probe = at % 2 == 1;
        let grant = if probe {
            let (endpoints, paths) = (vec![Glob::parse("site")?], vec![Glob::parse("/api/**")?]);
            Grant::Http(HttpGrant { endpoints, methods: vec![Method::Get], paths })
        } else {
            Grant::Kubernetes(KubernetesGrant {
                verbs: vec![Verb::Restart],
                kinds: vec![GroupResource::new("apps", "deployments")?],
                namespaces: Some(vec![namespace.clone()]),
                names: vec![Glob::parse(&format!("web-{at}"))?],
                replicas: None,
                nodes: Vec::new(),
            })
        };
        let id = ActionId::parse(&format!("action-{at}"))?;
        all.push(Action { id, grant, raise: None, data_impact: false, cooldown_seconds: 0, preconditions: Vec::new() });
    }
    let tool = Tool::new(ToolName::parse("work")?, all.iter().map(|action| action.id.clone()).collect(), false);
    let endpoint =
        Endpoint { origin: "https://site.example".into(), base: String::new(), holds_data: false, allowed: true, writes: Vec::new() };
    Ok(Policy {
        revision: "1".into(),
        scope: Arc::new(Scope { cluster: "c".into(), run: "r".into(), environment: "e".into() }),
        home: Namespace::parse("agents")?,
        autonomy: Autonomy::AutomateSafe,
        sheet: Sheet::new(all, vec![tool])?,
        environment: Environment {
            namespaces: vec![namespace],
            endpoints: [(EndpointName::parse("site")?, endpoint)].into_iter().collect(),
            servers: Default::default(),
        },
        denied: vec![Pattern::parse("kubectl.delete pod/*")?, Pattern::parse("kubectl.rollout restart statefulset/* -n prod")?],
        allowed: vec![Pattern::parse("http.* *")?, Pattern::parse("kubectl.rollout restart deployment/web-*")?],
        platform: Platform { ceiling: Autonomy::AutomateDestructive, suspend: Suspend::Nothing },
    })
}

fn claims(at: usize) -> Result<[(&'static str, Claim); 2], Box<dyn std::error::Error>> {
    let target =
        Target { kind: Workload::Deployment, namespace: Namespace::parse("apps")?, name: ObjectName::parse(&format!("web-{at}"))? };
    let restart = Call::Mutation(Mutation { effect: Effect::Restart(target), reason: "stuck".into() });
    let request = HttpRequest::parse("site", "/api/status", Vec::new(), Vec::new())?;
    let probe = Call::Read(Read::Http(HttpRead { method: ReadMethod::Get, request }));
    let claim = |at: usize, call| -> Result<Claim, Box<dyn std::error::Error>> {
        Ok(Claim { tool: ToolName::parse("work")?, action: Some(ActionId::parse(&format!("action-{at}"))?), call })
    };
    Ok([("restart", claim(at, restart)?), ("http get", claim(at + 1, probe)?)])
}

fn facts() -> Result<Facts, Box<dyn std::error::Error>> {
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
        preconditions: Fact::Clear,
        cooldown: Fact::Clear,
    })
}

fn main() -> Anything {
    let now = Circumstances { frozen: false, entries: 10, egress_bytes: 1000, millis: 1000 };
    for (actions, at) in [(2, 0), (1000, 498)] {
        let policy = policy(actions)?;
        for (name, claim) in claims(at)? {
            let mut best = f64::MAX;
            for _ in 0..200 {
                // Made and dropped outside of what is timed: claims come from the sandbox, facts from the broker.
                let batch: Vec<_> = (0..1000).map(|_| Ok((claim.clone(), facts()?))).collect::<Result<_, Box<dyn std::error::Error>>>()?;
                let mut decisions = Vec::with_capacity(batch.len());
                let started = Instant::now();
                for (claim, facts) in batch {
                    decisions.push(black_box(screen(&policy, claim, &now).map(|screened| decide(screened, Some(facts)))));
                }
                best = best.min(started.elapsed().as_nanos() as f64 / 1000.0);
                if !decisions.iter().all(|decision| matches!(decision, Ok(Decision::Allow(_)))) {
                    return Err(format!("{name}: not allowed").into());
                }
            }
            println!("{actions:>5} actions  {name:<9} {best:>7.1} ns per screen + decide");
        }
    }
    Ok(())
}
