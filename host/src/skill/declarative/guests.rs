//! The bundled components at work: what call comes out of which arguments, and that arguments which no schema has seen get nobody anywhere.

use std::sync::{Arc, Mutex};

use infraagent_guard::{
    Circumstances, Claim, Policy,
    call::{Call, Effect, Read},
    name::ToolName,
    screen,
};
use infraagent_sandbox::{
    admission,
    broker::{Answer, Answering, Broker, CallError, Page, Receipt, Request, Response},
    engine::{Engine, EngineConfig},
    instance::Skill,
    limits::Limits,
    outcome::{Failure, Output},
};
use serde_json::{Value, json};

use super::*;
use crate::run::fixture;

const SHEET: &str = "\
actions:
  - { id: look, description: Looks., kubernetes: { verb: [get, list, wait], resources: [deployments.apps, pods], namespaces: [apps] } }
  - { id: logs, description: Logs., kubernetes: { verb: logs, resources: [pods], namespaces: [apps] } }
  - { id: restart, description: Restarts., kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps], names: [web, 'api-*'] } }
  - { id: scale, description: Scales., kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps], replicas: { min: 1, max: 5 } } }
  - { id: pause, description: Pauses., kubernetes: { verb: pause, resources: [deployments.apps], namespaces: [apps] } }
  - { id: evict, description: Evicts., kubernetes: { verb: evict, resources: [pods], namespaces: [apps] } }
  - { id: cordon, description: Cordons., kubernetes: { verb: cordon, nodes: { matchLabels: { pool: spot } } } }
  - { id: sync, description: Syncs., kubernetes: { verb: request-sync, resources: [applications.argoproj.io], namespaces: [apps] } }
  - { id: delete, description: Deletes., kubernetes: { verb: delete, resources: [pods, jobs.batch], namespaces: [apps] } }
  - { id: undo, description: Rolls back., kubernetes: { verb: rollback, resources: [deployments.apps], namespaces: [apps] } }
  - { id: health, description: Asks., http: { endpoints: [grafana], methods: [GET], paths: ['/health'] } }
  - { id: issue, description: Opens an issue., http: { endpoints: [github], methods: [POST], paths: ['/repos/*/*/issues'] } }
  - { id: analyze, description: Analyzes., mcp: { server: k8sgpt, tools: [analyze] } }
  - { id: fix, description: Fixes., tier: service-mutation, mcp: { server: k8sgpt, tools: [fix] } }
";

/// Screens like the real door, and answers what passes with an example.
struct Door {
    policy: Arc<Policy>,
    tool: ToolName,
    seen: Mutex<Vec<String>>,
}

impl Door {
    fn note(&self, line: String) {
        self.seen.lock().unwrap().push(line);
    }
}

impl Broker for Door {
    fn perform(&self, request: Request) -> Answering<'_> {
        Box::pin(async move {
            let (action, call) = match request {
                Request::Call { action, call } => (action, call),
                Request::Malformed { function, message } => {
                    self.note(format!("malformed {function}"));
                    return Err(CallError::Invalid(message));
                }
            };
            let (text, answer) = (call.to_string(), example(&call));
            let now = Circumstances { frozen: false, entries: 10, egress_bytes: 1 << 20, millis: 60_000 };
            match screen(&self.policy, Claim { tool: self.tool.clone(), action, call }, &now) {
                Ok(screened) => {
                    drop(screened);
                    self.note(text);
                    Ok(answer)
                }
                Err(denial) => {
                    self.note(format!("refused {text}: {}", denial.code.as_str()));
                    Err(CallError::Denied { code: denial.code.as_str().to_owned(), action: String::new(), message: String::new() })
                }
            }
        })
    }
}

fn example(call: &Call) -> Answer {
    let response =
        || Response { status: 200, headers: Vec::new(), body: b"{\"ok\":true}".to_vec(), truncated: false, elapsed_ms: 1, tls: None };
    match call {
        Call::Read(Read::Get(_) | Read::Mcp(_)) => Answer::Json("{\"kind\":\"Deployment\"}".to_owned()),
        Call::Read(Read::List(_)) => Answer::Page(Page { items: "[{},{}]".to_owned(), count: 2, continue_token: None, truncated: false }),
        Call::Read(Read::Logs(_)) => Answer::Text("one\ntwo\n".to_owned(), false),
        Call::Read(Read::Wait(_)) => Answer::Reached(true),
        Call::Read(Read::Http(_)) => Answer::Response(response()),
        Call::Mutation(mutation) => match &mutation.effect {
            Effect::Http(_) => Answer::Response(response()),
            Effect::Mcp(_) => Answer::Json("{}".to_owned()),
            Effect::Restart(_)
            | Effect::Scale(_)
            | Effect::Pause(..)
            | Effect::Evict(..)
            | Effect::Cordon(..)
            | Effect::RequestSync(..)
            | Effect::Delete(_)
            | Effect::Rollback(..) => Answer::Receipt(Receipt { audit_seq: 7, changed: true, resource_version: Some("8".to_owned()) }),
        },
        Call::Ambient(_) => Answer::Done,
    }
}

