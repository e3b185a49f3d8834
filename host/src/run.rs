//! One run of one agent: dereference, validate, converse, report.
//!
//! | step | file | may touch |
//! |---|---|---|
//! | [`dereference`] | the documents and components that the run is made of | files |
//! | [`validate`] | custom resources and manifests become one [`ValidatedRun`](validate::ValidatedRun) | nothing |
//! | [`prompt`] | what the model is told | nothing |
//! | [`converse`] | the model asks, [`tools::Tools`] answers, [`budget`] bounds both | provider, tools |
//! | [`report`] | what the record says about the whole run | nothing |
//!
//! Nothing here executes a call: a tool call goes to [`tools::Tools`], whose only implementation outside of tests is the sandbox in front of
//! the broker.

pub mod budget;
pub mod converse;
pub mod dereference;
pub mod event;
pub mod finding;
pub mod freeze;
pub mod history;
pub mod prompt;
pub mod report;
pub mod schema;
pub mod tools;
pub mod validate;
