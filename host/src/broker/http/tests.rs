//! Requests to real servers on this machine. Each attack stands beside its legitimate neighbour.

mod addresses;
mod answers;
mod credentials;
mod requests;
mod server;
mod site;
mod tls;

use infraagent_sandbox::broker::{CallError, Response};

/// The stable word of an answer that did not come.
fn word(answer: Result<Response, CallError>) -> String {
    match answer {
        Err(CallError::Unavailable { message, retry_after_ms: _ }) => message.split(':').next().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn text(answer: Result<Response, CallError>) -> String {
    String::from_utf8(answer.unwrap().body).unwrap()
}