/// The skill's components, loaded as a run loads them.
struct Loaded {
    skills: Vec<Skill>,
    policy: Arc<Policy>,
}

impl Loaded {
    fn new() -> Self {
        let folder = Folder::without_code("---\nname: rollouts\ndescription: Looks after rollouts.\n---\n", Some(SHEET)).unwrap();
        let whole = manifest(&folder).unwrap();
        let engine = Engine::new(EngineConfig { instances: 2, pooling: false }).unwrap();
        let load = |part: &Part| {
            let admitted = admission::admit(&part.bytes().unwrap()).unwrap();
            Skill::load(&engine, admitted, &engine.compile_trusted(part.generic.component).unwrap()).unwrap()
        };
        let skills = parts(&whole).iter().map(load).collect();
        let run = fixture::run(|documents| {
            documents.manifests = vec![serde_json::to_value(&whole).unwrap()];
            documents.agent["spec"]["guardrails"] = json!({ "autonomy": "automate-destructive" });
            documents.policies[0]["spec"]["maxAutonomy"] = json!("automate-destructive");
            documents.environment["spec"]["mcpServers"]["k8sgpt"]["tools"] =
                json!([{ "name": "analyze", "tier": "read" }, { "name": "fix", "tier": "service-mutation" }]);
        });
        Self { skills, policy: run.policy() }
    }

    /// What the tool answered, and what it asked for. No schema was asked.
    async fn call(&self, tool: &str, arguments: &Value) -> (Result<Output, Failure>, Vec<String>) {
        let skill = self.skills.iter().find(|skill| skill.manifest().tool(tool).is_some()).unwrap_or_else(|| panic!("no tool {tool}"));
        let door = Arc::new(Door { policy: Arc::clone(&self.policy), tool: ToolName::parse(tool).unwrap(), seen: Mutex::default() });
        let ended = skill.invoke(tool, &arguments.to_string(), "run-1", &Limits::DEFAULT, Arc::clone(&door) as Arc<dyn Broker>).await;
        let seen = std::mem::take(&mut *door.seen.lock().unwrap());
        (ended.result, seen)
    }
}

