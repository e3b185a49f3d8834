//! Evaluates CEL. It imports nothing: what an expression can reach is its variables, what it can spend is the time and memory that the host gives.
//!
//! Error texts never carry a value of a variable, since they end up where the object must not be seen: codes and the expression's own words only.

mod value;

use cel::{Context, Env, ExecutionError, Program};
use serde_json::Value;

wit_bindgen::generate!({ path: "wit", world: "evaluator" });

struct Component;

impl Guest for Component {
    fn evaluate(expression: String, variables: String) -> Result<String, String> {
        let program = compile(&expression)?;
        let variables: serde_json::Map<String, Value> =
            serde_json::from_str(&variables).map_err(|_| "the variables are not a JSON object".to_owned())?;
        let mut context = Context::with_env(Env::stdlib().into());
        for (name, variable) in variables {
            context.add_variable_from_value(name, value::from_json(variable));
        }
        let result = program.execute(&context).map_err(|error| describe(&error, &expression))?;
        value::to_json(&result).map(|json| json.to_string()).ok_or_else(|| "the result has no form in JSON".to_owned())
    }

    fn check(expression: String) -> Result<(), String> {
        compile(&expression).map(drop)
    }
}

fn compile(expression: &str) -> Result<Program, String> {
    Env::stdlib().compile(expression).map_err(|errors| {
        let first = errors.errors.first();
        first.map_or_else(|| "it does not parse".to_owned(), |error| format!("at line {}, column {}: {}", error.pos.0, error.pos.1, error.msg))
    })
}

/// What went wrong, in the words of the expression.
fn describe(error: &ExecutionError, expression: &str) -> String {
    match error {
        // A key can be computed from the object, so it is named only where the expression spells it.
        ExecutionError::NoSuchKey(key) if expression.contains(key.as_str()) => format!("there is no field `{key}`"),
        ExecutionError::NoSuchKey(_) => "there is no such field".to_owned(),
        ExecutionError::UndeclaredReference(name) if expression.contains(name.as_str()) => format!("`{name}` is not known"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::InvalidArgumentCount { expected, actual } => format!("a function takes {expected} arguments and was given {actual}"),
        ExecutionError::UnexpectedType { got, want } => format!("a value is {got} where {want} is needed"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, _, _) => format!("`{operator}` overflows"),
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map has a key twice".to_owned(),
        ExecutionError::ValuesNotComparable(_, _) => "two values cannot be compared".to_owned(),
        // The enum is not ours, may grow, and most of its texts print values.
        _ => "an operator or function was given a value of the wrong type".to_owned(),
    }
}

export!(Component);
