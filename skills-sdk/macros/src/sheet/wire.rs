//! The wire form of the sheet, and its translation into typed values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::verb::{Tier, Verb};
use super::{Action, Scope, kinds, pattern, type_name};

/// The most pre-conditions of one action.
const MAX_PRECONDITIONS: usize = 8;
/// The longest text, in bytes.
const MAX_TEXT: usize = 1024;
/// The most entries of one list.
const MAX_LIST: usize = 64;
/// Seven days.
const MAX_COOLDOWN_SECONDS: f64 = 604_800.0;

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
    #[serde(default)]
    names: Vec<String>,
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
            if !is_text(cel) || !is_text(message) {
                return Err(format!("a pre-condition needs `cel` and `message`, at most {MAX_TEXT} bytes each"));
            }
        }
        if let Some(Rollback { description, automatic }) = &self.rollback {
            if *automatic {
                return Err("`rollback.automatic: true` is not possible: a rollback is a decision of its own".to_owned());
            }
            if !is_text(description) {
                return Err(format!("`rollback` needs a `description` of at most {MAX_TEXT} bytes"));
            }
        }
        if self.description.as_ref().is_some_and(|description| description.len() > MAX_TEXT) {
            return Err(format!("`description` is longer than {MAX_TEXT} bytes"));
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
        let changes = verbs.iter().any(|verb| !matches!(verb.tier(), Some(Tier::Read)) && *verb != Verb::HttpRead);
        if self.cooldown.is_some() && !changes {
            return Err("`cooldown` belongs to an action that changes something".to_owned());
        }
        let changes_an_object = verbs.iter().any(|verb| verb.tier().is_some_and(|tier| tier > Tier::Read));
        if !self.pre_conditions.is_empty() && !changes_an_object {
            return Err("`preConditions` look at the object that is changed: they belong to a mutating `kubernetes` action".to_owned());
        }
        if self.pre_conditions.len() > MAX_PRECONDITIONS {
            return Err(format!("more than {MAX_PRECONDITIONS} pre-conditions"));
        }
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
        if self.resources.len().max(self.namespaces.len()).max(self.names.len()) > MAX_LIST {
            return Err(format!("a list has more than {MAX_LIST} entries"));
        }
        if let Some(bad) = self.names.iter().find(|name| !is_glob(name)) {
            return Err(format!("`names` takes names with `*`, such as `web-*`: `{bad}` is none"));
        }
        kinds::check(&verbs, &self.resources, &self.namespaces)?;
        let replicas = match (self.replicas, verbs.contains(&Verb::Scale)) {
            (Some(Replicas { min, max }), true) if min <= max => Some((min, max)),
            (Some(_), true) => return Err("`replicas.min` is greater than `replicas.max`".to_owned()),
            (None, true) => return Err("`scale` needs `replicas: { min, max }`".to_owned()),
            (Some(_), false) => return Err("`replicas` belongs to the verb `scale`".to_owned()),
            (None, false) => None,
        };
        match (self.nodes, verbs.contains(&Verb::Cordon)) {
            (Some(nodes), true) if !nodes.match_labels.is_empty() => {}
            (_, true) => return Err("`cordon` needs `nodes: { matchLabels: {...} }`".to_owned()),
            (Some(_), false) => return Err("`nodes` belongs to the verb `cordon`".to_owned()),
            (None, false) => {}
        }
        Ok((verbs, Scope { resources: self.resources, namespaces: self.namespaces, replicas, ..Scope::default() }))
    }
}

impl Http {
    fn parse(self) -> Result<(Vec<Verb>, Scope), String> {
        if self.endpoints.is_empty() || self.methods.is_empty() || self.paths.is_empty() {
            return Err("`http` needs `endpoints`, `methods` and `paths`, none of them empty".to_owned());
        }
        if self.endpoints.len().max(self.paths.len()).max(self.methods.len()) > MAX_LIST {
            return Err(format!("a list has more than {MAX_LIST} entries"));
        }
        if let Some(bad) = self.paths.iter().find(|path| !is_glob(path) || !(path.starts_with('/') || *path == "*" || *path == "**")) {
            return Err(format!("`{bad}` is not a path: it begins with `/`, and `/**` is everything"));
        }
        if let Some(bad) = self.endpoints.iter().find(|endpoint| !is_glob(endpoint)) {
            return Err(format!("`{bad}` is not the name of an endpoint"));
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
        if !is_label(&self.server) || self.tools.is_empty() || self.tools.len() > MAX_LIST || !self.tools.iter().all(|tool| is_glob(tool)) {
            return Err(format!("`mcp` needs the name of a `server` and 1 to {MAX_LIST} of its `tools`"));
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

/// Texts for people are not empty, and short.
fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_TEXT
}

fn is_glob(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Durations as Go writes them: `90s`, `5m`, `1h30m`, `1.5h`. A day has no unit there, so `1d` is an error instead of nothing.
fn duration(text: &str) -> Result<(), String> {
    let fail = || format!("`cooldown: {text}` is not a duration of at most 168h; write it like `90s`, `5m` or `1h30m` (a day is `24h`)");
    let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|&at| at > 0).ok_or_else(fail)?;
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let short = |digits: &str| (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !short(whole) || !short(fraction) {
            return Err(fail());
        }
        let (after, unit) = units.iter().find_map(|(name, unit)| tail.strip_prefix(name).map(|after| (after, unit))).ok_or_else(fail)?;
        seconds += number.parse::<f64>().map_err(|_| fail())? * unit;
        rest = after;
    }
    if seconds > 0.0 && seconds <= MAX_COOLDOWN_SECONDS { Ok(()) } else { Err(fail()) }
}
