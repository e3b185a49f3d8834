//! Changes for a skill, as the agent: one permit, one request, with what was observed as its precondition. What the cluster makes of it is the cluster's business.

use http::Method;
use infraagent_guard::{
    call::{Effect, Mutation},
    name::GroupResource,
    permit::{Observed, Permit},
};
use infraagent_sandbox::broker::{CallError, Receipt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Kubernetes,
    client::{Acting, Ask, Order},
    failure::Failure,
    items,
    path::{Place, query},
};
use crate::broker::{
    change::{self, Mark},
    facts, object, projection,
    world::{ServedKind, World as _},
};

const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const JSON: &str = "application/json";
const EVICTION: &str = "eviction";

/// A request to come: method, subresource, type and body, and the verb that RBAC knows it by.
struct Write {
    method: Method,
    sub: &'static str,
    content_type: &'static str,
    body: Value,
    verb: &'static str,
}

/// What is changed, and under which condition.
struct Aim<'p> {
    effect: &'p Effect,
    kind: GroupResource,
    namespace: Option<&'p str>,
    name: &'p str,
    shown: String,
    observed: &'p Observed,
}

impl Kubernetes {
    /// Executes a permitted mutation. `seq` is the entry of its intent. Everything, what has to be looked up before included, takes at most the time of an effect.
    pub(super) async fn change(&self, permit: &Permit<Mutation>, seq: u32, dry_run: bool) -> Result<Receipt, CallError> {
        let until = Instant::now() + self.effect;
        self.check_scope(permit.scope())?;
        let effect = &permit.call().effect;
        let Some((kind, namespace, name)) = facts::target(effect) else {
            return Err(CallError::Unavailable { message: "this cannot be reached through a cluster".to_owned(), retry_after_ms: None });
        };
        let kind = kind.map_err(CallError::Invalid)?;
        let shown = object::shown(&kind, namespace.unwrap_or_default(), name);
        let Some(observed) = permit.observed() else {
            return Err(CallError::Conflict(format!("`{shown}` was not observed when the call was decided")));
        };
        let aim = Aim { effect, kind, namespace, name, shown, observed };
        let prepared = tokio::time::timeout_at(until, self.prepare(&aim, seq)).await;
        let Some((acting, served, write)) = prepared.unwrap_or_else(|_| Err(nothing_sent()))? else {
            let resource_version = Some(observed.resource_version.to_string());
            return Ok(Receipt { audit_seq: seq, changed: false, resource_version });
        };
        let Write { method, sub, content_type, body, verb } = write;
        let place = Place::of(&served, None, namespace);
        let path = if sub.is_empty() { place.object(name) } else { place.sub(name, sub) };
        let intent = format!("{}/{seq}", self.scope.run);
        let rule = if sub.is_empty() { format!("{verb} {}", aim.kind) } else { format!("{verb} {}/{sub}", aim.kind.resource()) };
        let answer = acting.order(Order { method, path, content_type, body, intent, dry_run }, until).await;
        let now = answer.map_err(|failure| match failure {
            Failure::Refused(status) if status.code == 429 && sub == EVICTION => change::disruption_budget(name),
            Failure::Refused(status) if sub == EVICTION && status.message.contains("more than one PodDisruptionBudget") => {
                change::too_many_budgets(name)
            }
            other => other.of_change(&rule, &aim.shown),
        })?;
        // What goes has no version any more, whatever the answer to its deletion says.
        let stays = !matches!(effect, Effect::Evict(..) | Effect::Delete(_));
        let resource_version = stays.then(|| object::resource_version(&now).to_owned()).filter(|version| !version.is_empty());
        let changed = match dry_run {
            // A rehearsal leaves the version alone.
            true => self.sights.of(observed).is_none_or(|seen| projection::clean(&seen) != projection::clean(&now)),
            false => resource_version.as_deref() != Some(observed.resource_version.as_str()),
        };
        Ok(Receipt { audit_seq: seq, changed, resource_version })
    }

    /// Everything that is needed before the one request. None: it is so already.
    async fn prepare(&self, aim: &Aim<'_>, seq: u32) -> Result<Option<(&Acting, ServedKind, Write)>, CallError> {
        let acting = self.acting().await?;
        self.refuse(aim).await?;
        let mark = Mark { run: &self.scope.run, seq, now: self.now() };
        let Some(write) = self.write(aim.effect, aim.name, aim.observed, &mark).await? else { return Ok(None) };
        let served = self.served(&aim.kind).await.map_err(CallError::from)?;
        Ok(Some((acting, served, write)))
    }

