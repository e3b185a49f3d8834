//! Custom resources and manifests become one [`ValidatedRun`]. The only place where a word of the API gets its meaning for a run.
//!
//! No client, no file, no clock. Every problem is found, not only the first, and each names its document, its field and what to do. What is
//! odd but harmless is a [`Warning`]: the run goes on and says so.
//!
//! Default deny: with no InfraAgentPolicy that sets `maxAutonomy` the ceiling is `observe`; an endpoint's writes and an MCP server's tools
//! are those that the environment lists; the namespaces are those that it names.

pub mod alone;
mod credential;
mod environment;
mod guardrails;
mod model;
mod origin;
mod platform;
mod providers;
mod requirements;
mod skills;
pub mod supported;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use infraagent_api::{
    AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig,
    agent::{EscalationTarget, Observability, OnTimeout, Reporting},
    model_tier::AuthKind,
    names::{self, Mode},
    run::RunInput,
};
use infraagent_guard::{
    call::Severity,
    name::Namespace,
    policy::{Autonomy, Policy, Scope, Tier},
    screen::Circumstances,
};
use infraagent_sandbox::{
    limits as sandbox,
    manifest::{LimitRequest, Manifest},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    broker::{facts::DataResource, http::endpoint::Endpoints},
    llm::{Endpoint, endpoint::Invalid as InvalidEndpoint},
};

use super::{
    budget::{Limits, MAX_ENTRIES, Prices, REPLY_TOKENS},
    freeze::{self, Freeze},
    schema::Schema,
};

/// With the agent's name behind it: its ServiceAccount, if it names none.
pub const SERVICE_ACCOUNT_PREFIX: &str = "infraagent-";

/// Everything that a run is made of, as it was read.
#[derive(Debug)]
pub struct Inputs {
    /// The agent.
    pub agent: InfraAgent,
    /// Its environment.
    pub environment: AgentEnvironment,
    /// Which models there are.
    pub models: Vec<ModelTierConfig>,
    /// The policies of the platform that hold here.
    pub policies: Vec<InfraAgentPolicy>,
    /// The skills' manifests, with the digests of their artifacts.
    pub skills: Vec<SkillInput>,
    /// The cluster: the uid of its `kube-system` namespace, or a snapshot's name.
    pub cluster: String,
    /// The run.
    pub run: RunIdentity,
}

/// The manifest of a skill, and which artifact it was read from.
#[derive(Debug, Clone)]
pub struct SkillInput {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Digest of the artifact.
    pub digest: String,
}

/// Which run this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIdentity {
    /// Name of the AgentRun.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What happened in the world that it was started by.
    pub input: Option<RunInput>,
}

/// A run whose every part has a meaning.
#[derive(Debug)]
pub struct ValidatedRun {
    /// Which run this is.
    pub run: RunIdentity,
    /// Who runs.
    pub agent: Agent,
    /// Where.
    pub site: Site,
    /// Who thinks.
    pub model: Model,
    /// What may be used.
    pub limits: Limits,
    /// What the platform lets a skill use per tool call.
    pub skill_ceilings: SkillCeilings,
    /// The agent's lists as they were written, for the prompt.
    pub lists: Lists,
    /// Who is asked when the agent's autonomy is not enough.
    pub escalation: Option<Escalation>,
    /// What is counted, traced and logged of it.
    pub observability: Observability,
    /// Who is told about what.
    pub reporting: Reporting,
    /// Whether allowed calls are carried out.
    pub mode: Mode,
    /// The skills, sorted by name.
    pub skills: Vec<Skill>,
    /// What should be looked at, although the run goes on.
    pub warnings: Vec<Warning>,
    /// Fields that are set and have no effect yet, as `<Kind> <path>`: condition `Supported=False`.
    pub unsupported: Vec<String>,
    /// What the environment declares as data, for the facts about a change.
    pub declared: Vec<DataResource>,
    /// Its endpoints, as requests reach them.
    pub endpoints: Endpoints,
    policy: Arc<Policy>,
    freezes: Vec<Freeze>,
}

/// Who runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its uid, if it has been in a cluster.
    pub uid: Option<String>,
    /// The ServiceAccount of its namespace whose rights it acts with.
    pub service_account: String,
    /// What it is for.
    pub purpose: String,
    /// Its icon.
    pub emoji: Option<String>,
}

/// The environment, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Namespaces by group; groups without members are left out.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Endpoints by name: base URL, and what may be written (`POST /path`).
    pub endpoints: BTreeMap<String, SiteEndpoint>,
    /// MCP servers and their listed tools.
    pub servers: BTreeMap<String, Vec<String>>,
    /// What holds data, one line each, sorted.
    pub data: Vec<String>,
    /// Age from which a backup counts as missing.
    pub backup_max_age: String,
}