#[tokio::test]
async fn the_bundled_components_make_the_calls_that_their_arguments_say_and_the_door_refuses_what_the_sheet_does_not() {
    let loaded = Loaded::new();
    let web = json!({ "kind": "deployments.apps", "namespace": "shop", "name": "web" });
    let with = |more: Value| {
        let mut arguments = web.clone();
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let pod = json!({ "namespace": "shop", "name": "web-1" });
    for (tool, arguments, expected) in [
        ("look__get", web.clone(), "kubectl.get deployment/web -n shop"),
        ("look__list", json!({ "kind": "pods", "namespace": "shop", "labelSelector": "app=web" }), "kubectl.get pods -n shop -l app=web"),
        ("look__list", json!({ "kind": "deployments.apps" }), "kubectl.get deployments.apps -A"),
        (
            "look__wait",
            with(json!({ "condition": "rolled-out", "timeoutSeconds": 2 })),
            "kubectl.wait deployment/web -n shop --for=rolled-out",
        ),
        ("logs", pod.clone(), "kubectl.logs pod/web-1 -n shop"),
        ("restart", with(json!({ "reason": "hangs" })), "kubectl.rollout restart deployment/web -n shop"),
        ("scale", with(json!({ "replicas": 3, "reason": "load" })), "kubectl.scale deployment/web -n shop --replicas=3"),
        (
            "pause",
            json!({ "namespace": "shop", "name": "web", "paused": true, "reason": "wait" }),
            "kubectl.rollout pause deployment/web -n shop",
        ),
        ("evict", json!({ "namespace": "shop", "name": "web-1", "uid": "u", "reason": "hangs" }), "kubectl.evict pod/web-1 -n shop"),
        ("cordon", json!({ "name": "node-1", "unschedulable": true, "reason": "disk" }), "kubectl.cordon node/node-1"),
        (
            "sync",
            json!({ "kind": "applications.argoproj.io", "namespace": "shop", "name": "web", "reason": "drift" }),
            "gitops.sync application/web -n shop",
        ),
        (
            "delete",
            json!({ "kind": "pods", "namespace": "shop", "name": "web-1", "uid": "u", "resourceVersion": "7", "reason": "stuck" }),
            "kubectl.delete pod/web-1 -n shop",
        ),
        (
            "undo",
            json!({ "namespace": "shop", "name": "web", "toRevision": 3, "reason": "broken" }),
            "kubectl.rollout undo deployment/web -n shop --to-revision=3",
        ),
        (
            "health",
            json!({ "endpoint": "grafana", "method": "GET", "path": "/health", "query": { "full": "1" } }),
            "http.get grafana:/health",
        ),
        (
            "issue",
            json!({ "endpoint": "github", "method": "POST", "path": "/repos/acme/shop/issues", "body": { "title": "x" }, "reason": "found" }),
            "http.post github:/repos/acme/shop/issues",
        ),
        ("analyze", json!({ "server": "k8sgpt", "tool": "analyze", "arguments": { "namespace": "shop" } }), "mcp.k8sgpt.analyze"),
        ("fix", json!({ "server": "k8sgpt", "tool": "fix", "arguments": {}, "reason": "broken" }), "mcp.k8sgpt.fix"),
    ] {
        let (answer, seen) = loaded.call(tool, &arguments).await;
        let Output { content, summary } = answer.unwrap_or_else(|failure| panic!("{tool} {arguments}: {failure}"));
        assert_eq!(seen, [expected], "{tool}");
        assert!(!summary.is_empty() && serde_json::from_str::<Value>(&content).is_ok(), "{tool}: {content}");
    }

    // As above, but nobody looked at the arguments: the wall is the decision, not the schema.
    for (tool, arguments, expected) in [
        (
            "restart",
            with(json!({ "namespace": "kube-system", "reason": "r" })),
            "refused kubectl.rollout restart deployment/web -n kube-system",
        ),
        ("restart", with(json!({ "kind": "statefulsets.apps", "reason": "r" })), "refused kubectl.rollout restart statefulset/web -n shop"),
        ("restart", with(json!({ "name": "db", "reason": "r" })), "refused kubectl.rollout restart deployment/db -n shop"),
        ("scale", with(json!({ "replicas": 6, "reason": "r" })), "refused kubectl.scale deployment/web -n shop --replicas=6"),
        ("scale", with(json!({ "replicas": 0, "reason": "r" })), "refused kubectl.scale deployment/web -n shop --replicas=0"),
        ("look__get", with(json!({ "kind": "configmaps" })), "refused kubectl.get configmap/web -n shop"),
        ("look__get", with(json!({ "namespace": "kube-system" })), "refused kubectl.get deployment/web -n kube-system"),
        ("delete", with(json!({ "uid": "u", "resourceVersion": "7", "reason": "r" })), "refused kubectl.delete deployment/web -n shop"),
        ("health", json!({ "endpoint": "github", "method": "GET", "path": "/health" }), "refused http.get github:/health"),
        ("health", json!({ "endpoint": "grafana", "method": "GET", "path": "/admin" }), "refused http.get grafana:/admin"),
        ("analyze", json!({ "server": "k8sgpt", "tool": "fix", "arguments": {} }), "refused mcp.k8sgpt.fix"),
        ("look__get", with(json!({ "kind": "secrets" })), "malformed kubernetes-read.get"),
        ("look__get", with(json!({ "kind": "pods/../secrets" })), "malformed kubernetes-read.get"),
        ("look__get", with(json!({ "name": "../../secrets/x" })), "malformed kubernetes-read.get"),
        ("look__get", with(json!({ "namespace": "shop/../kube-system" })), "malformed kubernetes-read.get"),
        ("look__list", json!({ "kind": "pods", "fieldSelector": "metadata.namespace=kube-system" }), "malformed kubernetes-read.list"),
        ("health", json!({ "endpoint": "grafana", "method": "GET", "path": "/health/../admin" }), "malformed http-read.send"),
        (
            "health",
            json!({ "endpoint": "grafana", "method": "GET", "path": "/health", "query": { "_method": "DELETE" } }),
            "malformed http-read.send",
        ),
    ] {
        let (answer, seen) = loaded.call(tool, &arguments).await;
        assert!(answer.is_err(), "{tool} {arguments}: {answer:?}");
        assert!(matches!(seen.as_slice(), [only] if only.starts_with(expected)), "{tool} {arguments}: {seen:?}, not {expected}");
    }

    // Arguments of another shape never become a call.
    for (tool, arguments) in [
        ("scale", with(json!({ "replicas": "3", "reason": "r" }))),
        ("scale", with(json!({ "reason": "r" }))),
        ("scale", with(json!({ "replicas": 3, "reason": "r", "action": "delete" }))),
        ("scale", with(json!({ "kind": "persistentvolumeclaims", "replicas": 3, "reason": "r" }))),
        ("restart", json!(["web"])),
        ("health", json!({ "endpoint": "grafana", "method": "DELETE", "path": "/health" })),
        ("health", json!({ "endpoint": "grafana", "method": "GET", "path": "/health", "headers": { "authorization": "x" } })),
    ] {
        let (answer, seen) = loaded.call(tool, &arguments).await;
        assert!(matches!(answer, Err(Failure::Guest(CallError::Invalid(_)))) && seen.is_empty(), "{tool} {arguments}: {answer:?} {seen:?}");
    }

    // A component has the tools of its function only, whatever it is asked for.
    let restart = loaded.skills.iter().find(|skill| skill.manifest().tool("restart").is_some()).unwrap();
    let door = Arc::new(Door { policy: Arc::clone(&loaded.policy), tool: ToolName::parse("delete").unwrap(), seen: Mutex::default() });
    let ended = restart.invoke("delete", &web.to_string(), "run-1", &Limits::DEFAULT, door).await;
    assert!(matches!(ended.result, Err(Failure::UnknownTool(_))));
}
