//! The skills: sheets resolved against this environment, tools with compiled schemas.

use std::{collections::BTreeMap, sync::Arc};

use infraagent_guard::{
    name::{ActionId, ToolName},
    policy::{self, Environment, Grant, Sheet, Tier},
};
use infraagent_sandbox::manifest::{ActionSpec, Manifest, ToolDescription};

use super::{Findings, Skill, SkillInput, Tool, ToolAction, WarningKind, environment::Resolved as Site};
use crate::run::{finding, schema::Schema};

/// The skills as guard and prompt know them.
pub(super) struct Resolved {
    pub(super) sheet: Sheet,
    pub(super) skills: Vec<Skill>,
}

pub(super) fn resolve(inputs: Vec<SkillInput>, site: &Site, findings: &mut Findings) -> Option<Resolved> {
    let mut groups: BTreeMap<String, Vec<String>> =
        ["monitoring", "apps", "system"].into_iter().map(|group| (group.to_owned(), Vec::new())).collect();
    groups.extend(site.told.groups.clone());

    let mut actions = Vec::new();
    let mut tools = Vec::new();
    let mut skills = Vec::new();
    for SkillInput { manifest, digest } in inputs {
        let document = format!("skill `{}`", manifest.name);
        let Manifest {
            name,
            version,
            description,
            license: _,
            tags: _,
            instructions,
            contract: _,
            minimum_host: _,
            tools: described,
            sheet,
            limits,
        } = Arc::unwrap_or_clone(manifest);
        let mut known: BTreeMap<String, ToolAction> = BTreeMap::new();
        for spec in &sheet.actions {
            let Some(action) = findings.take(&document, format!("actions.{}", spec.id), spec.resolve(&groups)) else { continue };
            if is_empty(&action.grant) {
                let message = format!(
                    "action `{}` of skill `{name}` covers nothing: the environment has no member in the namespace groups that it names",
                    action.id
                );
                findings.warn(WarningKind::NoEffect, message);
            }
            known.insert(spec.id.clone(), told(spec, &action, &site.guard));
            actions.push(action);
        }
        let mut validated = Vec::new();
        for tool in described {
            validated.extend(resolve_tool(&document, tool, sheet.state, &known, &mut tools, findings));
        }
        validated.sort_by(|a, b| a.name.cmp(&b.name));
        skills.push(Skill { name, version, description, instructions, digest, asks: limits, tools: validated });
    }
    skills.sort_by(|a, b| a.name.cmp(&b.name));
    tools.extend(findings.take("host", finding::NAME, finding::guard_tool()));
    let sheet = findings.take("skills", "actions", Sheet::new(actions, tools))?;
    Some(Resolved { sheet, skills })
}

fn resolve_tool(
    document: &str,
    tool: ToolDescription,
    state: bool,
    known: &BTreeMap<String, ToolAction>,
    tools: &mut Vec<policy::Tool>,
    findings: &mut Findings,
) -> Option<Tool> {
    let ToolDescription { name, description, input_schema, actions } = tool;
    let path = format!("tools.{name}");
    let parsed = findings.take(document, path.clone(), ToolName::parse(&name))?;
    let schema = findings.take(document, format!("{path}.inputSchema"), Schema::load(input_schema));
    let ids: Vec<_> = actions.iter().filter_map(|id| findings.take(document, format!("{path}.actions"), ActionId::parse(id))).collect();
    tools.push(policy::Tool::new(parsed, ids, state));
    let mut told: Vec<ToolAction> = actions.iter().filter_map(|id| known.get(id).cloned()).collect();
    told.sort_by(|a, b| a.id.cmp(&b.id));
    let tier = told.iter().map(|action| action.tier).max().unwrap_or(Tier::Read);
    Some(Tool { name, description, schema: schema?, actions: told, tier })
}

fn told(spec: &ActionSpec, action: &policy::Action, environment: &Environment) -> ToolAction {
    ToolAction {
        id: spec.id.clone(),
        description: spec.description.clone(),
        rollback: spec.rollback.as_ref().map(|rollback| rollback.description.clone()),
        tier: tier(action, environment),
    }
}

/// The highest tier that a call under the action can have here.
fn tier(action: &policy::Action, environment: &Environment) -> Tier {
    let from_target = match &action.grant {
        Grant::Kubernetes(grant) => grant.verbs.iter().map(|verb| verb.tier()).max(),
        Grant::Http(grant) => {
            let endpoints = environment.endpoints.iter().filter(|(name, _)| grant.endpoints.iter().any(|glob| glob.matches(name.as_str())));
            let listed = endpoints
                .flat_map(|(_, endpoint)| &endpoint.writes)
                .filter(|write| grant.methods.contains(&write.method.method()))
                .map(|write| write.tier);
            let asked = grant.methods.iter().any(|method| !method.reads()).then_some(Tier::ServiceMutation);
            listed.chain(asked).max()
        }
        Grant::Mcp(grant) => environment.servers.get(&grant.server).and_then(|tools| {
            tools
                .iter()
                .filter(|(name, _)| grant.tools.iter().any(|glob| glob.is_any() || glob.matches(name.as_str())))
                .map(|(_, tier)| *tier)
                .max()
        }),
    };
    from_target.unwrap_or(Tier::Read).max(action.raise.unwrap_or(Tier::Read))
}

fn is_empty(grant: &Grant) -> bool {
    match grant {
        Grant::Kubernetes(grant) => grant.namespaces.as_ref().is_some_and(Vec::is_empty),
        Grant::Http(_) | Grant::Mcp(_) => false,
    }
}
