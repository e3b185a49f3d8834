//! What every executor does alike when a skill reads: what may be read, how large an answer is, how a page is put together, which container a log is of.

use infraagent_guard::{
    call::{FieldSelector, List, ResourceType, Select},
    name::GroupResource,
    permit::Reach,
};
use infraagent_sandbox::broker::{Answer, CallError, Page};
use serde_json::Value;

use super::{object, projection, world::ServedKind};

/// The largest answer, in bytes: it has to fit into a skill's host call.
pub(crate) const MAX_BYTES: usize = 256 << 10;

/// The kind exists, in that version, and the call names a namespace exactly if the kind has one.
pub(crate) fn check(served: Option<&ServedKind>, wanted: &ResourceType, namespace: Option<&str>, reach: &Reach) -> Result<(), CallError> {
    let kind = wanted.kind.kind();
    let Some(served) = served else {
        return Err(CallError::NotFound(format!("the cluster has no kind `{kind}`")));
    };
    match (served.namespaced, namespace, reach) {
        (_, _, Reach::Elsewhere) => Err(CallError::Invalid(format!("`{kind}` was not looked for in the cluster"))),
        (true, _, Reach::Cluster) => Err(CallError::Invalid(format!("`{kind}` are namespaced: name a namespace that the action covers"))),
        (true, Some(namespace), Reach::Namespaces(granted)) if !granted.iter().any(|one| one.as_str() == namespace) => {
            Err(out_of_reach(namespace))
        }
        (false, Some(_), _) => Err(CallError::Invalid(format!("`{kind}` are not namespaced: leave the namespace out"))),
        (false, None, Reach::Namespaces(_)) => {
            Err(CallError::Invalid(format!("`{kind}` are not namespaced: read them under an action without namespaces")))
        }
        (true, Some(_) | None, Reach::Namespaces(_)) | (false, None, Reach::Cluster) => match &wanted.version {
            Some(version) if !served.versions.iter().any(|known| known == version.as_str()) => Err(CallError::Invalid(format!(
                "`{kind}` are not served as `{}`, only as `{}`",
                version.as_str(),
                served.versions.join("`, `")
            ))),
            Some(_) | None => Ok(()),
        },
    }
}

/// A namespace beyond the permit.
pub(crate) fn out_of_reach(namespace: &str) -> CallError {
    CallError::Invalid(format!("namespace `{namespace}` is not one that the call may reach"))
}

/// The namespaces that a list looks into, in the order of its pages. None: a cluster-scoped kind.
pub(crate) fn namespaces(list: &List, reach: &Reach) -> Vec<Option<String>> {
    let Reach::Namespaces(granted) = reach else { return vec![None] };
    let asked = |one: &&infraagent_guard::name::Namespace| list.namespace.as_ref().is_none_or(|only| only == *one);
    let mut names: Vec<Option<String>> = granted.iter().filter(asked).map(|one| Some(one.to_string())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A field selector with a field that this kind does not have.
pub(crate) fn unsupported(fields: &FieldSelector, path: Option<&str>, kind: &GroupResource) -> CallError {
    let path = path.or_else(|| fields.0.first().map(|requirement| requirement.path.as_str())).unwrap_or_default();
    CallError::Invalid(format!("`{path}` is not a field that `{kind}` can be selected by: filter what is listed"))
}

/// A token that was not given out for this query.
pub(crate) fn foreign_token() -> CallError {
    CallError::Invalid("the continue token is not one of this query: start again without a token".to_owned())
}

/// One object, projected.
pub(crate) fn one(found: Value, kind: &GroupResource, select: &Select, shown: &dyn std::fmt::Display) -> Result<Answer, CallError> {
    let text = projection::project(found, kind.group(), kind.resource(), select).to_string();
    if text.len() > MAX_BYTES {
        return Err(CallError::Invalid(format!("`{shown}` has more than {MAX_BYTES} bytes: select fields of it")));
    }
    Ok(Answer::Json(text))
}

/// A page that is being put together.
#[derive(Debug)]
pub(crate) struct Assembly<'q> {
    kind: &'q GroupResource,
    select: &'q Select,
    limit: usize,
    items: Vec<String>,
    bytes: usize,
    truncated: bool,
}

impl<'q> Assembly<'q> {
    pub(crate) fn of(list: &'q List) -> Self {
        let limit = usize::try_from(list.limit.clamp(1, List::MAX_LIMIT)).unwrap_or(1);
        Self { kind: list.kind.kind.kind(), select: &list.select, limit, items: Vec::new(), bytes: 2, truncated: false }
    }

    /// How many more it may have.
    pub(crate) fn room(&self) -> usize {
        if self.truncated { 0 } else { self.limit.saturating_sub(self.items.len()) }
    }

    /// Adds an object, projected. False: it does not fit, and the page is complete.
    pub(crate) fn add(&mut self, object: Value) -> Result<bool, CallError> {
        if self.room() == 0 {
            return Ok(false);
        }
        let (namespace, name) = (object::namespace(&object).to_owned(), object::name(&object).to_owned());
        let text = projection::project(object, self.kind.group(), self.kind.resource(), self.select).to_string();
        let larger = self.bytes.saturating_add(text.len()).saturating_add(1);
        if larger > MAX_BYTES {
            if self.items.is_empty() {
                return Err(CallError::Invalid(format!(
                    "`{}` `{namespace}/{name}` alone has more than {MAX_BYTES} bytes: select fields",
                    self.kind
                )));
            }
            self.truncated = true;
            return Ok(false);
        }
        self.bytes = larger;
        self.items.push(text);
        Ok(true)
    }

    /// The answer.
    pub(crate) fn page(self, continue_token: Option<String>) -> Answer {
        let count = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        Answer::Page(Page { items: format!("[{}]", self.items.join(",")), count, continue_token, truncated: self.truncated })
    }
}

/// The container asked for; else the annotated one, else the first.
pub(crate) fn container(pod: &Value, wanted: Option<&str>) -> Result<String, CallError> {
    let lists = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"];
    let all: Vec<&str> = lists.iter().flat_map(|list| object::items(pod, list)).map(|container| object::text(container, "/name")).collect();
    let default = object::annotation(pod, "kubectl.kubernetes.io/default-container").or_else(|| all.first().copied());
    let name = wanted.or(default).unwrap_or_default();
    if all.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(CallError::Invalid(format!("`{}` has no container `{name}`, only `{}`", object::name(pod), all.join("`, `"))))
    }
}

/// Why there is no log, as far as the pod says it: none before the last restart, or the container never started.
pub(crate) fn no_log(pod: &Value, container: &str, previous: bool) -> Option<CallError> {
    let name = object::name(pod);
    if previous {
        return Some(CallError::Invalid(format!("previous terminated container `{container}` in pod `{name}` was not found")));
    }
    let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let status = statuses.iter().flat_map(|list| object::items(pod, list)).find(|status| object::text(status, "/name") == container);
    let reason = status.map_or("no status", |status| object::text(status, "/state/waiting/reason"));
    let started = status.and_then(|status| object::number(status, "/restartCount")).unwrap_or(0) > 0;
    (!reason.is_empty() && !started)
        .then(|| CallError::Invalid(format!("container `{container}` in pod `{name}` is waiting to start: {reason}")))
}

/// What `wait` is told of an object that does not exist, and was not waited to go.
pub(crate) fn absent(object: &infraagent_guard::call::ObjectRef) -> CallError {
    CallError::NotFound(format!("`{object}` does not exist"))
}
