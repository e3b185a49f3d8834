//! The arguments of a tool, made of its action: what the sheet does not allow is mostly no argument in the first place. That makes mistakes of a model cheap to
//! correct; it is not the wall. The wall is the decision on the call.

use infraagent_guard::{
    call::{List, Logs, Mutation},
    name::GroupResource,
    pattern::Glob,
    policy::{HttpGrant, McpGrant, Method, Tier, Verb},
};
use infraagent_sandbox::manifest::KubernetesTarget;
use serde_json::{Map, Value, json};

/// Longest wait, in seconds: what a tool call may take by default, less what it needs itself.
const MAX_WAIT: u32 = 25;
/// A label, as namespaces and endpoints are called.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A subdomain, as objects are called.
const SUBDOMAIN: &str = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";

/// The properties of an object, in the order of writing.
#[derive(Default)]
struct Arguments {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl Arguments {
    fn must(mut self, name: &'static str, schema: Value) -> Self {
        self.required.push(name);
        self.may(name, schema)
    }

    fn may(mut self, name: &'static str, schema: Value) -> Self {
        self.properties.insert(name.to_owned(), schema);
        self
    }

    fn schema(self) -> Value {
        let Self { properties, required } = self;
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }
}

/// Arguments of a verb on objects of the cluster.
pub(super) fn kubernetes(verb: Verb, target: &KubernetesTarget) -> Value {
    let KubernetesTarget { verbs: _, kinds: _, namespaces, names, replicas, nodes } = target;
    let kind =
        |arguments: Arguments| arguments.must("kind", one_of(target.kinds_of(verb).map(GroupResource::to_string), "as RBAC calls it"));
    let placed = |arguments: Arguments, optional: bool| match (namespaces.is_empty(), optional) {
        (true, _) => arguments,
        (false, false) => arguments.must("namespace", namespace(namespaces, "")),
        (false, true) => arguments.may("namespace", namespace(namespaces, "; leave it out for all of them")),
    };
    let named = |arguments: Arguments| arguments.must("name", name(names));
    let object = |arguments: Arguments| named(placed(kind(arguments), false));
    let select = || {
        let pointer = json!({ "type": "string", "pattern": "^(/.*)?$", "maxLength": 256 });
        let what = "JSON pointers of what to answer, such as /status/replicas; leave it out for the usual fields, \"\" is the whole object";
        json!({ "type": "array", "items": pointer, "maxItems": 32, "description": what })
    };
    let uid = |what| text(128, what);
    let arguments = Arguments::default();
    let arguments = match verb {
        Verb::Get => object(arguments).may("select", select()),
        Verb::List => placed(kind(arguments), true)
            .may("labelSelector", text(1024, "as kubectl -l takes it"))
            .may("fieldSelector", text(1024, "as kubectl --field-selector takes it"))
            .may("select", select())
            .may("limit", number(1, List::MAX_LIMIT.into(), "how many at once; 50 if it is left out"))
            .may("continueToken", text(1024, "that of the last answer, with otherwise the same arguments")),
        Verb::Logs => named(placed(arguments, false))
            .may("container", text(63, "needed if the pod has several"))
            .may("tailLines", number(1, Logs::MAX_LINES.into(), "how many of the last lines; 100 if it is left out"))
            .may("sinceSeconds", number(1, 604_800, "not older than that"))
            .may("previous", json!({ "type": "boolean", "description": "of the container that ran before" })),
        Verb::Wait => object(arguments)
            .must("condition", one_of(["ready", "rolled-out", "gone", "completed"], "what to wait for"))
            .must("timeoutSeconds", number(1, MAX_WAIT.into(), "how long at most")),
        Verb::Restart => object(arguments),
        Verb::Scale => {
            let (min, max) = replicas.unwrap_or_default();
            object(arguments).must("replicas", number(min.into(), max.into(), "how many there should be"))
        }
        Verb::Pause => named(placed(arguments, false))
            .must("paused", json!({ "type": "boolean", "description": "true pauses the rollout, false resumes it" })),
        Verb::Evict => named(placed(arguments, false)).must("uid", uid("metadata.uid of the pod as you read it")),
        Verb::Cordon => {
            let labels: Vec<_> = nodes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let name = described(pattern(SUBDOMAIN, 253), &format!("a node with the labels {}", labels.join(", ")));
            arguments
                .must("name", name)
                .must("unschedulable", json!({ "type": "boolean", "description": "true keeps new pods away, false lets them in again" }))
        }
        Verb::RequestSync => object(arguments),
        Verb::Delete => object(arguments)
            .must("uid", uid("metadata.uid of the object as you read it"))
            .must("resourceVersion", text(128, "metadata.resourceVersion of the object as you read it"))
            .may("graceSeconds", number(0, 3600, "time to end in order")),
        Verb::Rollback => {
            named(placed(arguments, false)).must("toRevision", number(1, i64::MAX.unsigned_abs(), "the revision to go back to"))
        }
    };
    if verb.tier() == Tier::Read { arguments.schema() } else { because(arguments).schema() }
}

/// Arguments of requests with one of these methods.
pub(super) fn http(methods: &[Method], grant: &HttpGrant, changes: bool) -> Value {
    let HttpGrant { endpoints, methods: _, paths } = grant;
    let value = json!({ "type": "string", "maxLength": 1024 });
    let arguments = Arguments::default()
        .must("endpoint", described(globs(endpoints, "[-a-z0-9]*", LABEL, 63), "its name in the environment, never a URL"))
        .must("method", one_of(methods.iter().map(|method| method.as_str()), "of the request"))
        .must("path", described(paths_of(paths), "below the endpoint, without query"))
        .may("query", json!({ "type": "object", "additionalProperties": value, "maxProperties": 32, "description": "parameters" }));
    if !changes {
        return arguments.schema();
    }
    let body = json!({ "type": ["object", "array", "string"], "description": "sent as JSON, or as it is if it is a text" });
    because(arguments.must("body", body)).schema()
}

/// Arguments of a call of an MCP tool.
pub(super) fn mcp(grant: &McpGrant, changes: bool) -> Value {
    let McpGrant { server, tools } = grant;
    let arguments = Arguments::default()
        .must("server", one_of([server.as_str()], "the server"))
        .must("tool", described(globs(tools, ".*", "^[-_./A-Za-z0-9]+$", 128), "the server's tool"))
        .must("arguments", json!({ "type": "object", "description": "as the server's tool takes them" }));
    if changes { because(arguments).schema() } else { arguments.schema() }
}

fn because(arguments: Arguments) -> Arguments {
    arguments.must(
        "reason",
        json!({ "type": "string", "minLength": 1, "maxLength": Mutation::MAX_REASON, "description": "why, for the record" }),
    )
}

fn namespace(written: &[String], more: &str) -> Value {
    let everywhere = written.iter().any(|name| name == "*");
    let which =
        if everywhere { "any of the environment".to_owned() } else { format!("{} (namespaces, or groups of them)", written.join(", ")) };
    described(pattern(LABEL, 63), &format!("the namespace: {which}{more}"))
}

fn name(names: &[Glob]) -> Value {
    described(globs(names, "[-.a-z0-9]*", SUBDOMAIN, 253), "its name")
}

/// What matches one of these globs, where a `*` stands for `any`; no glob at all: whatever has the form `otherwise`.
fn globs(globs: &[Glob], any: &str, otherwise: &str, max: u32) -> Value {
    if globs.is_empty() || globs.iter().any(Glob::is_any) {
        return pattern(otherwise, max);
    }
    if globs.iter().all(|glob| !glob.as_str().contains('*')) {
        return json!({ "type": "string", "enum": globs.iter().map(Glob::as_str).collect::<Vec<_>>() });
    }
    let alternatives: Vec<_> = globs.iter().map(|glob| expression(glob, any, any)).collect();
    pattern(&format!("^({})$", alternatives.join("|")), max)
}

/// Paths: `*` stays within a segment, `**` does not.
fn paths_of(globs: &[Glob]) -> Value {
    if globs.is_empty() || globs.iter().any(Glob::is_any) {
        return pattern("^/", 1024);
    }
    let alternatives: Vec<_> = globs.iter().map(|glob| expression(glob, "[^/]*", ".*")).collect();
    pattern(&format!("^({})$", alternatives.join("|")), 1024)
}

fn expression(glob: &Glob, one: &str, many: &str) -> String {
    let mut rest = glob.as_str();
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('*') {
        out.push_str(&regex::escape(before));
        let crossing = after.strip_prefix('*');
        out.push_str(if crossing.is_some() { many } else { one });
        rest = crossing.unwrap_or(after);
    }
    out + &regex::escape(rest)
}

fn pattern(pattern: &str, max: u32) -> Value {
    json!({ "type": "string", "pattern": pattern, "maxLength": max })
}

fn text(max: u32, what: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": max, "description": what })
}

fn number(min: u64, max: u64, what: &str) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max, "description": what })
}

fn one_of(words: impl IntoIterator<Item = impl Into<String>>, what: &str) -> Value {
    json!({ "type": "string", "enum": words.into_iter().map(Into::into).collect::<Vec<String>>(), "description": what })
}

fn described(mut schema: Value, what: &str) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".to_owned(), what.into());
    }
    schema
}
