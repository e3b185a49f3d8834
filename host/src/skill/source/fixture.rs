//! Skills for the tests of where skills come from.

use infraagent_sandbox::manifest;
use serde_json::json;

/// The `SKILL.md` of a skill without code.
pub(crate) const DOCUMENT: &str = "---\nname: restarts\ndescription: Restarts what hangs.\nversion: 1.0.0\n---\nLook before you act.\n";
/// Its `actions.yaml`.
pub(crate) const SHEET: &str = "\
actions:
  - id: look
    description: Shows a deployment.
    kubernetes: { verb: [get, list], resources: [deployments.apps], namespaces: [apps] }
  - id: restart-deployment
    description: Restarts a deployment.
    kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps], names: [web, 'api-*'] }
    rollback: { description: kubectl rollout undo }
";

/// The bytes of a component that says it is this skill. There is no code in it.
pub(crate) fn component(name: &str, version: &str) -> Vec<u8> {
    let manifest = json!({
        "name": name, "version": version, "contract": manifest::CONTRACT, "sheet": { "actions": [] },
        "tools": [{ "name": "look", "description": "Looks.", "inputSchema": { "type": "object" } }],
    });
    let manifest = serde_json::from_value(manifest).expect("a manifest");
    manifest::append(&wat::parse_str("(component)").expect("a component"), &manifest).expect("it fits")
}

/// A client of an API server that is not there.
pub(crate) fn nobody() -> kube::Client {
    let mut config = kube::Config::new("http://127.0.0.1:1".parse().expect("an address"));
    config.default_retry = false;
    kube::Client::try_from(config).expect("a client")
}
