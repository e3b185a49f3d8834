//! The host's side of one tool call: what the guest used so far, and the one way from a guest's call to the broker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_guard::{
    call::Call,
    name::{ActionId, Invalid},
    screen::bytes_out,
};
use wasmtime::ResourceLimiter;

use crate::{
    broker::{Answer, Broker, CallError, Request},
    compat::Compat,
    limits::{Limit, Limits},
    outcome::{Failure, Stop, Usage, printable},
    processor::Processor,
};

/// A call, and the action it claims.
pub(crate) type Parsed = Result<(Option<ActionId>, Call), Invalid>;

/// The data of a store.
pub(crate) struct Session {
    pub(crate) limits: Limits,
    pub(crate) meter: Meter,
    pub(crate) compat: Option<Box<Compat>>,
    /// The last line that the guest logged as an error: where a panic hook puts its message.
    pub(crate) last_error: Option<String>,
    broker: Arc<dyn Broker>,
    started: Instant,
    processor: Arc<Processor>,
    host_calls: u32,
    egress: u64,
    log_lines: u32,
    log_bytes: u64,
    /// Log lines that were refused: a guest that goes on regardless is ended.
    log_refused: u32,
    /// The first limit that a call was refused for.
    exceeded: Option<Limit>,
}

impl Session {
    pub(crate) fn new(limits: &Limits, broker: Arc<dyn Broker>, compat: Option<Box<Compat>>) -> Self {
        Self {
            limits: *limits,
            meter: Meter {
                memory: 0,
                peak: 0,
                memory_limit: limits.memory,
                elements: 0,
                element_limit: limits.table_elements,
                counts: limits.into(),
                denied: None,
            },
            compat,
            last_error: None,
            broker,
            started: Instant::now(),
            processor: Arc::new(Processor::new()),
            host_calls: 0,
            egress: 0,
            log_lines: 0,
            log_bytes: 0,
            log_refused: 0,
            exceeded: None,
        }
    }

    /// Looks at a guest that computes, once per tick of the clock. An error ends it.
    pub(crate) fn tick(&self) -> Result<(), Stop> {
        if self.cpu() > self.limits.cpu { Err(self.stop(Limit::Cpu)) } else { Ok(()) }
    }

    /// What the guest computed, host functions included, the broker left out.
    pub(crate) fn cpu(&self) -> Duration {
        self.processor.spent()
    }

    /// What counts the guest: whoever runs it must run it inside.
    pub(crate) fn processor(&self) -> Arc<Processor> {
        Arc::clone(&self.processor)
    }

