//! Calls tools of the environment's MCP servers.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Error, Output,
    bindings::infraagent::skill::{mcp_mutation, mcp_read},
};

/// A tool that changes nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Read {
    server: String,
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// A tool that changes something.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Write {
    server: String,
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    reason: String,
}

/// `mcp-read.call-tool`
pub fn read(action: &str, call: Read) -> Result<Output, Error> {
    let Read { server, tool, arguments } = call;
    let content = mcp_read::call_tool(action, &server, &tool, &Value::Object(arguments).to_string())?;
    Ok(Output { content, summary: format!("{server}.{tool}") })
}

/// `mcp-mutation.call-tool`
pub fn write(action: &str, call: Write) -> Result<Output, Error> {
    let Write { server, tool, arguments, reason } = call;
    let content = mcp_mutation::call_tool(action, &server, &tool, &Value::Object(arguments).to_string(), &reason)?;
    Ok(Output { content, summary: format!("{server}.{tool}") })
}
