//! The bundled code of skills without code: one component for each function of the contract, which imports that function and nothing else.
//!
//! Finer than one for each interface, since admission is: a component may import no function that its sheet does not declare.

/// One function of the contract, and the component that calls it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Generic {
    /// The interface.
    pub(super) interface: &'static str,
    /// The function.
    pub(super) function: &'static str,
    /// The component, without a manifest.
    pub(super) component: &'static [u8],
}

macro_rules! generics {
    ($($interface:literal, $function:literal => $file:literal;)+) => {
        /// All of them.
        pub(super) const ALL: &[Generic] = &[$(Generic {
            interface: $interface,
            function: $function,
            component: include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".wasm")),
        }),+];
    };
}

generics! {
    "http-mutation", "send" => "http_mutation_send";
    "http-read", "send" => "http_read_send";
    "kubernetes-destructive-mutation", "delete" => "kubernetes_destructive_mutation_delete";
    "kubernetes-destructive-mutation", "rollback" => "kubernetes_destructive_mutation_rollback";
    "kubernetes-read", "get" => "kubernetes_read_get";
    "kubernetes-read", "list" => "kubernetes_read_list";
    "kubernetes-read", "logs" => "kubernetes_read_logs";
    "kubernetes-read", "wait" => "kubernetes_read_wait";
    "kubernetes-service-mutation", "cordon" => "kubernetes_service_mutation_cordon";
    "kubernetes-service-mutation", "evict" => "kubernetes_service_mutation_evict";
    "kubernetes-service-mutation", "pause" => "kubernetes_service_mutation_pause";
    "kubernetes-service-mutation", "request-sync" => "kubernetes_service_mutation_request_sync";
    "kubernetes-service-mutation", "restart" => "kubernetes_service_mutation_restart";
    "kubernetes-service-mutation", "scale" => "kubernetes_service_mutation_scale";
    "mcp-mutation", "call-tool" => "mcp_mutation_call_tool";
    "mcp-read", "call-tool" => "mcp_read_call_tool";
}

/// The component that calls a function.
pub(super) fn of(interface: &str, function: &str) -> Option<&'static Generic> {
    ALL.iter().find(|generic| (generic.interface, generic.function) == (interface, function))
}

#[cfg(test)]
mod tests {
    use infraagent_guard::policy::Verb;
    use infraagent_sandbox::manifest;

    use super::*;
    use crate::skill::surface::Surface;

    #[test]
    fn each_component_imports_its_function_and_no_other() {
        for Generic { interface, function, component } in ALL {
            let Surface { imports, exports } = Surface::of(component).unwrap();
            let imported: Vec<_> =
                imports.iter().flat_map(|(name, functions)| functions.iter().map(move |function| (name, function))).collect();
            assert_eq!(imported, [(&format!("infraagent:skill/{interface}@{}", manifest::CONTRACT), &(*function).to_owned())]);
            assert_eq!(exports.len(), 1, "{exports:?}");
            assert!(component.len() < 128 * 1024, "{interface}.{function} has {} bytes", component.len());
        }
    }

    #[test]
    fn every_verb_has_one() {
        for verb in Verb::ALL {
            let (interface, function) = manifest::function(verb);
            assert!(of(interface, function).is_some(), "{interface}.{function}");
        }
    }
}
