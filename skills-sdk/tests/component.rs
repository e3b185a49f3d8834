//! What comes out of the two builds of a skill: a component that imports the functions it uses and exports `invoke`, and a describer that imports nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::{ComponentEncoder, DecodedWasm, decode};
use wit_parser::WorldItem;

/// Builds hello-world as `infraagent skill build` does. None outside of the repository.
fn build(extra: &[&str]) -> Option<Vec<u8>> {
    let skill = Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-skills/hello-world");
    if !skill.is_dir() {
        return None;
    }
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hello-world");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&skill).args(["rustc", "--release", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib"]).args(extra);
    let status = cargo.arg("--target-dir").arg(&target).status().expect("cargo runs");
    assert!(status.success(), "hello-world does not build; `rustup target add wasm32-unknown-unknown` may be missing");
    let module = std::fs::read(target.join("wasm32-unknown-unknown/release/hello_world.wasm")).expect("cargo wrote the module");
    Some(ComponentEncoder::default().module(&module).expect("one type section").validate(true).encode().expect("a component"))
}

/// `interface.function` of every import or export; interfaces without functions grant nothing and are left out.
fn surface(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let DecodedWasm::Component(resolve, world) = decode(component).expect("a component") else { panic!("not a component") };
    let names = |items: Vec<&WorldItem>| {
        let mut functions: Vec<String> = Vec::new();
        for item in items {
            let WorldItem::Interface { id, .. } = item else { panic!("only interfaces cross") };
            let interface = &resolve.interfaces[*id];
            let name = interface.name.as_deref().unwrap_or_default();
            functions.extend(interface.functions.keys().map(|function| format!("{name}.{function}")));
        }
        functions.sort();
        functions
    };
    let world = &resolve.worlds[world];
    (names(world.imports.values().collect()), names(world.exports.values().collect()))
}

#[test]
fn a_skill_imports_what_it_calls_and_its_describer_imports_nothing() {
    let Some(component) = build(&[]) else { return };
    let (imports, exports) = surface(&component);
    assert_eq!(imports, ["kubernetes-read.list", "log.emit", "site.describe"]);
    assert_eq!(exports, ["skill.invoke"]);
    assert!(component.len() < 120 * 1024, "hello-world has grown to {} bytes", component.len());

    let Some(describer) = build(&["--features", "skills-sdk/describe"]) else { return };
    let (imports, exports) = surface(&describer);
    assert!(imports.is_empty(), "{imports:?}");
    assert_eq!(exports, ["description.describe"]);
}