impl Site {
    /// What `site.describe` answers: no secret, and nothing that the prompt does not tell too.
    pub fn describe(&self) -> Value {
        let Self { name, groups, endpoints, servers, data, backup_max_age } = self;
        let endpoints: serde_json::Map<_, _> = endpoints
            .iter()
            .map(|(name, SiteEndpoint { url, health_path, writes, holds_data })| {
                (name.clone(), json!({ "url": url, "healthPath": health_path, "writes": writes, "holdsData": holds_data }))
            })
            .collect();
        json!({
            "name": name, "namespaces": groups, "endpoints": endpoints, "mcpServers": servers, "dataResources": data,
            "backupMaxAge": backup_max_age,
        })
    }
}

/// An endpoint, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteEndpoint {
    /// Its base URL.
    pub url: String,
    /// Path of its health check.
    pub health_path: Option<String>,
    /// What may be written, such as `POST /api/issues (service-mutation)`.
    pub writes: Vec<String>,
    /// It holds data: GET and HEAD only.
    pub holds_data: bool,
}

/// Who thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The class that the agent asks for.
    pub tier: names::ModelTier,
    /// The provider.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// Base URL of the provider's API, if it is not the provider's own.
    pub url: Option<String>,
    /// How requests are authenticated.
    pub auth: ModelAuth,
    /// What it costs, if that is known.
    pub prices: Option<Prices>,
}

impl Model {
    /// `provider/model`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// Where the API key is; None: requests carry none.
    pub fn secret(&self) -> Option<&SecretKey> {
        match &self.auth {
            ModelAuth::Key(secret) => Some(secret),
            ModelAuth::None | ModelAuth::Unsupported(_) => None,
        }
    }

    /// Why it cannot be asked at all, if so.
    pub fn unavailable(&self) -> Option<String> {
        match &self.auth {
            ModelAuth::Unsupported(kind) => {
                Some(format!("`{}` asks for authentication by `{kind}`, which is not supported yet: use `apiKey` or `none`", self.id()))
            }
            ModelAuth::None | ModelAuth::Key(_) => None,
        }
    }

    /// The provider's API, with the key that belongs to it.
    pub fn endpoint(&self, key: Option<SecretString>) -> Result<Endpoint, InvalidEndpoint> {
        Endpoint::new(&self.provider, self.url.as_deref(), key)
    }
}

/// How requests to a model are authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelAuth {
    /// Not at all.
    None,
    /// By a key from a Secret.
    Key(SecretKey),
    /// In a way that does not exist yet, so no request is made: a request without credentials is not what was asked for.
    Unsupported(AuthKind),
}

/// Where a secret value is: in the operator's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    /// Name of the Secret.
    pub secret: String,
    /// Key in it.
    pub key: String,
}

/// What the platform lets a skill use per tool call; None: the host's own ceiling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SkillCeilings {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time.
    pub cpu: Option<Duration>,
    /// Wall-clock time.
    pub wall: Option<Duration>,
}

impl SkillCeilings {
    /// As a cap for the sandbox.
    pub fn caps(&self) -> sandbox::Limits {
        let Self { memory_bytes, cpu, wall } = *self;
        let ceiling = sandbox::Limits::CEILING;
        sandbox::Limits {
            memory: memory_bytes.unwrap_or(ceiling.memory),
            cpu: cpu.unwrap_or(ceiling.cpu),
            wall: wall.unwrap_or(ceiling.wall),
            ..ceiling
        }
    }
}

/// The agent's lists as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// `allowedActions`.
    pub allowed: Vec<String>,
    /// `deniedActions`.
    pub denied: Vec<String>,
}

/// Who is asked when the agent's autonomy is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Who.
    pub target: EscalationTarget,
    /// The channel, if the target is one; it exists.
    pub channel: Option<String>,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// What happens without one.
    pub on_timeout: OnTimeout,
}

/// A skill of the run.
#[derive(Debug)]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub description: String,
    /// What its author tells the model.
    pub instructions: String,
    /// Digest of its artifact.
    pub digest: String,
    /// What it asks for per tool call.
    pub asks: Option<LimitRequest>,
    /// Its tools, sorted by name.
    pub tools: Vec<Tool>,
}

/// A tool of a skill.
#[derive(Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What its arguments must be.
    pub schema: Schema,
    /// Its actions with their descriptions, sorted by id.
    pub actions: Vec<ToolAction>,
    /// The highest tier of its actions; only a tool that only reads runs beside others.
    pub tier: Tier,
}

/// An action of a tool, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAction {
    /// Its id.
    pub id: String,
    /// What it is.
    pub description: String,
    /// How it is taken back, in the author's words.
    pub rollback: Option<String>,
    /// Its tier here.
    pub tier: Tier,
}

