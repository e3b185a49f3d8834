//! Pre-conditions and filters: CEL, evaluated by a bundled component without imports, under limits.
//!
//! An expression comes from an artifact or a custom resource, so it is somebody else's program, and programs never run natively: a dozen nested `all`
//! would keep a core busy for years. Here it ends with an error, an error is "unknown", and unknown is denied. Errors carry no value of the object.

use std::sync::Arc;

use infraagent_sandbox::{
    compiled::Authentic,
    engine::{Engine, EngineError},
    limits::Limits,
    pure::{self, EVALUATION, EvaluationError},
};
use serde_json::Value;
use tokio::sync::OnceCell;

/// The evaluator, as a component.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cel.wasm"));

/// What one evaluation may use: what a tool call gets by default.
const LIMITS: Limits = Limits { cpu: Limits::DEFAULT.cpu, memory: Limits::DEFAULT.memory, ..EVALUATION };

/// Why an expression has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The expression is wrong, or does not fit the object.
    #[error("{0}")]
    Expression(EvaluationError),
    /// It is right, but says neither yes nor no.
    #[error("the expression answers {0}; it must answer true or false")]
    NotABoolean(&'static str),
    /// The evaluator does not start.
    #[error("the evaluator of expressions does not start: {0}")]
    Engine(#[from] Arc<EngineError>),
}

/// Evaluates expressions over an object. Compiled when the first expression comes, once; each evaluation is a fresh instance.
#[derive(Debug)]
pub struct Evaluator {
    engine: Engine,
    loaded: OnceCell<pure::Evaluator>,
}

impl Evaluator {
    /// An evaluator that compiles its component when it is first needed.
    pub fn new(engine: Engine) -> Self {
        Self { engine, loaded: OnceCell::new() }
    }

    /// An evaluator whose component ([`COMPONENT`]) was compiled before.
    pub fn compiled(engine: Engine, code: &Authentic) -> Result<Self, Error> {
        let loaded = pure::Evaluator::load(&engine, code, LIMITS).map_err(Arc::new)?;
        Ok(Self { engine, loaded: OnceCell::new_with(Some(loaded)) })
    }

    /// True if the expression holds for the object, which it calls `object`.
    pub async fn evaluate(&self, expression: &str, object: &Value) -> Result<bool, Error> {
        self.holds(expression, "object", object).await
    }

    /// True if the expression holds for the value, which it calls by this name.
    pub async fn holds(&self, expression: &str, name: &str, value: &Value) -> Result<bool, Error> {
        let variables = serde_json::json!({ name: value }).to_string();
        let answer = self.evaluator().await?.evaluate(expression, &variables).await.map_err(Error::Expression)?;
        match serde_json::from_str(&answer) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(Value::Null) => Err(Error::NotABoolean("null")),
            Ok(Value::Number(_)) => Err(Error::NotABoolean("a number")),
            Ok(Value::String(_)) => Err(Error::NotABoolean("a text")),
            Ok(Value::Array(_)) => Err(Error::NotABoolean("a list")),
            Ok(Value::Object(_)) => Err(Error::NotABoolean("a map")),
            Err(_) => Err(Error::NotABoolean("nothing that is JSON")),
        }
    }

    /// Whether the expression can be parsed.
    pub async fn check(&self, expression: &str) -> Result<(), Error> {
        self.evaluator().await?.check(expression).await.map_err(Error::Expression)
    }

    async fn evaluator(&self) -> Result<&pure::Evaluator, Error> {
        self.loaded.get_or_try_init(|| self.load()).await.map_err(|error| Error::Engine(Arc::new(error)))
    }

    /// Compiling takes a second of a core, so it does not happen on a thread that serves others.
    async fn load(&self) -> Result<pure::Evaluator, EngineError> {
        let engine = self.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || engine.compile_trusted(COMPONENT)).await;
        let code = compiled.unwrap_or_else(|stopped| Err(EngineError::Compile(stopped.to_string())))?;
        pure::Evaluator::load(&self.engine, &code, LIMITS)
    }
}

impl crate::broker::facts::Preconditions for Evaluator {
    type Error = Error;

    async fn evaluate(&self, expression: &str, object: &Value) -> Result<bool, Error> {
        Self::evaluate(self, expression, object).await
    }
}

#[cfg(test)]
mod tests;