    /// What makes no sense on the object as it was observed. It is not read again unless it was forgotten, and the effect's precondition is that version anyway.
    async fn refuse(&self, Aim { effect, kind, namespace, name, shown: _, observed }: &Aim<'_>) -> Result<(), CallError> {
        match self.sights.of(observed) {
            Some(seen) => change::refuse(effect, &seen),
            None => change::refuse(effect, &self.get(kind, *namespace, name).await?),
        }
    }

    /// None: it is so already.
    async fn write(&self, effect: &Effect, name: &str, observed: &Observed, mark: &Mark<'_>) -> Result<Option<Write>, CallError> {
        let Observed { uid, resource_version } = observed;
        let (uid, resource_version) = (uid.as_str(), resource_version.as_str());
        let preconditions = json!({"uid": uid, "resourceVersion": resource_version});
        let write = match effect {
            Effect::Restart(_) | Effect::Scale(_) | Effect::Pause(..) | Effect::Cordon(..) | Effect::RequestSync(..) => {
                let mut body = change::merge_patch(effect, mark).unwrap_or_default();
                change::merge(&mut body, &json!({"metadata": preconditions}));
                Write { method: Method::PATCH, sub: "", content_type: MERGE_PATCH, body, verb: "patch" }
            }
            Effect::Rollback(namespace, _, revision) => {
                let Some(template) = self.earlier(namespace.as_str(), name, *revision, observed).await? else { return Ok(None) };
                // A template is replaced, not merged: what the later revision added has to go.
                let body = json!([
                    {"op": "replace", "path": "/metadata/uid", "value": uid},
                    {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
                    {"op": "replace", "path": "/spec/template", "value": template},
                ]);
                Write { method: Method::PATCH, sub: "", content_type: JSON_PATCH, body, verb: "patch" }
            }
            Effect::Evict(namespace, ..) => {
                let body = json!({
                    "apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": {"name": name, "namespace": namespace.as_str()},
                    "deleteOptions": {"preconditions": preconditions},
                });
                Write { method: Method::POST, sub: EVICTION, content_type: JSON, body, verb: "create" }
            }
            Effect::Delete(victim) => {
                // Background: the object first, then what belongs to it, which is what the facts looked at. Said explicitly, since some kinds default to
                // leaving their dependants behind.
                let mut body = json!({
                    "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": preconditions,
                });
                // Never zero: that removes a pod from the API while its containers still run.
                if let (Some(seconds), Some(options)) = (victim.grace_seconds, body.as_object_mut()) {
                    options.insert("gracePeriodSeconds".to_owned(), json!(seconds.max(1)));
                }
                Write { method: Method::DELETE, sub: "", content_type: JSON, body, verb: "delete" }
            }
            Effect::Http(_) | Effect::Mcp(_) => return Ok(None),
        };
        Ok(Some(write))
    }

    /// The template of an earlier revision, read as the agent. None if the Deployment has it already.
    async fn earlier(&self, namespace: &str, name: &str, revision: u64, observed: &Observed) -> Result<Option<Value>, CallError> {
        let kind = |resource: &str| GroupResource::new("apps", resource).map_err(|invalid| CallError::Invalid(invalid.to_string()));
        let (sets, deployments) = (kind("replicasets")?, kind("deployments")?);
        let served = self.served(&sets).await.map_err(CallError::from)?;
        let place = Place::of(&served, None, Some(namespace));
        let mut token = String::new();
        loop {
            let path = format!("{}{}", place.list(), query(&[("limit", super::CHUNK), ("continue", &token)]));
            let page = self.acting().await?.ask(Ask::json(path)).await;
            let mut page = page.map_err(|failure| failure.of_read(&format!("list {sets}"), &format!("the kind `{sets}`")))?;
            token = object::text(&page, "/metadata/continue").to_owned();
            let is_wanted = |set: &&Value| object::is_owned_by(set, observed.uid.as_str()) && change::revision(set) == revision;
            if let Some(set) = items(&mut page, &served, &place).iter().find(is_wanted) {
                let template = change::template(set);
                let current = match self.sights.of(observed) {
                    Some(seen) => change::template(&seen),
                    None => change::template(&self.get(&deployments, Some(namespace), name).await?),
                };
                return Ok((template != current).then_some(template));
            }
            if token.is_empty() {
                return Err(CallError::NotFound(format!("`{}` has no revision {revision}", object::shown(&deployments, namespace, name))));
            }
        }
    }
}

/// The time was over before there was anything to send.
fn nothing_sent() -> CallError {
    CallError::Unavailable { message: "the API server does not answer in time, so nothing was sent".to_owned(), retry_after_ms: None }
}
