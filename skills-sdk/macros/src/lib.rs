//! Macros of [`skills-sdk`](https://docs.rs/skills-sdk), re-exported there. Use them from there: the code they emit names `::skills_sdk`.
//!
//! They read the action sheet (`actions.yaml`) while the skill is compiled, so that a skill which uses what it does not declare is a compile error for
//! its author. That is a convenience, not the wall: the host admits and decides by the sheet that is packed into the artifact.

mod data;
mod locate;
mod sheet;
mod skill;
mod tool;

use proc_macro::TokenStream;

/// Declares the skill: reads `actions.yaml`, generates one unit type per action in `mod actions`, and exports the tools.
///
/// ```ignore
/// skills_sdk::skill! { tools: [greet, list_pods] }
/// ```
///
/// Write it once, in the crate root, where `SKILL.md` and `actions.yaml` stand beside `Cargo.toml`. Tools in modules are named by path.
#[proc_macro]
pub fn skill(input: TokenStream) -> TokenStream {
    skill::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a function a tool. `actions` lists every action that calls made by this tool may claim; the doc comment is what the model reads.
///
/// ```ignore
/// /// Lists the pods of a namespace with their phases.
/// #[tool(actions = [ListPods])]
/// fn list_pods(cx: &Cx<Self>, args: ListPodsArgs) -> Result<Output> { ... }
/// ```
///
/// Both parameters may be left out. `Self` stands for the tool: a type of the same name as the function, which shared functions can be generic over
/// (`fn pods<T: Uses<ListPods>>(cx: &Cx<T>)`).
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    tool::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct or enum usable in a tool's arguments: `Deserialize` and `JsonSchema`, unknown fields refused.
///
/// Doc comments become descriptions in the schema that the model sees. `#[args(open)]` ignores unknown fields instead of refusing them.
/// Attributes of serde and schemars work as ever.
#[proc_macro_attribute]
pub fn args(attribute: TokenStream, item: TokenStream) -> TokenStream {
    data::args(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct or enum usable in a tool's output: `Serialize`. Attributes of serde work as ever.
#[proc_macro_attribute]
pub fn output(attribute: TokenStream, item: TokenStream) -> TokenStream {
    data::output(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
