//! Reads for a skill, as the agent: get, list, wait. Selection happens on the server, projection and caps are the snapshot's.

use std::time::Duration;

use infraagent_guard::{
    call::{Condition, Get, List, ObjectRef, Read, ResourceType, Wait},
    permit::{Permit, Reach},
};
use infraagent_sandbox::broker::{Answer, CallError};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Kubernetes,
    client::Ask,
    failure::Failure,
    items,
    path::{Place, query},
};
use crate::broker::{
    condition, object,
    paging::QueryHash,
    reading::{self, Assembly},
    world::ServedKind,
};

/// The most objects that are asked for in one request.
const CHUNK: usize = 250;
/// The pauses between two looks while waiting: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// Where a page ended: which of the query's namespaces, the request that gave its last object, and how many of that answer were used.
#[derive(Debug, Clone)]
pub(super) struct Position {
    place: usize,
    from: From,
    /// Objects of the answer that are behind us; the request is repeated with the same `size`.
    skip: usize,
    size: usize,
}

/// Where a request starts.
#[derive(Debug, Clone)]
enum From {
    /// At the beginning; of this version of the list, if some of it was used already.
    Start(Option<String>),
    /// After the answer that gave this token of the API server.
    Token(String),
}

impl From {
    /// The same request again must give the same answer.
    fn pinned(self, version: &str) -> Self {
        match self {
            Self::Start(None) => Self::Start(Some(version.to_owned())),
            Self::Start(Some(_)) | Self::Token(_) => self,
        }
    }
}

impl Kubernetes {
    /// Executes a permitted read.
    pub(super) async fn look(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.check_scope(permit.scope())?;
        match permit.call() {
            Read::Get(get) => self.get_one(get, permit.reach()).await,
            Read::List(list) => self.list_page(list, permit.reach()).await,
            Read::Logs(logs) => self.log(logs, permit.reach()).await,
            Read::Wait(wait) => self.wait(wait, permit.reach()).await,
            Read::Http(_) | Read::Mcp(_) => {
                Err(CallError::Unavailable { message: "this cannot be reached through a cluster".to_owned(), retry_after_ms: None })
            }
        }
    }

    async fn readable(&self, wanted: &ResourceType, namespace: Option<&str>, reach: &Reach) -> Result<ServedKind, CallError> {
        let served = self.discovery.find(wanted.kind.kind()).await.map_err(CallError::from)?;
        reading::check(served.as_ref(), wanted, namespace, reach)?;
        served.ok_or_else(|| CallError::NotFound(format!("the cluster has no kind `{}`", wanted.kind.kind())))
    }

    async fn get_one(&self, get: &Get, reach: &Reach) -> Result<Answer, CallError> {
        let Get { object, select } = get;
        let served = self.readable(&object.kind, object.namespace.as_ref().map(|namespace| namespace.as_str()), reach).await?;
        let found = self.object(object, &served).await?;
        reading::one(found, object.kind.kind.kind(), select, object)
    }

    /// One object, as the agent.
    pub(super) async fn object(&self, wanted: &ObjectRef, served: &ServedKind) -> Result<Value, CallError> {
        let ObjectRef { kind, namespace, name } = wanted;
        let namespace = namespace.as_ref().map(|namespace| namespace.as_str());
        let place = Place::of(served, kind.version.as_ref().map(|version| version.as_str()), namespace);
        let what = format!("`{}`", object::shown(kind.kind.kind(), namespace.unwrap_or_default(), name.as_str()));
        let found = self.acting().await?.ask(Ask::json(place.object(name.as_str()))).await;
        found.map_err(|failure| failure.of_read(&format!("get {}", kind.kind.kind()), &what))
    }

