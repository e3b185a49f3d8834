//! `http-mutation`: POST, PUT and PATCH where the environment lists them.

use infraagent_guard::call::{Effect, HttpMutation, HttpRequest, WriteMethod};

use super::{http_read::response, mutation, wit};
use crate::session::{Parsed, Session};
use wit::http_mutation as generated;

impl generated::Host for Session {
    async fn send(
        &mut self,
        action: String,
        request: generated::Request,
        reason: String,
    ) -> wasmtime::Result<Result<wit::http_read::Response, wit::types::Error>> {
        const FUNCTION: &str = "http-mutation.send";
        Ok(response(self.call(FUNCTION, parse(&action, request, reason)).await?, FUNCTION))
    }
}

fn parse(action: &str, request: generated::Request, reason: String) -> Parsed {
    let generated::Request { endpoint, method, path, query, headers, body } = request;
    let method = match method {
        generated::Method::Post => WriteMethod::Post,
        generated::Method::Put => WriteMethod::Put,
        generated::Method::Patch => WriteMethod::Patch,
    };
    let request = HttpRequest::parse(&endpoint, &path, query, headers)?;
    mutation(action, Effect::Http(HttpMutation { method, request, body }), reason)
}
