//! Reads for a skill: get, list, logs, wait. What leaves is projected and capped.

use infraagent_guard::{
    call::{Get, List, Logs, Read, ResourceType, Wait},
    name::GroupResource,
    permit::{Permit, Reach},
};
use infraagent_sandbox::broker::{Answer, CallError, Page};
use serde_json::Value;

use super::{
    Snapshot,
    logs::{LogKey, cut},
    select,
    store::{Key, Store, show},
};
use crate::broker::{condition, object, paging::QueryHash, projection};

/// The largest answer, in bytes: it has to fit into a skill's host call.
pub(super) const MAX_BYTES: usize = 256 << 10;

impl Snapshot {
    /// Executes a permitted read.
    pub(super) fn look(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.check_scope(permit.scope())?;
        match permit.call() {
            Read::Get(get) => self.get_one(get, permit.reach()),
            Read::List(list) => self.list_page(list, permit.reach()),
            Read::Logs(logs) => self.log(logs, permit.reach()),
            Read::Wait(wait) => self.wait(wait, permit.reach()),
            Read::Http(call) => Err(unreachable_from_here(&format!("endpoint `{}`", call.request.endpoint))),
            Read::Mcp(call) => Err(unreachable_from_here(&format!("MCP server `{}`", call.server))),
        }
    }

    fn get_one(&self, get: &Get, reach: &Reach) -> Result<Answer, CallError> {
        let Get { object, select } = get;
        let kind = object.kind.kind.kind();
        let namespace = object.namespace.as_ref().map(|namespace| namespace.as_str());
        self.served(&object.kind, namespace, reach)?;
        let found = self.look_up(kind, namespace, object.name.as_str())?;
        let text = projection::project(found, kind.group(), kind.resource(), select).to_string();
        if text.len() > MAX_BYTES {
            return Err(CallError::Invalid(format!("`{object}` has more than {MAX_BYTES} bytes: select fields of it")));
        }
        Ok(Answer::Json(text))
    }

    fn list_page(&self, list: &List, reach: &Reach) -> Result<Answer, CallError> {
        let List { kind: wanted, namespace, labels, fields, select: keep, limit, continue_from } = list;
        let kind = wanted.kind.kind();
        self.served(wanted, namespace.as_ref().map(|namespace| namespace.as_str()), reach)?;
        if let Some(unsupported) = select::unsupported(fields, kind) {
            return Err(CallError::Invalid(format!(
                "`{unsupported}` is not a field that `{kind}` can be selected by: filter what is listed"
            )));
        }
        let query = QueryHash::of(list, reach);
        let after = match continue_from {
            None => None,
            Some(handle) => Some(self.handles.position(&query, handle).ok_or_else(|| {
                CallError::Invalid("the continue token is not one of this query: start again without a token".to_owned())
            })?),
        };
        let found: Vec<Value> = match reach {
            Reach::Namespaces(namespaces) => {
                let mut namespaces: Vec<&str> = namespaces.iter().map(|namespace| namespace.as_str()).collect();
                namespaces.sort_unstable();
                namespaces.dedup();
                let mut found = Vec::new();
                for one in namespaces.into_iter().filter(|one| namespace.as_ref().is_none_or(|only| only.as_str() == *one)) {
                    found.extend(self.look_through(kind, Some(one))?);
                }
                found
            }
            Reach::Cluster | Reach::Elsewhere => self.look_through(kind, None)?,
        };
        let place = |value: &Value| (object::namespace(value).to_owned(), object::name(value).to_owned());
        let mut rest = found
            .into_iter()
            .filter(|value| after.as_ref().is_none_or(|after| place(value) > *after))
            .filter(|value| select::labels(labels, value) && select::fields(fields, value))
            .peekable();
        let limit = usize::try_from((*limit).clamp(1, List::MAX_LIMIT)).unwrap_or(1);
        let (mut items, mut bytes, mut last, mut truncated) = (Vec::new(), 2usize, None, false);
        while let Some(value) = rest.next_if(|_| items.len() < limit) {
            let here = place(&value);
            let text = projection::project(value, kind.group(), kind.resource(), keep).to_string();
            let larger = bytes.saturating_add(text.len()).saturating_add(1);
            if larger > MAX_BYTES {
                if items.is_empty() {
                    let (namespace, name) = here;
                    return Err(CallError::Invalid(format!(
                        "`{kind}` `{namespace}/{name}` alone has more than {MAX_BYTES} bytes: select fields"
                    )));
                }
                truncated = true;
                break;
            }
            bytes = larger;
            last = Some(here);
            items.push(text);
        }
        let more = truncated || rest.peek().is_some();
        let continue_token = last.filter(|_| more).map(|last| self.handles.give(query, last));
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        Ok(Answer::Page(Page { items: format!("[{}]", items.join(",")), count, continue_token, truncated }))
    }

