//! The fake host of native tests.

use crate::Result;
use crate::cx::{Budget, Level, Severity};
use crate::http::{Read, Response, Write};
use crate::kubernetes::{Condition, ListQuery, LogQuery, LogText, RawPage, Receipt, Sync, Victim};
use crate::reference::{ObjectRef, Workload};
use crate::sheet::Verb;
use crate::state::Entry;
use crate::testing::with;

pub(crate) fn get(action: &str, target: &ObjectRef, select: &[String]) -> Result<String> {
    with(|world| world.get(action, target, select))
}

pub(crate) fn list(action: &str, query: &ListQuery) -> Result<RawPage> {
    with(|world| world.list(action, query))
}

pub(crate) fn logs(action: &str, namespace: &str, pod: &str, query: &LogQuery) -> Result<LogText> {
    with(|world| world.logs(action, namespace, pod, query))
}

pub(crate) fn wait(action: &str, target: &ObjectRef, condition: Condition, timeout_ms: u32) -> Result<bool> {
    with(|world| world.wait(action, target, condition, timeout_ms))
}

pub(crate) fn restart(action: &str, workload: &Workload, reason: &str) -> Result<Receipt> {
    with(|world| world.restart(action, workload, reason))
}

pub(crate) fn scale(action: &str, workload: &Workload, replicas: u32, reason: &str) -> Result<Receipt> {
    with(|world| world.scale(action, workload, replicas, reason))
}

pub(crate) fn pause(action: &str, namespace: &str, deployment: &str, paused: bool, reason: &str) -> Result<Receipt> {
    with(|world| world.pause(action, namespace, deployment, paused, reason))
}

pub(crate) fn evict(action: &str, namespace: &str, pod: &str, uid: &str, reason: &str) -> Result<Receipt> {
    with(|world| world.evict(action, namespace, pod, uid, reason))
}

pub(crate) fn cordon(action: &str, node: &str, unschedulable: bool, reason: &str) -> Result<Receipt> {
    with(|world| world.cordon(action, node, unschedulable, reason))
}

pub(crate) fn request_sync(action: &str, kind: Sync, namespace: &str, name: &str, reason: &str) -> Result<Receipt> {
    with(|world| world.request_sync(action, kind, namespace, name, reason))
}

pub(crate) fn delete(action: &str, victim: &Victim, grace_seconds: Option<u32>, reason: &str) -> Result<Receipt> {
    with(|world| world.delete(action, victim, grace_seconds, reason))
}

pub(crate) fn rollback(action: &str, namespace: &str, deployment: &str, to_revision: u64, reason: &str) -> Result<Receipt> {
    with(|world| world.rollback(action, namespace, deployment, to_revision, reason))
}

pub(crate) fn http_read(action: &str, request: &Read) -> Result<Response> {
    with(|world| world.http_read(action, request))
}

pub(crate) fn http_mutation(action: &str, request: &Write, reason: &str) -> Result<Response> {
    with(|world| world.http_mutation(action, request, reason))
}

pub(crate) fn mcp_read(action: &str, server: &str, tool: &str, arguments: &str) -> Result<String> {
    with(|world| world.mcp(Verb::McpRead, action, server, tool, arguments, None))
}

pub(crate) fn mcp_mutation(action: &str, server: &str, tool: &str, arguments: &str, reason: &str) -> Result<String> {
    with(|world| world.mcp(Verb::McpMutation, action, server, tool, arguments, Some(reason)))
}

pub(crate) fn site() -> Result<String> {
    with(|world| world.site())
}

pub(crate) fn finding(severity: Severity, about: Option<&ObjectRef>, message: &str) -> Result<()> {
    with(|world| world.finding(severity, about, message))
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) -> Result<()> {
    with(|world| {
        world.log(level, message, fields);
        Ok(())
    })
}

/// The clock cannot fail in the contract, so without a host it stands at the beginning.
pub(crate) fn now_unix_ms() -> u64 {
    with(|world| Ok(world.now())).unwrap_or(0)
}

/// A test has all the time it needs.
pub(crate) fn remaining() -> Budget {
    Budget { millis: 30_000, cpu_millis: 1_000, host_calls: 500, bytes_out: 262_144 }
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry>> {
    with(|world| Ok(world.state_get(key)))
}

pub(crate) fn state_put(key: &str, value: &[u8], expect: Option<u64>) -> Result<u64> {
    with(|world| world.state_put(key, value, expect))
}

pub(crate) fn state_remove(key: &str, expect: Option<u64>) -> Result<()> {
    with(|world| world.state_remove(key, expect))
}

pub(crate) fn state_keys(prefix: &str, limit: u32) -> Result<Vec<String>> {
    with(|world| Ok(world.state_keys(prefix, limit)))
}
