//! The real host, through the generated bindings: a translation and nothing else.

use std::time::Duration;

use crate::bindings::exports::infraagent::skill::skill;
use crate::bindings::infraagent::skill::{
    clock, http_mutation as wit_http_mutation, http_read as wit_http_read, kubernetes_destructive_mutation as destructive,
    kubernetes_read as read, kubernetes_service_mutation as service, log as wit_log, mcp_mutation as wit_mcp_mutation,
    mcp_read as wit_mcp_read, report, site as wit_site, state as wit_state, types,
};
use crate::cx::{Budget, Level, Severity};
use crate::http::{Certificate, Read, Response, Write, WriteMethod};
use crate::kubernetes::{Condition, Disposable, ListQuery, LogQuery, LogText, RawPage, Receipt, Sync, Victim};
use crate::reference::{ObjectRef, Resource, Workload, WorkloadKind};
use crate::state::Entry;
use crate::tool;
use crate::{Denial, Error, Output, Result};

/// Answers a call of the host.
pub fn invoke(tools: &[tool::Entry], call: skill::Invocation) -> Result<skill::Output, types::Error> {
    report_panics();
    let skill::Invocation { run_id: _, tool, arguments } = call;
    match tool::Entry::invoke(tools, &tool, &arguments) {
        Ok(Output { content, summary }) => Ok(skill::Output { content: serde_json::to_string(&content).map_err(Error::from)?, summary }),
        Err(error) => Err(error.into()),
    }
}

/// A panic ends the instance and leaves no text behind, since there is no stderr: its message goes to the log of the run first.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // Nothing is left to do if even the log is full.
        drop(wit_log::emit(wit_log::Level::Error, &panic.to_string(), &[]));
    }));
}

pub(crate) fn get(action: &str, target: &ObjectRef, select: &[String]) -> Result<String> {
    Ok(read::get(action, &target.into(), select)?)
}

pub(crate) fn list(action: &str, query: &ListQuery) -> Result<RawPage> {
    let ListQuery { resource, namespace, labels, fields, select, limit, token } = query;
    let page = read::list(
        action,
        &read::ListQuery {
            kind: resource.into(),
            namespace: namespace.clone(),
            label_selector: labels.clone(),
            field_selector: fields.clone(),
            select: select.clone(),
            limit: *limit,
            continue_token: token.clone(),
        },
    )?;
    let read::Page { items, count: _, continue_token, truncated } = page;
    Ok(RawPage { items, token: continue_token, truncated })
}

pub(crate) fn logs(action: &str, namespace: &str, pod: &str, query: &LogQuery) -> Result<LogText> {
    let LogQuery { container, tail_lines, since_seconds, previous } = query.clone();
    let read::LogText { text, truncated } =
        read::logs(action, namespace, pod, &read::LogQuery { container, tail_lines, since_seconds, previous })?;
    Ok(LogText { text, truncated })
}

pub(crate) fn wait(action: &str, target: &ObjectRef, condition: Condition, timeout_ms: u32) -> Result<bool> {
    let condition = match condition {
        Condition::Ready => read::Condition::Ready,
        Condition::RolledOut => read::Condition::RolledOut,
        Condition::Gone => read::Condition::Gone,
        Condition::Completed => read::Condition::Completed,
    };
    Ok(read::wait(action, &target.into(), condition, timeout_ms)?)
}

pub(crate) fn restart(action: &str, workload: &Workload, reason: &str) -> Result<Receipt> {
    Ok(service::restart(action, &workload.into(), reason)?.into())
}

pub(crate) fn scale(action: &str, workload: &Workload, replicas: u32, reason: &str) -> Result<Receipt> {
    Ok(service::scale(action, &workload.into(), replicas, reason)?.into())
}

pub(crate) fn pause(action: &str, namespace: &str, deployment: &str, paused: bool, reason: &str) -> Result<Receipt> {
    Ok(service::pause(action, namespace, deployment, paused, reason)?.into())
}

pub(crate) fn evict(action: &str, namespace: &str, pod: &str, uid: &str, reason: &str) -> Result<Receipt> {
    Ok(service::evict(action, namespace, pod, uid, reason)?.into())
}

