//! Runs expressions in a bundled component that imports nothing, under the limits of a skill: an expression of a sheet, a filter or a webhook is a program, and
//! programs never run natively. Whatever goes wrong is an error, and an error is never a yes.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    admission::{Refusal, admit_without_imports},
    bindings::evaluator::EvaluatorPre,
    compiled::Authentic,
    describe::Nobody,
    engine::{Engine, EngineError},
    instance::settle,
    limits::Limits,
    outcome::{Failure, printable},
    session::Session,
};

/// What one evaluation may use.
pub const EVALUATION: Limits =
    Limits { cpu: Duration::from_millis(500), wall: Duration::from_secs(5), memory: 32 * 1024 * 1024, ..Limits::DEFAULT };

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The expression is wrong.
    #[error("the expression is not valid: {0}")]
    Expression(String),
    /// It used too much, or crashed.
    #[error("the expression could not be evaluated: {0}")]
    Failed(Failure),
}

/// The evaluator, ready to run. Each evaluation gets an instance of its own.
pub struct Evaluator {
    engine: Engine,
    pre: EvaluatorPre<Session>,
    limits: Limits,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Evaluator {
    /// Says whether a component may be compiled as an evaluator: it imports nothing.
    pub fn admit(component: &[u8]) -> Result<(), Refusal> {
        admit_without_imports(component).map(|_| ())
    }

    /// Loads the compiled evaluator. Its linker is empty.
    pub fn load(engine: &Engine, code: &Authentic, limits: Limits) -> Result<Self, EngineError> {
        let broken = |error: wasmtime::Error| EngineError::Load(format!("{error:#}"));
        let pre = engine.linker().instantiate_pre(&engine.load(code)?).map_err(broken)?;
        Ok(Self { engine: engine.clone(), pre: EvaluatorPre::new(pre).map_err(broken)?, limits: limits.min(&Limits::CEILING) })
    }

    /// The value of an expression as JSON text. `variables` is a JSON object.
    pub async fn evaluate(&self, expression: &str, variables: &str) -> Result<String, EvaluationError> {
        let mut store = self.engine.store(Session::new(&self.limits, Arc::new(Nobody), None));
        let processor = store.data().processor();
        let run = async {
            let _turn = self.engine.evaluation_turn().await;
            let evaluator = self.pre.instantiate_async(&mut store).await?;
            evaluator.call_evaluate(&mut store, expression, variables).await
        };
        let ended = timeout(self.limits.wall, processor.count(run)).await;
        answer(settle(ended, store.data()))
    }

    /// Whether an expression parses.
    pub async fn check(&self, expression: &str) -> Result<(), EvaluationError> {
        let mut store = self.engine.store(Session::new(&self.limits, Arc::new(Nobody), None));
        let processor = store.data().processor();
        let run = async {
            let _turn = self.engine.evaluation_turn().await;
            let evaluator = self.pre.instantiate_async(&mut store).await?;
            evaluator.call_check(&mut store, expression).await
        };
        let ended = timeout(self.limits.wall, processor.count(run)).await;
        answer(settle(ended, store.data()))
    }
}

fn answer<T>(answered: Result<Result<T, String>, Failure>) -> Result<T, EvaluationError> {
    answered.map_err(EvaluationError::Failed)?.map_err(|problem| EvaluationError::Expression(printable(&problem, 512)))
}
