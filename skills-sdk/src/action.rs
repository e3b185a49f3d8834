//! Compile-time capability: which action declares which verb, and which tool uses which action.
//!
//! `skill!` implements [`Action`] and [`Declares`] from the action sheet, `#[tool]` implements [`Uses`] from the tool's list. Every verb of
//! [`Cx`](crate::Cx) is bounded by both, so a call that the sheet does not cover is a compile error which says what to write where. Anybody can implement
//! these traits by hand and get past the compiler. That gains nothing: the host never asks what a skill compiled against, it admits the component's
//! imports and decides every call by the sheet and the tool lists that are packed into the artifact.

/// An action of the action sheet.
pub trait Action: Copy {
    /// Its id, which every call claims.
    const ID: &'static str;
}

/// The action declares the verb `V` (see [`verb`](crate::verb)).
#[diagnostic::on_unimplemented(
    message = "the action `{Self}` does not declare the verb `{V}` in actions.yaml",
    label = "actions.yaml does not let this action do that",
    note = "add the verb to the target of the action in actions.yaml, for example `kubernetes: {{ verb: [get, list], resources: [pods] }}`,",
    note = "or declare a new action there, and use it here. The words of the sheet are those of `skills_sdk::verb`, in kebab-case"
)]
pub trait Declares<V>: Action {}

/// The tool lists the action `A`.
#[diagnostic::on_unimplemented(
    message = "the tool `{Self}` does not list the action `{A}`",
    label = "the host refuses calls that claim an action which the tool does not list",
    note = "add it to the list of the tool: `#[tool(actions = [.., {A}])]`"
)]
pub trait Uses<A: Action> {}

/// The tool `T` lists the action: [`Uses`], seen from the action.
///
/// The verbs are bounded by this, since the compiler would otherwise conclude from a tool with a single action which action must be meant.
pub trait UsedBy<T>: Action {}

impl<A: Action, T: Uses<A>> UsedBy<T> for A {}

/// The tool belongs to a skill with memory across runs.
#[diagnostic::on_unimplemented(
    message = "the skill of the tool `{Self}` has no memory: actions.yaml does not ask for state",
    label = "there is no state to use",
    note = "write `state: true` at the top level of actions.yaml; the host then links the `state` interface",
    note = "a shared function is generic over it: `fn remember<T: Remembers>(cx: &Cx<T>)`"
)]
pub trait Remembers {}

/// The id of an action that a verb was given.
pub(crate) fn id<A: Action>(_: A) -> &'static str {
    A::ID
}
