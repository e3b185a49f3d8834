//! Which endpoints the environment has, and where each says how it is.

use skills_sdk::prelude::*;

/// An endpoint of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    /// The path that answers health checks, or `/`.
    pub(crate) path: String,
}

/// All endpoints, by name.
pub(crate) fn endpoints<T>(cx: &Cx<T>) -> Result<Vec<Endpoint>> {
    let site: Value = cx.site()?;
    let all = site.get("endpoints").and_then(Value::as_object).into_iter().flatten();
    let one = |(name, endpoint): (&String, &Value)| {
        let path = endpoint.get("healthPath").and_then(Value::as_str).unwrap_or("/").to_owned();
        Endpoint { name: name.clone(), path }
    };
    Ok(all.map(one).collect())
}

/// The endpoint of this name.
pub(crate) fn endpoint<T>(cx: &Cx<T>, name: &str) -> Result<Endpoint> {
    let all = endpoints(cx)?;
    let names: Vec<&str> = all.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let missing = || Error::invalid(["the environment has no endpoint `", name, "`; it has: ", &names.join(", ")].concat());
    all.iter().find(|endpoint| endpoint.name == name).cloned().ok_or_else(missing)
}
