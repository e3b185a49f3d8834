//! How the fake host answers each function of the contract.

use serde_json::{Value, json};

use super::world::World;
use super::{Finding, LogLine, objects, scope};
use crate::cx::{Level, Severity};
use crate::http::{Read, Response, Write, WriteMethod};
use crate::kubernetes::{Condition, Disposable, ListQuery, LogQuery, LogText, RawPage, Receipt, Victim};
use crate::reference::{ObjectRef, Workload};
use crate::sheet::Verb;
use crate::state::Entry;
use crate::{Error, Result};

impl World {
    pub(crate) fn get(&mut self, action: &str, target: &ObjectRef, select: &[String]) -> Result<String> {
        self.claim("kubernetes-read.get", action, json!({ "target": target.to_string(), "select": select }))?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Get, target)?;
        let object = self.objects.find(target).ok_or_else(|| Error::NotFound(target.to_string()))?;
        Ok(objects::select(object, select).to_string())
    }

    pub(crate) fn list(&mut self, action: &str, query: &ListQuery) -> Result<RawPage> {
        let ListQuery { resource, namespace, labels, fields, select, limit, token } = query;
        let arguments = json!({
            "resource": resource.to_string(), "namespace": namespace, "label-selector": labels, "field-selector": fields, "select": select,
            "limit": limit, "continue-token": token,
        });
        self.claim("kubernetes-read.list", action, arguments)?;
        let declared = scope::action(&self.skill.sheet, action, Verb::List)?;
        scope::resource(&declared, &resource.to_string())?;
        if let Some(namespace) = namespace {
            scope::namespace(&declared, &self.groups, namespace)?;
        }
        if !(1..=500).contains(limit) {
            return Err(Error::Invalid(format!("`limit: {limit}` is not between 1 and 500")));
        }
        let offset: usize = match token {
            None => 0,
            Some(token) => token.parse().map_err(|_| Error::Invalid(format!("`{token}` is not a token of this host")))?,
        };
        let found = self.objects.list(query, |namespace| scope::covers(&declared, &self.groups, namespace))?;
        let size = self.page_size.min(usize::try_from(*limit).unwrap_or(usize::MAX));
        let page: Vec<&Value> = found.iter().skip(offset).take(size).collect();
        let end = offset + page.len();
        let token = (end < found.len()).then(|| end.to_string());
        Ok(RawPage { items: json!(page).to_string(), token, truncated: false })
    }

    pub(crate) fn logs(&mut self, action: &str, namespace: &str, pod: &str, query: &LogQuery) -> Result<LogText> {
        let LogQuery { container, tail_lines, since_seconds, previous } = query;
        let arguments = json!({
            "namespace": namespace, "pod": pod, "container": container, "tail-lines": tail_lines, "since-seconds": since_seconds, "previous": previous,
        });
        self.claim("kubernetes-read.logs", action, arguments)?;
        let target = ObjectRef::namespaced("pods", namespace, pod);
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Logs, &target)?;
        let key = (namespace.to_owned(), pod.to_owned(), *previous);
        let text = self.logs.get(&key).ok_or_else(|| Error::NotFound(format!("log of {target}")))?;
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(usize::try_from(*tail_lines).unwrap_or(usize::MAX));
        Ok(LogText { text: lines.iter().skip(first).map(|line| format!("{line}\n")).collect(), truncated: false })
    }

    pub(crate) fn wait(&mut self, action: &str, target: &ObjectRef, condition: Condition, timeout_ms: u32) -> Result<bool> {
        let arguments = json!({ "target": target.to_string(), "condition": condition, "timeout-ms": timeout_ms });
        self.claim("kubernetes-read.wait", action, arguments)?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Wait, target)?;
        match (self.objects.find(target), condition) {
            (None, Condition::Gone) => Ok(true),
            (None, Condition::Ready | Condition::RolledOut | Condition::Completed) => Err(Error::NotFound(target.to_string())),
            (Some(_), _) => Ok(self.waiting_ends),
        }
    }

    pub(crate) fn restart(&mut self, action: &str, workload: &Workload, reason: &str) -> Result<Receipt> {
        let target = workload.object();
        self.claim("kubernetes-service-mutation.restart", action, json!({ "target": target.to_string(), "reason": reason }))?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Restart, &target)?;
        self.objects.get_mut(&target)?;
        Ok(self.receipt(true))
    }

    pub(crate) fn scale(&mut self, action: &str, workload: &Workload, replicas: u32, reason: &str) -> Result<Receipt> {
        let target = workload.object();
        let arguments = json!({ "target": target.to_string(), "replicas": replicas, "reason": reason });
        self.claim("kubernetes-service-mutation.scale", action, arguments)?;
        let declared = scope::target(&self.skill.sheet, &self.groups, action, Verb::Scale, &target)?;
        scope::replicas(&declared, replicas)?;
        self.set(&target, "replicas", json!(replicas))
    }

    pub(crate) fn pause(&mut self, action: &str, namespace: &str, deployment: &str, paused: bool, reason: &str) -> Result<Receipt> {
        let target = ObjectRef::namespaced("deployments.apps", namespace, deployment);
        let arguments = json!({ "target": target.to_string(), "paused": paused, "reason": reason });
        self.claim("kubernetes-service-mutation.pause", action, arguments)?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Pause, &target)?;
        self.set(&target, "paused", json!(paused))
    }

    pub(crate) fn evict(&mut self, action: &str, namespace: &str, pod: &str, uid: &str, reason: &str) -> Result<Receipt> {
        let target = ObjectRef::namespaced("pods", namespace, pod);
        let arguments = json!({ "target": target.to_string(), "uid": uid, "reason": reason });
        self.claim("kubernetes-service-mutation.evict", action, arguments)?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Evict, &target)?;
        self.take(&target, "uid", uid)
    }

    pub(crate) fn cordon(&mut self, action: &str, node: &str, unschedulable: bool, reason: &str) -> Result<Receipt> {
        let target = ObjectRef::cluster("nodes", node);
        let arguments = json!({ "target": target.to_string(), "unschedulable": unschedulable, "reason": reason });
        self.claim("kubernetes-service-mutation.cordon", action, arguments)?;
        scope::action(&self.skill.sheet, action, Verb::Cordon)?;
        self.set(&target, "unschedulable", json!(unschedulable))
    }

    pub(crate) fn request_sync(
        &mut self,
        action: &str,
        kind: crate::kubernetes::Sync,
        namespace: &str,
        name: &str,
        reason: &str,
    ) -> Result<Receipt> {
        let arguments = json!({ "kind": kind, "namespace": namespace, "name": name, "reason": reason });
        self.claim("kubernetes-service-mutation.request-sync", action, arguments)?;
        let declared = scope::action(&self.skill.sheet, action, Verb::RequestSync)?;
        scope::namespace(&declared, &self.groups, namespace)?;
        Ok(self.receipt(true))
    }

    pub(crate) fn delete(&mut self, action: &str, victim: &Victim, grace_seconds: Option<u32>, reason: &str) -> Result<Receipt> {
        let target = victim.object();
        let Victim { kind, namespace: _, name: _, uid, resource_version } = victim;
        let kind: &Disposable = kind;
        let arguments = json!({
            "kind": kind, "target": target.to_string(), "uid": uid, "resource-version": resource_version, "grace-seconds": grace_seconds,
            "reason": reason,
        });
        self.claim("kubernetes-destructive-mutation.delete", action, arguments)?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Delete, &target)?;
        let current = self.objects.get_mut(&target)?;
        if current.pointer("/metadata/resourceVersion").is_some_and(|version| version != resource_version) {
            return Err(Error::Conflict(format!("{target} has changed")));
        }
        self.take(&target, "uid", uid)
    }

    pub(crate) fn rollback(&mut self, action: &str, namespace: &str, deployment: &str, to_revision: u64, reason: &str) -> Result<Receipt> {
        let target = ObjectRef::namespaced("deployments.apps", namespace, deployment);
        let arguments = json!({ "target": target.to_string(), "to-revision": to_revision, "reason": reason });
        self.claim("kubernetes-destructive-mutation.rollback", action, arguments)?;
        scope::target(&self.skill.sheet, &self.groups, action, Verb::Rollback, &target)?;
        self.objects.get_mut(&target)?;
        Ok(self.receipt(true))
    }

    pub(crate) fn http_read(&mut self, action: &str, request: &Read) -> Result<Response> {
        let Read { head, envelope } = request;
        let method = if *head { "HEAD" } else { "GET" };
        let arguments = json!({
            "endpoint": envelope.endpoint, "method": method, "path": envelope.path, "query": envelope.query, "headers": envelope.headers,
        });
        self.claim("http-read.send", action, arguments)?;
        let declared = scope::action(&self.skill.sheet, action, Verb::HttpRead)?;
        scope::http(&declared, &envelope.endpoint, method)?;
        self.answer(&envelope.endpoint, &envelope.path)
    }

    pub(crate) fn http_mutation(&mut self, action: &str, request: &Write, reason: &str) -> Result<Response> {
        let Write { method, envelope, body } = request;
        let method = match method {
            WriteMethod::Post => "POST",
            WriteMethod::Put => "PUT",
            WriteMethod::Patch => "PATCH",
        };
        let arguments = json!({
            "endpoint": envelope.endpoint, "method": method, "path": envelope.path, "query": envelope.query, "headers": envelope.headers,
            "body": String::from_utf8_lossy(body), "reason": reason,
        });
        self.claim("http-mutation.send", action, arguments)?;
        let declared = scope::action(&self.skill.sheet, action, Verb::HttpMutation)?;
        scope::http(&declared, &envelope.endpoint, method)?;
        self.answer(&envelope.endpoint, &envelope.path)
    }

    pub(crate) fn mcp(
        &mut self,
        verb: Verb,
        action: &str,
        server: &str,
        tool: &str,
        arguments: &str,
        reason: Option<&str>,
    ) -> Result<String> {
        let function = if verb == Verb::McpRead { "mcp-read.call-tool" } else { "mcp-mutation.call-tool" };
        let sent: Value = serde_json::from_str(arguments)?;
        self.claim(function, action, json!({ "server": server, "tool": tool, "arguments": sent, "reason": reason }))?;
        let declared = scope::action(&self.skill.sheet, action, verb)?;
        scope::mcp(&declared, server, tool)?;
        match self.mcp.iter().find(|(on, name, _)| on == server && name == tool) {
            Some((_, _, answer)) => Ok(answer.to_string()),
            None => Err(unavailable(format!("the test gave no answer for the tool `{tool}` of `{server}`"))),
        }
    }

    pub(crate) fn site(&mut self) -> Result<String> {
        self.record("site.describe", json!({}));
        Ok(self.site.to_string())
    }

    pub(crate) fn finding(&mut self, severity: Severity, about: Option<&ObjectRef>, message: &str) -> Result<()> {
        self.record("report.finding", json!({ "severity": severity, "about": about.map(ToString::to_string), "message": message }));
        if message.len() > 1024 {
            return Err(Error::Invalid("a finding has at most 1 KiB of text".to_owned()));
        }
        self.findings.push(Finding { severity, about: about.cloned(), message: message.to_owned() });
        Ok(())
    }

    pub(crate) fn log(&mut self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.log.push(LogLine { level, message: message.to_owned(), fields });
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn state_get(&mut self, key: &str) -> Option<Entry> {
        self.record("state.get", json!({ "key": key }));
        self.state.get(key).cloned()
    }

    pub(crate) fn state_put(&mut self, key: &str, value: &[u8], expect: Option<u64>) -> Result<u64> {
        self.record("state.put", json!({ "key": key, "value": String::from_utf8_lossy(value), "expect": expect }));
        let current = self.state.get(key).map(|entry| entry.version);
        if current != expect {
            return Err(Error::Conflict(format!("`{key}` is not of the expected version")));
        }
        let version = current.unwrap_or(0) + 1;
        self.state.insert(key.to_owned(), Entry { value: value.to_owned(), version });
        Ok(version)
    }

    pub(crate) fn state_remove(&mut self, key: &str, expect: Option<u64>) -> Result<()> {
        self.record("state.remove", json!({ "key": key, "expect": expect }));
        let current = self.state.get(key).map(|entry| entry.version);
        match (current, expect) {
            (None, _) => Err(Error::NotFound(format!("`{key}`"))),
            (Some(version), Some(expected)) if version != expected => {
                Err(Error::Conflict(format!("`{key}` is not of the expected version")))
            }
            (Some(_), _) => {
                self.state.remove(key);
                Ok(())
            }
        }
    }

    pub(crate) fn state_keys(&mut self, prefix: &str, limit: u32) -> Vec<String> {
        self.record("state.keys", json!({ "prefix": prefix, "limit": limit }));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.state.keys().filter(|key| key.starts_with(prefix)).take(limit).cloned().collect()
    }

    /// Sets a field of the object's spec.
    fn set(&mut self, target: &ObjectRef, field: &str, value: Value) -> Result<Receipt> {
        let object = self.objects.get_mut(target)?;
        let changed = object["spec"][field] != value;
        object["spec"][field] = value;
        Ok(self.receipt(changed))
    }

    /// Removes the object if it is still the one that was looked at.
    fn take(&mut self, target: &ObjectRef, field: &str, expected: &str) -> Result<Receipt> {
        let object = self.objects.get_mut(target)?;
        if object["metadata"][field] != expected {
            return Err(Error::Conflict(format!("{target} is not the object that was looked at")));
        }
        self.objects.remove(target);
        Ok(self.receipt(true))
    }

    fn receipt(&mut self, changed: bool) -> Receipt {
        self.changes += 1;
        Receipt { audit_seq: self.changes, changed, resource_version: None }
    }

    fn answer(&self, endpoint: &str, path: &str) -> Result<Response> {
        match self.http.iter().find(|(on, at, _)| on == endpoint && at == path) {
            Some((_, _, answer)) => answer.clone(),
            None => Err(unavailable(format!("the test gave no answer for `{path}` of the endpoint `{endpoint}`"))),
        }
    }
}

fn unavailable(message: String) -> Error {
    Error::Unavailable { message, retry_after: None }
}
