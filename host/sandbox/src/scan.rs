//! Reads what a component imports and exports, without compiling or running anything, in bounded time.

use std::ops::Range;

use wasmparser::{
    ComponentExternalKind, ComponentInstance, Instance, Parser, Payload, Validator, WasmFeatures, component_types::ComponentEntityType,
};

use crate::{manifest::MAX_COMPONENT, outcome::printable};

/// The most core modules in a component, however deep.
const MAX_MODULES: usize = 64;
/// How deep components and modules may nest.
const MAX_DEPTH: usize = 4;
/// The most sections, over all levels.
const MAX_SECTIONS: usize = 4096;
/// The most imports, and the most exports.
const MAX_NAMES: usize = 128;

/// The most functions, over all modules.
const MAX_FUNCTIONS: u64 = 200_000;
/// The most of everything else that a section declares, over all levels.
const MAX_ITEMS: u64 = 100_000;
/// The most bytes of types, over all levels. A type may hold any number of others, so their bytes are counted: each takes a few of them.
const MAX_TYPE_BYTES: u64 = 1024 * 1024;

/// Imports and exports of the outermost component.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) imports: Vec<Import>,
    /// Name, and whether it is an instance.
    pub(crate) exports: Vec<(String, bool)>,
}

#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) item: Item,
    /// It says more about itself than a name: none of our toolchains does.
    pub(crate) decorated: bool,
}

#[derive(Debug)]
pub(crate) enum Item {
    /// An instance, with its functions.
    Instance(Vec<String>),
    /// Anything else: a core module, a function, a value, a type, a component.
    Other(&'static str),
}

/// The error is a code and a message.
pub(crate) fn scan(component: &[u8]) -> Result<Scan, (&'static str, String)> {
    let broken = |error: wasmparser::BinaryReaderError| {
        ("not-a-component", format!("the component is broken: {}", printable(&error.to_string(), 300)))
    };
    let bomb = |what: &str, most: u64| ("too-complex", format!("the component has more than {most} {what}"));
    if component.len() > MAX_COMPONENT {
        return Err(("component-too-large", format!("the component has {} bytes, more than {MAX_COMPONENT}", component.len())));
    }
    if !Parser::is_component(component) {
        return Err(("not-a-component", "this is not a WebAssembly component; make one with `infraagent skill build`".to_owned()));
    }
    let mut validator = Validator::new_with_features(WasmFeatures::default());
    let (mut modules, mut sections, mut depth, mut items) = (0usize, 0usize, 0usize, Vec::new());
    let mut exports = Vec::new();
    let mut types = None;
    let mut declared = Declared::default();
    // The same features for both: whatever only a proposal knows is neither counted nor accepted.
    let mut parser = Parser::new(0);
    parser.set_features(WasmFeatures::default());
    for payload in parser.parse_all(component) {
        let payload = payload.map_err(broken)?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                modules = modules.saturating_add(1);
                depth = depth.saturating_add(1);
                if modules > MAX_MODULES {
                    return Err(bomb("modules and inner components", MAX_MODULES as u64));
                }
                if depth > MAX_DEPTH {
                    return Err(bomb("levels of nesting", MAX_DEPTH as u64));
                }
            }
            Payload::ComponentImportSection(reader) if depth == 0 => {
                for import in reader.clone() {
                    let name = import.map_err(broken)?.name;
                    let decorated = name.implements.is_some() || name.version_suffix.is_some() || name.external_id.is_some();
                    items.push((name.name.to_owned(), decorated));
                }
            }
            Payload::ComponentExportSection(reader) if depth == 0 => {
                for export in reader.clone() {
                    let export = export.map_err(broken)?;
                    exports.push((export.name.name.to_owned(), export.kind == ComponentExternalKind::Instance));
                }
            }
            _ => {}
        }
        if items.len().max(exports.len()) > MAX_NAMES {
            return Err(bomb("imports or exports", MAX_NAMES as u64));
        }
        if !matches!(payload, Payload::CodeSectionEntry(_)) {
            sections = sections.saturating_add(1);
            if sections > MAX_SECTIONS {
                return Err(bomb("sections", MAX_SECTIONS as u64));
            }
        }
        // The validator keeps what it read, so this comes first.
        declared.add(&payload).map_err(broken)?;
        if declared.functions > MAX_FUNCTIONS {
            return Err(bomb("functions", MAX_FUNCTIONS));
        }
        if declared.items > MAX_ITEMS {
            return Err(bomb("imports, exports, types and other items", MAX_ITEMS));
        }
        if declared.type_bytes > MAX_TYPE_BYTES {
            return Err(bomb("bytes of types", MAX_TYPE_BYTES));
        }
        let ends = matches!(payload, Payload::End(_));
        // Function bodies are left to the compiler, which validates them under resource limits.
        let valid = validator.payload(&payload).map_err(broken)?;
        if ends {
            depth = depth.saturating_sub(1);
            if let wasmparser::ValidPayload::End(found) = valid {
                types = Some(found);
            }
        }
    }
    let types = types.ok_or(("not-a-component", "the component has no end".to_owned()))?;
    let types = types.as_ref();
    let imports = items
        .into_iter()
        .map(|(name, decorated)| {
            let item = match types.component_item_for_import(&name).map(|item| item.ty) {
                Some(ComponentEntityType::Instance(id)) => Item::Instance(
                    types
                        .get(id)
                        .into_iter()
                        .flat_map(|instance| &instance.exports)
                        .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
                        .map(|(name, _)| name.clone())
                        .collect(),
                ),
                Some(ComponentEntityType::Module(_)) => Item::Other("a core module"),
                Some(ComponentEntityType::Func(_)) => Item::Other("a function"),
                Some(ComponentEntityType::Value(_)) => Item::Other("a value"),
                Some(ComponentEntityType::Type { .. }) => Item::Other("a type"),
                Some(ComponentEntityType::Component(_)) => Item::Other("a component"),
                None => Item::Other("something unknown"),
            };
            Import { name, item, decorated }
        })
        .collect();
    Ok(Scan { imports, exports })
}

