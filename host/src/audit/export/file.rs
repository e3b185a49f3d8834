//! Items as lines of a file, which is only ever appended to. It is opened anew for each batch, so whoever rotates it moves it away.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Error, Item};

/// A file of lines.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn target(&self) -> String {
        format!("file {}", self.path.display())
    }

    /// When this returns without an error the lines are on disk.
    pub(super) async fn append(&self, items: &[Item]) -> Result<(), Error> {
        let mut lines = String::with_capacity(items.iter().map(|item| item.json.len() + 1).sum());
        for item in items {
            lines.push_str(&item.json);
            lines.push('\n');
        }
        let path = self.path.clone();
        // A disk can take its time.
        let written = tokio::task::spawn_blocking(move || append(&path, &lines)).await;
        let failed = |message: String| Error::File { path: self.path.display().to_string(), message };
        written.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let length = file.metadata()?.len();
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            // Somebody died in the middle of a line. Its items come again; the rest of it must not swallow the next one.
            file.write_all(b"\n")?;
        }
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()?;
    if length == 0
        && let Some(folder) = path.parent()
    {
        // The name of a new file is durable only with its folder.
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::export::Kind;

    fn item(json: &str) -> Item {
        let text = |text: &str| text.to_owned();
        Item { kind: Kind::Entry, namespace: text("n"), run: text("r"), run_uid: text("u"), agent: text("a"), at: None, json: text(json) }
    }

    #[tokio::test]
    async fn lines_are_appended_whatever_became_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        let file = File::new(path.clone());
        file.append(&[item("{\"a\":1}"), item("{\"a\":2}")]).await.unwrap();
        file.append(&[item("{\"a\":3}")]).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");

        std::fs::write(&path, "{\"a\":1}\n{\"a\":").unwrap();
        file.append(&[item("{\"a\":2}")]).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":\n{\"a\":2}\n");

        std::fs::rename(&path, folder.path().join("record.jsonl.1")).unwrap();
        file.append(&[item("{\"a\":4}")]).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":4}\n");

        let error = File::new(folder.path().join("none/record.jsonl")).append(&[item("{}")]).await.unwrap_err().to_string();
        assert!(error.contains("none/record.jsonl"), "{error}");
    }
}
