//! How an answer is printed: as a page for people, or as data for programs.
//!
//! Data goes into a file or pipe as it is; on a terminal nothing of it that comes from the world is active. A reader who stops listening ends the output, not
//! the command.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use anyhow::Context as _;
use infraagent_api::API_VERSION;
use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::escape_terminal_lines;

/// How one document is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// How an object is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ObjectOutput {
    /// The object as JSON
    Json,
    /// The object as YAML
    Yaml,
    /// Its kind and name
    Name,
}

/// How a list of objects is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ListOutput {
    /// A table with more columns
    Wide,
    /// The objects as JSON
    Json,
    /// The objects as YAML
    Yaml,
    /// Kind and name of each
    Name,
}

/// Prints text for people. It may be painted.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    let mut written = out.write_all(text.as_bytes());
    if written.is_ok() && !text.is_empty() && !text.ends_with('\n') {
        written = out.write_all(b"\n");
    }
    finished(written.and_then(|()| out.flush()))
}

/// Prints data for programs.
pub fn data(data: &impl Serialize, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(data)? + "\n",
        Output::Yaml => serde_saphyr::to_string(data)?,
    };
    let mut out = io::stdout();
    let text = if out.is_terminal() { escape_terminal_lines(&text) } else { text.into() };
    finished(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints one object.
pub fn object(object: &Value, output: ObjectOutput) -> anyhow::Result<()> {
    match output {
        ObjectOutput::Json => data(object, Output::Json),
        ObjectOutput::Yaml => data(object, Output::Yaml),
        ObjectOutput::Name => text(&name(object)),
    }
}

/// Prints objects as kubectl does: a `List`, or a line for each.
pub fn objects(objects: &[Value], output: Output) -> anyhow::Result<()> {
    data(&json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects }), output)
}

/// The names of objects, each in a line.
pub fn names(objects: &[Value]) -> anyhow::Result<()> {
    text(&objects.iter().map(|object| name(object) + "\n").collect::<String>())
}

/// `agentrun.core.infraagent.io/forge-1`: what kubectl takes as an argument.
fn name(object: &Value) -> String {
    let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = API_VERSION.split_once('/').map_or("", |(group, _)| group);
    format!("{}.{group}/{}", word("/kind").to_lowercase(), super::paint::clean(word("/metadata/name")))
}

fn finished(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_kubectl_takes() {
        let run = json!({ "kind": "AgentRun", "metadata": { "name": "forge-1" } });
        assert_eq!(name(&run), "agentrun.core.infraagent.io/forge-1");
    }
}
