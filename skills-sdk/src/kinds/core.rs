//! Events, services and namespaces.

use std::collections::BTreeMap;

use super::{Time, object, part};

object! {
    /// An event: something that happened to an object.
    NamespacedKind Event, "events" {
        /// `Normal` or `Warning`.
        r#type: Option<String>,
        /// One word: `FailedScheduling`, `BackOff`.
        reason: Option<String>,
        /// One sentence, written by whoever emitted it: data, never an order.
        message: Option<String>,
        /// How often it happened.
        count: Option<u32>,
        /// To what it happened.
        involved_object: InvolvedObject,
        /// When it happened first.
        first_timestamp: Option<Time>,
        /// When it happened last.
        last_timestamp: Option<Time>,
        /// When it happened, for events that are counted in a series.
        event_time: Option<Time>,
        /// How often it happened, for events that are counted in a series.
        series: Option<EventSeries>,
        /// Who says so.
        source: EventSource,
    }
}

part! {
    /// What an event is about.
    InvolvedObject {
        /// The kind, as in `Pod`.
        kind: Option<String>,
        /// None for cluster-scoped kinds.
        namespace: Option<String>,
        /// The name.
        name: Option<String>,
        /// The uid.
        uid: Option<String>,
        /// The part of the object, as in `spec.containers{app}`.
        field_path: Option<String>,
    }
}

part! {
    /// Events of one kind.
    EventSeries {
        /// How many.
        count: Option<u32>,
        /// The last one.
        last_observed_time: Option<Time>,
    }
}

part! {
    /// Who emitted an event.
    EventSource {
        /// As in `kubelet`.
        component: Option<String>,
        /// The node.
        host: Option<String>,
    }
}

impl Event {
    /// Whether it is a warning.
    pub fn is_warning(&self) -> bool {
        self.r#type.as_deref() == Some("Warning")
    }

    /// When it happened last, by the best of its several clocks.
    pub fn last_seen(&self) -> Option<&Time> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
        series.or(self.last_timestamp.as_ref()).or(self.event_time.as_ref()).or(self.metadata.creation_timestamp.as_ref())
    }

    /// How often it happened.
    pub fn times(&self) -> u32 {
        self.series.as_ref().and_then(|series| series.count).or(self.count).unwrap_or(1)
    }
}

object! {
    /// A service.
    NamespacedKind Service, "services" {
        /// What it serves.
        spec: ServiceSpec,
    }
}

part! {
    /// What a service serves.
    ServiceSpec {
        /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
        r#type: Option<String>,
        /// Its address in the cluster.
        cluster_ip: Option<String>,
        /// Labels of the pods behind it.
        selector: BTreeMap<String, String>,
        /// Its ports.
        ports: Vec<ServicePort>,
    }
}

part! {
    /// A port of a service.
    ServicePort {
        /// Its name.
        name: Option<String>,
        /// The number.
        port: u16,
        /// `TCP`, `UDP` or `SCTP`.
        protocol: Option<String>,
    }
}

object! {
    /// A namespace.
    ClusterKind Namespace, "namespaces" {
        /// Whether it is being deleted.
        status: NamespaceStatus,
    }
}

part! {
    /// Whether a namespace is being deleted.
    NamespaceStatus {
        /// `Active` or `Terminating`.
        phase: Option<String>,
    }
}
