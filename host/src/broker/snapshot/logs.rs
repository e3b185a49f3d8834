//! Logs of containers, from files: `logs/<namespace>/<pod>/<container>.log`, and `<container>.previous.log` for the instance before the last restart.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::load::LoadError;

pub(super) const FOLDER: &str = "logs";

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogKey {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) previous: bool,
}

/// All logs of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Logs {
    texts: BTreeMap<LogKey, String>,
}

impl Logs {
    /// Nothing if the folder is absent.
    pub(super) fn load(dir: &Path) -> Result<Self, LoadError> {
        let root = dir.join(FOLDER);
        let mut logs = Self::default();
        if !root.exists() {
            return Ok(logs);
        }
        for (namespace, path) in children(&root, true)? {
            for (pod, path) in children(&path, true)? {
                for (file, path) in children(&path, false)? {
                    let Some(stem) = file.strip_suffix(".log") else { continue };
                    let (container, previous) = stem.strip_suffix(".previous").map_or((stem, false), |container| (container, true));
                    let key = LogKey { namespace: namespace.clone(), pod: pod.clone(), container: container.to_owned(), previous };
                    let bytes = fs::read(&path).map_err(|source| LoadError::Io { path, source })?;
                    logs.texts.insert(key, String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
        Ok(logs)
    }

    pub(super) fn text(&self, key: &LogKey) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }
}

/// Names and paths of the folders, or of the files, in a folder.
fn children(dir: &Path, folders: bool) -> Result<Vec<(String, PathBuf)>, LoadError> {
    let error = |source: io::Error| LoadError::Io { path: dir.to_owned(), source };
    let mut children = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let kind = entry.file_type().map_err(error)?;
        if (folders && kind.is_dir()) || (!folders && kind.is_file()) {
            children.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    Ok(children)
}
