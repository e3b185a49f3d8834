//! `kubernetes-read`: objects, lists, logs, waiting.

use infraagent_guard::{
    call::{Call, Condition, Get, Handle, List, Logs, Read, Select, Wait},
    name::{Container, Invalid, Namespace, ObjectName},
};

use super::{answer_of, claim, json, object, resource_type, wit};
use crate::{
    broker::{Answer, Page},
    notation,
    session::{Parsed, Session},
};

type Answered<T> = wasmtime::Result<Result<T, wit::types::Error>>;

impl wit::kubernetes_read::Host for Session {
    async fn get(&mut self, action: String, target: wit::types::ObjectRef, select: Vec<String>) -> Answered<String> {
        const FUNCTION: &str = "kubernetes-read.get";
        Ok(json(self.call(FUNCTION, parse_get(&action, target, select)).await?, FUNCTION))
    }

    async fn list(&mut self, action: String, query: wit::kubernetes_read::ListQuery) -> Answered<wit::kubernetes_read::Page> {
        const FUNCTION: &str = "kubernetes-read.list";
        Ok(answer_of!(self.call(FUNCTION, parse_list(&action, query)).await?, FUNCTION, Answer::Page(page) => {
            let Page { items, count, continue_token, truncated } = page;
            wit::kubernetes_read::Page { items, count, continue_token, truncated }
        }))
    }

    async fn logs(
        &mut self,
        action: String,
        namespace: String,
        pod: String,
        query: wit::kubernetes_read::LogQuery,
    ) -> Answered<wit::kubernetes_read::LogText> {
        const FUNCTION: &str = "kubernetes-read.logs";
        Ok(
            answer_of!(self.call(FUNCTION, parse_logs(&action, &namespace, &pod, query)).await?, FUNCTION, Answer::Text(text, truncated) => {
                wit::kubernetes_read::LogText { text, truncated }
            }),
        )
    }

    async fn wait(
        &mut self,
        action: String,
        target: wit::types::ObjectRef,
        condition: wit::kubernetes_read::Condition,
        timeout_ms: u32,
    ) -> Answered<bool> {
        const FUNCTION: &str = "kubernetes-read.wait";
        let parsed = parse_wait(&action, target, condition, timeout_ms);
        Ok(answer_of!(self.call(FUNCTION, parsed).await?, FUNCTION, Answer::Reached(reached) => reached))
    }
}

fn parse_get(action: &str, target: wit::types::ObjectRef, select: Vec<String>) -> Parsed {
    Ok((claim(action)?, Call::Read(Read::Get(Get { object: object(target)?, select: Select::parse(select)? }))))
}

fn parse_list(action: &str, query: wit::kubernetes_read::ListQuery) -> Parsed {
    let wit::kubernetes_read::ListQuery { kind, namespace, label_selector, field_selector, select, limit, continue_token } = query;
    if !(1..=List::MAX_LIMIT).contains(&limit) {
        return Err(Invalid::plain("limit is 1 to 500"));
    }
    let list = List {
        kind: resource_type(kind)?,
        namespace: namespace.map(|namespace| Namespace::parse(&namespace)).transpose()?,
        labels: label_selector.map(|selector| notation::labels(&selector)).transpose()?.unwrap_or_default(),
        fields: field_selector.map(|selector| notation::fields(&selector)).transpose()?.unwrap_or_default(),
        select: Select::parse(select)?,
        limit,
        continue_from: continue_token.map(|token| Handle::parse(&token)).transpose()?,
    };
    Ok((claim(action)?, Call::Read(Read::List(list))))
}

fn parse_logs(action: &str, namespace: &str, pod: &str, query: wit::kubernetes_read::LogQuery) -> Parsed {
    let wit::kubernetes_read::LogQuery { container, tail_lines, since_seconds, previous } = query;
    if !(1..=Logs::MAX_LINES).contains(&tail_lines) {
        return Err(Invalid::plain("tail-lines is 1 to 2000"));
    }
    let logs = Logs {
        namespace: Namespace::parse(namespace)?,
        pod: ObjectName::parse(pod)?,
        container: container.map(|container| Container::parse(&container)).transpose()?,
        tail_lines,
        since_seconds,
        previous,
    };
    Ok((claim(action)?, Call::Read(Read::Logs(logs))))
}

fn parse_wait(action: &str, target: wit::types::ObjectRef, condition: wit::kubernetes_read::Condition, timeout_ms: u32) -> Parsed {
    let condition = match condition {
        wit::kubernetes_read::Condition::Ready => Condition::Ready,
        wit::kubernetes_read::Condition::RolledOut => Condition::RolledOut,
        wit::kubernetes_read::Condition::Gone => Condition::Gone,
        wit::kubernetes_read::Condition::Completed => Condition::Completed,
    };
    Ok((claim(action)?, Call::Read(Read::Wait(Wait { object: object(target)?, condition, timeout_ms }))))
}
