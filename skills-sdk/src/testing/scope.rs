//! What the fake host decides: the skill's own sheet, and nothing beyond it.

use std::collections::BTreeMap;

use crate::reference::ObjectRef;
use crate::sheet::{ActionSpec, Sheet, Verb};
use crate::{Denial, Error, Result};

/// Names of namespace groups and what they stand for.
pub(super) type Groups = BTreeMap<String, Vec<String>>;

/// The action of this id, if it declares the verb.
pub(super) fn action(sheet: &Sheet, id: &str, verb: Verb) -> Result<ActionSpec> {
    let Some(action) = sheet.actions.iter().find(|action| action.id == id) else {
        return Err(denied("undeclared-action", id, "the sheet does not declare it"));
    };
    if !action.verbs.contains(&verb) {
        return Err(denied("verb-not-covered", id, &format!("the action does not declare the verb {verb:?}")));
    }
    Ok(*action)
}

/// The action of this id, if it declares the verb for this object.
pub(super) fn target(sheet: &Sheet, groups: &Groups, id: &str, verb: Verb, target: &ObjectRef) -> Result<ActionSpec> {
    let action = action(sheet, id, verb)?;
    resource(&action, &target.resource.to_string())?;
    if let Some(namespace) = &target.namespace {
        self::namespace(&action, groups, namespace)?;
    }
    Ok(action)
}

/// Whether the action covers the resource.
pub(super) fn resource(action: &ActionSpec, resource: &str) -> Result<()> {
    if action.resources.is_empty() || action.resources.contains(&resource) {
        Ok(())
    } else {
        Err(denied("target-not-covered", action.id, &format!("the action does not list the resource `{resource}`")))
    }
}

/// Whether the action covers the namespace.
pub(super) fn namespace(action: &ActionSpec, groups: &Groups, namespace: &str) -> Result<()> {
    if covers(action, groups, namespace) {
        Ok(())
    } else {
        Err(denied("target-not-covered", action.id, &format!("the action does not cover the namespace `{namespace}`")))
    }
}

/// Whether the action covers the namespace, by name or by group.
pub(super) fn covers(action: &ActionSpec, groups: &Groups, namespace: &str) -> bool {
    action.namespaces.is_empty()
        || action.namespaces.iter().any(|&name| match groups.get(name) {
            Some(group) => group.iter().any(|member| member == namespace),
            None => name == "*" || name == namespace,
        })
}

/// Whether the action covers this many replicas.
pub(super) fn replicas(action: &ActionSpec, replicas: u32) -> Result<()> {
    match action.replicas {
        Some((min, max)) if !(min..=max).contains(&replicas) => {
            Err(denied("target-not-covered", action.id, &format!("the action allows {min} to {max} replicas, not {replicas}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether the action covers this request. Paths are the host's to match.
pub(super) fn http(action: &ActionSpec, endpoint: &str, method: &str) -> Result<()> {
    if !action.endpoints.is_empty() && !action.endpoints.iter().any(|&name| name == "*" || name == endpoint) {
        return Err(denied("target-not-covered", action.id, &format!("the action does not list the endpoint `{endpoint}`")));
    }
    if !action.methods.is_empty() && !action.methods.contains(&method) {
        return Err(denied("target-not-covered", action.id, &format!("the action does not list the method `{method}`")));
    }
    Ok(())
}

/// Whether the action covers this tool of an MCP server.
pub(super) fn mcp(action: &ActionSpec, server: &str, tool: &str) -> Result<()> {
    if action.server.is_some_and(|declared| declared != server) || !(action.tools.is_empty() || action.tools.contains(&tool)) {
        return Err(denied("target-not-covered", action.id, &format!("the action does not list the tool `{tool}` of `{server}`")));
    }
    Ok(())
}

fn denied(code: &str, action: &str, message: &str) -> Error {
    Error::Denied(Denial { code: code.to_owned(), action: action.to_owned(), message: message.to_owned() })
}