    async fn list_page(&self, list: &List, reach: &Reach) -> Result<Answer, CallError> {
        let served = self.readable(&list.kind, list.namespace.as_ref().map(|namespace| namespace.as_str()), reach).await?;
        let query = QueryHash::of(list, reach);
        let start = |place| Position { place, from: From::Start(None), skip: 0, size: 0 };
        let mut position = match &list.continue_from {
            None => start(0),
            Some(handle) => self.handles.position(&query, handle).ok_or_else(reading::foreign_token)?,
        };
        let namespaces = reading::namespaces(list, reach);
        let mut page = Assembly::of(list);
        while let Some(namespace) = namespaces.get(position.place) {
            // A full page asks for one more object, to know whether there is another page.
            let size = if position.skip > 0 { position.size } else { page.room().clamp(1, CHUNK) };
            let (objects, version, token) = self.part(list, &served, namespace.as_deref(), &position.from, size).await?;
            let mut used = position.skip;
            for value in objects.into_iter().skip(position.skip) {
                if !page.add(value)? {
                    let from = if used > 0 { position.from.pinned(&version) } else { position.from };
                    let handle = self.handles.give(query, Position { place: position.place, from, skip: used, size });
                    return Ok(page.page(Some(handle)));
                }
                used = used.saturating_add(1);
            }
            position = match token {
                Some(token) => Position { place: position.place, from: From::Token(token), skip: 0, size: 0 },
                None => start(position.place.saturating_add(1)),
            };
        }
        Ok(page.page(None))
    }

    /// Objects, the version of the list, and the API server's token if there are more.
    async fn part(
        &self,
        list: &List,
        served: &ServedKind,
        namespace: Option<&str>,
        from: &From,
        size: usize,
    ) -> Result<(Vec<Value>, String, Option<String>), CallError> {
        let List { kind, namespace: _, labels, fields, select: _, limit: _, continue_from: _ } = list;
        let place = Place::of(served, kind.version.as_ref().map(|version| version.as_str()), namespace);
        let (version, token) = match from {
            From::Start(version) => (version.as_deref().unwrap_or_default(), ""),
            From::Token(token) => ("", token.as_str()),
        };
        let exactly = if version.is_empty() { "" } else { "Exact" };
        let (labels, selected, size) = (labels.to_string(), fields.to_string(), size.to_string());
        let asked = query(&[
            ("labelSelector", &labels),
            ("fieldSelector", &selected),
            ("limit", &size),
            ("continue", token),
            ("resourceVersion", version),
            ("resourceVersionMatch", exactly),
        ]);
        let answer = self.acting().await?.ask(Ask::json(format!("{}{asked}", place.list()))).await;
        let mut answer = answer.map_err(|failure| match failure {
            // Kubernetes' own kinds and custom ones say it in different words.
            Failure::Refused(status)
                if status.code == 400
                    && (status.message.contains("field label not supported") || status.message.contains("known field selector")) =>
            {
                let path = fields.0.iter().map(|requirement| requirement.path.as_str()).find(|path| status.message.contains(*path));
                reading::unsupported(fields, path, kind.kind.kind())
            }
            other => other.of_read(&format!("list {}", kind.kind.kind()), &format!("the kind `{}`", kind.kind.kind())),
        })?;
        let version = object::text(&answer, "/metadata/resourceVersion").to_owned();
        let token = Some(object::text(&answer, "/metadata/continue").to_owned()).filter(|token| !token.is_empty());
        Ok((items(&mut answer, served, &place), version, token))
    }

    /// Looks until it is so, or the time is over. The tool call's own time ends it too.
    async fn wait(&self, wait: &Wait, reach: &Reach) -> Result<Answer, CallError> {
        let Wait { object, condition, timeout_ms } = wait;
        let served = self.readable(&object.kind, object.namespace.as_ref().map(|namespace| namespace.as_str()), reach).await?;
        let until = Instant::now() + Duration::from_millis(u64::from(*timeout_ms));
        let [mut pause, longest] = PAUSES;
        loop {
            let found = match self.object(object, &served).await {
                Ok(found) => Some(found),
                Err(CallError::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            if found.is_none() && *condition != Condition::Gone {
                return Err(reading::absent(object));
            }
            if condition::reached(*condition, found.as_ref()).map_err(CallError::Invalid)? {
                return Ok(Answer::Reached(true));
            }
            if Instant::now() + pause >= until {
                return Ok(Answer::Reached(false));
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(longest);
        }
    }
}
