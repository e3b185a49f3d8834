//! `report`: findings.

use infraagent_guard::{
    call::{Ambient, Call, Finding, Severity},
    name::Invalid,
};

use super::{done, object, wit};
use crate::session::{Parsed, Session};

impl wit::report::Host for Session {
    async fn finding(
        &mut self,
        severity: wit::report::Severity,
        about: Option<wit::types::ObjectRef>,
        message: String,
    ) -> wasmtime::Result<Result<(), wit::types::Error>> {
        const FUNCTION: &str = "report.finding";
        Ok(done(self.call(FUNCTION, parse(severity, about, message)).await?, FUNCTION))
    }
}

fn parse(severity: wit::report::Severity, about: Option<wit::types::ObjectRef>, message: String) -> Parsed {
    let severity = match severity {
        wit::report::Severity::Info => Severity::Info,
        wit::report::Severity::Warning => Severity::Warning,
        wit::report::Severity::Critical => Severity::Critical,
    };
    if message.trim().is_empty() || message.len() > Finding::MAX_MESSAGE {
        return Err(Invalid::plain("a finding has a text of at most 1024 bytes"));
    }
    Ok((None, Call::Ambient(Ambient::Finding(Finding { severity, about: about.map(object).transpose()?, message }))))
}