pub(crate) fn cordon(action: &str, node: &str, unschedulable: bool, reason: &str) -> Result<Receipt> {
    Ok(service::cordon(action, node, unschedulable, reason)?.into())
}

pub(crate) fn request_sync(action: &str, kind: Sync, namespace: &str, name: &str, reason: &str) -> Result<Receipt> {
    let kind = match kind {
        Sync::FluxKustomization => service::Sync::FluxKustomization,
        Sync::FluxHelmRelease => service::Sync::FluxHelmRelease,
        Sync::ArgoApplication => service::Sync::ArgoApplication,
        Sync::ExternalSecret => service::Sync::ExternalSecret,
    };
    Ok(service::request_sync(action, kind, namespace, name, reason)?.into())
}

pub(crate) fn delete(action: &str, victim: &Victim, grace_seconds: Option<u32>, reason: &str) -> Result<Receipt> {
    let Victim { kind, namespace, name, uid, resource_version } = victim.clone();
    let kind = match kind {
        Disposable::Pod => destructive::Disposable::Pod,
        Disposable::Job => destructive::Disposable::Job,
        Disposable::CronJob => destructive::Disposable::CronJob,
        Disposable::ReplicaSet => destructive::Disposable::ReplicaSet,
        Disposable::Deployment => destructive::Disposable::Deployment,
        Disposable::StatefulSet => destructive::Disposable::StatefulSet,
        Disposable::DaemonSet => destructive::Disposable::DaemonSet,
        Disposable::Service => destructive::Disposable::Service,
        Disposable::Ingress => destructive::Disposable::Ingress,
        Disposable::HorizontalPodAutoscaler => destructive::Disposable::HorizontalPodAutoscaler,
    };
    let victim = destructive::Victim { kind, namespace, name, uid, resource_version };
    Ok(destructive::delete(action, &victim, grace_seconds, reason)?.into())
}

pub(crate) fn rollback(action: &str, namespace: &str, deployment: &str, to_revision: u64, reason: &str) -> Result<Receipt> {
    Ok(destructive::rollback(action, namespace, deployment, to_revision, reason)?.into())
}

pub(crate) fn http_read(action: &str, request: &Read) -> Result<Response> {
    let Read { head, envelope } = request.clone();
    let method = if head { wit_http_read::Method::Head } else { wit_http_read::Method::Get };
    let crate::http::Envelope { endpoint, path, query, headers } = envelope;
    Ok(wit_http_read::send(action, &wit_http_read::Request { endpoint, method, path, query, headers })?.into())
}

pub(crate) fn http_mutation(action: &str, request: &Write, reason: &str) -> Result<Response> {
    let Write { method, envelope, body } = request.clone();
    let method = match method {
        WriteMethod::Post => wit_http_mutation::Method::Post,
        WriteMethod::Put => wit_http_mutation::Method::Put,
        WriteMethod::Patch => wit_http_mutation::Method::Patch,
    };
    let crate::http::Envelope { endpoint, path, query, headers } = envelope;
    let request = wit_http_mutation::Request { endpoint, method, path, query, headers, body };
    Ok(wit_http_mutation::send(action, &request, reason)?.into())
}

pub(crate) fn mcp_read(action: &str, server: &str, tool: &str, arguments: &str) -> Result<String> {
    Ok(wit_mcp_read::call_tool(action, server, tool, arguments)?)
}

pub(crate) fn mcp_mutation(action: &str, server: &str, tool: &str, arguments: &str, reason: &str) -> Result<String> {
    Ok(wit_mcp_mutation::call_tool(action, server, tool, arguments, reason)?)
}

pub(crate) fn site() -> Result<String> {
    Ok(wit_site::describe()?)
}

pub(crate) fn finding(severity: Severity, about: Option<&ObjectRef>, message: &str) -> Result<()> {
    let severity = match severity {
        Severity::Info => report::Severity::Info,
        Severity::Warning => report::Severity::Warning,
        Severity::Critical => report::Severity::Critical,
    };
    Ok(report::finding(severity, about.map(types::ObjectRef::from).as_ref(), message)?)
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) -> Result<()> {
    let level = match level {
        Level::Debug => wit_log::Level::Debug,
        Level::Info => wit_log::Level::Info,
        Level::Warn => wit_log::Level::Warn,
        Level::Error => wit_log::Level::Error,
    };
    let fields: Vec<(String, String)> = fields.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Ok(wit_log::emit(level, message, &fields)?)
}

