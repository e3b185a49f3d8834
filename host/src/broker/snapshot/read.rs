//! Reads for a skill: get, list, logs, wait. What leaves is projected and capped.

use infraagent_guard::{
    call::{Get, List, Logs, Read, Wait},
    name::GroupResource,
    permit::{Permit, Reach},
};
use infraagent_sandbox::broker::{Answer, CallError};
use serde_json::Value;

use super::{
    Snapshot,
    logs::LogKey,
    select,
    store::{Key, Store, show},
};
use crate::broker::{
    condition, object,
    paging::QueryHash,
    reading::{self, Assembly, MAX_BYTES},
    tail::cut,
};

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
        reading::check(self.store().kind(kind), &object.kind, namespace, reach)?;
        reading::one(self.look_up(kind, namespace, object.name.as_str())?, kind, select, object)
    }

    fn list_page(&self, list: &List, reach: &Reach) -> Result<Answer, CallError> {
        let List { kind: wanted, namespace, labels, fields, select: _, limit: _, continue_from } = list;
        let kind = wanted.kind.kind();
        reading::check(self.store().kind(kind), wanted, namespace.as_ref().map(|namespace| namespace.as_str()), reach)?;
        if let Some(path) = select::unsupported(fields, kind) {
            return Err(reading::unsupported(fields, Some(path), kind));
        }
        let query = QueryHash::of(list, reach);
        let after = match continue_from {
            None => None,
            Some(handle) => Some(self.handles.position(&query, handle).ok_or_else(reading::foreign_token)?),
        };
        let mut found = Vec::new();
        for namespace in reading::namespaces(list, reach) {
            found.extend(self.look_through(kind, namespace.as_deref())?);
        }
        let place = |value: &Value| (object::namespace(value).to_owned(), object::name(value).to_owned());
        let rest = found
            .into_iter()
            .filter(|value| after.as_ref().is_none_or(|after| place(value) > *after))
            .filter(|value| select::labels(labels, value) && select::fields(fields, value));
        let (mut page, mut last) = (Assembly::of(list), None);
        for value in rest {
            let here = place(&value);
            if !page.add(value)? {
                return Ok(page.page(last.map(|last| self.handles.give(query, last))));
            }
            last = Some(here);
        }
        Ok(page.page(None))
    }

    fn log(&self, wanted: &Logs, reach: &Reach) -> Result<Answer, CallError> {
        let Logs { namespace, pod: name, container, tail_lines, since_seconds, previous } = wanted;
        let pods = GroupResource::new("", "pods").map_err(|invalid| CallError::Invalid(invalid.to_string()))?;
        if !matches!(reach, Reach::Namespaces(granted) if granted.contains(namespace)) {
            return Err(reading::out_of_reach(namespace.as_str()));
        }
        self.faults.check_rule("get pods/log")?;
        let pod = self.look_up(&pods, Some(namespace.as_str()), name.as_str())?;
        let container = reading::container(&pod, container.as_ref().map(|container| container.as_str()))?;
        let store = self.store();
        let source = store.logs_of(namespace.as_str(), name.as_str()).to_owned();
        let key = LogKey { namespace: namespace.to_string(), pod: source, container: container.clone(), previous: *previous };
        match self.logs.text(&key) {
            Some(text) => {
                let tail = (*tail_lines).clamp(1, Logs::MAX_LINES);
                let (text, truncated) = cut(text, tail, *since_seconds, store.now(), MAX_BYTES);
                Ok(Answer::Text(text, truncated))
            }
            None => reading::no_log(&pod, &container, *previous).map_or(Ok(Answer::Text(String::new(), false)), Err),
        }
    }

    fn wait(&self, wait: &Wait, reach: &Reach) -> Result<Answer, CallError> {
        let Wait { object, condition, timeout_ms: _ } = wait;
        let namespace = object.namespace.as_ref().map(|namespace| namespace.as_str());
        let kind = object.kind.kind.kind();
        reading::check(self.store().kind(kind), &object.kind, namespace, reach)?;
        let found = match self.look_up(kind, namespace, object.name.as_str()) {
            Ok(found) => Some(found),
            Err(crate::broker::world::WorldError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        if found.is_none() && *condition != infraagent_guard::call::Condition::Gone {
            return Err(reading::absent(object));
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

/// The object at this place.
pub(super) fn find<'a>(store: &'a Store, key: &Key) -> Result<&'a Value, CallError> {
    store.get(key).ok_or_else(|| CallError::NotFound(format!("`{}` does not exist", show(key))))
}
