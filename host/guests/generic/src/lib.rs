//! The code of skills without code. Each function of the contract has a component of its own (`examples/`), whose only import it is: a tool of a declarative
//! skill is one of them, so what a skill imports is what its sheet declares, function by function.
//!
//! A component knows nothing of its skill. The tool's name says which action it claims, the arguments say everything else; the host checked them against the
//! schema that it made of the action, and decides on the call that comes out of here like on any other.

pub mod destructive_mutation;
pub mod http;
pub mod kubernetes_read;
pub mod mcp;
pub mod service_mutation;
mod word;

use serde::de::DeserializeOwned;
use serde_json::Value;

#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "destroyer",
        pub_export_macro: true,
        export_macro_name: "export_tool",
        generate_all,
    });
}

pub use bindings::exports::infraagent::skill::skill::{Guest, Invocation, Output};
pub use bindings::infraagent::skill::types::Error;

/// Makes the component of a function `(action, arguments) -> Result<Output, Error>`.
#[macro_export]
macro_rules! component {
    ($function:path) => {
        struct Component;

        impl $crate::Guest for Component {
            fn invoke(call: $crate::Invocation) -> Result<$crate::Output, $crate::Error> {
                let $crate::Invocation { run_id: _, tool, arguments } = call;
                $function(&$crate::action(&tool), $crate::parse(&arguments)?)
            }
        }

        $crate::bindings::export_tool!(Component with_types_in $crate::bindings);
    };
}

/// The action that a tool claims. A tool's name is its action's with `_` for `-`; tools of one action with several verbs end in `__` and the verb.
pub fn action(tool: &str) -> String {
    tool.split("__").next().unwrap_or_default().replace('_', "-")
}

/// Arguments as a function takes them: every field has its type, and there is no other.
pub fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T, Error> {
    serde_json::from_str(arguments).map_err(|error| Error::Invalid(format!("the arguments: {error}")))
}

/// An answer, and one line about it.
fn answer(content: &Value, summary: String) -> Result<Output, Error> {
    Ok(Output { content: content.to_string(), summary })
}

/// What changed, for the model.
fn changed(receipt: &bindings::infraagent::skill::types::Receipt, what: String) -> Result<Output, Error> {
    let content = serde_json::json!({ "changed": receipt.changed, "resourceVersion": receipt.resource_version });
    answer(&content, if receipt.changed { what } else { format!("{what}: nothing to change") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_claims_the_action_that_its_name_says() {
        for (tool, expected) in
            [("restart", "restart"), ("restart_web", "restart-web"), ("pods__get", "pods"), ("my_pods__list", "my-pods")]
        {
            assert_eq!(action(tool), expected);
        }
    }

    #[test]
    fn arguments_have_their_types_and_no_others() {
        let good = serde_json::json!({"kind": "deployments.apps", "namespace": "shop", "name": "web", "replicas": 3, "reason": "load"});
        let parse = |change: fn(&mut Value)| {
            let mut arguments = good.clone();
            change(&mut arguments);
            parse::<service_mutation::Scale>(&arguments.to_string()).is_ok()
        };
        assert!(parse(|_| ()));
        assert!(!parse(|arguments| arguments["replicas"] = "3".into()));
        assert!(!parse(|arguments| arguments["replicas"] = (-1).into()));
        assert!(!parse(|arguments| arguments["replicas"] = 1.5.into()));
        assert!(!parse(|arguments| drop(arguments.as_object_mut().map(|map| map.remove("replicas")))));
        assert!(!parse(|arguments| arguments["kind"] = "daemonsets.apps".into()));
        assert!(!parse(|arguments| arguments["action"] = "other".into()));
        assert!(!parse(|arguments| arguments["namespace"] = Value::Null));
    }
}
