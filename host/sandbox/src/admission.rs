//! May this component be compiled at all? Decided on its bytes alone, and every reason is named.
//!
//! Admission, not the author's compiler, is the wall: what a component imports must be within what its sheet declares, function by function.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::{
    contract::{self, AMBIENT, Named, SKILL, STATE, TYPES},
    manifest::{self, Manifest},
    outcome::printable,
    scan::{Import, Item, scan},
};

/// A component that was admitted, and what was found in it.
#[derive(Debug, Clone)]
pub struct Admitted {
    manifest: Manifest,
    digest: String,
    size: usize,
    imports: Vec<(String, String)>,
    compat: bool,
    warnings: Vec<String>,
}

impl Admitted {
    /// What the skill says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Bytes of the component.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Imported functions of the contract: interface and function, sorted.
    pub fn imports(&self) -> &[(String, String)] {
        &self.imports
    }

    /// True if it imports anything of the compat profile.
    pub fn is_compat(&self) -> bool {
        self.compat
    }

    /// What is odd, but harmless.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// One reason against a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable word.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Decides on a component before anything of it is compiled. All reasons are collected.
pub fn admit(component: &[u8]) -> Result<Admitted, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let found = scan(component).map_err(|(code, message)| refusals.push(Refusal::new(code, message))).ok();
    let manifest = manifest::read(component)
        .map_err(|error| {
            // A broken component is named once.
            if found.is_some() || !matches!(error.code(), "not-a-component" | "component-too-large") {
                refusals.push(Refusal::new(error.code(), error.to_string()));
            }
        })
        .ok();
    let (Some(found), manifest) = (found, manifest) else { return Err(refusals) };

    let mut imports = BTreeSet::new();
    let mut compat = false;
    for import in &found.imports {
        match check_import(import) {
            Ok(Some(interface)) => imports.extend(functions(import).iter().map(|function| (interface.to_owned(), function.clone()))),
            Ok(None) => compat = true,
            Err(refusal) => refusals.push(refusal),
        }
    }
    // Some toolchains leave an export of their own behind (componentize-py: `exports`). A plain name belongs to no interface, so nobody ever calls it.
    let (plain, exports): (Vec<_>, Vec<_>) = found.exports.into_iter().partition(|(name, _)| !name.contains(':'));
    check_exports(&exports, SKILL, &mut refusals);
    let mut warnings = manifest.as_ref().map(|manifest| check_sheet(manifest, &imports, &mut refusals)).unwrap_or_default();
    warnings.extend(
        plain.iter().map(|(name, _)| format!("the export `{}` is not part of the contract and is never called", printable(name, 128))),
    );
    match manifest {
        Some(manifest) if refusals.is_empty() => Ok(Admitted {
            manifest,
            digest: digest(component),
            size: component.len(),
            imports: imports.into_iter().collect(),
            compat,
            warnings,
        }),
        Some(_) | None => Err(refusals),
    }
}

/// Decides on a component that must import nothing: a describer or an evaluator. The contract's `types`, which have no function, are nothing.
pub(crate) fn admit_without_imports(component: &[u8]) -> Result<Vec<(String, bool)>, Refusal> {
    let found = scan(component).map_err(|(code, message)| Refusal::new(code, message))?;
    let is_something = |import: &&Import| contract::classify(&import.name) != Ok(Named::Contract(TYPES)) || check_import(import).is_err();
    match found.imports.iter().find(is_something) {
        None => Ok(found.exports),
        Some(import) => {
            let message = format!("the component imports `{}`, but must import nothing", printable(&import.name, 128));
            Err(Refusal::new("import-not-allowed", message))
        }
    }
}

/// `sha256:` and the digest in hexadecimal.
pub fn digest(component: &[u8]) -> String {
    Sha256::digest(component).iter().fold("sha256:".to_owned(), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(nibble.into(), 16).unwrap_or('0')));
        text
    })
}