    /// The kind exists, in that version, and the call names a namespace exactly if the kind has one.
    fn served(&self, wanted: &ResourceType, namespace: Option<&str>, reach: &Reach) -> Result<(), CallError> {
        let kind = wanted.kind.kind();
        let store = self.store();
        let Some(served) = store.kind(kind) else {
            return Err(CallError::NotFound(format!("the cluster has no kind `{kind}`")));
        };
        match (served.namespaced, namespace, reach) {
            (_, _, Reach::Elsewhere) => Err(CallError::Invalid(format!("`{kind}` was not looked for in the cluster"))),
            (true, _, Reach::Cluster) => {
                Err(CallError::Invalid(format!("`{kind}` are namespaced: name a namespace that the action covers")))
            }
            (true, Some(namespace), Reach::Namespaces(granted)) if !granted.iter().any(|one| one.as_str() == namespace) => {
                Err(CallError::Invalid(format!("namespace `{namespace}` is not one that the call may reach")))
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

    fn log(&self, wanted: &Logs, reach: &Reach) -> Result<Answer, CallError> {
        let Logs { namespace, pod: name, container, tail_lines, since_seconds, previous } = wanted;
        let pods = GroupResource::new("", "pods").map_err(|invalid| CallError::Invalid(invalid.to_string()))?;
        if !matches!(reach, Reach::Namespaces(granted) if granted.contains(namespace)) {
            return Err(CallError::Invalid(format!("namespace `{namespace}` is not one that the call may reach")));
        }
        self.faults.check_rule("get pods/log")?;
        let pod = self.look_up(&pods, Some(namespace.as_str()), name.as_str())?;
        let container = choose(&pod, container.as_ref().map(|container| container.as_str()))?;
        let store = self.store();
        let source = store.logs_of(namespace.as_str(), name.as_str()).to_owned();
        let key = LogKey { namespace: namespace.to_string(), pod: source, container: container.clone(), previous: *previous };
        match self.logs.text(&key) {
            Some(text) => {
                let tail = (*tail_lines).clamp(1, Logs::MAX_LINES);
                let (text, truncated) = cut(text, tail, *since_seconds, store.now(), MAX_BYTES);
                Ok(Answer::Text(text, truncated))
            }
            None if *previous => {
                Err(CallError::Invalid(format!("previous terminated container `{container}` in pod `{name}` was not found")))
            }
            None => match waiting(&pod, &container) {
                Some(reason) => Err(CallError::Invalid(format!("container `{container}` in pod `{name}` is waiting to start: {reason}"))),
                None => Ok(Answer::Text(String::new(), false)),
            },
        }
    }

    fn wait(&self, wait: &Wait, reach: &Reach) -> Result<Answer, CallError> {
        let Wait { object, condition, timeout_ms: _ } = wait;
        let namespace = object.namespace.as_ref().map(|namespace| namespace.as_str());
        self.served(&object.kind, namespace, reach)?;
        let kind = object.kind.kind.kind();
        let found = match self.look_up(kind, namespace, object.name.as_str()) {
            Ok(found) => Some(found),
            Err(crate::broker::world::WorldError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        if found.is_none() && *condition != infraagent_guard::call::Condition::Gone {
            return Err(CallError::NotFound(format!("`{object}` does not exist")));
        }
        // Nothing moves by itself here: what is not so now will not be so later.
        condition::reached(*condition, found.as_ref()).map(Answer::Reached).map_err(CallError::Invalid)
    }
}

fn unreachable_from_here(what: &str) -> CallError {
    CallError::Unavailable {
        message: format!("{what} cannot be reached: this run works on a snapshot of a cluster, without a network"),
        retry_after_ms: None,
    }
}

/// The container asked for; else the annotated one, else the first.
fn choose(pod: &Value, wanted: Option<&str>) -> Result<String, CallError> {
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

/// Why a container never started.
fn waiting(pod: &Value, container: &str) -> Option<String> {
    let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let status = statuses.iter().flat_map(|list| object::items(pod, list)).find(|status| object::text(status, "/name") == container);
    let reason = status.map_or("no status", |status| object::text(status, "/state/waiting/reason"));
    let started = status.and_then(|status| object::number(status, "/restartCount")).unwrap_or(0) > 0;
    (!reason.is_empty() && !started).then(|| reason.to_owned())
}

/// The object at this place.
pub(super) fn find<'a>(store: &'a Store, key: &Key) -> Result<&'a Value, CallError> {
    store.get(key).ok_or_else(|| CallError::NotFound(format!("`{}` does not exist", show(key))))
}
