//! The string form of the original release: `tool: kubectl.rollout`, `targetPattern: "kubectl.rollout restart deployment/*"`.

use super::Verb;

/// The verbs that such an entry means. One that cannot mean anything is an error.
pub(super) fn verbs(tool: &str, pattern: Option<&str>) -> Result<Vec<Verb>, String> {
    let rest = match pattern {
        None => "",
        Some(pattern) => pattern
            .strip_prefix(tool)
            .filter(|rest| rest.is_empty() || rest.starts_with(' '))
            .ok_or_else(|| format!("the pattern `{pattern}` does not begin with its tool `{tool}`"))?,
    };
    let (system, name) = tool.split_once('.').ok_or_else(|| unknown(tool))?;
    match system {
        "kubectl" => kubectl(tool, name, rest),
        "http" => match name {
            "get" | "head" => Ok(vec![Verb::HttpRead]),
            "post" | "put" | "patch" => Ok(vec![Verb::HttpMutation]),
            _ => Err(format!("`{tool}` can mean nothing: there are http.get, http.head, http.post, http.put, http.patch")),
        },
        "mcp" if name.split_once('.').is_some_and(|(server, tool)| !server.is_empty() && !tool.is_empty()) => {
            Ok(vec![Verb::McpRead, Verb::McpMutation])
        }
        "mcp" => Err(format!("`{tool}` can mean nothing: write `mcp.<server>.<tool>`")),
        _ => Err(unknown(tool)),
    }
}

fn kubectl(tool: &str, name: &str, rest: &str) -> Result<Vec<Verb>, String> {
    Ok(match name {
        "get" => vec![Verb::Get, Verb::List, Verb::Wait],
        "describe" | "top" => vec![Verb::Get, Verb::List],
        "logs" => vec![Verb::Logs],
        "delete" => vec![Verb::Delete],
        "drain" => vec![Verb::Evict, Verb::Cordon],
        "scale" => {
            return Err("`kubectl.scale` cannot say how far; write `kubernetes: { verb: scale, ..., replicas: { min, max } }`".to_owned());
        }
        "rollout" => match rest.split_whitespace().next() {
            Some("restart") => vec![Verb::Restart],
            Some("undo") => vec![Verb::Rollback],
            Some("pause" | "resume") => vec![Verb::Pause],
            Some(other) => return Err(format!("`kubectl.rollout {other}` can mean nothing: there are restart, undo, pause, resume")),
            None => return Err("`kubectl.rollout` needs a pattern like `kubectl.rollout restart deployment/*`".to_owned()),
        },
        _ => return Err(unknown(tool)),
    })
}

fn unknown(tool: &str) -> String {
    format!(
        "`tool: {tool}` can mean nothing: there are kubectl.get, describe, logs, top, delete, drain, rollout, http.<method>, mcp.<server>.<tool>"
    )
}
