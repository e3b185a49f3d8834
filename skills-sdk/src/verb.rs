//! The verbs of the contract, as types for [`Declares`](crate::Declares).
//!
//! In the sheet they are the words after `verb:`, in kebab-case (`read` is short for get, list and wait). [`HttpRead`] and [`HttpMutation`] come from the
//! `methods` of an `http` target. An `mcp` target declares [`McpRead`] and [`McpMutation`] both: which of them a tool needs is the environment's word.

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* #[derive(Debug, Clone, Copy)] pub enum $name {})*
    };
}

verbs! {
    /// Read one object. Tier: read.
    Get,
    /// List objects. Tier: read.
    List,
    /// Read a pod's log. Tier: read.
    Logs,
    /// Wait for a condition of an object. Tier: read.
    Wait,
    /// Restart a workload, rolling. Tier: service-mutation.
    Restart,
    /// Set the replicas of a workload. Tier: service-mutation.
    Scale,
    /// Pause or resume a rollout. Tier: service-mutation.
    Pause,
    /// Evict a pod; disruption budgets hold. Tier: service-mutation.
    Evict,
    /// Mark a node unschedulable or schedulable. Tier: service-mutation.
    Cordon,
    /// Ask a GitOps tool to look again. Tier: service-mutation.
    RequestSync,
    /// Delete a workload or what is disposable like one. Tier: destructive-mutation.
    Delete,
    /// Roll a deployment back to an earlier revision. Tier: destructive-mutation.
    Rollback,
    /// GET and HEAD on an endpoint of the environment.
    HttpRead,
    /// POST, PUT and PATCH on an endpoint of the environment. The environment gives each its tier.
    HttpMutation,
    /// A tool of an MCP server that the environment lists as read.
    McpRead,
    /// A tool of an MCP server that changes something. The environment gives each its tier.
    McpMutation,
}
