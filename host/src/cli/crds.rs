//! `infraagent crds`: the definitions of the custom resources, for `kubectl apply`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::json;

/// Arguments of `infraagent crds`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  infraagent crds | kubectl apply --server-side -f -")]
pub struct Args {
    /// How they are printed
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One list of all definitions
    Json,
    /// One document per definition
    Yaml,
}

/// Prints every definition.
pub fn main(args: Args) -> anyhow::Result<ExitCode> {
    io::stdout().write_all(text(args.output)?.as_bytes()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn text(output: Output) -> anyhow::Result<String> {
    let definitions = infraagent_api::crds();
    match output {
        Output::Json => {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": definitions });
            Ok(serde_json::to_string_pretty(&list)? + "\n")
        }
        Output::Yaml => {
            let documents = definitions.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?;
            Ok(documents.iter().map(|document| format!("---\n{document}")).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn both_formats_hold_every_definition_as_it_is() {
        let expected: Vec<Value> = infraagent_api::crds().iter().map(|definition| serde_json::to_value(definition).unwrap()).collect();
        let list: Value = serde_json::from_str(&text(Output::Json).unwrap()).unwrap();
        assert_eq!(list["items"], json!(expected));
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text(Output::Yaml).unwrap()).unwrap();
        assert_eq!(documents, expected);
        assert_eq!(documents.len(), 6);
    }
}
