//! Fields whose feature does not exist yet. They are named in the condition `Supported=False` and in the timeline; their calls answer `unavailable`.

use infraagent_api::{
    AgentEnvironment, InfraAgent, ModelTierConfig,
    agent::Guardrails,
    environment::{AgentEnvironmentSpec, Connection, ConnectionKind, Endpoint},
    model_tier::{Auth, AuthKind, TierMapping},
};

/// The fields that are set and have no effect, as `<Kind> <path>`.
pub fn unsupported(agent: &InfraAgent, environment: &AgentEnvironment, models: &[ModelTierConfig]) -> Vec<String> {
    let mut fields = Vec::new();
    fields.extend(of_agent(agent).into_iter().map(|path| format!("InfraAgent {path}")));
    fields.extend(of_environment(&environment.spec).into_iter().map(|path| format!("AgentEnvironment {path}")));
    fields.extend(of_models(models).into_iter().map(|path| format!("ModelTierConfig {path}")));
    fields
}

/// Nobody can be asked: neither by an ActionApproval nor in a channel.
fn of_agent(agent: &InfraAgent) -> Vec<String> {
    let Guardrails { autonomy: _, allowed_actions: _, denied_actions: _, escalation, max_iterations: _, max_retries: _, unknown: _ } =
        &agent.spec.guardrails;
    escalation.iter().map(|escalation| format!("spec.guardrails.escalation.target: {}", escalation.target)).collect()
}

fn of_environment(spec: &AgentEnvironmentSpec) -> Vec<String> {
    let AgentEnvironmentSpec { connection, endpoints, namespaces: _, credentials: _, channels, data_resources: _, mcp_servers } = spec;
    let mut fields = Vec::new();
    if is_remote(connection) {
        fields.push("spec.connection.kind: kubeconfig".to_owned());
    }
    for (name, Endpoint { url: _, health_path: _, internal: _, credential: _, writes, data: _ }) in endpoints {
        if !writes.is_empty() {
            fields.push(format!("spec.endpoints.{name}.writes"));
        }
    }
    if !channels.is_empty() {
        fields.push("spec.channels".to_owned());
    }
    if !mcp_servers.is_empty() {
        fields.push("spec.mcpServers".to_owned());
    }
    fields
}

/// Whether the environment is another cluster than the one that is connected to.
pub fn is_remote(connection: &Connection) -> bool {
    match connection.kind {
        ConnectionKind::InCluster => false,
        ConnectionKind::Kubeconfig => true,
    }
}

/// Of the configuration that is used: ways to authenticate that do not work yet, and mappings that only failover would use.
fn of_models(models: &[ModelTierConfig]) -> Vec<String> {
    let Some(config) = super::model::preferred(models) else { return Vec::new() };
    let is_built = |auth: &Auth| match auth.kind {
        AuthKind::ApiKey | AuthKind::None => true,
        AuthKind::OAuth | AuthKind::ServiceAccount | AuthKind::Custom => false,
    };
    let mut fields = Vec::new();
    let mut add = |auth: &Option<Auth>, path: &str| {
        fields.extend(auth.iter().filter(|auth| !is_built(auth)).map(|auth| format!("{path}.type: {}", auth.kind)));
    };
    add(&config.spec.default_auth, "spec.defaultAuth");
    for (index, mapping) in config.spec.tiers.iter().enumerate() {
        add(&mapping.auth, &format!("spec.tiers[{index}].auth"));
    }
    for (index, TierMapping { tier, .. }) in config.spec.tiers.iter().enumerate() {
        if config.spec.tiers.iter().take(index).any(|earlier| earlier.tier == *tier) {
            fields.push(format!("spec.tiers[{index}] (failover)"));
        }
    }
    fields
}
