//! The string form of the original release: `tool: kubectl.rollout`, `targetPattern: "kubectl.rollout restart deployment/*"`. It is parsed as the agent's lists
//! are, and becomes the same typed target. A text that cannot mean anything is an error, never an inert entry.

use infraagent_guard::{
    name::{EndpointName, GroupResource},
    pattern::Glob,
    policy::{HttpGrant, McpGrant, Method, Verb},
};

use super::resolve::{KubernetesTarget, Target, check_kubernetes, escape, is_cluster_scoped, text};
use crate::notation::Entry;

pub(super) fn parse(tool: &str, pattern: Option<&str>, target_pattern: Option<&str>) -> Result<Target, String> {
    let written = match (pattern, target_pattern) {
        (Some(_), Some(_)) => return Err("`pattern` and `targetPattern` are two names of one thing: keep one".to_owned()),
        (Some(written), None) | (None, Some(written)) => written,
        (None, None) => tool,
    };
    let rest = written
        .strip_prefix(tool)
        .filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        .ok_or_else(|| format!("the pattern `{}` does not begin with its tool `{}`", escape(written), escape(tool)))?;
    match tool.split_once('.') {
        Some(("kubectl" | "gitops", _)) => kubernetes(written, tool),
        Some(("http", method)) => http(method, rest.trim()),
        Some(("mcp", name)) if rest.trim().is_empty() => mcp(name),
        _ => Err(unknown(tool)),
    }
}

fn kubernetes(written: &str, tool: &str) -> Result<Target, String> {
    let entry = Entry::parse(written).map_err(text)?;
    if entry.verbs().is_empty() || !entry.is_effective() {
        return Err(unknown(written));
    }
    let Some((kind, name, namespace, replicas)) = entry.kubernetes_target() else {
        return Err(format!("`{}` names no kind: write one, such as `deployment/*`, or use the form with `kubernetes`", escape(written)));
    };
    if entry.verbs().contains(&Verb::Cordon) {
        return Err(
            "drain and cordon cannot say which nodes: write `kubernetes: { verb: cordon, nodes: { matchLabels: {...} } }`".to_owned()
        );
    }
    if entry.verbs().contains(&Verb::Scale) && replicas.is_none() {
        return Err(
            "`kubectl.scale` cannot say how far: add `--replicas=N`, or write `kubernetes: { verb: scale, ..., replicas: { min, max } }`"
                .to_owned(),
        );
    }
    let mut kinds = vec![kind.clone()];
    if tool == "kubectl.describe" && !is_cluster_scoped(kind) {
        let events = GroupResource::new("", "events").map_err(text)?;
        if events != *kind {
            kinds.push(events);
        }
    }
    // Without `-n` it means every namespace of the environment.
    let namespaces = match namespace {
        Some(namespace) => vec![namespace.as_str().to_owned()],
        None if is_cluster_scoped(kind) => Vec::new(),
        None => vec!["*".to_owned()],
    };
    let target = KubernetesTarget {
        verbs: entry.verbs().to_vec(),
        kinds,
        namespaces,
        names: name.filter(|glob| !glob.is_any()).cloned().into_iter().collect(),
        replicas: replicas.map(|count| (count, count)),
        nodes: Vec::new(),
    };
    check_kubernetes(&target, false)?;
    Ok(Target::Kubernetes(target))
}

fn http(method: &str, path: &str) -> Result<Target, String> {
    let method = Method::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(method)).ok_or_else(|| unknown(method))?;
    let path = match path {
        "" | "*" => "/**".to_owned(),
        path if path.starts_with('/') || path.starts_with('*') => crossing(path),
        url => {
            return Err(format!(
                "`{}` is not a path: a sheet names endpoints of the environment, never URLs: write `http: {{ endpoints, methods, paths }}`",
                escape(url)
            ));
        }
    };
    let (any, path) = (Glob::parse("*").map_err(text)?, Glob::parse(&path).map_err(text)?);
    Ok(Target::Http(HttpGrant { endpoints: vec![any], methods: vec![method], paths: vec![path] }))
}

/// Here `*` crosses `/`, as it did in the original.
fn crossing(path: &str) -> String {
    let mut wide = String::new();
    for c in path.chars() {
        match c {
            '*' if wide.ends_with("**") => {}
            '*' => wide.push_str("**"),
            c => wide.push(c),
        }
    }
    wide
}

fn mcp(name: &str) -> Result<Target, String> {
    let (server, tool) = name.split_once('.').ok_or_else(|| format!("write `mcp.<server>.<tool>`, not `mcp.{}`", escape(name)))?;
    let tools = vec![Glob::parse(tool).map_err(text)?];
    Ok(Target::Mcp(McpGrant { server: EndpointName::parse(server).map_err(text)?, tools }))
}

fn unknown(written: &str) -> String {
    format!(
        "`{}` can mean nothing: there are kubectl.get, describe, logs, top, wait, delete, scale, evict, rollout, gitops.sync, http.<method> and mcp.<server>.<tool>",
        escape(written)
    )
}
