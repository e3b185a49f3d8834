//! What a component imports and exports, function by function, read from its types. Nothing is compiled and nothing runs.

use std::collections::BTreeMap;

use wasmparser::{
    Parser, Payload, Validator, WasmFeatures,
    component_types::{ComponentEntityType, ComponentItem},
    types::TypesRef,
};

/// Names of interfaces, each with the names of its functions. What is no interface stands under its own name, without functions.
pub type Functions = BTreeMap<String, Vec<String>>;

/// Imports and exports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surface {
    /// What it asks for.
    pub imports: Functions,
    /// What it offers.
    pub exports: Functions,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
#[error("not a valid component: {0}")]
pub struct Error(#[from] wasmparser::BinaryReaderError);

impl Surface {
    /// Reads a component.
    pub fn of(component: &[u8]) -> Result<Self, Error> {
        let types = Validator::new_with_features(WasmFeatures::all()).validate_all(component)?;
        let types = types.as_ref();
        let mut surface = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth = depth.saturating_add(1),
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import?.name.name;
                        surface.imports.insert(name.to_owned(), functions(types, types.component_item_for_import(name)));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let name = export?.name.name;
                        surface.exports.insert(name.to_owned(), functions(types, types.component_item_for_export(name)));
                    }
                }
                // Other sections are no names that cross the border; the enum is not ours.
                _ => {}
            }
        }
        Ok(surface)
    }
}

fn functions(types: TypesRef<'_>, item: Option<&ComponentItem>) -> Vec<String> {
    let Some(ComponentEntityType::Instance(id)) = item.map(|item| item.ty) else { return Vec::new() };
    let is_function = |item: &ComponentItem| matches!(item.ty, ComponentEntityType::Func(_));
    types
        .get(id)
        .into_iter()
        .flat_map(|instance| &instance.exports)
        .filter(|(_, item)| is_function(item))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_functions_are_named() {
        let component = wat::parse_str(
            r#"(component
                 (import "a:b/reads@0.1.0" (instance (export "get" (func)) (export "list" (func (param "n" u32)))))
                 (import "a:b/types@0.1.0" (instance (type $t (record (field "x" u32))) (export "t" (type (eq $t)))))
                 (import "bare" (func))
                 (core module $m (import "env" "hidden" (func)) (func (export "f")))
                 (component $inner (import "inner:only/x" (instance (export "no" (func))))))"#,
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let surface = Surface::of(&component).unwrap();
        let expected = [("a:b/reads@0.1.0", vec!["get", "list"]), ("a:b/types@0.1.0", vec![]), ("bare", vec![])];
        let expected: Functions =
            expected.into_iter().map(|(name, list)| (name.to_owned(), list.into_iter().map(str::to_owned).collect())).collect();
        assert_eq!(surface.imports, expected);
        assert!(surface.exports.is_empty());
    }

    #[test]
    fn what_is_no_component_is_an_error() {
        for bytes in [b"".as_slice(), b"hello", &wat::parse_str("(module (func unreachable drop drop))").unwrap()[..9]] {
            assert!(Surface::of(bytes).is_err(), "{bytes:?}");
        }
    }
}
