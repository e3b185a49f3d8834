//! `log`: lines for people, bounded per tool call.

use infraagent_guard::call::{Ambient, Call, LogLevel, LogLine};

use super::{done, wit};
use crate::session::Session;

impl wit::log::Host for Session {
    async fn emit(
        &mut self,
        level: wit::log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<Result<(), wit::types::Error>> {
        const FUNCTION: &str = "log.emit";
        let level = match level {
            wit::log::Level::Debug => LogLevel::Debug,
            wit::log::Level::Info => LogLevel::Info,
            wit::log::Level::Warn => LogLevel::Warn,
            wit::log::Level::Error => LogLevel::Error,
        };
        if level == LogLevel::Error {
            self.remember_error(&message);
        }
        let bytes = fields.iter().fold(message.len(), |sum, (name, value)| sum.saturating_add(name.len()).saturating_add(value.len()));
        if let Err(error) = self.count_log(bytes as u64)? {
            return Ok(Err(error.into()));
        }
        let line = LogLine { level, message, fields };
        Ok(done(self.call(FUNCTION, Ok((None, Call::Ambient(Ambient::Log(line))))).await?, FUNCTION))
    }
}
