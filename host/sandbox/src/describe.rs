//! Learns the tools of a skill from its describer: a component without imports that is run once, under limits, and thrown away.

use std::sync::Arc;

use tokio::time::timeout;

use crate::{
    admission::{Refusal, admit_without_imports, check_exports},
    bindings::description::{DescriberPre, exports::infraagent::skill::description as guest},
    broker::{Answering, Broker, CallError, Request},
    compiled::Authentic,
    contract::DESCRIPTION,
    engine::{Engine, EngineError},
    instance::settle,
    limits::Limits,
    manifest::{MAX_SCHEMA, MAX_TOOLS, ToolDescription},
    outcome::{Failure, printable},
    session::Session,
};

/// Why the tools could not be learned.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// Not a describer.
    #[error("the describer is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Refusal>),
    /// Not code.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It ran, and failed.
    #[error("the describer failed: {0}")]
    Failed(Failure),
    /// What it says cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// Says whether a component may be compiled as a describer: it exports `description`, and imports nothing.
pub fn admit(component: &[u8]) -> Result<(), Vec<Refusal>> {
    let exports = admit_without_imports(component).map_err(|refusal| vec![refusal])?;
    let mut refusals = Vec::new();
    check_exports(&exports, DESCRIPTION, &mut refusals);
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// Compiles and runs a describer that the author just built, in this process.
pub async fn describe(engine: &Engine, component: &[u8]) -> Result<Vec<ToolDescription>, DescribeError> {
    admit(component).map_err(DescribeError::Refused)?;
    run(engine, &engine.compile_trusted(component)?).await
}

/// Runs a describer that was admitted and compiled elsewhere.
pub async fn run(engine: &Engine, code: &Authentic) -> Result<Vec<ToolDescription>, DescribeError> {
    let broken = |error: wasmtime::Error| EngineError::Load(format!("{error:#}"));
    let pre = engine.linker().instantiate_pre(&engine.load(code)?).map_err(broken)?;
    let pre = DescriberPre::new(pre).map_err(broken)?;
    let limits = Limits::DEFAULT;
    let _turn = engine.turn().await;
    let mut store = engine.store(Session::new(&limits, Arc::new(Nobody), None));
    let processor = store.data().processor();
    let run = async {
        let describer = pre.instantiate_async(&mut store).await?;
        describer.infraagent_skill_description().call_describe(&mut store).await
    };
    let ended = timeout(limits.wall, processor.count(run)).await;
    let tools = settle(ended, store.data()).map_err(DescribeError::Failed)?;
    if tools.is_empty() || tools.len() > MAX_TOOLS {
        return Err(DescribeError::Invalid(format!("the describer names {} tools; a skill has 1 to {MAX_TOOLS}", tools.len())));
    }
    tools.into_iter().map(parse).collect()
}

fn parse(tool: guest::Tool) -> Result<ToolDescription, DescribeError> {
    let guest::Tool { name, description, input_schema, actions } = tool;
    let shown = printable(&name, 64);
    if input_schema.len() > MAX_SCHEMA {
        return Err(DescribeError::Invalid(format!(
            "the schema of tool `{shown}` has {} bytes, more than {MAX_SCHEMA}",
            input_schema.len()
        )));
    }
    let input_schema = serde_json::from_str(&input_schema)
        .map_err(|error| DescribeError::Invalid(format!("the schema of tool `{shown}` is not JSON: {error}")))?;
    Ok(ToolDescription { name, description, input_schema, actions })
}

/// Where nothing can be asked.
pub(crate) struct Nobody;

impl Broker for Nobody {
    fn perform(&self, _request: Request) -> Answering<'_> {
        Box::pin(std::future::ready(Err(CallError::Internal("no-broker".to_owned()))))
    }
}
