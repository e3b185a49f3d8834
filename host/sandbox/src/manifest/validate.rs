//! What a manifest may not say, whatever the code beside it does.

use std::collections::BTreeSet;

use infraagent_guard::name::{Namespace, ToolName};
use serde_json::Value;

use super::{CONTRACT, MAX_ACTIONS, MAX_SCHEMA, MAX_SCHEMA_DEPTH, MAX_TOOLS, Manifest, Sheet, ToolDescription, canonical, resolve::escape};

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 4096;

pub(super) fn problems(manifest: &Manifest) -> Vec<String> {
    let Manifest { name, version, description, license: _, tags: _, instructions: _, contract, minimum_host, tools, sheet, limits: _ } =
        manifest;
    let mut problems = Vec::new();
    if Namespace::parse(name).is_err() {
        problems.push(format!("the skill's name `{}` is not an RFC 1123 label (a-z, 0-9, `-`, at most 63 characters)", escape(name)));
    }
    if numbers(version).is_none() {
        problems.push(format!("the skill's version `{}` is not like `1.2.3`", escape(version)));
    }
    if description.len() > MAX_DESCRIPTION {
        problems.push(format!("the skill's description is longer than {MAX_DESCRIPTION} bytes"));
    }
    match (numbers(contract), numbers(CONTRACT)) {
        (Some([0, 1, patch]), Some([_, _, ours])) if patch <= ours => {}
        (_, _) => problems
            .push(format!("contract `{}` is not one that this host speaks ({CONTRACT}); build the skill against it", escape(contract))),
    }
    if let Some(minimum) = minimum_host {
        let host = env!("CARGO_PKG_VERSION");
        match (numbers(minimum), numbers(host)) {
            (Some(minimum), Some(host)) if minimum <= host => {}
            (Some(_), _) => problems.push(format!("the skill needs infraagent {}, this is {host}; upgrade", escape(minimum))),
            (None, _) => problems.push(format!("minimumHost `{}` is not like `1.2.3`", escape(minimum))),
        }
    }
    check_sheet(sheet, &mut problems);
    check_tools(tools, sheet, &mut problems);
    problems
}

fn check_sheet(sheet: &Sheet, problems: &mut Vec<String>) {
    let Sheet { state: _, actions } = sheet;
    if actions.len() > MAX_ACTIONS {
        return problems.push(format!("the sheet has {} actions, more than {MAX_ACTIONS}", actions.len()));
    }
    let mut ids = BTreeSet::new();
    for action in actions {
        if !ids.insert(action.id.as_str()) {
            problems.push(format!("action `{}` is declared twice", escape(&action.id)));
        }
        if let Err(error) = action.validate() {
            problems.push(error.to_string());
        }
    }
}

fn check_tools(tools: &[ToolDescription], sheet: &Sheet, problems: &mut Vec<String>) {
    if tools.is_empty() || tools.len() > MAX_TOOLS {
        return problems.push(format!("a skill has 1 to {MAX_TOOLS} tools, not {}", tools.len()));
    }
    let ids: BTreeSet<&str> = sheet.actions.iter().map(|action| action.id.as_str()).collect();
    let mut names = BTreeSet::new();
    for ToolDescription { name, description, input_schema, actions } in tools {
        if let Err(error) = ToolName::parse(name) {
            problems.push(error.to_string());
        }
        let name = escape(name);
        if !names.insert(name.clone()) {
            problems.push(format!("tool `{name}` is declared twice"));
        }
        if description.trim().is_empty() || description.len() > MAX_DESCRIPTION {
            problems.push(format!("tool `{name}` needs a description of at most {MAX_DESCRIPTION} bytes"));
        }
        for action in actions.iter().filter(|action| !ids.contains(action.as_str())) {
            problems.push(format!("tool `{name}` lists the action `{}`, which the sheet does not declare", escape(action)));
        }
        if !input_schema.is_object() {
            problems.push(format!("the schema of tool `{name}` is not a JSON object"));
        }
        if depth(input_schema) > MAX_SCHEMA_DEPTH {
            problems.push(format!("the schema of tool `{name}` nests deeper than {MAX_SCHEMA_DEPTH}"));
        }
        let mut text = String::new();
        canonical(input_schema, &mut text);
        if text.len() > MAX_SCHEMA {
            problems.push(format!("the schema of tool `{name}` has {} bytes, more than {MAX_SCHEMA}", text.len()));
        }
        references(input_schema, &name, problems);
    }
}

/// References stay within the schema: nothing is ever fetched or read to understand one.
fn references(schema: &Value, tool: &str, problems: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target)
                        if matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") && !target.starts_with('#') =>
                    {
                        problems.push(format!(
                            "the schema of tool `{tool}` refers to `{}`: only references that begin with `#` are followed",
                            escape(target)
                        ));
                    }
                    value => references(value, tool, problems),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, tool, problems)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    inner.unwrap_or(0).saturating_add(1)
}

/// `1.2.3`, perhaps with `-pre` or `+build`.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let extra = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
    let (core, rest) = version.split_at_checked(version.find(['-', '+']).unwrap_or(version.len()))?;
    let number = |text: &str| {
        text.parse().ok().filter(|_| text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0')))
    };
    let mut parts = core.split('.').map(number);
    let found = [parts.next()??, parts.next()??, parts.next()??];
    (parts.next().is_none() && rest.len() <= 64 && rest.chars().all(extra) && rest.len() != 1).then_some(found)
}
