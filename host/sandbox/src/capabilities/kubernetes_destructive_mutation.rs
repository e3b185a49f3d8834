//! `kubernetes-destructive-mutation`: what cannot be undone, on kinds that hold no data.

use infraagent_guard::{
    call::{Disposable, Effect, Victim},
    name::{Invalid, Namespace, ObjectName, ResourceVersion, Uid},
};

use super::{mutation, receipt, wit};
use crate::session::{Parsed, Session};
use wit::kubernetes_destructive_mutation as generated;

type Answered = wasmtime::Result<Result<wit::types::Receipt, wit::types::Error>>;

impl generated::Host for Session {
    async fn delete(&mut self, action: String, victim: generated::Victim, grace_seconds: Option<u32>, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-destructive-mutation.delete";
        let parsed = parse_victim(victim, grace_seconds).and_then(|victim| mutation(&action, Effect::Delete(victim), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn rollback(&mut self, action: String, namespace: String, deployment: String, to_revision: u64, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-destructive-mutation.rollback";
        let parsed = parse_rollback(&action, &namespace, &deployment, to_revision, reason);
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }
}

fn parse_victim(victim: generated::Victim, grace_seconds: Option<u32>) -> Result<Victim, Invalid> {
    let generated::Victim { kind, namespace, name, uid, resource_version } = victim;
    let kind = match kind {
        generated::Disposable::Pod => Disposable::Pod,
        generated::Disposable::Job => Disposable::Job,
        generated::Disposable::CronJob => Disposable::CronJob,
        generated::Disposable::ReplicaSet => Disposable::ReplicaSet,
        generated::Disposable::Deployment => Disposable::Deployment,
        generated::Disposable::StatefulSet => Disposable::StatefulSet,
        generated::Disposable::DaemonSet => Disposable::DaemonSet,
        generated::Disposable::Service => Disposable::Service,
        generated::Disposable::Ingress => Disposable::Ingress,
        generated::Disposable::HorizontalPodAutoscaler => Disposable::HorizontalPodAutoscaler,
    };
    Ok(Victim {
        kind,
        namespace: Namespace::parse(&namespace)?,
        name: ObjectName::parse(&name)?,
        uid: Uid::parse(&uid)?,
        resource_version: ResourceVersion::parse(&resource_version)?,
        grace_seconds,
    })
}

fn parse_rollback(action: &str, namespace: &str, deployment: &str, revision: u64, reason: String) -> Parsed {
    mutation(action, Effect::Rollback(Namespace::parse(namespace)?, ObjectName::parse(deployment)?, revision), reason)
}
