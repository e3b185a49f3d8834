//! The action sheet, as far as a compiler needs it: which actions there are, and which verbs each declares.
//!
//! Parsed once, here, from the wire form in [`wire`]; what follows only sees typed values. The host parses the same file again, in full, and its word
//! counts; this parser is strict so that mistakes show where they are made.

mod kinds;
mod pattern;
#[cfg(test)]
mod tests;
mod verb;
mod wire;

use std::collections::BTreeMap;

pub(crate) use verb::Verb;

/// What a skill asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Sheet {
    pub(crate) state: bool,
    pub(crate) actions: Vec<Action>,
}

/// One declared action.
#[derive(Debug, PartialEq)]
pub(crate) struct Action {
    pub(crate) id: String,
    /// The id in UpperCamelCase: the name of the generated type.
    pub(crate) type_name: String,
    pub(crate) description: String,
    pub(crate) verbs: Vec<Verb>,
    pub(crate) scope: Scope,
}

/// Where the verbs may be used. Empty lists mean what the wire form left out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scope {
    pub(crate) resources: Vec<String>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) replicas: Option<(u32, u32)>,
    pub(crate) endpoints: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) server: Option<String>,
    pub(crate) tools: Vec<String>,
}

impl Sheet {
    /// Parses the text of `actions.yaml`. Errors name the key or the action.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let sheet: wire::Sheet = serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut actions = Vec::with_capacity(sheet.actions.len());
        for wire in sheet.actions {
            let id = wire.id.clone();
            let action = wire.parse().map_err(|error| format!("action `{id}`: {error}"))?;
            if let Some(other) = names.insert(action.type_name.clone(), id.clone()) {
                return Err(if other == id {
                    format!("action `{id}` is declared twice")
                } else {
                    format!("actions `{other}` and `{id}` differ too little: both would be the type `{}`", action.type_name)
                });
            }
            actions.push(action);
        }
        Ok(Self { state: sheet.state, actions })
    }

    /// The declared actions, as a message to an author who wrote something else.
    pub(crate) fn declared(&self) -> String {
        if self.actions.is_empty() {
            return "it declares no actions".to_owned();
        }
        let list: Vec<String> = self.actions.iter().map(|action| format!("  {}  (id `{}`)", action.type_name, action.id)).collect();
        format!("it declares:\n{}", list.join("\n"))
    }
}

/// `restart-deployment` -> `RestartDeployment`. Ids are lower-case words joined by `-`, as Kubernetes names are.
fn type_name(id: &str) -> Result<String, String> {
    let mut name = String::with_capacity(id.len());
    for word in id.split('-') {
        let mut letters = word.chars();
        let first = letters.next().ok_or("an id is words of a-z and 0-9 joined by single `-`, like `restart-deployment`")?;
        if !word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            return Err("an id is words of a-z and 0-9 joined by single `-`, like `restart-deployment`".to_owned());
        }
        name.push(first.to_ascii_uppercase());
        name.extend(letters);
    }
    if id.len() > 63 {
        return Err("an id has at most 63 characters".to_owned());
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) || name == "Self" {
        return Err("an id begins with a letter and is not `self`".to_owned());
    }
    Ok(name)
}
