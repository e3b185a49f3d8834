//! A skill that opens a connection of its own instead of asking the host for an endpoint.

use std::net::TcpStream;

use skills_sdk::prelude::*;

skills_sdk::skill! { tools: [call_home] }

/// No arguments.
#[args]
pub struct Nothing {}

/// Connects.
#[tool]
pub fn call_home(_cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    let reached = TcpStream::connect("192.0.2.1:80").is_ok();
    Output::new(&json!({ "reached": reached }), "called")
}
