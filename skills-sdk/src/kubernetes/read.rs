//! Tier read: get, list, logs, wait; and describe, which is get and the events.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::query::{Listing, LogQuery, LogText, Page, Query, RawPage};
use crate::action::id;
use crate::kinds::{Event, Kind};
use crate::reference::{ObjectRef, Ref};
use crate::{Cx, Declares, Result, UsedBy, backend, verb};

/// The most items of one page.
const PAGE: u32 = 500;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Condition {
    /// A pod or node is ready.
    Ready,
    /// The current template of a workload runs everywhere.
    RolledOut,
    /// The object is gone.
    Gone,
    /// A job or pod has ended well.
    Completed,
}

/// An object and what happened to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Described<K> {
    /// The object.
    pub object: K,
    /// Its events, the latest last.
    pub events: Vec<Event>,
}

impl<T> Cx<T> {
    /// Reads one object. The host keeps what its compact projection of the kind keeps.
    pub fn get<K: Kind, A>(&self, action: A, target: Ref<K>) -> Result<K>
    where
        A: Declares<verb::Get> + UsedBy<T>,
    {
        Ok(serde_json::from_str(&backend::get(id(action), &target.into(), &[])?)?)
    }

    /// Reads one object of any kind. `select`: JSON pointers to keep; none for the compact projection, `""` for the whole object.
    pub fn get_json<A>(&self, action: A, target: &ObjectRef, select: &[&str]) -> Result<Value>
    where
        A: Declares<verb::Get> + UsedBy<T>,
    {
        let select: Vec<String> = select.iter().map(|pointer| (*pointer).to_owned()).collect();
        Ok(serde_json::from_str(&backend::get(id(action), target, &select)?)?)
    }

    /// Lists one page.
    pub fn list<K: DeserializeOwned, A>(&self, action: A, query: Query<K>) -> Result<Page<K>>
    where
        A: Declares<verb::List> + UsedBy<T>,
    {
        let RawPage { items, token, truncated } = backend::list(id(action), &query.query)?;
        Ok(Page { items: serde_json::from_str(&items)?, next: token.map(|token| query.after(token)), truncated })
    }

    /// Lists page after page, up to `most` items.
    pub fn list_all<K: DeserializeOwned, A>(&self, action: A, query: Query<K>, most: u32) -> Result<Listing<K>>
    where
        A: Declares<verb::List> + UsedBy<T>,
    {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut items: Vec<K> = Vec::new();
        let mut next = Some(query);
        while let Some(query) = next {
            let room = most.saturating_sub(items.len());
            if room == 0 {
                return Ok(Listing { items, complete: false });
            }
            let limit = u32::try_from(room).unwrap_or(PAGE).min(query.query.limit);
            let page = self.list(action, query.limit(limit))?;
            items.extend(page.items);
            next = page.next;
        }
        Ok(Listing { items, complete: true })
    }

    /// Reads a part of a pod's log.
    pub fn logs<A>(&self, action: A, namespace: &str, pod: &str, query: &LogQuery) -> Result<LogText>
    where
        A: Declares<verb::Logs> + UsedBy<T>,
    {
        backend::logs(id(action), namespace, pod, query)
    }

    /// Waits until the condition holds. False when the time is over. The host waits, so it costs no processor time.
    pub fn wait<A>(&self, action: A, target: impl Into<ObjectRef>, condition: Condition, timeout: Duration) -> Result<bool>
    where
        A: Declares<verb::Wait> + UsedBy<T>,
    {
        backend::wait(id(action), &target.into(), condition, u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX))
    }

    /// Reads an object and its latest events, as `kubectl describe` does. The action covers the kind and `events`.
    pub fn describe<K: Kind, A>(&self, action: A, target: Ref<K>) -> Result<Described<K>>
    where
        A: Declares<verb::Get> + Declares<verb::List> + UsedBy<T>,
    {
        let namespace = target.namespace.clone();
        let fields = format!("involvedObject.kind={},involvedObject.name={}", K::KIND, target.name);
        let object = self.get(action, target)?;
        let mut events = self.list_all(action, Event::all().namespace_or_all(namespace).fields(fields), PAGE)?.items;
        if let Some(uid) = &object.meta().uid {
            // An earlier object of the same name is another object.
            events.retain(|event| event.involved_object.uid.as_ref().is_none_or(|of| of == uid));
        }
        events.sort_by(|a, b| a.last_seen().cmp(&b.last_seen()));
        Ok(Described { object, events })
    }
}
