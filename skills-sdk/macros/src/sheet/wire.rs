//! The wire form of the sheet, and its translation into typed values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::verb::{Tier, Verb};
use super::{Action, Scope, pattern, type_name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Sheet {
    #[serde(default)]
    pub(super) state: bool,
    pub(super) actions: Vec<WireAction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct WireAction {
    pub(super) id: String,
    description: Option<String>,
    tier: Option<Tier>,
    cooldown: Option<String>,
    #[serde(default)]
    pre_conditions: Vec<PreCondition>,
    #[serde(default, rename = "dataImpact")]
    _data_impact: DataImpact,
    rollback: Option<Rollback>,
    kubernetes: Option<Kubernetes>,
    http: Option<Http>,
    mcp: Option<Mcp>,
    tool: Option<String>,
    pattern: Option<String>,
    target_pattern: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreCondition {
    cel: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DataImpact {
    #[default]
    None,
    Possible,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    description: String,
    #[serde(default)]
    automatic: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kubernetes {
    verb: OneOrMany,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    namespaces: Vec<String>,
    replicas: Option<Replicas>,
    nodes: Option<Nodes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    min: u32,
    max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Nodes {
    match_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    endpoints: Vec<String>,
    methods: Vec<Method>,
    paths: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mcp {
    server: String,
    tools: Vec<String>,
}

impl WireAction {
    /// Checks the whole action and keeps what the compiler needs.
    pub(super) fn parse(self) -> Result<Action, String> {
        let type_name = type_name(&self.id)?;
        if let Some(cooldown) = &self.cooldown {
            duration(cooldown)?;
        }
        for PreCondition { cel, message } in &self.pre_conditions {
            if cel.trim().is_empty() || message.trim().is_empty() {
                return Err("a pre-condition needs `cel` and `message`".to_owned());
            }
        }
        if let Some(Rollback { description, automatic }) = &self.rollback {
            if *automatic {
                return Err("`rollback.automatic: true` is not possible: a rollback is a decision of its own".to_owned());
            }
            if description.trim().is_empty() {
                return Err("`rollback` needs a `description`".to_owned());
            }
        }
        if self.tool.is_none() && (self.pattern.is_some() || self.target_pattern.is_some()) {
            return Err("`pattern` and `targetPattern` belong to the form with `tool`".to_owned());
        }
        let (verbs, scope) = match (self.kubernetes, self.http, self.mcp, self.tool) {
            (Some(target), None, None, None) => target.parse()?,
            (None, Some(target), None, None) => target.parse()?,
            (None, None, Some(target), None) => target.parse()?,
            (None, None, None, Some(tool)) => {
                let pattern = match (self.pattern, self.target_pattern) {
                    (Some(_), Some(_)) => return Err("`pattern` and `targetPattern` are two names of one thing: keep one".to_owned()),
                    (pattern, None) => pattern,
                    (None, target) => target,
                };
                (pattern::verbs(&tool, pattern.as_deref())?, Scope::default())
            }
            _ => return Err("give exactly one target: `kubernetes`, `http`, `mcp` or `tool`".to_owned()),
        };
        let lowest = verbs.iter().filter_map(|verb| verb.tier()).max();
        if let (Some(tier), Some(lowest)) = (self.tier, lowest)
            && tier < lowest
        {
            return Err("`tier` may raise what the verb has, never lower it".to_owned());
        }
        Ok(Action { id: self.id, type_name, description: self.description.unwrap_or_default(), verbs, scope })
    }
}

impl Kubernetes {
    fn parse(self) -> Result<(Vec<Verb>, Scope), String> {
        let words = match self.verb {
            OneOrMany::One(word) => vec![word],
            OneOrMany::Many(words) => words,
        };
        let mut verbs = Vec::new();
        for word in &words {
            verbs.extend_from_slice(Verb::kubernetes(word)?);
        }
        if verbs.is_empty() {
            return Err("`verb` is empty".to_owned());
        }
        verbs.sort_unstable();
        verbs.dedup();
        if self.resources.iter().any(|resource| resource.contains('*')) {
            return Err("`resources` are listed one by one (`pods`, `deployments.apps`); there is no `*`".to_owned());
        }
        let cordons = verbs.contains(&Verb::Cordon);
        if self.resources.is_empty() && verbs.iter().any(|verb| !matches!(verb, Verb::Cordon | Verb::Evict | Verb::Logs)) {
            return Err("`resources` is missing: list them as RBAC does, like `[pods, deployments.apps]`".to_owned());
        }
        let replicas = match (self.replicas, verbs.contains(&Verb::Scale)) {
            (Some(Replicas { min, max }), true) if min <= max => Some((min, max)),
            (Some(_), true) => return Err("`replicas.min` is greater than `replicas.max`".to_owned()),
            (None, true) => return Err("`scale` needs `replicas: { min, max }`".to_owned()),
            (Some(_), false) => return Err("`replicas` belongs to the verb `scale`".to_owned()),
            (None, false) => None,
        };
        if cordons && self.nodes.as_ref().is_none_or(|nodes| nodes.match_labels.is_empty()) {
            return Err("`cordon` needs `nodes: { matchLabels: {...} }`".to_owned());
        }
        Ok((verbs, Scope { resources: self.resources, namespaces: self.namespaces, replicas, ..Scope::default() }))
    }
}

impl Http {
    fn parse(self) -> Result<(Vec<Verb>, Scope), String> {
        if self.endpoints.is_empty() || self.methods.is_empty() || self.paths.is_empty() {
            return Err("`http` needs `endpoints`, `methods` and `paths`, none of them empty".to_owned());
        }
        let mut verbs: Vec<Verb> = self.methods.iter().map(|method| method.verb()).collect();
        verbs.sort_unstable();
        verbs.dedup();
        let methods = self.methods.iter().map(|method| method.name().to_owned()).collect();
        Ok((verbs, Scope { endpoints: self.endpoints, methods, ..Scope::default() }))
    }
}

impl Mcp {
    /// Whether a tool reads or changes something is for the environment to say, so the action declares both verbs.
    fn parse(self) -> Result<(Vec<Verb>, Scope), String> {
        if self.server.is_empty() || self.tools.is_empty() {
            return Err("`mcp` needs a `server` and at least one of its `tools`".to_owned());
        }
        Ok((vec![Verb::McpRead, Verb::McpMutation], Scope { server: Some(self.server), tools: self.tools, ..Scope::default() }))
    }
}

impl Method {
    fn verb(self) -> Verb {
        match self {
            Self::Get | Self::Head => Verb::HttpRead,
            Self::Post | Self::Put | Self::Patch => Verb::HttpMutation,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// Durations as Go writes them: `90s`, `5m`, `1h30m`. A day has no unit there, so `1d` is an error instead of nothing.
fn duration(text: &str) -> Result<(), String> {
    let fail = || format!("`cooldown: {text}` is not a duration; write it like `90s`, `5m` or `1h30m`");
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|&at| at > 0).ok_or_else(fail)?;
        let (_, tail) = rest.split_at(digits);
        let unit = ["ms", "h", "m", "s"].into_iter().find(|unit| tail.starts_with(unit)).ok_or_else(fail)?;
        rest = tail.strip_prefix(unit).ok_or_else(fail)?;
    }
    if text.is_empty() { Err(fail()) } else { Ok(()) }
}
