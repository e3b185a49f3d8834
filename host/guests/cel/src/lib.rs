//! Evaluates CEL. It imports nothing: what an expression can reach is its variables, what it can spend is the time and memory that the host gives.
//!
//! Error texts never carry a value of a variable, since they end up where the object must not be seen: codes and the expression's own words only.

mod value;

use std::sync::Arc;

use cel::{Context, Env, ExecutionError, IdedExpr, Value as Cel, extractors::This, parser::PrattParser};
use serde_json::{Map, Value};

wit_bindgen::generate!({ path: "wit", world: "evaluator" });

struct Component;

impl Guest for Component {
    fn evaluate(expression: String, variables: String) -> Result<String, String> {
        let variables = serde_json::from_str(&variables).map_err(|_| "the variables are not a JSON object".to_owned())?;
        let result = run(&expression, variables)?;
        value::to_json(&result).map(|json| json.to_string()).ok_or_else(|| "the result has no form in JSON".to_owned())
    }

    fn check(expression: String) -> Result<(), String> {
        parse(&expression).map(drop)
    }
}

export!(Component);

fn run(expression: &str, variables: Map<String, Value>) -> Result<Cel, String> {
    let program = parse(expression)?;
    let mut context = Context::with_env(Env::stdlib().into());
    context.add_function("matches", matches).map_err(|_| "`matches` cannot be defined".to_owned())?;
    for (name, variable) in variables {
        context.add_variable_from_value(name, value::from_json(variable));
    }
    Cel::resolve(&program, &context).map_err(|error| describe(&error, expression))
}

fn parse(expression: &str) -> Result<IdedExpr, String> {
    PrattParser::new().enable_optional_syntax(true).parse(expression).map_err(|errors| match errors.errors.first() {
        Some(error) => format!("at line {}, column {}: {}", error.pos.0, error.pos.1, error.msg),
        None => "it does not parse".to_owned(),
    })
}

/// `text.matches(pattern)`: linear in the text, without classes of Unicode.
fn matches(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<bool, ExecutionError> {
    let regex = regex_lite::Regex::new(&pattern);
    regex
        .map(|regex| regex.is_match(&text))
        .map_err(|_| ExecutionError::FunctionError { function: "matches".to_owned(), message: String::new() })
}

/// What went wrong, in the words of the expression.
fn describe(error: &ExecutionError, expression: &str) -> String {
    match error {
        // A key can be computed from the object, so it is named only where the expression spells it.
        ExecutionError::NoSuchKey(key) if expression.contains(key.as_str()) => format!("there is no field `{key}`"),
        ExecutionError::NoSuchKey(_) => "there is no such field".to_owned(),
        ExecutionError::UndeclaredReference(name) if expression.contains(name.as_str()) => format!("`{name}` is not known"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments and was given {actual}")
        }
        ExecutionError::UnexpectedType { got, want } => format!("a value is {got} where {want} is needed"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, _, _) => format!("`{operator}` overflows"),
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map has a key twice".to_owned(),
        ExecutionError::ValuesNotComparable(_, _) => "two values cannot be compared".to_owned(),
        ExecutionError::FunctionError { function, message: _ } if function == "matches" => {
            "a pattern of `matches` is no regular expression".to_owned()
        }
        // The enum is not ours, may grow, and most of its texts print values.
        _ => "an operator or function was given a value of the wrong type".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of an expression, without the numbers of its nodes.
    fn shape(expression: &IdedExpr) -> String {
        let mut text = String::new();
        let mut rest = format!("{expression:?}");
        while let Some(at) = rest.find("id: ") {
            text.push_str(&rest[..at]);
            rest = rest[at + 4..].trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        }
        text + &rest
    }

    /// The hand-written parser must read what the grammar of the specification reads.
    #[test]
    fn both_parsers_agree() {
        for expression in [
            "1 + 2 * 3 - 4 / 5 % 6",
            "a || b && c || !d",
            "a && (b || c) && !(d == e)",
            "a ? b : c ? d : e",
            "-a.b[0].c(1, 'x')",
            "a.b == c.d && e.f != g || h in [1, 2, 3]",
            "object.status.updatedReplicas == object.spec.replicas",
            "has(object.metadata.labels) && object.metadata.labels['app'] == 'web'",
            "object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
            "xs.all(x, x > 0) ? xs.map(x, x * 2).filter(y, y < 10) : []",
            "size(object.spec.template.spec.containers) <= 3u",
            "{'a': 1, 'b': [true, false, null], 'c': 1.5e3}",
            "'it\\'s' + \"two\" + r'raw\\n' + '''long'''",
            "a < b == c > d",
            "!!a == - -1",
            "a.?b.orValue(1) + a[?0].orValue(2)",
            "x.matches('^web-[0-9]+$') || x.startsWith('db')",
            "0x1F + 017 - -9223372036854775808",
            "a.exists_one(x, x in b) == b.exists(y, y == 'z')",
        ] {
            let grammar = Env::stdlib().parser().parse(expression).map_err(|errors| errors.to_string());
            assert_eq!(parse(expression).map(|e| shape(&e)), grammar.map(|e| shape(&e)), "{expression}");
        }
        for wrong in ["", "1 +", "a b", "(a", "a)", "[1, 2", "a ? b", "'open", "a..b", "a && && b", "1 = 1", "a[", "{a}", "has(a)"] {
            assert!(parse(wrong).is_err(), "{wrong}");
            assert!(Env::stdlib().parser().parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_the_object_are_never_in_an_error() {
        let variables = serde_json::json!({ "object": { "secret": "hunter2", "n": 1 } });
        for expression in [
            "object.secret + 1",
            "object[object.secret]",
            "object.secret.matches('(')",
            "object.n.matches('x')",
            "object.secret > 1",
            "int(object.secret)",
            "[1][object.secret]",
            "object.secret()",
        ] {
            let error = run(expression, variables.as_object().unwrap().clone()).unwrap_err();
            assert!(!error.contains("hunter2"), "{expression}: {error}");
        }
    }

    #[test]
    fn functions_work_on_json() {
        let variables = serde_json::json!({ "object": { "name": "web-12", "n": 3, "list": [1, 2, 3] } });
        for expression in [
            "object.name.matches('^web-[0-9]+$')",
            "matches(object.name, 'b-1')",
            "object.n + 1 == 4",
            "object.list.all(x, x <= object.n)",
            "size(object.name) == 6",
            "!has(object.none)",
        ] {
            assert_eq!(run(expression, variables.as_object().unwrap().clone()), Ok(Cel::Bool(true)), "{expression}");
        }
    }
}