pub(crate) fn now_unix_ms() -> u64 {
    clock::now_unix_ms()
}

pub(crate) fn remaining() -> Budget {
    let clock::Budget { millis, cpu_millis, host_calls, bytes_out } = clock::remaining();
    Budget { millis, cpu_millis, host_calls, bytes_out }
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry>> {
    Ok(wit_state::get(key)?.map(|wit_state::Entry { value, version }| Entry { value, version }))
}

pub(crate) fn state_put(key: &str, value: &[u8], expect: Option<u64>) -> Result<u64> {
    Ok(wit_state::put(key, value, expect)?)
}

pub(crate) fn state_remove(key: &str, expect: Option<u64>) -> Result<()> {
    Ok(wit_state::remove(key, expect)?)
}

pub(crate) fn state_keys(prefix: &str, limit: u32) -> Result<Vec<String>> {
    Ok(wit_state::keys(prefix, limit)?)
}

impl From<&Resource> for types::ResourceType {
    fn from(resource: &Resource) -> Self {
        let Resource { group, version, resource } = resource.clone();
        Self { group, version, resource }
    }
}

impl From<&ObjectRef> for types::ObjectRef {
    fn from(object: &ObjectRef) -> Self {
        let ObjectRef { resource, namespace, name } = object;
        Self { kind: resource.into(), namespace: namespace.clone(), name: name.clone() }
    }
}

impl From<&Workload> for service::Target {
    fn from(workload: &Workload) -> Self {
        let Workload { kind, namespace, name } = workload.clone();
        let kind = match kind {
            WorkloadKind::Deployment => service::Workload::Deployment,
            WorkloadKind::StatefulSet => service::Workload::StatefulSet,
            WorkloadKind::DaemonSet => service::Workload::DaemonSet,
        };
        Self { kind, namespace, name }
    }
}

impl From<types::Receipt> for Receipt {
    fn from(receipt: types::Receipt) -> Self {
        let types::Receipt { audit_seq, changed, resource_version } = receipt;
        Self { audit_seq, changed, resource_version }
    }
}

impl From<wit_http_read::Response> for Response {
    fn from(response: wit_http_read::Response) -> Self {
        let wit_http_read::Response { status, headers, body, truncated, elapsed_ms, tls } = response;
        let tls = tls.map(|certificate| {
            let wit_http_read::Certificate { subject, issuer, not_before, not_after } = certificate;
            Certificate { subject, issuer, not_before, not_after }
        });
        Self { status, headers, body, truncated, elapsed_ms, tls }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(types::Denial { code, action, message }) => Self::Denied(Denial { code, action, message }),
            types::Error::NotFound(message) => Self::NotFound(message),
            types::Error::Conflict(message) => Self::Conflict(message),
            types::Error::Invalid(message) => Self::Invalid(message),
            types::Error::Unavailable(types::Unavailable { message, retry_after_ms }) => {
                Self::Unavailable { message, retry_after: retry_after_ms.map(|ms| Duration::from_millis(ms.into())) }
            }
            types::Error::BudgetExhausted(message) => Self::BudgetExhausted(message),
            types::Error::Timeout => Self::Timeout,
            types::Error::Internal(incident) => Self::Internal(incident),
        }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(Denial { code, action, message }) => Self::Denied(types::Denial { code, action, message }),
            Error::NotFound(message) => Self::NotFound(message),
            Error::Conflict(message) => Self::Conflict(message),
            Error::Invalid(message) => Self::Invalid(message),
            Error::Unavailable { message, retry_after } => {
                let retry_after_ms = retry_after.map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
                Self::Unavailable(types::Unavailable { message, retry_after_ms })
            }
            Error::BudgetExhausted(message) => Self::BudgetExhausted(message),
            Error::Timeout => Self::Timeout,
            Error::Internal(incident) => Self::Internal(incident),
        }
    }
}
