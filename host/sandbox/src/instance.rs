//! A loaded skill, and one fresh instance per tool call: instantiate, call, drop. Nothing of one call is left for the next.
//!
//! Everything that can be resolved before a call is resolved when the skill is loaded. The linker holds only the interfaces that admission found in the
//! component and in its sheet. It is one linker for all tools: which of a skill's actions the running tool may claim is decided, and a refusal recorded, by the
//! broker, since a function that is missing from the linker would leave no record.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::{error::Elapsed, timeout};
use wasmtime::Trap;

use crate::{
    admission::Admitted,
    bindings::skill::{DestroyerPre, exports::infraagent::skill::skill as guest},
    broker::{Broker, CallError},
    capabilities, compat,
    compat::Compat,
    compiled::Authentic,
    engine::{Engine, EngineError},
    limits::{Limit, Limits},
    manifest::Manifest,
    outcome::{Failure, Output, Stop, ToolOutcome, Usage, printable},
    session::Session,
};

/// A skill that is ready to run.
pub struct Skill {
    engine: Engine,
    admitted: Admitted,
    pre: DestroyerPre<Session>,
}

impl std::fmt::Debug for Skill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Skill").field("name", &self.manifest().name).field("digest", &self.admitted.digest()).finish_non_exhaustive()
    }
}

impl Skill {
    /// Loads compiled code. Fails if the code asks for anything that admission did not grant.
    pub fn load(engine: &Engine, admitted: Admitted, code: &Authentic) -> Result<Self, EngineError> {
        let broken = |error: wasmtime::Error| EngineError::Load(format!("{error:#}"));
        let component = engine.load(code)?;
        let mut linker = engine.linker();
        let interfaces: BTreeSet<&str> = admitted.imports().iter().map(|(interface, _)| interface.as_str()).collect();
        capabilities::link(&mut linker, &interfaces).map_err(broken)?;
        if admitted.is_compat() {
            compat::link(&mut linker).map_err(broken)?;
        }
        let pre = DestroyerPre::new(linker.instantiate_pre(&component).map_err(broken)?).map_err(broken)?;
        Ok(Self { engine: engine.clone(), admitted, pre })
    }

    /// What the skill says about itself.
    pub fn manifest(&self) -> &Manifest {
        self.admitted.manifest()
    }

    /// What admission found.
    pub fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Runs one tool in an instance of its own. Dropping the future ends the instance and whatever call it is waiting for.
    pub async fn invoke(&self, tool: &str, arguments: &str, run_id: &str, limits: &Limits, broker: Arc<dyn Broker>) -> ToolOutcome {
        if self.manifest().tool(tool).is_none() {
            return ToolOutcome::failed(Failure::UnknownTool(printable(tool, 64)));
        }
        let Some(_turn) = self.engine.turn().await else {
            return ToolOutcome::failed(Failure::Internal("the engine is closed".to_owned()));
        };
        let compat = self.admitted.is_compat().then(|| Box::new(Compat::new(limits)));
        let mut store = self.engine.store(Session::new(limits, broker, compat));
        let call = guest::Invocation { run_id: run_id.to_owned(), tool: tool.to_owned(), arguments: arguments.to_owned() };
        let processor = store.data().processor();
        let run = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.infraagent_skill_skill().call_invoke(&mut store, &call).await
        };
        let ended = timeout(limits.wall, processor.count(run)).await;
        let answered = settle(ended, store.data());
        let session = store.data();
        let result = answered.and_then(|answer| match answer {
            Ok(output) => accept(output, limits),
            Err(error) => Err(told(error.into(), session)),
        });
        ToolOutcome { result, usage: session.usage(), log: session.compat.as_ref().map(|compat| compat.log()).unwrap_or_default() }
    }
}

impl ToolOutcome {
    fn failed(failure: Failure) -> Self {
        Self { result: Err(failure), usage: Usage::default(), log: String::new() }
    }
}

/// Names what ended a guest that has no answer.
pub(crate) fn settle<T>(ended: Result<wasmtime::Result<T>, Elapsed>, session: &Session) -> Result<T, Failure> {
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(name(&error, session)),
        Err(_) => Err(Failure::limit(Limit::Wall, &session.limits)),
    }
}

