//! Tier read: get, list, logs, wait; and describe, which is get and the events.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::query::{ListQuery, Listing, LogQuery, LogText, Page, Query, RawPage};
use crate::action::id;
use crate::kinds::{Event, Item, Kind};
use crate::reference::{ObjectRef, Ref};
use crate::{Cx, Declares, Error, Result, UsedBy, backend, document, verb};

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
        K::read(&document::parse(&backend::get(id(action), &target.into(), &[])?)?)
    }

    /// Reads one object of any kind. `select`: JSON pointers to keep; none for the compact projection, `""` for the whole object.
    pub fn get_json<A>(&self, action: A, target: &ObjectRef, select: &[&str]) -> Result<Value>
    where
        A: Declares<verb::Get> + UsedBy<T>,
    {
        let select: Vec<String> = select.iter().map(|pointer| (*pointer).to_owned()).collect();
        document::parse(&backend::get(id(action), target, &select)?)
    }

    /// Lists one page.
    pub fn list<K: Item, A>(&self, action: A, query: Query<K>) -> Result<Page<K>>
    where
        A: Declares<verb::List> + UsedBy<T>,
    {
        let (items, next, truncated) = page(id(action), query.query)?;
        Ok(Page { items: items.into_iter().map(K::of).collect::<Result<_>>()?, next: next.map(Query::from_raw), truncated })
    }

    /// Lists page after page, up to `most` items.
    pub fn list_all<K: Item, A>(&self, action: A, query: Query<K>, most: u32) -> Result<Listing<K>>
    where
        A: Declares<verb::List> + UsedBy<T>,
    {
        let mut items: Vec<K> = Vec::new();
        let complete = pages(id(action), query.query, most, &mut |document| {
            items.push(K::of(document)?);
            Ok(())
        })?;
        Ok(Listing { items, complete })
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

/// One page, and the query for the next one. Not generic, so that it is compiled once.
fn page(action: &str, query: ListQuery) -> Result<(Vec<Value>, Option<ListQuery>, bool)> {
    let RawPage { items, token, truncated } = backend::list(action, &query)?;
    match document::parse(&items)? {
        Value::Array(items) => Ok((items, token.map(|token| ListQuery { token: Some(token), ..query }), truncated)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Error::Internal("the host answered a list that is none".to_owned()))
        }
    }
}

/// Page after page. Each is dropped before the next one is asked for. False if there is more than `most`.
fn pages(action: &str, query: ListQuery, most: u32, take: &mut dyn FnMut(Value) -> Result<()>) -> Result<bool> {
    let (mut room, size) = (most, query.limit);
    let mut next = Some(query);
    while let Some(query) = next {
        if room == 0 {
            return Ok(false);
        }
        let (items, more, _) = page(action, ListQuery { limit: room.min(size), ..query })?;
        room = room.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        items.into_iter().try_for_each(&mut *take)?;
        next = more;
    }
    Ok(true)
}
