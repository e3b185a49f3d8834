//! The tool `report_finding`: offered by the host beside the tools of the skills, so that findings are typed instead of scraped from text.

use std::sync::LazyLock;

use infraagent_guard::{
    call::{Finding, ObjectRef, ResourceType, Severity},
    name::{GroupResource, Invalid, Namespace, ObjectName, Readable, ToolName},
    policy::Tool,
};
use serde_json::{Value, json};

use super::schema::{InvalidSchema, Schema};

/// Its name. No skill can have a tool of this name: names are unique across the sheet, and this one is in it.
pub const NAME: &str = "report_finding";
/// The most findings of a run.
pub const MAX: usize = 32;
/// What the model reads about it.
pub const DESCRIPTION: &str = "Records one finding of this run: something a person should know. Call it once per finding, as soon as you are sure. \
                               `resource` names one object as `kind/name -n namespace` (for example `deployment/web -n shop`); leave it out if the \
                               finding is about no single object.";

/// The tool as the guard knows it: it has no action, so it can change nothing.
pub fn guard_tool() -> Result<Tool, Invalid> {
    Ok(Tool::new(ToolName::parse(NAME)?, Vec::new(), false))
}

/// The schema of its arguments: one for all runs.
pub fn schema() -> Option<&'static Schema> {
    static SCHEMA: LazyLock<Option<Schema>> = LazyLock::new(|| compiled().ok());
    SCHEMA.as_ref()
}

fn compiled() -> Result<Schema, InvalidSchema> {
    Schema::load(json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["severity", "message"],
        "properties": {
            "severity": { "type": "string", "enum": ["info", "warning", "critical"] },
            "resource": { "type": "string", "minLength": 1, "maxLength": 512 },
            "message": { "type": "string", "minLength": 1, "maxLength": 1024 },
        },
    }))
}

/// From arguments that passed the schema.
pub fn parse(arguments: &Value) -> Result<Finding, Invalid> {
    let text = |key: &str| arguments.get(key).and_then(Value::as_str);
    let severity = match text("severity") {
        Some("info") => Severity::Info,
        Some("warning") => Severity::Warning,
        Some("critical") => Severity::Critical,
        other => return Err(Invalid::new("severity", other.unwrap_or_default(), "`info`, `warning` or `critical`")),
    };
    let message = text("message").unwrap_or_default();
    if message.is_empty() || message.len() > Finding::MAX_MESSAGE {
        return Err(Invalid::new("message", message, "1 to 1024 bytes"));
    }
    Ok(Finding { severity, about: text("resource").map(object).transpose()?, message: message.to_owned() })
}

/// `deployment/web -n shop`, `node/worker-1`.
fn object(input: &str) -> Result<ObjectRef, Invalid> {
    let bad = || Invalid::new("resource", input, "`kind/name -n namespace`, such as `deployment/web -n shop`, or no `resource` at all");
    let words: Vec<&str> = input.split_whitespace().collect();
    let (object, namespace) = match words.as_slice() {
        [object] => (*object, None),
        [object, "-n", namespace] => (*object, Some(Namespace::parse(namespace)?)),
        _ => return Err(bad()),
    };
    let (kind, name) = object.split_once('/').ok_or_else(bad)?;
    let kind = Readable::new(GroupResource::parse(kind)?)?;
    Ok(ObjectRef { kind: ResourceType { kind, version: None }, namespace, name: ObjectName::parse(name)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_an_object_as_kubectl_does() {
        for (resource, written) in [
            ("deployment/web -n shop", "deployment/web -n shop"),
            ("deploy/web  -n  shop", "deployment/web -n shop"),
            ("node/worker-1", "node/worker-1"),
            ("clusters.postgresql.cnpg.io/db -n shop", "clusters.postgresql.cnpg.io/db -n shop"),
        ] {
            let finding = parse(&json!({ "severity": "warning", "resource": resource, "message": "m" })).unwrap();
            assert_eq!(finding.about.unwrap().to_string(), written);
        }
        assert_eq!(parse(&json!({ "severity": "info", "message": "m" })).unwrap().about, None);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for resource in
            ["web", "secret/x -n shop", "deployment/web shop", "deployment/../x -n shop", "deployment/web -n Shop", "a/b -n c d"]
        {
            assert!(parse(&json!({ "severity": "info", "resource": resource, "message": "m" })).is_err(), "{resource}");
        }
        assert!(parse(&json!({ "severity": "loud", "message": "m" })).is_err());
        let wide = "é".repeat(600);
        assert!(parse(&json!({ "severity": "info", "message": wide })).is_err(), "600 characters, but 1200 bytes");
    }

    #[test]
    fn the_schema_is_one_that_skills_could_have() {
        let schema = schema().unwrap();
        assert!(schema.check(&json!({ "severity": "info", "message": "m" })).is_ok());
        for arguments in
            [json!({ "severity": "info" }), json!({ "severity": 1, "message": "m" }), json!({ "severity": "info", "message": "m", "x": 1 })]
        {
            assert!(schema.check(&arguments).is_err(), "{arguments}");
        }
    }
}
