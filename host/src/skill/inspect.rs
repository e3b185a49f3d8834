//! What can be told about a skill component by reading it: the manifest, the surface, size and digest. Nothing runs and nothing is compiled, so this is
//! safe with any file; what it says is what the component says of itself, and `verdict` is what the host thinks of it.

use std::fmt::Write as _;

use infraagent_guard::policy::Tier;
use infraagent_sandbox::manifest::{self, ActionSpec, LimitRequest, Manifest, ManifestError};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    source::{Component, Unit, Unusable},
    surface::{self, Functions, Surface},
};

/// What a component says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The skill's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// `sha256:` and the digest of the whole file, or of what a skill without code is made of.
    pub digest: String,
    /// The size of the whole file, or of all components, in bytes.
    pub size: usize,
    /// The contract's version that it was built against.
    pub contract: String,
    /// The oldest host that can run it.
    pub minimum_host: Option<String>,
    /// Whether it has memory across runs.
    pub state: bool,
    /// Limits that differ from the defaults.
    pub limits: Option<LimitRequest>,
    /// What the model can call.
    pub tools: Vec<Tool>,
    /// What the tools may do.
    pub actions: Vec<Action>,
    /// Imported interfaces and their functions.
    pub imports: Functions,
    /// Exported interfaces and their functions.
    pub exports: Functions,
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The highest tier of its actions.
    pub tier: &'static str,
    /// The actions that its calls may claim.
    pub actions: Vec<String>,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its id.
    pub id: String,
    /// What it does.
    pub description: String,
    /// Its tier; where the environment decides, the lowest it can be.
    pub tier: &'static str,
    /// The environment decides the tier.
    pub tier_by_environment: bool,
    /// What it covers, on one line.
    pub target: String,
    /// The functions that its calls go through.
    pub functions: Vec<String>,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No manifest that could be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No component.
    #[error(transparent)]
    Component(#[from] surface::Error),
    /// It cannot be read.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl Inspection {
    /// Reads a component.
    pub fn of(component: &[u8]) -> Result<Self, Error> {
        let manifest = manifest::read(component)?;
        Ok(Self::from_parts(manifest, Surface::of(component)?, digest(component), component.len()))
    }

    /// Reads a skill that was found: of one without code, everything that its components import.
    pub fn of_skill(skill: &Component) -> Result<Self, Error> {
        let mut whole = Surface::default();
        let mut size = 0_usize;
        for Unit { component, code: _ } in skill.units()? {
            let Surface { imports, exports } = Surface::of(&component)?;
            for (interface, functions) in imports {
                let known = whole.imports.entry(interface).or_default();
                known.extend(functions);
                known.sort();
            }
            whole.exports.extend(exports);
            size = size.saturating_add(component.len());
        }
        Ok(Self::from_parts((*skill.manifest).clone(), whole, skill.digest.clone(), size))
    }

    fn from_parts(manifest: Manifest, Surface { imports, exports }: Surface, digest: String, size: usize) -> Self {
        let Manifest { name, version, description, license, tags, instructions: _, contract, minimum_host, tools, sheet, limits } =
            manifest;
        let actions: Vec<Action> = sheet.actions.iter().map(action).collect();
        let tier = |ids: &[String]| {
            ids.iter().filter_map(|id| sheet.actions.iter().find(|action| action.id == *id)).map(|action| tier(action).0).max()
        };
        let tools = tools
            .into_iter()
            .map(|tool| Tool {
                tier: tier(&tool.actions).unwrap_or(Tier::Read).as_str(),
                name: tool.name,
                description: tool.description,
                actions: tool.actions,
            })
            .collect();
        let state = sheet.state;
        Self {
            name,
            version,
            description,
            license,
            tags,
            digest,
            size,
            contract,
            minimum_host,
            state,
            limits,
            tools,
            actions,
            imports,
            exports,
        }
    }
}

/// `sha256:` and the digest, as registries write it.
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn action(spec: &ActionSpec) -> Action {
    let (tier, tier_by_environment) = tier(spec);
    let functions = functions(spec).into_iter().map(|(interface, function)| format!("{interface}.{function}")).collect();
    let ActionSpec { id, description, .. } = spec;
    Action { id: id.clone(), description: description.clone(), tier: tier.as_str(), tier_by_environment, target: target(spec), functions }
}

/// A manifest that was read has only actions that are valid.
fn functions(spec: &ActionSpec) -> Vec<(&'static str, &'static str)> {
    spec.functions().unwrap_or_default().into_iter().collect()
}

/// The action's tier, and whether the environment may make it higher.
fn tier(spec: &ActionSpec) -> (Tier, bool) {
    let interfaces: Vec<&str> = functions(spec).into_iter().map(|(interface, _)| interface).collect();
    let own = interfaces
        .iter()
        .map(|interface| match *interface {
            "kubernetes-destructive-mutation" => Tier::DestructiveMutation,
            "kubernetes-service-mutation" | "http-mutation" => Tier::ServiceMutation,
            // The read interfaces, and MCP tools, which read unless the environment says otherwise.
            _ => Tier::Read,
        })
        .max()
        .unwrap_or(Tier::Read);
    let by_environment = interfaces.iter().any(|interface| matches!(*interface, "http-mutation" | "mcp-mutation"));
    (spec.tier.map_or(own, |raised| own.max(raised.into())), by_environment)
}