    pub(crate) fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            cpu: self.cpu(),
            wall: self.started.elapsed(),
            peak_memory: self.meter.peak,
            host_calls: self.host_calls,
            egress: self.egress,
            log_lines: self.log_lines,
        }
    }

    /// What is left: wall clock, processor, host calls, bytes.
    pub(crate) fn remaining_budget(&self) -> (Duration, Duration, u32, u64) {
        (
            self.limits.wall.saturating_sub(self.started.elapsed()),
            self.limits.cpu.saturating_sub(self.cpu()),
            self.limits.host_calls.saturating_sub(self.host_calls),
            self.limits.egress.saturating_sub(self.egress),
        )
    }

    /// Takes a call to the broker, within the limits. The outer error ends the guest, the inner one is its to handle.
    pub(crate) async fn call(&mut self, function: &'static str, parsed: Parsed) -> wasmtime::Result<Result<Answer, CallError>> {
        if let Err(error) = self.count_call()? {
            return Ok(Err(error));
        }
        let (action, call) = match parsed {
            Ok(parsed) => parsed,
            Err(invalid) => {
                let message = invalid.to_string();
                self.ask(Request::Malformed { function, message: message.clone() }).await.ok();
                return Ok(Err(CallError::Invalid(message)));
            }
        };
        let total = self.egress.saturating_add(bytes_out(&call));
        if total > self.limits.egress {
            let refusal = self.refuse(Limit::Egress);
            self.ask(Request::Malformed { function, message: format!("egress: more than {} bytes", self.limits.egress) }).await.ok();
            return Ok(Err(refusal));
        }
        self.egress = total;
        let answer = self.ask(Request::Call { action, call }).await;
        Ok(answer.and_then(|answer| if size(&answer) > self.limits.result { Err(self.refuse(Limit::ResultSize)) } else { Ok(answer) }))
    }

    /// Counts a call that never reaches the broker.
    pub(crate) fn count_call(&mut self) -> wasmtime::Result<Result<(), CallError>> {
        self.host_calls = self.host_calls.saturating_add(1);
        let allowed = self.limits.host_calls;
        if self.host_calls > allowed.saturating_mul(2) {
            return Err(self.stop(Limit::HostCalls).into());
        }
        Ok(if self.host_calls > allowed { Err(self.refuse(Limit::HostCalls)) } else { Ok(()) })
    }

    /// Counts a line of log.
    pub(crate) fn count_log(&mut self, bytes: u64) -> wasmtime::Result<Result<(), CallError>> {
        let (lines, total) = (self.log_lines.saturating_add(1), self.log_bytes.saturating_add(bytes));
        if lines > self.limits.log_lines || total > self.limits.log_bytes {
            self.log_refused = self.log_refused.saturating_add(1);
            if self.log_refused > self.limits.log_lines {
                return Err(self.stop(Limit::Log).into());
            }
            return Ok(Err(self.refuse(Limit::Log)));
        }
        (self.log_lines, self.log_bytes) = (lines, total);
        Ok(Ok(()))
    }

    fn refuse(&mut self, limit: Limit) -> CallError {
        self.exceeded.get_or_insert(limit);
        CallError::BudgetExhausted(format!("{limit}: the skill {}", limit.explain(&self.limits)))
    }

    pub(crate) fn stop(&self, limit: Limit) -> Stop {
        Stop(Failure::limit(limit, &self.limits))
    }

    async fn ask(&mut self, request: Request) -> Result<Answer, CallError> {
        let broker = &self.broker;
        self.processor.leave_out(async move { broker.perform(request).await }).await
    }

    pub(crate) fn remember_error(&mut self, line: &str) {
        self.last_error = Some(printable(line, 512));
    }
}

/// The answer is not of the kind that the call has: a fault of the broker.
pub(crate) fn mismatch(function: &'static str) -> CallError {
    CallError::Internal(format!("answer-mismatch-{function}"))
}

/// Bytes that an answer brings into the guest.
fn size(answer: &Answer) -> u64 {
    let bytes = match answer {
        Answer::Done | Answer::Time(_) | Answer::Reached(_) | Answer::Receipt(_) | Answer::Version(_) | Answer::Entry(None) => 0,
        Answer::Json(text) | Answer::Text(text, _) => text.len(),
        Answer::Page(page) => page.items.len(),
        Answer::Response(response) => response
            .headers
            .iter()
            .fold(response.body.len(), |sum, (name, value)| sum.saturating_add(name.len()).saturating_add(value.len())),
        Answer::Entry(Some((value, _))) => value.len(),
        Answer::Keys(keys) => keys.iter().fold(0usize, |sum, key| sum.saturating_add(key.len())),
    };
    bytes as u64
}

/// How many of each a store may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    instances: usize,
    memories: usize,
    tables: usize,
}

impl From<&Limits> for Counts {
    fn from(limits: &Limits) -> Self {
        Self { instances: limits.instances as usize, memories: limits.memories as usize, tables: limits.tables as usize }
    }
}

/// Watches what the guest allocates, and remembers what it was refused for: the engine's own errors are only text.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: u64,
    peak: u64,
    memory_limit: u64,
    elements: u64,
    element_limit: u64,
    counts: Counts,
    pub(crate) denied: Option<Limit>,
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_sub(current as u64).saturating_add(desired as u64);
        if total > self.memory_limit {
            self.denied.get_or_insert(Limit::Memory);
            return Ok(false);
        }
        self.memory = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_sub(current as u64).saturating_add(desired as u64);
        if total > self.element_limit {
            self.denied.get_or_insert(Limit::Tables);
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.counts.instances
    }

    fn tables(&self) -> usize {
        self.counts.tables
    }

    fn memories(&self) -> usize {
        self.counts.memories
    }
}
