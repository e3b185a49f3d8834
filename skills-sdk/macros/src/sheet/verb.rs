//! The verbs of the contract, under the names of the generated bounds.

/// A verb that an action can declare: a type of the same name in `skills_sdk::verb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
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

impl Verb {
    /// The name of the type in `skills_sdk::verb`, and of the variant in `skills_sdk::sheet::Verb`.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::List => "List",
            Self::Logs => "Logs",
            Self::Wait => "Wait",
            Self::Restart => "Restart",
            Self::Scale => "Scale",
            Self::Pause => "Pause",
            Self::Evict => "Evict",
            Self::Cordon => "Cordon",
            Self::RequestSync => "RequestSync",
            Self::Delete => "Delete",
            Self::Rollback => "Rollback",
            Self::HttpRead => "HttpRead",
            Self::HttpMutation => "HttpMutation",
            Self::McpRead => "McpRead",
            Self::McpMutation => "McpMutation",
        }
    }

    /// Expands a word of `kubernetes: { verb: ... }`.
    pub(crate) fn kubernetes(word: &str) -> Result<&'static [Self], String> {
        Ok(match word {
            "read" => &[Self::Get, Self::List, Self::Wait],
            "get" => &[Self::Get],
            "list" => &[Self::List],
            "logs" => &[Self::Logs],
            "wait" => &[Self::Wait],
            "restart" => &[Self::Restart],
            "scale" => &[Self::Scale],
            "pause" => &[Self::Pause],
            "evict" => &[Self::Evict],
            "cordon" => &[Self::Cordon],
            "request-sync" => &[Self::RequestSync],
            "delete" => &[Self::Delete],
            "rollback" => &[Self::Rollback],
            _ => {
                return Err(format!(
                    "unknown verb `{word}`; there are read (get, list, wait), get, list, logs, wait, restart, scale, pause, evict, cordon, \
                     request-sync, delete, rollback"
                ));
            }
        })
    }

    /// The tier that the contract gives the verb; for http and mcp the environment decides.
    pub(crate) fn tier(self) -> Option<Tier> {
        match self {
            Self::Get | Self::List | Self::Logs | Self::Wait => Some(Tier::Read),
            Self::Restart | Self::Scale | Self::Pause | Self::Evict | Self::Cordon | Self::RequestSync => Some(Tier::ServiceMutation),
            Self::Delete | Self::Rollback => Some(Tier::DestructiveMutation),
            Self::HttpRead | Self::HttpMutation | Self::McpRead | Self::McpMutation => None,
        }
    }
}

/// How much an action can break, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tier {
    Read,
    ServiceMutation,
    DestructiveMutation,
}
