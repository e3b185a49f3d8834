//! `site`: what the environment says about this site.

use infraagent_guard::call::{Ambient, Call};

use super::{json, wit};
use crate::session::Session;

impl wit::site::Host for Session {
    async fn describe(&mut self) -> wasmtime::Result<Result<String, wit::types::Error>> {
        const FUNCTION: &str = "site.describe";
        Ok(json(self.call(FUNCTION, Ok((None, Call::Ambient(Ambient::Site)))).await?, FUNCTION))
    }
}
