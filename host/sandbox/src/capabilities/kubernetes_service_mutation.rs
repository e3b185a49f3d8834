//! `kubernetes-service-mutation`: what can be undone.

use infraagent_guard::{
    call::{Effect, Scalable, Scale, Sync, Target, Workload},
    name::{Invalid, Namespace, ObjectName, Uid},
};

use super::{mutation, receipt, wit};
use crate::session::Session;
use wit::kubernetes_service_mutation as generated;

type Answered = wasmtime::Result<Result<wit::types::Receipt, wit::types::Error>>;

impl generated::Host for Session {
    async fn restart(&mut self, action: String, target: generated::Target, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-service-mutation.restart";
        let parsed = parse_target(target).and_then(|target| mutation(&action, Effect::Restart(target), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn scale(&mut self, action: String, target: generated::Target, replicas: u32, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-service-mutation.scale";
        let parsed = parse_scale(target, replicas).and_then(|scale| mutation(&action, Effect::Scale(scale), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn pause(&mut self, action: String, namespace: String, deployment: String, paused: bool, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-service-mutation.pause";
        let parsed = place(&namespace, &deployment)
            .and_then(|(namespace, deployment)| mutation(&action, Effect::Pause(namespace, deployment, paused), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn evict(&mut self, action: String, namespace: String, pod: String, uid: String, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-service-mutation.evict";
        let parsed = place(&namespace, &pod)
            .and_then(|(namespace, pod)| mutation(&action, Effect::Evict(namespace, pod, Uid::parse(&uid)?), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn cordon(&mut self, action: String, node: String, unschedulable: bool, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-service-mutation.cordon";
        let parsed = ObjectName::parse(&node).and_then(|node| mutation(&action, Effect::Cordon(node, unschedulable), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }

    async fn request_sync(&mut self, action: String, kind: generated::Sync, namespace: String, name: String, reason: String) -> Answered {
        const FUNCTION: &str = "kubernetes-service-mutation.request-sync";
        let kind = match kind {
            generated::Sync::FluxKustomization => Sync::FluxKustomization,
            generated::Sync::FluxHelmRelease => Sync::FluxHelmRelease,
            generated::Sync::ArgoApplication => Sync::ArgoApplication,
            generated::Sync::ExternalSecret => Sync::ExternalSecret,
        };
        let parsed =
            place(&namespace, &name).and_then(|(namespace, name)| mutation(&action, Effect::RequestSync(kind, namespace, name), reason));
        Ok(receipt(self.call(FUNCTION, parsed).await?, FUNCTION))
    }
}

fn place(namespace: &str, name: &str) -> Result<(Namespace, ObjectName), Invalid> {
    Ok((Namespace::parse(namespace)?, ObjectName::parse(name)?))
}

fn parse_target(target: generated::Target) -> Result<Target, Invalid> {
    let generated::Target { kind, namespace, name } = target;
    let kind = match kind {
        generated::Workload::Deployment => Workload::Deployment,
        generated::Workload::StatefulSet => Workload::StatefulSet,
        generated::Workload::DaemonSet => Workload::DaemonSet,
    };
    let (namespace, name) = place(&namespace, &name)?;
    Ok(Target { kind, namespace, name })
}

fn parse_scale(target: generated::Target, replicas: u32) -> Result<Scale, Invalid> {
    let Target { kind, namespace, name } = parse_target(target)?;
    let kind = match kind {
        Workload::Deployment => Scalable::Deployment,
        Workload::StatefulSet => Scalable::StatefulSet,
        Workload::DaemonSet => return Err(Invalid::plain("a daemon set has no number of replicas")),
    };
    if i32::try_from(replicas).is_err() {
        return Err(Invalid::plain("replicas is more than Kubernetes can count"));
    }
    Ok(Scale { kind, namespace, name, replicas })
}
