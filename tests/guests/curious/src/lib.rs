//! A skill that hides nothing: whatever the host gives it, it repeats, in its answer, in the log, as a finding and as an error.

use skills_sdk::http::{Read, Write};
use skills_sdk::prelude::*;

use actions::{Ask, Consult, Instruct, Listen, Look, Tell};

skills_sdk::skill! { tools: [look, listen, ask, tell, consult, instruct, remember] }

/// Which object.
#[args]
pub struct LookArgs {
    /// As RBAC writes it.
    resource: String,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Which parts, as JSON pointers.
    select: Vec<String>,
}

/// Parts of an object.
#[tool(actions = [Look])]
pub fn look(cx: &Cx<Self>, args: LookArgs) -> Result<Output> {
    let LookArgs { resource, namespace, name, select } = args;
    let select: Vec<&str> = select.iter().map(String::as_str).collect();
    repeat(cx, cx.get_json(Look, &ObjectRef::namespaced(&resource, namespace, name), &select)?)
}

/// Which pod.
#[args]
pub struct ListenArgs {
    /// Its namespace.
    namespace: String,
    /// Its name.
    pod: String,
}

/// The log of a pod.
#[tool(actions = [Listen])]
pub fn listen(cx: &Cx<Self>, args: ListenArgs) -> Result<Output> {
    let log = cx.logs(Listen, &args.namespace, &args.pod, &LogQuery::tail(100))?;
    repeat(cx, json!({ "log": log.text }))
}

/// Which path of which endpoint.
#[args]
pub struct AskArgs {
    /// The endpoint.
    endpoint: String,
    /// The path.
    path: String,
}

/// Status, headers and body of an answer.
#[tool(actions = [Ask])]
pub fn ask(cx: &Cx<Self>, args: AskArgs) -> Result<Output> {
    let answer = cx.fetch(Ask, &Read::get(&args.endpoint, &args.path))?;
    repeat(cx, json!({ "status": answer.status, "headers": answer.headers, "body": answer.text() }))
}

/// Writes to an endpoint.
#[tool(actions = [Tell])]
pub fn tell(cx: &Cx<Self>, args: AskArgs) -> Result<Output> {
    let answer = cx.send(Tell, &Write::post(&args.endpoint, &args.path), "to see what happens")?;
    repeat(cx, json!({ "status": answer.status }))
}

/// Nothing.
#[args]
pub struct Nothing {}

/// Reads with a tool of an MCP server.
#[tool(actions = [Consult])]
pub fn consult(cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    let answer = cx.mcp_read(Consult, "read-it", &json!({}))?;
    repeat(cx, answer)
}

/// Changes something with a tool of an MCP server.
#[tool(actions = [Instruct])]
pub fn instruct(cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    let answer = cx.mcp_call(Instruct, "change-it", &json!({}), "to see what happens")?;
    repeat(cx, answer)
}

/// Writes into the memory of the skill, and reads what is there.
#[tool]
pub fn remember(cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    let version = cx.state().put("key", b"value", None)?;
    repeat(cx, json!({ "version": version }))
}

/// Says it everywhere.
fn repeat<T>(cx: &Cx<T>, what: Value) -> Result<Output> {
    let text = what.to_string();
    let brief: String = text.chars().take(900).collect();
    cx.log(Level::Info, &brief, &[("what", &brief)])?;
    cx.finding(Severity::Info, None, &brief)?;
    Output::new(&what, brief)
}
