//! Logs of containers, from files: `logs/<namespace>/<pod>/<container>.log`, and `<container>.previous.log` for the instance before the last restart.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

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

/// The last `tail` lines of the last `since` seconds, within `max_bytes`; and whether something of what was asked for was cut.
///
/// Times are those that lines start with, as `kubectl logs --timestamps` writes them; a line without one belongs to the line before.
pub(super) fn cut(text: &str, tail: u32, since: Option<u32>, now: Timestamp, max_bytes: usize) -> (String, bool) {
    let lines: Vec<&str> = text.lines().collect();
    let from = since.map_or(0, |seconds| {
        let earliest = now.as_second().saturating_sub(i64::from(seconds));
        let time = |line: &&str| line.split(' ').next().and_then(|word| word.parse::<Timestamp>().ok());
        let timed = lines.iter().any(|line| time(line).is_some());
        let recent = lines.iter().position(|line| time(line).is_some_and(|time| time.as_second() >= earliest));
        // A log without any time cannot be narrowed.
        recent.unwrap_or(if timed { lines.len() } else { 0 })
    });
    let wanted = lines.get(from..).unwrap_or_default();
    let skip = wanted.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
    let mut kept: Vec<&str> = Vec::new();
    let mut bytes = 0usize;
    let mut truncated = skip > 0;
    for line in wanted.iter().skip(skip).rev() {
        bytes = bytes.saturating_add(line.len()).saturating_add(1);
        if bytes > max_bytes {
            truncated = true;
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    let mut text = kept.join("\n");
    if !kept.is_empty() {
        text.push('\n');
    }
    (text, truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-22T16:00:00Z one\n  at x\n2026-11-22T16:05:00Z two\n2026-11-22T16:06:00Z three\n";

    fn now() -> Timestamp {
        "2026-11-22T16:06:30Z".parse().unwrap()
    }

    #[test]
    fn a_log_is_cut_by_lines_time_and_bytes() {
        assert_eq!(cut(LOG, 100, None, now(), 1000), (LOG.to_owned(), false));
        assert_eq!(cut(LOG, 1, None, now(), 1000), ("2026-11-22T16:06:00Z three\n".to_owned(), true));
        assert_eq!(cut(LOG, 100, Some(60), now(), 1000), ("2026-11-22T16:06:00Z three\n".to_owned(), false));
        assert_eq!(cut(LOG, 100, Some(10), now(), 1000), (String::new(), false));
        assert_eq!(cut(LOG, 100, None, now(), 30), ("2026-11-22T16:06:00Z three\n".to_owned(), true));
        assert_eq!(cut("a\nb\n", 100, Some(10), now(), 1000), ("a\nb\n".to_owned(), false));
    }
}
