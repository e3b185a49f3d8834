//! `http-read`: GET and HEAD on endpoints of the environment.

use infraagent_guard::call::{Call, HttpRead, HttpRequest, Read, ReadMethod};

use super::{answer_of, claim, wit};
use crate::{
    broker::{Answer, CallError, Certificate, Response},
    session::{Parsed, Session},
};
use wit::http_read as generated;

impl generated::Host for Session {
    async fn send(
        &mut self,
        action: String,
        request: generated::Request,
    ) -> wasmtime::Result<Result<generated::Response, wit::types::Error>> {
        const FUNCTION: &str = "http-read.send";
        Ok(response(self.call(FUNCTION, parse(&action, request)).await?, FUNCTION))
    }
}

fn parse(action: &str, request: generated::Request) -> Parsed {
    let generated::Request { endpoint, method, path, query, headers } = request;
    let method = match method {
        generated::Method::Get => ReadMethod::Get,
        generated::Method::Head => ReadMethod::Head,
    };
    let request = HttpRequest::parse(&endpoint, &path, query, headers)?;
    Ok((claim(action)?, Call::Read(Read::Http(HttpRead { method, request }))))
}

pub(super) fn response(answered: Result<Answer, CallError>, function: &'static str) -> Result<generated::Response, wit::types::Error> {
    answer_of!(answered, function, Answer::Response(response) => {
        let Response { status, headers, body, truncated, elapsed_ms, tls } = response;
        let tls = tls.map(|Certificate { subject, issuer, not_before, not_after }| generated::Certificate { subject, issuer, not_before, not_after });
        generated::Response { status, headers, body, truncated, elapsed_ms, tls }
    })
}
