//! Writes down what a real model is asked and answers, in the layout that a replay plays.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Error,
    file::{Canonical, File, Said, Turn},
    redacted,
};
use crate::{
    audit::Redactor,
    llm::{Reply, Request},
};

/// A conversation that is being recorded. The file is complete after every reply, so a run that breaks off leaves what was said until then.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    redactor: Arc<Redactor>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    before: Option<(Canonical, Reply)>,
}

impl Recorder {
    /// Writes an empty conversation, so that a path that cannot be written is known before the first question is paid for. A file that is there
    /// already is not replaced. No text that the redactor finds is written.
    pub fn create(path: &Path, redactor: Arc<Redactor>) -> Result<Self, Error> {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|source| Error::File { path: path.to_owned(), source })?;
        let file = File::empty("Recorded with: infraagent run ... --record. Play it with: infraagent run ... --replay");
        let recorder = Self { path: path.to_owned(), redactor, state: Mutex::new(State { file, before: None }) };
        recorder.write(&recorder.state.lock().unwrap_or_else(PoisonError::into_inner).file)?;
        Ok(recorder)
    }

    /// Adds a turn.
    pub fn add(&self, request: &Request, reply: &Reply) -> Result<(), Error> {
        let request = Canonical::of(&redacted::request(request, &self.redactor));
        let reply = redacted::reply(reply, &self.redactor);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = request.since(state.before.as_ref().map(|(request, reply)| (request, reply)));
        state.file.turns.push(Turn { note: None, request: Some(asked), reply: Some(Said::of(&reply)) });
        state.before = Some((request, reply));
        self.write(&state.file)
    }

    fn write(&self, file: &File) -> Result<(), Error> {
        file.write(&self.path).map_err(|source| Error::File { path: self.path.clone(), source })
    }
}
