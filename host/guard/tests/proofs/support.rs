//! A small site, a sheet that uses every verb, and every kind of call.

use std::{collections::BTreeMap, sync::Arc};

use infraagent_guard::{
    Allowed, Code, Decision,
    call::{
        Ambient, Call, Disposable, Effect, FieldSelector, Finding, Get, HttpMutation, HttpRead, HttpRequest, LabelSelector, List, LogLevel,
        LogLine, Logs, McpCall, Mutation, ObjectRef, Read, ReadMethod, ResourceType, Scalable, Scale, Select, Severity, StateKeys,
        StatePut, StateRemove, Sync, Target, Victim, Wait, Workload, WriteMethod,
    },
    facts::{Conditions, Consequence, Fact, Facts, Seen},
    name::{
        ActionId, EndpointName, GroupResource, McpTool, Namespace, ObjectName, Origin, Readable, ResourceVersion, StateKey, ToolName, Uid,
    },
    pattern::{Glob, KindPattern, KubernetesPattern, Pattern},
    permit::{Observed, Reach},
    policy::{
        Action, Autonomy, Endpoint, Environment, Grant, HttpGrant, KubernetesGrant, McpGrant, Method, Platform, Policy, Precondition,
        Scope, Sheet, Suspend, Tier, Tool, Verb, Write,
    },
    screen::{Circumstances, Claim},
};

pub(crate) fn ns(text: &str) -> Namespace {
    Namespace::parse(text).unwrap()
}

pub(crate) fn id(text: &str) -> ActionId {
    ActionId::parse(text).unwrap()
}

