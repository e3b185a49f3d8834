//! `clock`: the time, which the broker knows, and what is left of this tool call, which only the sandbox knows.

use infraagent_guard::call::{Ambient, Call};

use super::{answer_of, wit};
use crate::{
    broker::{Answer, CallError},
    outcome::{Failure, Stop},
    session::Session,
};

impl wit::clock::Host for Session {
    /// Has no error of its own, so a refusal ends the guest.
    async fn now_unix_ms(&mut self) -> wasmtime::Result<u64> {
        const FUNCTION: &str = "clock.now-unix-ms";
        let answered = self.call(FUNCTION, Ok((None, Call::Ambient(Ambient::Clock)))).await?;
        let time: Result<u64, CallError> = answer_of!(answered, FUNCTION, Answer::Time(millis) => millis);
        time.map_err(|error| match self.exceeded() {
            Some(limit) => self.stop(limit).into(),
            None => Stop(Failure::Refused(error)).into(),
        })
    }

    async fn remaining(&mut self) -> wasmtime::Result<wit::clock::Budget> {
        if self.count_call()?.is_err() {
            return Err(self.stop(crate::limits::Limit::HostCalls).into());
        }
        let (wall, cpu, host_calls, bytes) = self.remaining_budget();
        let small = |n: u128| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(wit::clock::Budget {
            millis: small(wall.as_millis()),
            cpu_millis: small(cpu.as_millis()),
            host_calls,
            bytes_out: small(bytes.into()),
        })
    }
}