/// What sections declare, as their headers say it: known before anything of it is read.
#[derive(Debug, Default)]
struct Declared {
    functions: u64,
    items: u64,
    type_bytes: u64,
}

impl Declared {
    fn add(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        let items = match payload {
            Payload::TypeSection(reader) => self.types(reader.count(), reader.range()),
            Payload::CoreTypeSection(reader) => self.types(reader.count(), reader.range()),
            Payload::ComponentTypeSection(reader) => self.types(reader.count(), reader.range()),
            Payload::FunctionSection(reader) => {
                self.functions = self.functions.saturating_add(reader.count().into());
                0
            }
            Payload::ImportSection(reader) => reader.count(),
            Payload::TableSection(reader) => reader.count(),
            Payload::MemorySection(reader) => reader.count(),
            Payload::TagSection(reader) => reader.count(),
            Payload::GlobalSection(reader) => reader.count(),
            Payload::ExportSection(reader) => reader.count(),
            Payload::ElementSection(reader) => reader.count(),
            Payload::DataSection(reader) => reader.count(),
            Payload::ComponentAliasSection(reader) => reader.count(),
            Payload::ComponentCanonicalSection(reader) => reader.count(),
            Payload::ComponentImportSection(reader) => reader.count(),
            Payload::ComponentExportSection(reader) => reader.count(),
            Payload::InstanceSection(reader) => {
                // Each has a list of its own.
                for instance in reader.clone() {
                    let held = match instance? {
                        Instance::Instantiate { args, module_index: _ } => args.len(),
                        Instance::FromExports(exports) => exports.len(),
                    };
                    if self.holds_too_much(held) {
                        break;
                    }
                }
                reader.count()
            }
            Payload::ComponentInstanceSection(reader) => {
                for instance in reader.clone() {
                    let held = match instance? {
                        ComponentInstance::Instantiate { args, component_index: _ } => args.len(),
                        ComponentInstance::FromExports(exports) => exports.len(),
                    };
                    if self.holds_too_much(held) {
                        break;
                    }
                }
                reader.count()
            }
            // Single things, code, and what the validator does not keep. The enumeration is not ours.
            _ => 0,
        };
        self.items = self.items.saturating_add(items.into());
        Ok(())
    }

    /// Counts the list of an instance. If it is too long, nothing more needs to be read.
    fn holds_too_much(&mut self, held: usize) -> bool {
        self.items = self.items.saturating_add(held as u64);
        self.items > MAX_ITEMS
    }

    fn types(&mut self, count: u32, bytes: Range<usize>) -> u32 {
        self.type_bytes = self.type_bytes.saturating_add(bytes.len() as u64);
        count
    }
}
