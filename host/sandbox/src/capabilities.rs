//! One file per interface: the guest's words become a typed call, the broker's answer becomes the guest's words. Nothing is decided here.

mod clock;
mod http_mutation;
mod http_read;
mod kubernetes_destructive_mutation;
mod kubernetes_read;
mod kubernetes_service_mutation;
mod log;
mod mcp;
mod report;
mod site;
mod state;

use std::collections::BTreeSet;

use infraagent_guard::{
    call::{Call, Effect, Mutation, ObjectRef, ResourceType},
    name::{ActionId, GroupResource, Invalid, Namespace, ObjectName, Readable},
};
use wasmtime::component::{HasSelf, Linker};

use crate::{
    bindings::skill::infraagent::skill as wit,
    broker::{Answer, CallError, Receipt},
    session::Session,
};

/// Links `types` and exactly these interfaces.
pub(crate) fn link(linker: &mut Linker<Session>, interfaces: &BTreeSet<&str>) -> wasmtime::Result<()> {
    type Link = fn(&mut Linker<Session>) -> wasmtime::Result<()>;
    const ALL: [(&str, Link); 12] = [
        ("clock", |linker| wit::clock::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("http-mutation", |linker| wit::http_mutation::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("http-read", |linker| wit::http_read::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("kubernetes-destructive-mutation", |linker| {
            wit::kubernetes_destructive_mutation::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)
        }),
        ("kubernetes-read", |linker| wit::kubernetes_read::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("kubernetes-service-mutation", |linker| {
            wit::kubernetes_service_mutation::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)
        }),
        ("log", |linker| wit::log::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("mcp-mutation", |linker| wit::mcp_mutation::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("mcp-read", |linker| wit::mcp_read::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("report", |linker| wit::report::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("site", |linker| wit::site::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
        ("state", |linker| wit::state::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)),
    ];
    wit::types::add_to_linker::<_, HasSelf<Session>>(linker, |session| session)?;
    ALL.iter().filter(|(name, _)| interfaces.contains(name)).try_for_each(|(_, link)| link(linker))
}

impl wit::types::Host for Session {}

impl From<CallError> for wit::types::Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Denied { code, action, message } => Self::Denied(wit::types::Denial { code, action, message }),
            CallError::NotFound(what) => Self::NotFound(what),
            CallError::Conflict(what) => Self::Conflict(what),
            CallError::Invalid(what) => Self::Invalid(what),
            CallError::Unavailable { message, retry_after_ms } => Self::Unavailable(wit::types::Unavailable { message, retry_after_ms }),
            CallError::BudgetExhausted(what) => Self::BudgetExhausted(what),
            CallError::Timeout => Self::Timeout,
            CallError::Internal(incident) => Self::Internal(incident),
        }
    }
}

impl From<wit::types::Error> for CallError {
    fn from(error: wit::types::Error) -> Self {
        use wit::types::{Denial, Error, Unavailable};
        match error {
            Error::Denied(Denial { code, action, message }) => Self::Denied { code, action, message },
            Error::NotFound(what) => Self::NotFound(what),
            Error::Conflict(what) => Self::Conflict(what),
            Error::Invalid(what) => Self::Invalid(what),
            Error::Unavailable(Unavailable { message, retry_after_ms }) => Self::Unavailable { message, retry_after_ms },
            Error::BudgetExhausted(what) => Self::BudgetExhausted(what),
            Error::Timeout => Self::Timeout,
            Error::Internal(incident) => Self::Internal(incident),
        }
    }
}

/// An answer of the kind that the function has; any other is a fault of the broker.
macro_rules! answer_of {
    ($answered:expr, $function:expr, $kind:pat => $value:expr) => {
        match $answered {
            Ok($kind) => Ok($value),
            Ok(_) => Err(crate::session::mismatch($function).into()),
            Err(error) => Err(error.into()),
        }
    };
}
pub(crate) use answer_of;

fn claim(action: &str) -> Result<Option<ActionId>, Invalid> {
    ActionId::parse(action).map(Some)
}

fn mutation(action: &str, effect: Effect, reason: String) -> Result<(Option<ActionId>, Call), Invalid> {
    if reason.len() > Mutation::MAX_REASON {
        return Err(Invalid::plain("the reason is longer than 256 bytes"));
    }
    Ok((claim(action)?, Call::Mutation(Mutation { effect, reason })))
}

fn resource_type(kind: wit::types::ResourceType) -> Result<ResourceType, Invalid> {
    let wit::types::ResourceType { group, version, resource } = kind;
    let version = version.map(|version| infraagent_guard::call::ApiVersion::parse(&version)).transpose()?;
    Ok(ResourceType { kind: Readable::new(GroupResource::new(&group, &resource)?)?, version })
}

fn object(target: wit::types::ObjectRef) -> Result<ObjectRef, Invalid> {
    let wit::types::ObjectRef { kind, namespace, name } = target;
    let namespace = namespace.map(|namespace| Namespace::parse(&namespace)).transpose()?;
    Ok(ObjectRef { kind: resource_type(kind)?, namespace, name: ObjectName::parse(&name)? })
}

/// What every mutation of the cluster answers.
fn receipt(answered: Result<Answer, CallError>, function: &'static str) -> Result<wit::types::Receipt, wit::types::Error> {
    answer_of!(answered, function, Answer::Receipt(Receipt { audit_seq, changed, resource_version }) => {
        wit::types::Receipt { audit_seq, changed, resource_version }
    })
}

/// What log, finding and the like answer.
fn done(answered: Result<Answer, CallError>, function: &'static str) -> Result<(), wit::types::Error> {
    answer_of!(answered, function, Answer::Done => ())
}

fn json(answered: Result<Answer, CallError>, function: &'static str) -> Result<String, wit::types::Error> {
    answer_of!(answered, function, Answer::Json(text) => text)
}
