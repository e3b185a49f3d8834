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
        "kubectl" | "gitops" => {
            let verbs = cluster(tool, name, rest)?;
            let target =
                if name == "rollout" { rest.trim_start().split_once(char::is_whitespace).map_or("", |(_, target)| target) } else { rest };
            check_target(tool, name, target)?;
            Ok(verbs)
        }
        "http" => match name {
            _ if !rest.trim().is_empty() && !rest.trim().starts_with(['/', '*']) => Err(format!(
                "`{}` is not a path: a sheet names endpoints of the environment, never URLs: write `http: {{ endpoints, methods, paths }}`",
                rest.trim()
            )),
            "get" | "head" => Ok(vec![Verb::HttpRead]),
            "post" | "put" | "patch" => Ok(vec![Verb::HttpMutation]),
            _ => Err(format!("`{tool}` can mean nothing: there are http.get, http.head, http.post, http.put, http.patch")),
        },
        "mcp" if rest.trim().is_empty() && name.split_once('.').is_some_and(|(server, tool)| !server.is_empty() && !tool.is_empty()) => {
            Ok(vec![Verb::McpRead, Verb::McpMutation])
        }
        "mcp" => Err(format!("`{tool}` can mean nothing: write `mcp.<server>.<tool>`")),
        _ => Err(unknown(tool)),
    }
}

/// A sheet names a kind; whether its verbs can be used on it is for the host to say.
fn check_target(tool: &str, name: &str, target: &str) -> Result<(), String> {
    let mut words = target.split_whitespace();
    let (mut positional, mut replicas) = (Vec::new(), false);
    while let Some(word) = words.next() {
        match word {
            "-n" | "--namespace" => {
                words.next().ok_or_else(|| format!("`{tool}`: `-n` needs a namespace"))?;
            }
            word if word.starts_with("--namespace=") => {}
            word if word.starts_with("--replicas=") => replicas = true,
            word if word.starts_with('-') => return Err(format!("`{tool}` has no option `{word}`")),
            word => positional.push(word),
        }
    }
    // After `logs` and `evict` a lone word is a pod.
    let lone_is_name = matches!(name, "logs" | "evict");
    let kind = positional.first().map(|word| word.split('/').next().unwrap_or_default());
    if positional.len() > 2 || kind.is_none_or(|kind| kind.is_empty() || (kind.contains('*') && !(lone_is_name && positional != ["*"]))) {
        return Err(format!("`{tool}` names no kind: write one, such as `deployment/*`, or use the form with `kubernetes`"));
    }
    if name == "scale" && !replicas {
        return Err(format!(
            "`{tool}` cannot say how far: add `--replicas=N`, or write `kubernetes: {{ verb: scale, ..., replicas: {{ min, max }} }}`"
        ));
    }
    Ok(())
}

fn cluster(tool: &str, name: &str, rest: &str) -> Result<Vec<Verb>, String> {
    if tool.starts_with("gitops.") {
        return if name == "sync" { Ok(vec![Verb::RequestSync]) } else { Err(unknown(tool)) };
    }
    Ok(match name {
        "get" => vec![Verb::Get, Verb::List, Verb::Wait],
        "describe" | "top" => vec![Verb::Get, Verb::List, Verb::Wait],
        "wait" => vec![Verb::Wait],
        "evict" => vec![Verb::Evict],
        "scale" => vec![Verb::Scale],
        "logs" => vec![Verb::Logs],
        "delete" => vec![Verb::Delete],
        "drain" | "cordon" | "uncordon" => {
            return Err(
                "drain and cordon cannot say which nodes: write `kubernetes: { verb: cordon, nodes: { matchLabels: {...} } }`".to_owned()
            );
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
        "`tool: {tool}` can mean nothing: there are kubectl.get, describe, logs, top, wait, delete, scale, evict, rollout, gitops.sync, http.<method>, mcp.<server>.<tool>"
    )
}