/// The answer as it may be handed on.
fn accept(output: guest::Output, limits: &Limits) -> Result<Output, Failure> {
    let guest::Output { content, summary } = output;
    if (content.len().saturating_add(summary.len())) as u64 > limits.output {
        return Err(Failure::limit(Limit::OutputSize, limits));
    }
    // Really parsed, not only skipped over: whoever looks for secrets in it later must be able to parse it too, however deep it nests.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(&content) {
        return Err(Failure::BadAnswer(format!("its content is not JSON: {error}")));
    }
    Ok(Output { content, summary: printable(&summary, 512) })
}

/// An error that the tool answered. If it only passes on that a limit was reached, the limit is what failed.
fn told(error: CallError, session: &Session) -> Failure {
    match (&error, session.exceeded()) {
        (CallError::BudgetExhausted(_), Some(limit)) => Failure::limit(limit, &session.limits),
        (_, _) => Failure::Guest(error),
    }
}

/// Names what ended the guest: our own reasons first, then what the limiter refused, then what the engine says.
fn name(error: &wasmtime::Error, session: &Session) -> Failure {
    let limit = |limit| Failure::limit(limit, &session.limits);
    if let Some(Stop(failure)) = error.downcast_ref::<Stop>() {
        return failure.clone();
    }
    let trap = error.downcast_ref::<Trap>().copied();
    if trap == Some(Trap::Interrupt) {
        return limit(Limit::Cpu);
    }
    if trap == Some(Trap::StackOverflow) {
        return limit(Limit::Stack);
    }
    if let Some(denied) = session.meter.denied {
        return limit(denied);
    }
    if let Some(trap) = trap {
        return crashed(trap, session);
    }
    if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
        return session.panic().unwrap_or_else(|| Failure::Trap { kind: "exit", detail: String::new() });
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Failure::Internal("all slots of the pool are taken".to_owned());
    }
    // The engine has no types for these; the texts are pinned by tests.
    let text = format!("{error:#}");
    let known = [
        ("instance count too high", Limit::Instances),
        ("memory count too high", Limit::Memories),
        ("table count too high", Limit::Tables),
        ("store handle limit exceeded", Limit::Handles),
        ("resource table has no free keys", Limit::Handles),
        ("fuel allocated for hostcalls has been exhausted", Limit::HostcallFuel),
        ("write beyond capacity of MemoryOutputPipe", Limit::Log),
    ];
    match known.iter().find(|(words, _)| text.contains(words)) {
        Some((_, found)) => limit(*found),
        None => Failure::Trap { kind: "contract-violation", detail: format!(": {}", printable(&text, 300)) },
    }
}

fn crashed(trap: Trap, session: &Session) -> Failure {
    if trap == Trap::UnreachableCodeReached
        && let Some(panic) = session.panic()
    {
        return panic;
    }
    let kind = match trap {
        Trap::MemoryOutOfBounds => "memory-out-of-bounds",
        Trap::TableOutOfBounds => "table-out-of-bounds",
        Trap::IndirectCallToNull => "call-to-null",
        Trap::BadSignature => "bad-signature",
        Trap::IntegerOverflow | Trap::BadConversionToInteger => "integer-overflow",
        Trap::IntegerDivisionByZero => "division-by-zero",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::CannotEnterComponent => "re-entrance",
        Trap::CannotLeaveComponent => "call-at-a-forbidden-moment",
        // The engine's list grows; an unknown word is still a crash.
        _ => "other",
    };
    Failure::Trap { kind, detail: if kind == "other" { format!(": {trap}") } else { String::new() } }
}

impl Session {
    /// The guest's own words, if a panic hook put them where the host sees them; or the flood that kept it from more.
    fn panic(&self) -> Option<Failure> {
        if let Some(compat) = &self.compat {
            if compat.is_full(&self.limits) {
                return Some(Failure::limit(Limit::Log, &self.limits));
            }
            if let Some(message) = compat.panic() {
                return Some(Failure::Panic { message });
            }
        }
        let message = self.last_error.as_ref().filter(|line| line.contains("panicked"))?;
        Some(Failure::Panic { message: message.clone() })
    }
}
