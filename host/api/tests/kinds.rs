//! The kinds as people and machines meet them: manifests, defaults, strict checks, definitions. One binary, one module per concern.

#[path = "kinds/check.rs"]
mod check;
#[path = "kinds/defaults.rs"]
mod defaults;
#[path = "kinds/definitions.rs"]
mod definitions;
#[path = "kinds/manifests.rs"]
mod manifests;
#[path = "kinds/rules.rs"]
mod rules;

use serde_json::Value;

/// A document of `tests/data`.
fn data(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml(&text)
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
