//! The action sheet as data. `skill!` writes it, [`testing::Host`](crate::testing::Host) decides by it in native tests.

/// What a skill asks for.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    /// Whether it asks for memory across runs.
    pub state: bool,
    /// Its actions.
    pub actions: &'static [ActionSpec],
}

/// One declared action. Empty lists stand for what the sheet leaves out.
#[derive(Debug, Clone, Copy)]
pub struct ActionSpec {
    /// The id.
    pub id: &'static str,
    /// The verbs it declares.
    pub verbs: &'static [Verb],
    /// Resources in the words of RBAC: `pods`, `deployments.apps`.
    pub resources: &'static [&'static str],
    /// Namespaces, or names of namespace groups of the environment.
    pub namespaces: &'static [&'static str],
    /// Bounds of `scale`.
    pub replicas: Option<(u32, u32)>,
    /// Endpoints of the environment; `*` is any.
    pub endpoints: &'static [&'static str],
    /// HTTP methods.
    pub methods: &'static [&'static str],
    /// The MCP server.
    pub server: Option<&'static str>,
    /// Tools of that server.
    pub tools: &'static [&'static str],
}

/// A verb, as a value. The types of the same names are in [`verb`](crate::verb).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types of the same names are documented")]
pub enum Verb {
    Get,
    List,
    Logs,
    Wait,
    Restart,
    Scale,
    Pause,
    Evict,
    Cordon,
    RequestSync,
    Delete,
    Rollback,
    HttpRead,
    HttpMutation,
    McpRead,
    McpMutation,
}