pub(crate) fn tool(text: &str) -> ToolName {
    ToolName::parse(text).unwrap()
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

pub(crate) fn glob(text: &str) -> Glob {
    Glob::parse(text).unwrap()
}

pub(crate) const READS: &[Verb] = &[Verb::Get, Verb::List, Verb::Wait];

/// An entry on one kind, or on many if it has a wildcard.
pub(crate) fn on(verbs: &[Verb], kind: &str, name: Option<&str>, namespace: Option<&str>) -> Pattern {
    let kind = if kind.contains('*') { KindPattern::Like(glob(kind)) } else { KindPattern::Exactly(GroupResource::parse(kind).unwrap()) };
    let (verbs, kinds) = (verbs.to_vec(), vec![kind]);
    Pattern::Kubernetes(KubernetesPattern { verbs, kinds, name: name.map(glob), namespace: namespace.map(glob), replicas: None })
}

pub(crate) fn sending(methods: &[Method], path: &str) -> Pattern {
    Pattern::Http { methods: methods.to_vec(), origin: None, path: glob(path) }
}

pub(crate) fn asking(server: &str, tool: &str) -> Pattern {
    Pattern::Mcp { server: glob(server), tool: glob(tool) }
}

/// An entry that matches the call and nothing of another kind.
pub(crate) fn pattern_for(call: &Call) -> Pattern {
    let at = |verb, (group, resource): (&str, &str), namespace: Option<&Namespace>, name: Option<&ObjectName>| {
        let kind = GroupResource::new(group, resource).unwrap();
        on(&[verb], &kind.to_string(), name.map(ObjectName::as_str), namespace.map(Namespace::as_str))
    };
    let one = |verb, kind, namespace, name| at(verb, kind, Some(namespace), Some(name));
    let of = |verb, object: &ObjectRef| {
        let kind = object.kind.kind.kind();
        at(verb, (kind.group(), kind.resource()), object.namespace.as_ref(), Some(&object.name))
    };
    let (pods, deployments) = (("", "pods"), ("apps", "deployments"));
    match call {
        Call::Ambient(_) => panic!("lists do not speak of {call}"),
        Call::Read(Read::Get(get)) => of(Verb::Get, &get.object),
        Call::Read(Read::Wait(wait)) => of(Verb::Wait, &wait.object),
        Call::Read(Read::List(list)) => {
            let kind = list.kind.kind.kind();
            at(Verb::List, (kind.group(), kind.resource()), list.namespace.as_ref(), None)
        }
        Call::Read(Read::Logs(logs)) => one(Verb::Logs, pods, &logs.namespace, &logs.pod),
        Call::Read(Read::Http(read)) => sending(&[read.method.method()], "**"),
        Call::Read(Read::Mcp(call)) => asking(call.server.as_str(), call.tool.as_str()),
        Call::Mutation(Mutation { effect, reason: _ }) => match effect {
            Effect::Restart(t) => one(Verb::Restart, t.kind.group_resource(), &t.namespace, &t.name),
            Effect::Scale(s) => one(Verb::Scale, s.kind.group_resource(), &s.namespace, &s.name),
            Effect::Pause(namespace, name, _) => one(Verb::Pause, deployments, namespace, name),
            Effect::Evict(namespace, name, _) => one(Verb::Evict, pods, namespace, name),
            Effect::Cordon(name, _) => at(Verb::Cordon, ("", "nodes"), None, Some(name)),
            Effect::RequestSync(sync, namespace, name) => one(Verb::RequestSync, sync.group_resource(), namespace, name),
            Effect::Delete(v) => one(Verb::Delete, v.kind.group_resource(), &v.namespace, &v.name),
            Effect::Rollback(namespace, name, _) => one(Verb::Rollback, deployments, namespace, name),
            Effect::Http(write) => sending(&[write.method.method()], "**"),
            Effect::Mcp(call) => asking(call.server.as_str(), call.tool.as_str()),
        },
    }
}

pub(crate) fn kind(text: &str) -> ResourceType {
    ResourceType { kind: Readable::new(GroupResource::parse(text).unwrap()).unwrap(), version: None }
}

pub(crate) fn object(of: &str, namespace: Option<&str>, called: &str) -> ObjectRef {
    ObjectRef { kind: kind(of), namespace: namespace.map(ns), name: name(called) }
}

pub(crate) fn action(called: &str, grant: Grant) -> Action {
    Action { id: id(called), grant, raise: None, data_impact: false, cooldown_seconds: 0, preconditions: Vec::new() }
}

pub(crate) fn cluster(verbs: &[Verb], kinds: &[&str], namespaces: Option<&[&str]>) -> KubernetesGrant {
    KubernetesGrant {
        verbs: verbs.to_vec(),
        kinds: kinds.iter().map(|kind| GroupResource::parse(kind).unwrap()).collect(),
        namespaces: namespaces.map(|all| all.iter().map(|one| ns(one)).collect()),
        names: Vec::new(),
        replicas: Some((1, 5)),
        nodes: vec![("pool".into(), "web".into())],
    }
}

fn http(endpoints: &[&str], methods: &[Method]) -> Grant {
    Grant::Http(HttpGrant { endpoints: globs(endpoints), methods: methods.to_vec(), paths: globs(&["/**"]) })
}

const APPS: Option<&[&str]> = Some(&["apps"]);

/// One action for each verb, and some with conditions.
pub(crate) fn actions() -> Vec<Action> {
    let reads = [Verb::Get, Verb::List, Verb::Logs, Verb::Wait];
    let k8s =
        |called: &str, verbs: &[Verb], kinds: &[&str], namespaces| action(called, Grant::Kubernetes(cluster(verbs, kinds, namespaces)));
    let workloads = ["deployments", "statefulsets", "daemonsets"];
    let sync: Vec<String> = Sync::ALL.iter().map(|kind| format!("{1}.{0}", kind.group_resource().0, kind.group_resource().1)).collect();
    let disposable: Vec<String> =
        Disposable::ALL.iter().map(|kind| format!("{1}.{0}", kind.group_resource().0, kind.group_resource().1)).collect();
    let refs = |all: &'_ [String]| all.iter().map(|text| text.trim_end_matches('.').to_owned()).collect::<Vec<_>>();
    let (sync, disposable) = (refs(&sync), refs(&disposable));
    let sync: Vec<&str> = sync.iter().map(String::as_str).collect();
    let disposable: Vec<&str> = disposable.iter().map(String::as_str).collect();
    let readable = [
        "pods",
        "deployments",
        "jobs",
        "events",
        "clusters.postgresql.cnpg.io",
        "agentruns.core.infraagent.io",
        "infraagentpolicies.core.infraagent.io",
    ];
    let mut careful = k8s("careful-restart", &[Verb::Restart], &workloads, Some(&["prod"]));
    careful.data_impact = true;
    let mut undo = k8s("rollback", &[Verb::Rollback], &["deployments"], APPS);
    undo.preconditions = ["the rollout is still going on", "there is no earlier revision"]
        .map(|message| Precondition { cel: "object.status.ready".into(), message: message.into() })
        .into();
    let mut raised = k8s("raised-get", &[Verb::Get], &["configmaps"], APPS);
    raised.raise = Some(Tier::ServiceMutation);
    vec![
        k8s("read", &reads, &readable, Some(&["apps", "prod", "foreign"])),
        k8s("read-nodes", &[Verb::Get, Verb::List, Verb::Wait], &["nodes", "pods"], None),
        k8s("restart", &[Verb::Restart], &workloads, Some(&["apps", "foreign"])),
        k8s("scale", &[Verb::Scale], &["deployments", "statefulsets"], APPS),
        k8s("pause", &[Verb::Pause], &["deployments"], APPS),
        k8s("evict", &[Verb::Evict], &["pods"], APPS),
        k8s("cordon", &[Verb::Cordon], &["nodes"], None),
        k8s("sync", &[Verb::RequestSync], &sync, APPS),
        k8s("delete", &[Verb::Delete], &disposable, APPS),
        undo,
        careful,
        raised,
        action("probe", http(&["*"], &[Method::Get, Method::Head])),
        action("write", http(&["*"], &[Method::Post, Method::Put, Method::Patch])),
        action("ask", Grant::Mcp(McpGrant { server: EndpointName::parse("helper").unwrap(), tools: globs(&["*"]) })),
    ]
}

pub(crate) fn tools(actions: &[Action]) -> Vec<Tool> {
    vec![
        Tool::new(tool("work"), actions.iter().map(|action| action.id.clone()).collect(), true),
        Tool::new(
            tool("look"),
            actions.iter().filter(|action| action.id.as_str() == "read").map(|action| action.id.clone()).collect(),
            false,
        ),
    ]
}

pub(crate) fn environment() -> Environment {
    let endpoint = |origin: &str, holds_data, allowed, writes: &[(WriteMethod, &str, Tier)]| Endpoint {
        origin: Origin::parse(origin).unwrap(),
        base: "/api".into(),
        holds_data,
        allowed,
        writes: writes
            .iter()
            .map(|(method, path, tier)| Write { method: *method, path: Glob::parse(path).unwrap(), tier: *tier })
            .collect(),
    };
    let everything = [WriteMethod::Post, WriteMethod::Put, WriteMethod::Patch].map(|method| (method, "/**", Tier::ServiceMutation));
    let site = [
        (WriteMethod::Post, "/**", Tier::ServiceMutation),
        (WriteMethod::Post, "/admin/**", Tier::DestructiveMutation),
        (WriteMethod::Put, "/labels/*", Tier::ServiceMutation),
        (WriteMethod::Patch, "/odd/*", Tier::Read),
    ];
    let name = |text| EndpointName::parse(text).unwrap();
    let mcp = |text: &str, tier| (McpTool::parse(text).unwrap(), tier);
    let endpoints = [
        (name("site"), endpoint("https://site.example", false, true, &site)),
        (name("bucket"), endpoint("https://bucket.example", true, true, &everything)),
        (name("barred"), endpoint("https://barred.example", false, false, &everything)),
    ];
    let tools =
        [mcp("analyze", Tier::Read), mcp("fix", Tier::ServiceMutation), mcp("repo/drop", Tier::DestructiveMutation)].into_iter().collect();
    Environment {
        namespaces: vec![ns("apps"), ns("prod")],
        endpoints: endpoints.into_iter().collect(),
        servers: BTreeMap::from([(name("helper"), tools)]),
    }
}

pub(crate) fn policy(autonomy: Autonomy) -> Policy {
    let actions = actions();
    let tools = tools(&actions);
    Policy {
        revision: "agent:7 environment:3 policy:1".into(),
        scope: Arc::new(Scope { cluster: "kind".into(), run: "run-1".into(), environment: "env-1".into() }),
        home: ns("agents"),
        autonomy,
        sheet: Sheet::new(actions, tools).unwrap(),
        environment: environment(),
        denied: Vec::new(),
        allowed: None,
        platform: Platform { ceiling: Autonomy::AutomateDestructive, suspend: Suspend::Nothing },
    }
}

pub(crate) const PLENTY: Circumstances = Circumstances { frozen: false, entries: 10, egress_bytes: 100_000, millis: 60_000 };

pub(crate) fn seen() -> Observed {
    Observed { uid: Uid::parse("uid-1").unwrap(), resource_version: ResourceVersion::parse("41").unwrap() }
}

/// Looked at everything, and all is well.
pub(crate) fn clear(call: &Call) -> Facts {
    let elsewhere = matches!(call, Call::Mutation(Mutation { effect: Effect::Http(_) | Effect::Mcp(_), .. }));
    Facts {
        target: if elsewhere { Seen::Elsewhere } else { Seen::Present(seen()) },
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
    }
}

pub(crate) fn consequence(facts: &mut Facts, which: Consequence) -> &mut Fact {
    match which {
        Consequence::EphemeralVolume => &mut facts.ephemeral_volume,
        Consequence::TerminatingClaim => &mut facts.terminating_claim,
        Consequence::ClaimRetention => &mut facts.claim_retention,
        Consequence::Dependants => &mut facts.dependants,
        Consequence::DeclaredData => &mut facts.declared_data,
        Consequence::Finalizers => &mut facts.finalizers,
        Consequence::DatabaseOperator => &mut facts.database_operator,
    }
}

pub(crate) fn get(of: &str, namespace: Option<&str>, called: &str) -> Call {
    Call::Read(Read::Get(Get { object: object(of, namespace, called), select: Select::default() }))
}

pub(crate) fn list(of: &str, namespace: Option<&str>) -> Call {
    Call::Read(Read::List(List {
        kind: kind(of),
        namespace: namespace.map(ns),
        labels: LabelSelector::default(),
        fields: FieldSelector::default(),
        select: Select::default(),
        limit: 100,
        continue_from: None,
    }))
}

pub(crate) fn logs(namespace: &str, pod: &str) -> Call {
    let pod = name(pod);
    Call::Read(Read::Logs(Logs { namespace: ns(namespace), pod, container: None, tail_lines: 50, since_seconds: None, previous: true }))
}

pub(crate) fn wait(of: &str, namespace: Option<&str>, called: &str) -> Call {
    let condition = infraagent_guard::call::Condition::RolledOut;
    Call::Read(Read::Wait(Wait { object: object(of, namespace, called), condition, timeout_ms: 1000 }))
}

pub(crate) fn mutation(effect: Effect) -> Call {
    Call::Mutation(Mutation { effect, reason: "because".into() })
}

pub(crate) fn restart(kind: Workload, namespace: &str, called: &str) -> Call {
    mutation(Effect::Restart(Target { kind, namespace: ns(namespace), name: name(called) }))
}

pub(crate) fn scale(namespace: &str, called: &str, replicas: u32) -> Call {
    mutation(Effect::Scale(Scale { kind: Scalable::StatefulSet, namespace: ns(namespace), name: name(called), replicas }))
}

pub(crate) fn pause(called: &str, paused: bool) -> Call {
    mutation(Effect::Pause(ns("apps"), name(called), paused))
}

pub(crate) fn evict(called: &str, uid: &str) -> Call {
    mutation(Effect::Evict(ns("apps"), name(called), Uid::parse(uid).unwrap()))
}

pub(crate) fn cordon(called: &str, unschedulable: bool) -> Call {
    mutation(Effect::Cordon(name(called), unschedulable))
}

pub(crate) fn sync(kind: Sync) -> Call {
    mutation(Effect::RequestSync(kind, ns("apps"), name("web")))
}

pub(crate) fn delete(kind: Disposable, called: &str, uid: &str, version: &str) -> Call {
    let (uid, resource_version) = (Uid::parse(uid).unwrap(), ResourceVersion::parse(version).unwrap());
    mutation(Effect::Delete(Victim { kind, namespace: ns("apps"), name: name(called), uid, resource_version, grace_seconds: None }))
}

pub(crate) fn rollback(called: &str) -> Call {
    mutation(Effect::Rollback(ns("apps"), name(called), 3))
}

pub(crate) fn fetch(endpoint: &str, path: &str) -> Call {
    let request = HttpRequest::parse(endpoint, path, vec![("q".into(), "1".into())], Vec::new()).unwrap();
    Call::Read(Read::Http(HttpRead { method: ReadMethod::Get, request }))
}

pub(crate) fn send(method: WriteMethod, endpoint: &str, path: &str) -> Call {
    let request = HttpRequest::parse(endpoint, path, Vec::new(), Vec::new()).unwrap();
    mutation(Effect::Http(HttpMutation { method, request, body: b"{}".to_vec() }))
}

fn mcp(server: &str, called: &str) -> McpCall {
    McpCall { server: EndpointName::parse(server).unwrap(), tool: McpTool::parse(called).unwrap(), arguments: "{}".into() }
}

pub(crate) fn ask(server: &str, called: &str) -> Call {
    Call::Read(Read::Mcp(mcp(server, called)))
}

pub(crate) fn act(server: &str, called: &str) -> Call {
    mutation(Effect::Mcp(mcp(server, called)))
}

pub(crate) fn finding(about: Option<ObjectRef>) -> Call {
    Call::Ambient(Ambient::Finding(Finding { severity: Severity::Warning, about, message: "look".into() }))
}

pub(crate) fn key(text: &str) -> StateKey {
    StateKey::parse(text).unwrap()
}

/// Every variant of every enum of calls, with the action that covers it.
pub(crate) fn every_call() -> Vec<(Option<&'static str>, Call)> {
    let log = LogLine { level: LogLevel::Info, message: "hello".into(), fields: Vec::new() };
    let mut calls = vec![
        (None, Call::Ambient(Ambient::Log(log))),
        (None, finding(None)),
        (None, Call::Ambient(Ambient::Site)),
        (None, Call::Ambient(Ambient::Clock)),
        (None, Call::Ambient(Ambient::StateGet(key("last")))),
        (None, Call::Ambient(Ambient::StatePut(StatePut { key: key("last"), value: vec![1], expect: None }))),
        (None, Call::Ambient(Ambient::StateRemove(StateRemove { key: key("last"), expect: Some(1) }))),
        (None, Call::Ambient(Ambient::StateKeys(StateKeys { prefix: Some(key("la")), limit: 5 }))),
        (Some("read"), get("pods", Some("apps"), "web-1")),
        (Some("read"), list("pods", Some("apps"))),
        (Some("read"), list("pods", None)),
        (Some("read"), logs("apps", "web-1")),
        (Some("read"), wait("deployments", Some("apps"), "web")),
        (Some("read-nodes"), get("nodes", None, "node-1")),
        (Some("probe"), fetch("site", "/status")),
        (Some("ask"), ask("helper", "analyze")),
        (Some("scale"), scale("apps", "web", 3)),
        (Some("pause"), pause("web", true)),
        (Some("pause"), pause("web", false)),
        (Some("evict"), evict("web-1", "uid-1")),
        (Some("cordon"), cordon("node-1", true)),
        (Some("cordon"), cordon("node-1", false)),
        (Some("rollback"), rollback("web")),
        (Some("write"), send(WriteMethod::Post, "site", "/issues")),
        (Some("write"), send(WriteMethod::Put, "site", "/labels/bug")),
        (Some("write"), send(WriteMethod::Post, "site", "/admin/users")),
        (Some("ask"), act("helper", "fix")),
        (Some("ask"), act("helper", "repo/drop")),
    ];
    calls.extend(Workload::ALL.iter().map(|kind| (Some("restart"), restart(*kind, "apps", "web"))));
    calls.extend(Sync::ALL.iter().map(|kind| (Some("sync"), sync(*kind))));
    calls.extend(Disposable::ALL.iter().map(|kind| (Some("delete"), delete(*kind, "web", "uid-1", "41"))));
    calls
}

pub(crate) fn claim(action: Option<&str>, call: Call) -> Claim {
    Claim { tool: tool("work"), action: action.map(id), call }
}

/// Screens and decides; `facts` are used for mutations.
pub(crate) fn judge(policy: &Policy, now: &Circumstances, claim: Claim, facts: Option<Facts>) -> Decision {
    match infraagent_guard::screen(policy, claim, now) {
        Err(denial) => Decision::Deny(denial),
        Ok(screened) => infraagent_guard::decide(screened, facts),
    }
}

/// With all facts clear.
pub(crate) fn judge_clear(policy: &Policy, action: Option<&str>, call: &Call) -> Decision {
    judge(policy, &PLENTY, claim(action, call.clone()), Some(clear(call)))
}

/// One word, the namespaces that an allowed call reaches, and what is said of a pre-condition.
pub(crate) fn word(decision: &Decision) -> String {
    let reach = |reach: &Reach| match reach {
        Reach::Namespaces(all) if all.len() > 1 => format!(" {}", all.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")),
        Reach::Namespaces(_) | Reach::Cluster | Reach::Elsewhere => String::new(),
    };
    match decision {
        Decision::Allow(Allowed::Ambient(_) | Allowed::Mutation(_)) => "allow".into(),
        Decision::Allow(Allowed::Read(permit)) => format!("allow{}", reach(permit.reach())),
        Decision::Propose(_) => "propose".into(),
        Decision::Deny(denial) => match (denial.code, &denial.detail) {
            (Code::Precondition, Some(message)) => format!("precondition: {message}"),
            (code, _) => code.as_str().into(),
        },
    }
}

pub(crate) fn allows(decision: &Decision) -> bool {
    matches!(decision, Decision::Allow(_))
}
