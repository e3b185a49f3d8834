//! Words that several kinds share.

use crate::text::words;

words! {
    /// How much an agent may do on its own. Each level includes the ones before it.
    #[derive(Default)]
    Autonomy, "autonomy" {
        /// Reads only.
        #[default]
        Observe = "observe",
        /// Reads, and proposes changes for a person to decide.
        Recommend = "recommend",
        /// Also makes reversible changes: restart, scale, evict, pause, cordon, request-sync.
        AutomateSafe = "automate-safe",
        /// Also deletes disposable objects and rolls back. Data stays out of reach at every level.
        AutomateDestructive = "automate-destructive",
    }
}

words! {
    /// What a call can do to the world.
    Tier, "tier" {
        /// Changes nothing.
        Read = "read",
        /// Changes a service in a way that can be taken back.
        ServiceMutation = "service-mutation",
        /// Removes something disposable.
        DestructiveMutation = "destructive-mutation",
        /// Changes data. It stands in old records only: no call of today can express it.
        DataMutation = "data-mutation",
    }
}

words! {
    /// The tier that the owner of a site gives to a tool of an MCP server.
    ToolTier, "tier" {
        /// The tool changes nothing.
        Read = "read",
        /// The tool changes something in a way that can be taken back.
        ServiceMutation = "service-mutation",
        /// The tool removes something.
        DestructiveMutation = "destructive-mutation",
    }
}

words! {
    /// The tier that the owner of a site gives to a writing HTTP request.
    WriteTier, "tier" {
        /// The request changes something in a way that can be taken back.
        ServiceMutation = "service-mutation",
        /// The request removes something.
        DestructiveMutation = "destructive-mutation",
    }
}

words! {
    /// Class of model; a ModelTierConfig says which model that is.
    #[derive(Default)]
    ModelTier, "model tier" {
        /// Quick and cheap.
        Fast = "fast",
        /// The usual choice.
        #[default]
        Standard = "standard",
        /// Slow, costly, careful.
        Reasoning = "reasoning",
    }
}

words! {
    /// Whether decisions are carried out.
    #[derive(Default)]
    Mode, "mode" {
        /// Allowed calls are carried out.
        #[default]
        Live = "live",
        /// Calls are decided and recorded, changes are only tried on the server (dry run).
        Shadow = "shadow",
    }
}

words! {
    /// How serious a finding is.
    #[derive(Default)]
    Severity, "severity" {
        /// Good to know.
        #[default]
        Info = "info",
        /// Somebody should look at it.
        Warning = "warning",
        /// Somebody should look at it now.
        Critical = "critical",
    }
}

impl From<ToolTier> for Tier {
    fn from(tier: ToolTier) -> Self {
        match tier {
            ToolTier::Read => Self::Read,
            ToolTier::ServiceMutation => Self::ServiceMutation,
            ToolTier::DestructiveMutation => Self::DestructiveMutation,
        }
    }
}

impl From<WriteTier> for Tier {
    fn from(tier: WriteTier) -> Self {
        match tier {
            WriteTier::ServiceMutation => Self::ServiceMutation,
            WriteTier::DestructiveMutation => Self::DestructiveMutation,
        }
    }
}
