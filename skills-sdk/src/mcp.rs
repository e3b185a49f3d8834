//! Tools of MCP servers that the environment lists.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::action::id;
use crate::{Action, Cx, Declares, Result, UsedBy, backend, document, verb};

/// An action on an MCP server. Implemented by `skill!` from `mcp: { server: ... }`.
#[diagnostic::on_unimplemented(
    message = "the action `{Self}` names no MCP server in actions.yaml",
    note = "its target in actions.yaml must be `mcp: {{ server: ..., tools: [...] }}`"
)]
pub trait OnServer: Action {
    /// The server's name in the environment.
    const SERVER: &'static str;
}

impl<T> Cx<T> {
    /// Calls a tool that the environment lists as read.
    pub fn mcp_read<A, R: DeserializeOwned>(&self, action: A, tool: &str, arguments: &impl Serialize) -> Result<R>
    where
        A: Declares<verb::McpRead> + OnServer + UsedBy<T>,
    {
        let answer = backend::mcp_read(id(action), A::SERVER, tool, &serde_json::to_string(arguments)?)?;
        document::from_str(&answer)
    }

    /// Calls a tool that changes something.
    pub fn mcp_call<A, R: DeserializeOwned>(&self, action: A, tool: &str, arguments: &impl Serialize, reason: &str) -> Result<R>
    where
        A: Declares<verb::McpMutation> + OnServer + UsedBy<T>,
    {
        let answer = backend::mcp_mutation(id(action), A::SERVER, tool, &serde_json::to_string(arguments)?, reason)?;
        document::from_str(&answer)
    }
}
