//! What `skill!` emits last, by the build it is compiled in: the component, the describer, or the tool table for native tests.

/// The shipped component: exports `skill.invoke`.
#[cfg(all(target_arch = "wasm32", not(feature = "describe")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __skill {
    (tools: [$($tool:ty),*], state: $state:expr, actions: [$($action:expr),*]) => {
        const _: () = {
            struct Component;
            impl $crate::__private::Guest for Component {
                fn invoke(call: $crate::__private::Invocation) -> ::core::result::Result<$crate::__private::WitOutput, $crate::__private::WitError> {
                    $crate::__private::invoke(&[$($crate::tool::Entry::of::<$tool>()),*], call)
                }
            }
            $crate::bindings::export_skill!(Component with_types_in $crate::bindings);
        };
    };
}

/// The describer: exports `description.describe`, and is discarded once it has been asked.
#[cfg(all(target_arch = "wasm32", feature = "describe"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __skill {
    (tools: [$($tool:ty),*], state: $state:expr, actions: [$($action:expr),*]) => {
        const _: () = {
            struct Describer;
            impl $crate::__private::Guest for Describer {
                fn describe() -> ::std::vec::Vec<$crate::__private::WitTool> {
                    ::std::vec![$($crate::__private::describe::<$tool>()),*]
                }
            }
            $crate::bindings::export_description!(Describer with_types_in $crate::bindings);
        };
    };
}

/// The tool table for native tests.
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __skill {
    (tools: [$($tool:ty),*], state: $state:expr, actions: [$($action:expr),*]) => {
        /// The skill, for [`skills_sdk::testing::Host`].
        pub const SKILL: $crate::testing::Skill = $crate::testing::Skill {
            tools: &[$($crate::tool::Entry::of::<$tool>()),*],
            describe: || ::std::vec![$($crate::tool::Description::of::<$tool>()),*],
            sheet: $crate::sheet::Sheet { state: $state, actions: &[$($action),*] },
        };
    };
}

/// What the emitted code needs of the shipped build.
#[cfg(all(target_arch = "wasm32", not(feature = "describe")))]
#[doc(hidden)]
pub mod private {
    pub use crate::backend::invoke;
    pub use crate::bindings::exports::infraagent::skill::skill::{Guest, Invocation, Output as WitOutput};
    pub use crate::bindings::infraagent::skill::types::Error as WitError;
}

/// What the emitted code needs of the describer.
#[cfg(all(target_arch = "wasm32", feature = "describe"))]
#[doc(hidden)]
pub mod private {
    pub use crate::bindings::exports::infraagent::skill::description::{Guest, Tool as WitTool};
    use crate::tool::{Description, Tool};

    /// One tool.
    pub fn describe<T: Tool>() -> WitTool {
        let Description { name, description, actions, input_schema } = Description::of::<T>();
        WitTool {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema: input_schema.to_string(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        }
    }
}