fn functions(import: &Import) -> &[String] {
    match &import.item {
        Item::Instance(functions) => functions,
        Item::Other(_) => &[],
    }
}

/// The interface of the contract, or none for the compat profile.
fn check_import(import: &Import) -> Result<Option<&str>, Refusal> {
    let Import { name, item, decorated } = import;
    let shown = printable(name, 128);
    let interface = match contract::classify(name) {
        Err(problem) => return Err(Refusal::new("import-not-allowed", format!("the import `{shown}` is not allowed: {problem}"))),
        Ok(Named::Compat) => None,
        Ok(Named::Contract(interface)) => Some(interface),
    };
    if *decorated {
        return Err(Refusal::new("import-kind", format!("the import `{shown}` carries more than a name")));
    }
    let functions = match item {
        Item::Instance(functions) => functions,
        Item::Other(kind) => {
            return Err(Refusal::new("import-kind", format!("the import `{shown}` is {kind}; only interfaces can be imported")));
        }
    };
    let Some(interface) = interface else { return Ok(None) };
    let known: &[&str] = match contract::functions(interface) {
        Some(known) => known,
        None if interface == TYPES => &[],
        None => return Err(Refusal::new("unknown-interface", format!("the contract has no interface `{shown}`"))),
    };
    match functions.iter().find(|function| !known.contains(&function.as_str())) {
        Some(unknown) => {
            Err(Refusal::new("unknown-function", format!("the contract has no function `{}` in `{shown}`", printable(unknown, 64))))
        }
        None => Ok(Some(interface)),
    }
}

/// Exactly one export: this interface of the contract.
pub(crate) fn check_exports(exports: &[(String, bool)], wanted: &str, refusals: &mut Vec<Refusal>) {
    let is_wanted = |(name, instance): &(String, bool)| *instance && contract::classify(name) == Ok(Named::Contract(wanted));
    if !exports.iter().any(is_wanted) {
        let message = format!("the component does not export `infraagent:skill/{wanted}@{}`", manifest::CONTRACT);
        refusals.push(Refusal::new("export-missing", message));
    }
    for (name, _) in exports.iter().filter(|export| !is_wanted(export)) {
        refusals.push(Refusal::new("export-not-allowed", format!("the export `{}` is not part of the contract", printable(name, 128))));
    }
}

/// Imported functions are within the sheet; what is declared and never imported is odd.
fn check_sheet(manifest: &Manifest, imports: &BTreeSet<(String, String)>, refusals: &mut Vec<Refusal>) -> Vec<String> {
    let mut granted: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut warnings = Vec::new();
    let imported = |interface: &str, function: &str| imports.contains(&(interface.to_owned(), function.to_owned()));
    for action in &manifest.sheet.actions {
        // Validated when the manifest was read.
        let Ok(functions) = action.functions() else { continue };
        if !functions.iter().any(|(interface, function)| imported(interface, function)) {
            warnings.push(format!("the action `{}` is declared, but the component imports nothing that could use it", action.id));
        }
        if !manifest.tools.iter().any(|tool| tool.actions.contains(&action.id)) {
            warnings.push(format!("the action `{}` is declared, but no tool lists it", action.id));
        }
        granted.extend(functions);
    }
    if manifest.sheet.state && !imports.iter().any(|(interface, _)| interface == STATE) {
        warnings.push("the sheet says `state: true`, but the component never uses it".to_owned());
    }
    for (interface, function) in imports {
        if AMBIENT.contains(&interface.as_str()) || granted.contains(&(interface.as_str(), function.as_str())) {
            continue;
        }
        if interface == STATE {
            if !manifest.sheet.state {
                refusals.push(Refusal::new(
                    "state-not-declared",
                    format!("the component imports `state.{function}`, but its sheet does not say `state: true`"),
                ));
            }
            continue;
        }
        let message = format!("the component imports `{interface}.{function}`, but no action of its sheet declares that verb");
        refusals.push(Refusal::new("import-not-declared", message));
    }
    warnings
}