/// Something that should be looked at, although the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// One sentence that names the field.
    pub message: String,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningKind {
    /// A guardrail that can match nothing: condition `GuardrailsEffective=False`.
    Guardrail,
    /// The platform bounds something.
    Platform,
    /// Part of a document has no effect here.
    NoEffect,
}

/// Something wrong at one place of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{document}, `{path}`: {message}")]
pub struct Problem {
    /// Kind and name.
    pub document: String,
    /// The field.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Invalid(pub Vec<Problem>);

/// Collects problems and warnings while the steps go on.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Findings {
    fn problem(&mut self, document: &str, path: impl Into<String>, message: impl ToString) {
        self.problems.push(Problem { document: document.to_owned(), path: path.into(), message: message.to_string() });
    }

    fn warn(&mut self, kind: WarningKind, message: impl Into<String>) {
        self.warnings.push(Warning { kind, message: message.into() });
    }

    /// The value, or a problem at this place.
    fn take<T, E: ToString>(&mut self, document: &str, path: impl Into<String>, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(document, path, error)).ok()
    }
}

/// Gives every part its meaning.
pub fn validate(inputs: Inputs) -> Result<ValidatedRun, Invalid> {
    let Inputs { agent, environment, models, policies, skills: manifests, cluster, run } = inputs;
    let mut findings = Findings::default();
    let namespace = agent.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let agent_name = agent.metadata.name.clone().unwrap_or_default();
    let document = format!("InfraAgent `{namespace}/{agent_name}`");
    let home = findings.take(&document, "metadata.namespace", Namespace::parse(&namespace));
    let environment_id = environment.metadata.uid.clone().unwrap_or_else(|| {
        format!(
            "{}/{}",
            environment.metadata.namespace.as_deref().unwrap_or("default"),
            environment.metadata.name.as_deref().unwrap_or_default()
        )
    });

    let platform = platform::merge(&policies, agent.spec.paused, &mut findings);
    let site = environment::resolve(&environment, &platform, &mut findings);
    let model = model::choose(&models, agent.spec.model.tier, &platform, &mut findings);
    providers::check(&models, &site, &mut findings);
    let guards = guardrails::resolve(&document, &agent.spec, &environment.spec, &site, &platform, &mut findings);
    guardrails::check_schedule(&document, &agent.spec, &mut findings);
    requirements::check_sources(&document, &agent.spec, &manifests, &policies, &mut findings);
    requirements::check_capabilities(&document, &agent.spec, &environment, &site, &mut findings);
    let resolved = skills::resolve(manifests, &site, &mut findings);
    let unsupported = supported::unsupported(&agent, &environment, &models);
    let limits = limits(&document, &agent, &platform, model.as_ref().and_then(|(_, reply)| *reply), &mut findings);

    let (Some(home), Some((model, _)), Some(resolved), true) = (home, model, resolved, findings.problems.is_empty()) else {
        return Err(Invalid(findings.problems));
    };
    let revision = revision(&agent, &environment, &policies);
    let policy = Policy {
        revision: revision.into(),
        scope: Arc::new(Scope { cluster, run: run.uid.clone(), environment: environment_id }),
        home: home.clone(),
        autonomy: guards.autonomy,
        sheet: resolved.sheet,
        environment: site.guard,
        denied: guards.denied,
        allowed: guards.allowed,
        platform: platform.guard.clone(),
    };
    Ok(ValidatedRun {
        run,
        agent: Agent {
            service_account: agent.spec.service_account_name.unwrap_or_else(|| format!("{SERVICE_ACCOUNT_PREFIX}{agent_name}")),
            name: agent_name,
            namespace: home,
            uid: agent.metadata.uid,
            purpose: agent.spec.description,
            emoji: agent.spec.emoji,
        },
        site: site.told,
        model,
        limits,
        skill_ceilings: platform.skill_ceilings,
        lists: Lists { allowed: agent.spec.guardrails.allowed_actions, denied: agent.spec.guardrails.denied_actions },
        escalation: guards.escalation,
        observability: agent.spec.observability,
        reporting: agent.spec.reporting,
        mode: agent.spec.mode,
        skills: resolved.skills,
        warnings: findings.warnings,
        unsupported,
        declared: site.declared,
        endpoints: site.endpoints,
        policy: Arc::new(policy),
        freezes: platform.freezes,
    })
}

impl ValidatedRun {
    /// What each call is measured against.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// The freeze window that is open now.
    pub fn freeze(&self, now: Timestamp) -> Option<&str> {
        freeze::open_at(&self.freezes, now).map(Freeze::name)
    }

    /// What a decision may not find out by itself.
    pub fn circumstances(&self, now: Timestamp, entries: u32, egress_bytes: u64, left: Duration) -> Circumstances {
        let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Circumstances { frozen: self.freeze(now).is_some(), entries, egress_bytes, millis }
    }

