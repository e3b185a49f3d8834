//! `mcp-read` and `mcp-mutation`: tools of MCP servers. Which of the two a tool belongs to is for the environment to say.

use std::collections::BTreeMap;

use infraagent_guard::{
    call::{Call, Effect, McpCall, Read},
    name::{EndpointName, Invalid, McpTool},
};
use serde::de::IgnoredAny;

use super::{claim, json, mutation, wit};
use crate::session::{Parsed, Session};

type Answered = wasmtime::Result<Result<String, wit::types::Error>>;

impl wit::mcp_read::Host for Session {
    async fn call_tool(&mut self, action: String, server: String, tool: String, arguments: String) -> Answered {
        const FUNCTION: &str = "mcp-read.call-tool";
        Ok(json(self.call(FUNCTION, parse_read(&action, &server, &tool, arguments)).await?, FUNCTION))
    }
}

impl wit::mcp_mutation::Host for Session {
    async fn call_tool(&mut self, action: String, server: String, tool: String, arguments: String, reason: String) -> Answered {
        const FUNCTION: &str = "mcp-mutation.call-tool";
        let parsed = parse(&server, &tool, arguments).and_then(|call| mutation(&action, Effect::Mcp(call), reason));
        Ok(json(self.call(FUNCTION, parsed).await?, FUNCTION))
    }
}

fn parse_read(action: &str, server: &str, tool: &str, arguments: String) -> Parsed {
    Ok((claim(action)?, Call::Read(Read::Mcp(parse(server, tool, arguments)?))))
}

/// The arguments stay text, but text that is a JSON object of bounded depth.
fn parse(server: &str, tool: &str, arguments: String) -> Result<McpCall, Invalid> {
    if serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&arguments).is_err() {
        return Err(Invalid::plain("the arguments of an MCP tool are a JSON object"));
    }
    Ok(McpCall { server: EndpointName::parse(server)?, tool: McpTool::parse(tool)?, arguments })
}
