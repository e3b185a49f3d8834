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
    #[cfg(test)]
    pub(crate) const ALL: [Self; 16] = [
        Self::Get,
        Self::List,
        Self::Logs,
        Self::Wait,
        Self::Restart,
        Self::Scale,
        Self::Pause,
        Self::Evict,
        Self::Cordon,
        Self::RequestSync,
        Self::Delete,
        Self::Rollback,
        Self::HttpRead,
        Self::HttpMutation,
        Self::McpRead,
        Self::McpMutation,
    ];

    /// The imported function that it goes through: interface and name.
    #[cfg(test)]
    pub(crate) fn function(self) -> String {
        let interface = match (self, self.tier()) {
            (Self::HttpRead, _) => return "http-read.send".to_owned(),
            (Self::HttpMutation, _) => return "http-mutation.send".to_owned(),
            (Self::McpRead, _) => return "mcp-read.call-tool".to_owned(),
            (Self::McpMutation, _) => return "mcp-mutation.call-tool".to_owned(),
            (_, Some(Tier::ServiceMutation)) => "kubernetes-service-mutation",
            (_, Some(Tier::DestructiveMutation)) => "kubernetes-destructive-mutation",
            (_, Some(Tier::Read) | None) => "kubernetes-read",
        };
        let mut name = String::new();
        for (at, letter) in self.type_name().char_indices() {
            if at > 0 && letter.is_ascii_uppercase() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        format!("{interface}.{name}")
    }

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
