//! Reads what a run on the command line is made of: documents, from YAML files (here) or from a cluster ([`cluster`]), Secrets ([`secrets`]) and skill
//! components. What many runs read at the same time is read once ([`recent`]).
//!
//! Strict, since no API server looked at these files: an unknown field, a wrong type or a value out of range is named with its file and
//! path, and nothing is guessed. Kinds are found by `kind`, wherever they are; other kinds of a file are left alone, so one file may hold a
//! whole installation.
//!
//! Policies given on the command line hold, whatever namespaces they select: it can only make a run stricter or let it do what the person at
//! the keyboard wrote down.

pub mod cluster;
pub mod recent;
pub mod secrets;

use std::{
    fs,
    path::{Path, PathBuf},
};

use infraagent_api::{AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig, check};
use kube::{CustomResourceExt, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use crate::skill::source::Component;
use crate::skill::source::Unusable;

/// The largest file of documents.
const MAX_DOCUMENTS: u64 = 4 << 20;

/// Which files.
#[derive(Debug, Clone)]
pub struct Paths {
    /// With the InfraAgent.
    pub agent: PathBuf,
    /// With the AgentEnvironment.
    pub environment: PathBuf,
    /// With the ModelTierConfig.
    pub models: PathBuf,
    /// With InfraAgentPolicies.
    pub policy: Option<PathBuf>,
    /// Components.
    pub skills: Vec<PathBuf>,
}

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The agent.
    pub agent: InfraAgent,
    /// The environment that it names.
    pub environment: AgentEnvironment,
    /// Which models there are.
    pub models: Vec<ModelTierConfig>,
    /// The platform's policies.
    pub policies: Vec<InfraAgentPolicy>,
    /// The skills that it names, in its order.
    pub components: Vec<Component>,
}

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large.
    #[error("`{path}` has {bytes} bytes: a file of documents may have {MAX_DOCUMENTS}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large.
        bytes: u64,
    },
    /// A file is no YAML.
    #[error("`{path}` is not valid YAML: {message}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A document does not have the shape of its kind.
    #[error("`{path}`, {kind} `{name}`:\n  {}", .problems.join("\n  "))]
    Document {
        /// The file.
        path: PathBuf,
        /// The kind.
        kind: String,
        /// Its name, or `?`.
        name: String,
        /// What is wrong, with paths.
        problems: Vec<String>,
    },
    /// No document of a kind.
    #[error("`{path}` has no {kind}: {hint}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The kind.
        kind: String,
        /// What to do.
        hint: String,
    },
    /// Too many documents of a kind.
    #[error("`{path}` has {count} documents of kind {kind} ({names}): leave exactly one")]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The kind.
        kind: String,
        /// How many.
        count: usize,
        /// Their names.
        names: String,
    },
    /// The agent names something that was not given.
    #[error("InfraAgent `{agent}`, `{field}`: {message}")]
    Reference {
        /// The agent.
        agent: String,
        /// The field.
        field: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A file is no skill.
    #[error(transparent)]
    Skill(#[from] Unusable),
}

/// Reads all files and follows the agent's references.
pub fn dereference(paths: &Paths) -> Result<Documents, Error> {
    let Paths { agent, environment, models, policy, skills } = paths;
    let (agent_path, agent) = (agent, exactly_one::<InfraAgent>(agent)?);
    let name = agent.metadata.name.clone().unwrap_or_default();
    let environment = find_environment(environment, &agent, &name)?;
    let models = at_least_one::<ModelTierConfig>(models, "add one that maps the agent's tier to a provider and a model")?;
    let policies = match policy {
        Some(path) => at_least_one::<InfraAgentPolicy>(path, "add one, or leave --policy out (the agent then only observes)")?,
        None => Vec::new(),
    };
    let components = components(&agent, skills, &format!("in `{}`", agent_path.display()))?;
    Ok(Documents { agent, environment, models, policies, components })
}

/// The components of the skills that the agent names, in its order. `place`: where the agent was found.
pub fn components(agent: &InfraAgent, skills: &[PathBuf], place: &str) -> Result<Vec<Component>, Error> {
    let name = agent.metadata.name.clone().unwrap_or_default();
    let mut given = skills.iter().map(|path| Component::read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut components = Vec::new();
    for (index, skill) in agent.spec.skills.iter().enumerate() {
        let reference = |message: String| Error::Reference { agent: name.clone(), field: format!("spec.skills[{index}].name"), message };
        let matching: Vec<usize> =
            given.iter().enumerate().filter(|(_, component)| component.manifest.name == skill.name).map(|(at, _)| at).collect();
        match matching.as_slice() {
            [at] => components.push(given.swap_remove(*at)),
            [] => {
                let have: Vec<_> = given.iter().map(|component| format!("`{}` ({})", component.manifest.name, component.shown)).collect();
                let have = if have.is_empty() { "none is left".to_owned() } else { format!("there is {}", have.join(", ")) };
                return Err(reference(format!("no component of skill `{}` was given ({have}): add --skill FILE", skill.name)));
            }
            [_, _, ..] => {
                return Err(reference(format!("more than one component of skill `{}` was given: leave one --skill out", skill.name)));
            }
        }
    }
    if let Some(extra) = given.first() {
        return Err(Error::Reference {
            agent: name,
            field: "spec.skills".to_owned(),
            message: format!(
                "`{}` is skill `{}`, which the agent {place} does not use: add it to the agent, or leave --skill {0} out",
                extra.shown, extra.manifest.name,
            ),
        });
    }
    Ok(components)
}

fn find_environment(path: &Path, agent: &InfraAgent, agent_name: &str) -> Result<AgentEnvironment, Error> {
    let mut all = at_least_one::<AgentEnvironment>(path, "add the one that the agent's `spec.environmentRef` names")?;
    let namespace = |meta: &infraagent_api::ObjectMeta| meta.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let wanted = (namespace(&agent.metadata), agent.spec.environment_ref.clone());
    let key = |environment: &AgentEnvironment| (namespace(&environment.metadata), environment.metadata.name.clone().unwrap_or_default());
    match all.iter().position(|environment| key(environment) == wanted) {
        Some(at) => Ok(all.swap_remove(at)),
        None => {
            let have: Vec<_> = all.iter().map(key).map(|(namespace, name)| format!("`{namespace}/{name}`")).collect();
            Err(Error::Reference {
                agent: agent_name.to_owned(),
                field: "spec.environmentRef".to_owned(),
                message: format!(
                    "`{}/{}` is not in `{}`, which has {}: correct the reference, or give another --environment",
                    wanted.0,
                    wanted.1,
                    path.display(),
                    have.join(", ")
                ),
            })
        }
    }
}

fn exactly_one<K: CustomResourceExt + Resource<DynamicType = ()> + DeserializeOwned>(path: &Path) -> Result<K, Error> {
    let kind = K::kind(&()).into_owned();
    let mut all = at_least_one::<K>(path, "give the file that has it")?;
    match (all.len(), all.pop()) {
        (1, Some(only)) => Ok(only),
        (count, last) => {
            let names: Vec<_> = all.iter().chain(&last).filter_map(|object| object.meta().name.clone()).collect();
            Err(Error::Ambiguous { path: path.to_owned(), kind, count, names: names.join(", ") })
        }
    }
}

/// All documents of one kind. Each was checked against the definition of its kind.
fn at_least_one<K: CustomResourceExt + Resource<DynamicType = ()> + DeserializeOwned>(path: &Path, hint: &str) -> Result<Vec<K>, Error> {
    let kind = K::kind(&()).into_owned();
    let mut found = Vec::new();
    for document in documents(path)? {
        if document.get("kind").and_then(Value::as_str) != Some(kind.as_str()) {
            continue;
        }
        let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?").to_owned();
        let wrong = |problems| Error::Document { path: path.to_owned(), kind: kind.clone(), name: name.clone(), problems };
        let mut problems: Vec<String> = check::<K>(&document).iter().map(ToString::to_string).collect();
        if name == "?" {
            problems.push("`metadata.name`: is missing".to_owned());
        }
        if !problems.is_empty() {
            return Err(wrong(problems));
        }
        found.push(serde_json::from_value(document).map_err(|error| wrong(vec![error.to_string()]))?);
    }
    if found.is_empty() {
        return Err(Error::Missing { path: path.to_owned(), kind, hint: hint.to_owned() });
    }
    Ok(found)
}

fn documents(path: &Path) -> Result<Vec<Value>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(read)?.len();
    if bytes > MAX_DOCUMENTS {
        return Err(Error::TooLarge { path: path.to_owned(), bytes });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    let all: Vec<Option<Value>> =
        serde_saphyr::from_multiple(&text).map_err(|error| Error::Yaml { path: path.to_owned(), message: error.to_string() })?;
    Ok(all.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
