//! What `#[tool]` generates, and how a call finds its tool.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[doc(hidden)]
pub use crate::document::Fields;
use crate::{Error, Output, Result, document};

/// A tool, as a type. Implemented by `#[tool]`.
pub trait Tool {
    /// Its name, as the model calls it.
    const NAME: &'static str;
    /// What the model knows about it.
    const DESCRIPTION: &'static str;
    /// The ids of the actions that its calls may claim.
    const ACTIONS: &'static [&'static str];
    /// Its arguments.
    type Arguments: DeserializeOwned + JsonSchema;

    /// Runs it.
    fn call(arguments: Self::Arguments) -> Result<Output>;

    /// Runs it with arguments as JSON text.
    fn invoke(arguments: &str) -> Result<Output> {
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        Self::call(document::from_str(arguments).map_err(|error| of_arguments(Self::NAME, error))?)
    }

    /// The JSON Schema of its arguments: no references where the types allow it, no URL, nothing that a model does not need.
    fn input_schema() -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let mut schema = settings.into_generator().into_root_schema_for::<Self::Arguments>();
        schema.remove("title");
        schema.to_value()
    }
}

#[cold]
fn of_arguments(tool: &str, error: Error) -> Error {
    match error {
        Error::Invalid(message) => Error::Invalid(["arguments of `", tool, "`: ", &message].concat()),
        other => other,
    }
}

/// The arguments of a tool that takes none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "No arguments.")]
pub struct NoArguments {}

/// A tool that can be called by name.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    name: &'static str,
    invoke: fn(&str) -> Result<Output>,
}

impl Entry {
    /// The entry of a tool.
    pub const fn of<T: Tool>() -> Self {
        Self { name: T::NAME, invoke: T::invoke }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Calls the tool of this name.
    pub fn invoke(tools: &[Self], name: &str, arguments: &str) -> Result<Output> {
        match tools.iter().find(|tool| tool.name == name) {
            Some(tool) => (tool.invoke)(arguments),
            None => Err(Error::Invalid(format!("there is no tool `{name}`"))),
        }
    }
}

/// A tool as the manifest describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What the model knows about it.
    pub description: &'static str,
    /// The ids of the actions that its calls may claim.
    pub actions: &'static [&'static str],
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
}

impl Description {
    /// The description of a tool.
    pub fn of<T: Tool>() -> Self {
        Self { name: T::NAME, description: T::DESCRIPTION, actions: T::ACTIONS, input_schema: T::input_schema() }
    }
}
