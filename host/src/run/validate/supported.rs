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

/// Of an environment.
pub fn of_environment(spec: &AgentEnvironmentSpec) -> Vec<String> {
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
pub fn of_models(models: &[ModelTierConfig]) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::run::fixture::{self, Documents};

    fn named(change: impl FnOnce(&mut Documents)) -> Vec<String> {
        let plain = |documents: &mut Documents| {
            let spec = &mut documents.environment["spec"];
            spec["endpoints"]["github"]["writes"] = json!([]);
            spec["mcpServers"] = json!({});
        };
        fixture::run(|documents| {
            plain(documents);
            change(documents);
        })
        .unsupported
    }

    fn set(document: &mut Value, pointer: &str, value: Value) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
    }

    #[test]
    fn what_has_its_effect_is_not_named() {
        assert_eq!(named(|_| ()), [""; 0]);
    }

    #[test]
    fn each_field_without_effect_is_named_with_its_kind() {
        let escalation = json!({ "target": "human" });
        assert_eq!(
            named(|documents| set(&mut documents.agent, "/spec/guardrails/escalation", escalation)),
            ["InfraAgent spec.guardrails.escalation.target: human"]
        );
        let servers = json!({ "k8sgpt": { "endpoint": "http://k8sgpt.monitoring.svc:8080" } });
        let channels = json!({ "ops": { "type": "webhook", "target": "https://hooks.example.com" } });
        let writes = json!([{ "method": "POST", "path": "/x", "tier": "service-mutation" }]);
        let connection = json!({ "kind": "kubeconfig", "kubeconfig": { "secretRef": "other" } });
        for (pointer, value, name) in [
            ("/spec/mcpServers", servers, "spec.mcpServers"),
            ("/spec/channels", channels, "spec.channels"),
            ("/spec/endpoints/github/writes", writes, "spec.endpoints.github.writes"),
            ("/spec/connection", connection, "spec.connection.kind: kubeconfig"),
        ] {
            let fields = named(|documents| set(&mut documents.environment, pointer, value));
            assert_eq!(fields, [format!("AgentEnvironment {name}")]);
        }
    }

    #[test]
    fn ways_to_authenticate_and_failover_are_named_where_they_are_configured() {
        for kind in ["oauth", "serviceAccount", "custom"] {
            let auth = json!({ "type": kind, "secretRef": "s" });
            let fields = named(|documents| set(&mut documents.models[0], "/spec/tiers/0/auth", auth));
            assert_eq!(fields, [format!("ModelTierConfig spec.tiers[0].auth.type: {kind}")]);
        }
        for kind in ["apiKey", "none"] {
            let auth = json!({ "type": kind, "secretRef": "s" });
            assert_eq!(named(|documents| set(&mut documents.models[0], "/spec/tiers/0/auth", auth)), [""; 0]);
        }
        let fields = named(|documents| {
            let second = documents.models[0]["spec"]["tiers"][1].clone();
            documents.models[0]["spec"]["tiers"].as_array_mut().unwrap().push(second);
        });
        assert_eq!(fields, ["ModelTierConfig spec.tiers[2] (failover)"]);
    }
}
