//! The world that exactly fits a sheet: the contract, reduced to the functions that the declared actions can go through.
//!
//! Rust skills do not need it, since unused imports vanish when they are linked. componentize-py and componentize-js import a world as a whole, and a
//! component that imports more than its sheet declares is not admitted.

use std::collections::BTreeSet;

use infraagent_sandbox::manifest::{InvalidAction, Sheet};
use wit_component::WitPrinter;
use wit_parser::{InterfaceId, LiveTypes, PackageId, Resolve};

/// The contract as it is.
const CONTRACT: &str = include_str!("../../../wit/skill.wit");
/// The name of the fitted world.
pub const WORLD: &str = "fitted";
/// What every skill may import, whatever its sheet says.
const ALWAYS: [&str; 4] = ["log", "clock", "site", "report"];
/// Linked only if the sheet asks for it.
const STATE: &str = "state";
/// What every skill exports.
const EXPORT: &str = "skill";

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sheet cannot be.
    #[error("the action sheet cannot be used: {0}")]
    Sheet(#[from] InvalidAction),
    /// The contract cannot be reduced: a defect of this program.
    #[error("cannot write the world; this is a defect of infraagent: {0}")]
    Contract(String),
}

/// The fitted contract as the text of one WIT package, complete in itself.
pub fn fitted(sheet: &Sheet) -> Result<String, Error> {
    let mut functions = BTreeSet::new();
    for action in &sheet.actions {
        functions.extend(action.functions()?);
    }
    reduce(&functions, sheet.state).map_err(|error| Error::Contract(format!("{error:#}")))
}

fn reduce(functions: &BTreeSet<(&str, &str)>, state: bool) -> anyhow::Result<String> {
    let whole: BTreeSet<&str> = ALWAYS.into_iter().chain(state.then_some(STATE)).chain([EXPORT]).collect();
    let mut imports: BTreeSet<&str> = functions.iter().map(|(interface, _)| *interface).collect();
    imports.extend(whole.iter().filter(|name| **name != EXPORT));

    let mut text = format!("{CONTRACT}\nworld {WORLD} {{\n");
    for import in &imports {
        text.push_str(&format!("  import {import};\n"));
    }
    text.push_str(&format!("  export {EXPORT};\n}}\n"));

    let mut resolve = Resolve::default();
    let package = resolve.push_str("skill.wit", &text)?;
    for (name, id) in named_interfaces(&resolve, package) {
        let keep = |function: &str| whole.contains(name.as_str()) || functions.contains(&(name.as_str(), function));
        if let Some(interface) = resolve.interfaces.get_mut(id) {
            interface.functions.retain(|function, _| keep(function));
        }
    }
    drop_unused(&mut resolve, package);
    if let Some(package) = resolve.packages.get_mut(package) {
        package.worlds.retain(|name, _| name == WORLD);
    }

    let mut printer = WitPrinter::default();
    printer.print(&resolve, package, &[])?;
    Ok(printer.output.to_string())
}

fn named_interfaces(resolve: &Resolve, package: PackageId) -> Vec<(String, InterfaceId)> {
    resolve
        .packages
        .get(package)
        .map(|package| package.interfaces.iter().map(|(name, id)| (name.clone(), *id)).collect())
        .unwrap_or_default()
}

/// Removes types that no function is left to use, and interfaces that are then empty.
fn drop_unused(resolve: &mut Resolve, package: PackageId) {
    let interfaces = named_interfaces(resolve, package);
    let mut live = LiveTypes::default();
    for (_, id) in &interfaces {
        for function in resolve.interfaces.get(*id).into_iter().flat_map(|interface| interface.functions.values()) {
            live.add_func(resolve, function);
        }
    }
    for (name, id) in interfaces {
        let Some(interface) = resolve.interfaces.get_mut(id) else { continue };
        interface.types.retain(|_, id| live.contains(*id));
        if interface.types.is_empty()
            && interface.functions.is_empty()
            && let Some(package) = resolve.packages.get_mut(package)
        {
            package.interfaces.shift_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wit_parser::WorldItem;

    use super::*;
    use crate::skill::actions;

    /// The functions that the fitted world imports, interface by interface, as another toolchain would read them from a folder.
    fn surface(sheet: &str) -> BTreeMap<String, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("skill.wit"), fitted(&actions::parse(sheet).unwrap()).unwrap()).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(folder.path()).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        assert_eq!(resolve.worlds[world].name, WORLD);
        let exports: Vec<_> = resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key)).collect();
        assert_eq!(exports, ["infraagent:skill/skill@0.1.0"]);
        let mut surface = BTreeMap::new();
        for item in resolve.worlds[world].imports.values() {
            let WorldItem::Interface { id, .. } = item else { panic!("only interfaces are imported") };
            let interface = &resolve.interfaces[*id];
            let functions: Vec<String> = interface.functions.keys().cloned().collect();
            if !functions.is_empty() {
                surface.insert(interface.name.clone().unwrap(), functions);
            }
        }
        surface
    }

    fn beyond_the_ambient(sheet: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (interface, functions) in surface(sheet) {
            if !ALWAYS.contains(&interface.as_str()) {
                found.extend(functions.into_iter().map(|function| format!("{interface}.{function}")));
            }
        }
        found
    }

    #[test]
    fn an_empty_sheet_imports_what_everybody_may() {
        let surface = surface("actions: []");
        assert_eq!(surface.keys().map(String::as_str).collect::<Vec<_>>(), ["clock", "log", "report", "site"]);
        assert_eq!(surface["clock"], ["now-unix-ms", "remaining"]);
    }

    #[test]
    fn each_action_adds_its_functions_and_nothing_else() {
        for (sheet, functions) in [
            ("actions: [{ id: a, kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }]", vec!["kubernetes-read.get"]),
            (
                "actions: [{ id: a, kubernetes: { verb: [logs, restart], resources: [deployments.apps, pods], namespaces: [apps] } }]",
                vec!["kubernetes-read.logs", "kubernetes-service-mutation.restart"],
            ),
            (
                "actions: [{ id: a, kubernetes: { verb: delete, resources: [pods], namespaces: [apps] } }]",
                vec!["kubernetes-destructive-mutation.delete"],
            ),
            ("actions: [{ id: a, http: { endpoints: ['*'], methods: [POST], paths: ['/**'] } }]", vec!["http-mutation.send"]),
            (
                "actions: [{ id: a, http: { endpoints: ['*'], methods: [GET, PUT], paths: ['/**'] } }]",
                vec!["http-mutation.send", "http-read.send"],
            ),
            ("actions: [{ id: a, mcp: { server: s, tools: [t] } }]", vec!["mcp-mutation.call-tool", "mcp-read.call-tool"]),
            ("actions: [{ id: a, tool: kubectl.logs, pattern: 'kubectl.logs pod/*' }]", vec!["kubernetes-read.logs"]),
            ("state: true\nactions: []", vec!["state.get", "state.put", "state.remove", "state.keys"]),
        ] {
            assert_eq!(beyond_the_ambient(sheet), functions, "{sheet}");
        }
    }

    #[test]
    fn unused_types_and_interfaces_are_gone() {
        let text =
            fitted(&actions::parse("actions: [{ id: a, kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }]").unwrap())
                .unwrap();
        for gone in [
            "record list-query",
            "record log-query",
            "interface http-read",
            "interface state",
            "describer",
            "record victim",
            "record receipt",
        ] {
            assert!(!text.contains(gone), "`{gone}` is left in\n{text}");
        }
        assert!(text.contains("object-ref") && text.contains("variant error"), "{text}");
    }
}
