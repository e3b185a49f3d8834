//! From a folder to objects: every `*.yaml` and `*.yml` below it, several documents per file, List objects expanded. Nothing is skipped silently.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::Value;

use crate::broker::object;

/// Why a snapshot cannot be loaded. Each names the file and what to change.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder or a file cannot be read.
    #[error("cannot read `{path}`")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder has no object.
    #[error("`{0}` has no Kubernetes object: put `*.yaml` files into it, such as the output of `kubectl get all -A -o yaml`")]
    Empty(PathBuf),
    /// A file is not YAML.
    #[error("`{path}` is not valid YAML: {message}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// An object lacks something or has something wrong.
    #[error("`{path}`, document {document}, `{field}`: {message}")]
    Object {
        /// The file.
        path: PathBuf,
        /// The document in it, from 1.
        document: usize,
        /// The field.
        field: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// An object and where it came from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) document: usize,
    pub(super) object: Value,
}

/// Fields that tell a time to come.
const AHEAD: [&str; 6] = ["expirationTimestamp", "nextRunTime", "nextScheduleTime", "notAfter", "renewalTime", "deletionTimestamp"];

/// The newest time that any of the objects bears.
pub(super) fn newest(objects: &[Loaded]) -> Option<Timestamp> {
    fn of(value: &Value) -> Option<Timestamp> {
        match value {
            Value::String(text) if text.ends_with('Z') => text.parse().ok(),
            Value::Array(items) => items.iter().filter_map(of).max(),
            Value::Object(members) => {
                members.iter().filter(|(name, _)| !AHEAD.contains(&name.as_str())).filter_map(|(_, value)| of(value)).max()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
    objects.iter().filter_map(|one| of(&one.object)).max()
}

impl Loaded {
    pub(super) fn error(&self, field: &str, message: impl Into<String>) -> LoadError {
        LoadError::Object { path: self.path.clone(), document: self.document, field: field.to_owned(), message: message.into() }
    }
}

/// The largest file: a mistake rather than a snapshot.
const MAX_FILE: u64 = 64 << 20;

/// Every object of the folder, in the order of the file names.
pub(super) fn objects(dir: &Path) -> Result<Vec<Loaded>, LoadError> {
    let mut files = Vec::new();
    collect(dir, dir, &mut files)?;
    files.sort();
    let mut objects = Vec::new();
    for path in files {
        let documents = documents(&path)?;
        for (index, document) in documents.into_iter().enumerate() {
            expand(&path, index.saturating_add(1), document, &mut objects)?;
        }
    }
    if objects.is_empty() { Err(LoadError::Empty(dir.to_owned())) } else { Ok(objects) }
}

/// YAML files below `dir`. The folder of logs, the planted faults, hidden files and links are not part of it.
fn collect(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let io = |source| LoadError::Io { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(io)?);
        let at_root = dir == root;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            if !(at_root && name == super::logs::FOLDER) {
                collect(root, &path, files)?;
            }
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml")) && !(at_root && name == super::faults::FILE) {
            files.push(path);
        }
    }
    Ok(())
}

/// The documents of a file. Empty ones are left out.
pub(super) fn documents(path: &Path) -> Result<Vec<Value>, LoadError> {
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    if fs::metadata(path).map_err(io)?.len() > MAX_FILE {
        return Err(LoadError::Yaml { path: path.to_owned(), message: "larger than 64 MiB: split it".to_owned() });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| LoadError::Yaml { path: path.to_owned(), message: error.to_string() })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn expand(path: &Path, document: usize, value: Value, into: &mut Vec<Loaded>) -> Result<(), LoadError> {
    let mut loaded = Loaded { path: path.to_owned(), document, object: value };
    if !loaded.object.is_object() {
        return Err(loaded.error("", "expected a Kubernetes object"));
    }
    for field in ["apiVersion", "kind"] {
        if object::text(&loaded.object, &format!("/{field}")).is_empty() {
            return Err(loaded.error(field, "is missing: every object has an apiVersion and a kind"));
        }
    }
    let list = object::kind(&loaded.object).strip_suffix("List").map(str::to_owned);
    let has_items = loaded.object.get("items").is_some_and(Value::is_array);
    let Some(item_kind) = list.filter(|_| has_items) else {
        into.push(loaded);
        return Ok(());
    };
    let api_version = loaded.object.get("apiVersion").cloned().unwrap_or_default();
    let Some(Value::Array(items)) = loaded.object.get_mut("items").map(Value::take) else { return Ok(()) };
    for mut item in items {
        // Items of a typed list (`PodList`) may leave their kind out.
        if let Some(fields) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
            fields.entry("apiVersion").or_insert_with(|| api_version.clone());
            fields.entry("kind").or_insert_with(|| Value::String(item_kind.clone()));
        }
        expand(path, document, item, into)?;
    }
    Ok(())
}
