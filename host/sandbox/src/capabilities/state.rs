//! `state`: memory across runs.

use infraagent_guard::{
    call::{Ambient, Call, StateKeys, StatePut, StateRemove},
    name::{Invalid, StateKey},
};

use super::{answer_of, done, wit};
use crate::{
    broker::Answer,
    session::{Parsed, Session},
};

/// The most keys of one answer.
const MAX_KEYS: u32 = 1000;

impl wit::state::Host for Session {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<wit::state::Entry>, wit::types::Error>> {
        const FUNCTION: &str = "state.get";
        let parsed = StateKey::parse(&key).map(|key| ambient(Ambient::StateGet(key)));
        Ok(answer_of!(self.call(FUNCTION, parsed).await?, FUNCTION, Answer::Entry(entry) => {
            entry.map(|(value, version)| wit::state::Entry { value, version })
        }))
    }

    async fn put(&mut self, key: String, value: Vec<u8>, expect: Option<u64>) -> wasmtime::Result<Result<u64, wit::types::Error>> {
        const FUNCTION: &str = "state.put";
        let parsed = StateKey::parse(&key).map(|key| ambient(Ambient::StatePut(StatePut { key, value, expect })));
        Ok(answer_of!(self.call(FUNCTION, parsed).await?, FUNCTION, Answer::Version(version) => version))
    }

    async fn remove(&mut self, key: String, expect: Option<u64>) -> wasmtime::Result<Result<(), wit::types::Error>> {
        const FUNCTION: &str = "state.remove";
        let parsed = StateKey::parse(&key).map(|key| ambient(Ambient::StateRemove(StateRemove { key, expect })));
        Ok(done(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn keys(&mut self, prefix: String, limit: u32) -> wasmtime::Result<Result<Vec<String>, wit::types::Error>> {
        const FUNCTION: &str = "state.keys";
        Ok(answer_of!(self.call(FUNCTION, parse_keys(&prefix, limit)).await?, FUNCTION, Answer::Keys(keys) => keys))
    }
}

fn ambient(call: Ambient) -> (Option<infraagent_guard::name::ActionId>, Call) {
    (None, Call::Ambient(call))
}

fn parse_keys(prefix: &str, limit: u32) -> Parsed {
    if !(1..=MAX_KEYS).contains(&limit) {
        return Err(Invalid::plain("limit is 1 to 1000"));
    }
    let prefix = if prefix.is_empty() { None } else { Some(StateKey::parse(prefix)?) };
    Ok(ambient(Ambient::StateKeys(StateKeys { prefix, limit })))
}
