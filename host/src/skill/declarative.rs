//! Skills without code: `SKILL.md` and an action sheet. Each action becomes a tool, or one tool for each of its verbs, and each tool is run by the bundled
//! component of its function ([`generic`](super::generic)).
//!
//! Such a skill is as many components as functions of the contract that it uses, each with a manifest of its own that holds the tools and actions of that
//! function. From there on nothing is special: admission, sandbox and door know only components. The whole manifest, with the instructions, is what the agent's
//! prompt, the policy and the record are made of.

mod schema;

use infraagent_guard::policy::Method;
use infraagent_sandbox::manifest::{self, ActionSpec, Manifest, ManifestError, Sheet, SheetTier, Target, ToolDescription};
use sha2::{Digest as _, Sha256};

use super::{
    actions,
    folder::{self, Folder},
    generic::{self, Generic},
    problem::Problem,
};

/// One function that a skill uses, with what of the skill goes through it.
#[derive(Debug)]
pub(super) struct Part {
    /// Its component.
    pub(super) generic: &'static Generic,
    /// The tools and actions of this function.
    manifest: Manifest,
}

/// A tool, and the function that it calls.
struct Made {
    generic: &'static Generic,
    tool: ToolDescription,
}

/// The manifest of a skill without code.
pub fn manifest(folder: &Folder) -> Result<Manifest, folder::Error> {
    let Sheet { state, actions } = &folder.sheet;
    let mut problems = Vec::new();
    if *state {
        problems.push(Problem::in_file(
            actions::FILE,
            "`state: true` needs code that remembers something: remove it, or write the skill in Rust",
        ));
    }
    if actions.is_empty() {
        problems.push(Problem::in_file(actions::FILE, "a skill without code has a tool for each action, and there is none: declare one"));
    }
    let mut tools = Vec::new();
    for action in actions {
        match made(action) {
            Ok(made) => tools.extend(made.into_iter().map(|made| made.tool)),
            Err(message) => problems.push(Problem::in_file(actions::FILE, format!("action `{}`: {message}", action.id.escape_debug()))),
        }
    }
    if problems.is_empty() { folder.manifest(tools) } else { Err(folder::Error::Invalid(problems)) }
}

/// Changes when the manifest does, or the code of a function that it uses.
pub fn digest(manifest: &Manifest) -> String {
    let mut hash = Sha256::new();
    hash.update(manifest.to_canonical_json());
    for part in parts(manifest) {
        hash.update(Sha256::digest(part.generic.component));
    }
    hash.finalize().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// What a skill is made of, by function. Empty for a manifest that [`manifest`] did not make.
pub(super) fn parts(whole: &Manifest) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for action in &whole.sheet.actions {
        for Made { generic, tool } in made(action).unwrap_or_default() {
            let known = parts.iter().position(|part| std::ptr::eq(part.generic, generic));
            let at = known.unwrap_or_else(|| {
                let (tools, sheet) = (Vec::new(), Sheet::default());
                parts.push(Part { generic, manifest: Manifest { instructions: String::new(), tools, sheet, ..whole.clone() } });
                parts.len().saturating_sub(1)
            });
            if let Some(part) = parts.get_mut(at) {
                part.manifest.tools.push(tool);
                part.manifest.sheet.actions.push(action.clone());
            }
        }
    }
    parts
}

impl Part {
    /// The component as it is admitted: the function's code, and this part's manifest.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, ManifestError> {
        manifest::append(self.generic.component, &self.manifest)
    }
}

/// The tools of an action.
fn made(action: &ActionSpec) -> Result<Vec<Made>, String> {
    if action.description.trim().is_empty() {
        return Err("`description` is missing: it tells the model what the tool does".to_owned());
    }
    if action.id.contains("--") {
        return Err("`--` in the id would mean two things in the name of its tool: write `-`".to_owned());
    }
    let target = action.target().map_err(|error| error.problem)?;
    let name = action.id.replace('-', "_");
    let found: Vec<(&Generic, serde_json::Value)> = match &target {
        Target::Kubernetes(target) => {
            let of = |verb| {
                let (interface, function) = manifest::function(verb);
                generic::of(interface, function).map(|generic| (generic, schema::kubernetes(verb, target)))
            };
            target.verbs.iter().copied().filter_map(of).collect()
        }
        Target::Http(grant) => {
            let (reads, writes): (Vec<Method>, Vec<Method>) = grant.methods.iter().partition(|method| method.reads());
            let of = |interface, methods: Vec<Method>| {
                let generic = generic::of(interface, "send").filter(|_| !methods.is_empty())?;
                Some((generic, schema::http(&methods, grant, interface == "http-mutation")))
            };
            [of("http-read", reads), of("http-mutation", writes)].into_iter().flatten().collect()
        }
        Target::Mcp(grant) => {
            // What an MCP tool does is for the environment to say; which of the two doors is knocked at is for the sheet.
            let (interface, changes) = match action.tier {
                None | Some(SheetTier::Read) => ("mcp-read", false),
                Some(SheetTier::ServiceMutation | SheetTier::DestructiveMutation) => ("mcp-mutation", true),
            };
            generic::of(interface, "call-tool").map(|generic| (generic, schema::mcp(grant, changes))).into_iter().collect()
        }
    };
    let several = found.len() > 1;
    let tool = |(generic, input_schema): (&'static Generic, _)| {
        let Generic { interface, function, component: _ } = *generic;
        let verb = match (interface, function) {
            ("http-read", _) => "read".to_owned(),
            ("http-mutation", _) => "write".to_owned(),
            (_, function) => function.replace('-', "_"),
        };
        let (name, description) = if several {
            (format!("{name}__{verb}"), format!("{} ({verb})", action.description.trim()))
        } else {
            (name.clone(), action.description.trim().to_owned())
        };
        Made { generic, tool: ToolDescription { name, description, input_schema, actions: vec![action.id.clone()] } }
    };
    Ok(found.into_iter().map(tool).collect())
}

#[cfg(test)]
mod guests;
#[cfg(test)]
mod tests;