/// What an action covers, on one line, in the words of the sheet.
fn target(spec: &ActionSpec) -> String {
    let list = |words: &[String]| words.join(", ");
    let ActionSpec { kubernetes, http, mcp, tool, pattern, target_pattern, .. } = spec;
    let mut parts = Vec::new();
    if let Some(target) = kubernetes {
        let words: Vec<String> = target.verb.iter().map(word).collect();
        parts.push(words.join(", "));
        parts.push(list(&target.resources));
        if !target.names.is_empty() {
            parts.push(format!("named {}", list(&target.names)));
        }
        if !target.namespaces.is_empty() {
            parts.push(format!("in {}", list(&target.namespaces)));
        }
        if let Some(bounds) = &target.replicas {
            parts.push(format!("{} to {} replicas", bounds.min, bounds.max));
        }
        if let Some(nodes) = &target.nodes {
            let labels: Vec<String> = nodes.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            parts.push(format!("with {}", labels.join(",")));
        }
    }
    if let Some(target) = http {
        let methods: Vec<String> = target.methods.iter().map(word).collect();
        parts.push(format!("{} {} at {}", methods.join(", "), list(&target.paths), list(&target.endpoints)));
    }
    if let Some(target) = mcp {
        parts.push(format!("mcp {}: {}", target.server, list(&target.tools)));
    }
    parts.extend(pattern.clone().or_else(|| target_pattern.clone()).or_else(|| tool.clone()));
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// A word of the sheet, as it is written there.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill::folder::Folder;

    const DOCUMENT: &str =
        "---\nname: hello\ndescription: Says hello.\nversion: 1.2.3\ntags: [a]\nlimits: {cpuMillis: 5000}\n---\nDo it.\n";
    const SHEET: &str = "
state: true
actions:
  - { id: look, kubernetes: { verb: read, resources: [pods], namespaces: [apps], names: ['web-*'] } }
  - { id: restart, tier: destructive-mutation, kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] } }
  - { id: post, http: { endpoints: [api], methods: [POST], paths: ['/x/**'] } }
  - { id: ask, mcp: { server: s, tools: [t] } }
  - { id: old, tool: kubectl.delete, pattern: 'kubectl.delete pod/web-*' }
";

    fn component() -> Vec<u8> {
        wat::parse_str(r#"(component (import "infraagent:skill/kubernetes-read@0.1.0" (instance (export "get" (func)))))"#).unwrap()
    }

    fn packed() -> Vec<u8> {
        let tools = serde_json::json!([
            { "name": "look", "description": "Looks.", "inputSchema": { "type": "object" }, "actions": ["look"] },
            { "name": "act", "description": "Acts.", "inputSchema": { "type": "object" }, "actions": ["look", "restart"] },
        ]);
        let manifest = Folder::parse(DOCUMENT, SHEET).unwrap().manifest(serde_json::from_value(tools).unwrap()).unwrap();
        manifest::append(&component(), &manifest).unwrap()
    }

    #[test]
    fn everything_is_told_without_running() {
        let bytes = packed();
        let inspection = Inspection::of(&bytes).unwrap();
        assert_eq!((inspection.name.as_str(), inspection.size, inspection.state), ("hello", bytes.len(), true));
        assert_eq!(inspection.imports["infraagent:skill/kubernetes-read@0.1.0"], ["get"]);
        assert_eq!(inspection.limits.unwrap().cpu_millis, Some(5000));
        assert!(inspection.digest.starts_with("sha256:") && inspection.digest.len() == 71);
        let tiers: Vec<_> = inspection.tools.iter().map(|tool| (tool.name.as_str(), tool.tier)).collect();
        assert_eq!(tiers, [("look", "read"), ("act", "destructive-mutation")]);
        let actions: Vec<_> =
            inspection.actions.iter().map(|action| (action.tier, action.tier_by_environment, action.target.as_str())).collect();
        assert_eq!(
            actions,
            [
                ("read", false, "read pods named web-* in apps"),
                ("destructive-mutation", false, "restart deployments.apps in apps"),
                ("service-mutation", true, "POST /x/** at api"),
                ("read", true, "mcp s: t"),
                ("destructive-mutation", false, "kubectl.delete pod/web-*"),
            ]
        );
    }

    #[test]
    fn one_changed_byte_changes_the_digest() {
        let bytes = packed();
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_ne!(digest(&bytes), digest(&other));
        assert_eq!(digest(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn files_without_exactly_one_small_manifest_say_so() {
        let bytes = packed();
        let section = bytes.get(component().len()..).unwrap();
        let twice = [bytes.as_slice(), section].concat();
        assert!(matches!(Inspection::of(&twice), Err(Error::Manifest(ManifestError::Duplicate))));
        assert!(matches!(Inspection::of(&component()), Err(Error::Manifest(ManifestError::Missing))));
        assert!(matches!(Inspection::of(b"hello"), Err(Error::Manifest(ManifestError::NotAComponent(_)))));
        let long = DOCUMENT.replace("Do it.", &"long ".repeat(60_000));
        let tools = serde_json::json!([{ "name": "look", "description": "Looks.", "inputSchema": { "type": "object" } }]);
        let manifest = Folder::parse(&long, "actions: []").unwrap().manifest(serde_json::from_value(tools).unwrap()).unwrap();
        assert!(matches!(manifest::append(&component(), &manifest), Err(ManifestError::TooLarge(_))));
    }
}
