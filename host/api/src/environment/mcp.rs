//! MCP servers of a site, and what their tools do there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    names::ToolTier,
    schema::{URL_PATTERN, list_map, list_set},
};

/// A server of the Model Context Protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServer {
    /// URL of the server.
    #[schemars(length(min = 1, max = 1024), regex(pattern = URL_PATTERN))]
    pub endpoint: String,
    /// Capabilities that it brings, for example k8sgpt.analyze. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)), transform = list_set)]
    pub capabilities: Vec<String>,
    /// Tools that agents may call. None by default; what is not listed is denied. At most 128.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), transform = list_map("name"))]
    pub tools: Vec<McpTool>,
}

/// A tool of an MCP server, and what it does here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpTool {
    /// Name of the tool on its server.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// read, service-mutation or destructive-mutation.
    pub tier: ToolTier,
    /// Digest of the tool's description and schema, sha256:<64 hex digits>. If it is set and the server answers with another
    /// one, the tool is disabled until this is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub schema_digest: Option<String>,
}