    /// The autonomy that holds, under the platform's ceiling.
    pub fn effective_autonomy(&self) -> Autonomy {
        self.policy.effective_autonomy()
    }

    /// The tool of this name, and its skill.
    pub fn tool(&self, name: &str) -> Option<(&Skill, &Tool)> {
        self.skills.iter().find_map(|skill| skill.tools.iter().find(|tool| tool.name == name).map(|tool| (skill, tool)))
    }
}

/// What tells the environment from every other: its uid, or its name if it has never been in a cluster.
pub fn environment_id(environment: &AgentEnvironment) -> String {
    let metadata = &environment.metadata;
    metadata.uid.clone().unwrap_or_else(|| {
        format!("{}/{}", metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default())
    })
}

/// The smaller of what the agent asks for and what the platform allows.
fn limits(document: &str, agent: &InfraAgent, platform: &platform::Platform, reply: Option<u32>, findings: &mut Findings) -> Limits {
    let model = &agent.spec.model;
    let wall = model.timeout.as_std();
    if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&wall) {
        findings.problem(
            document,
            "spec.model.timeout",
            format!("must be between 1s and 24h, not `{}`: write for example `120s`", model.timeout),
        );
    }
    let tokens = u64::try_from(model.token_budget).ok().filter(|tokens| (1..=10_000_000).contains(tokens));
    if tokens.is_none() {
        findings.problem(document, "spec.model.tokenBudget", format!("must be between 1 and 10000000, not {}", model.token_budget));
    }
    let turns = u32::try_from(agent.spec.guardrails.max_iterations).ok().filter(|turns| (1..=100).contains(turns));
    if turns.is_none() {
        let message = format!("must be between 1 and 100, not {}", agent.spec.guardrails.max_iterations);
        findings.problem(document, "spec.guardrails.maxIterations", message);
    }
    Limits {
        tokens: tokens.unwrap_or(1).min(platform.tokens.unwrap_or(u64::MAX)),
        turns: turns.unwrap_or(1).min(platform.turns.unwrap_or(u32::MAX)),
        wall: wall.min(platform.wall.unwrap_or(Duration::MAX)),
        entries: MAX_ENTRIES.min(platform.entries.unwrap_or(u32::MAX)),
        reply_tokens: REPLY_TOKENS.min(reply.unwrap_or(u32::MAX)),
    }
}

/// Identifies the versions of all objects that decisions are made against: resourceVersions, or digests where a document has none.
fn revision(agent: &InfraAgent, environment: &AgentEnvironment, policies: &[InfraAgentPolicy]) -> String {
    fn version<K: kube::Resource>(object: &K, spec: &impl serde::Serialize) -> String {
        object.meta().resource_version.clone().unwrap_or_else(|| {
            use sha2::Digest as _;
            let digest = sha2::Sha256::digest(serde_json::to_vec(spec).unwrap_or_default());
            digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
        })
    }
    let mut parts =
        vec![format!("agent={}", version(agent, &agent.spec)), format!("environment={}", version(environment, &environment.spec))];
    let mut policies: Vec<_> = policies.iter().map(|policy| format!("policy={}", version(policy, &policy.spec))).collect();
    policies.sort();
    parts.extend(policies.into_iter().take(8));
    parts.join(" ")
}

/// A word of the API as the guard knows it.
fn autonomy(word: names::Autonomy) -> Autonomy {
    match word {
        names::Autonomy::Observe => Autonomy::Observe,
        names::Autonomy::Recommend => Autonomy::Recommend,
        names::Autonomy::AutomateSafe => Autonomy::AutomateSafe,
        names::Autonomy::AutomateDestructive => Autonomy::AutomateDestructive,
    }
}

/// A word of the guard as the API knows it.
pub fn autonomy_word(level: Autonomy) -> names::Autonomy {
    match level {
        Autonomy::Observe => names::Autonomy::Observe,
        Autonomy::Recommend => names::Autonomy::Recommend,
        Autonomy::AutomateSafe => names::Autonomy::AutomateSafe,
        Autonomy::AutomateDestructive => names::Autonomy::AutomateDestructive,
    }
}

/// A severity of the guard as the API knows it.
pub fn severity_word(severity: Severity) -> names::Severity {
    match severity {
        Severity::Info => names::Severity::Info,
        Severity::Warning => names::Severity::Warning,
        Severity::Critical => names::Severity::Critical,
    }
}

/// A tier of the guard as the API knows it.
pub fn tier_word(tier: Tier) -> names::Tier {
    match tier {
        Tier::Read => names::Tier::Read,
        Tier::ServiceMutation => names::Tier::ServiceMutation,
        Tier::DestructiveMutation => names::Tier::DestructiveMutation,
    }
}

#[cfg(test)]
mod tests;
