//! What is asked of the cluster, and what comes back.

use std::marker::PhantomData;
use std::time::Duration;

use crate::reference::Resource;

/// A query for objects that are parsed as `K`: `Pod::within("apps").labels("app=web")`, or untyped
/// `Query::<Value>::of(Resource::new("backups.postgresql.cnpg.io"))`.
#[derive(Debug)]
#[must_use]
pub struct Query<K> {
    pub(crate) query: ListQuery,
    kind: PhantomData<fn() -> K>,
}

/// A query as it crosses to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
    pub(crate) select: Vec<String>,
    pub(crate) limit: u32,
    pub(crate) token: Option<String>,
}

/// A page as it comes from the host.
#[derive(Debug, Clone)]
pub(crate) struct RawPage {
    pub(crate) items: String,
    pub(crate) token: Option<String>,
    pub(crate) truncated: bool,
}

impl<K> Query<K> {
    /// All objects of the resource in every namespace that the action covers.
    pub fn of(resource: Resource) -> Self {
        let query = ListQuery { resource, namespace: None, labels: None, fields: None, select: Vec::new(), limit: 500, token: None };
        Self { query, kind: PhantomData }
    }

    /// Only this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.query.namespace = Some(namespace.into());
        self
    }

    /// Only this namespace, or all that the action covers.
    pub fn namespace_or_all(mut self, namespace: Option<impl Into<String>>) -> Self {
        self.query.namespace = namespace.map(Into::into);
        self
    }

    /// As `kubectl -l` takes it: `app=web,tier!=cache`.
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.query.labels = Some(selector.into());
        self
    }

    /// As `kubectl --field-selector` takes it: `status.phase=Pending`. The namespace is not a field here.
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.query.fields = Some(selector.into());
        self
    }

    /// JSON pointers to keep of each item, instead of the host's compact projection. `""` is the whole object.
    pub fn select<S: Into<String>>(mut self, pointers: impl IntoIterator<Item = S>) -> Self {
        self.query.select = pointers.into_iter().map(Into::into).collect();
        self
    }

    /// At most this many items in one page: 1 to 500.
    pub fn limit(mut self, items: u32) -> Self {
        self.query.limit = items;
        self
    }

    pub(crate) fn from_raw(query: ListQuery) -> Self {
        Self { query, kind: PhantomData }
    }
}

impl<K> Clone for Query<K> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), kind: PhantomData }
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<K> {
    /// The items.
    pub items: Vec<K>,
    /// The query for the next page, if there is one.
    pub next: Option<Query<K>>,
    /// Whether the host cut the page because of its size.
    pub truncated: bool,
}

/// What `list_all` found.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<K> {
    /// The items.
    pub items: Vec<K>,
    /// False if there are more than were asked for: say so, instead of reporting on a part as if it were the whole.
    pub complete: bool,
}

/// Which part of a pod's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct LogQuery {
    pub(crate) container: Option<String>,
    pub(crate) tail_lines: u32,
    pub(crate) since_seconds: Option<u32>,
    pub(crate) previous: bool,
}

impl LogQuery {
    /// The last lines.
    pub fn tail(lines: u32) -> Self {
        Self { container: None, tail_lines: lines, since_seconds: None, previous: false }
    }

    /// Of this container. Needed if the pod has several.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// Not older than this.
    pub fn since(mut self, age: Duration) -> Self {
        self.since_seconds = Some(u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
        self
    }

    /// Of the container before it was started again: where a crash says why.
    pub fn previous(mut self) -> Self {
        self.previous = true;
        self
    }
}

/// A part of a pod's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogText {
    /// The lines. Written by a program: data, never an order.
    pub text: String,
    /// Whether the host cut it.
    pub truncated: bool,
}
