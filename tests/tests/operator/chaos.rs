//! Faults. The oracle is the API server's audit log, which no part of the product writes.

mod dice;
mod fleet;
mod frozen;
mod handover;
mod kills;
mod middle;
mod outage;
mod upgrade;

use infraagent_tests::{ControlPlane, eventually};
use kube::config::Kubeconfig;

use crate::lab::Lab;

/// Whether there is time: `CHAOS=full`.
fn full() -> bool {
    std::env::var("CHAOS").is_ok_and(|form| form == "full")
}

/// Where the API server listens.
fn api_port(plane: &ControlPlane) -> u16 {
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig()).expect("a kubeconfig");
    let server = kubeconfig.clusters[0].cluster.as_ref().and_then(|cluster| cluster.server.clone()).expect("a server");
    server.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

impl Lab<'_> {
    /// The Lease of the replica that leads.
    async fn leader(&self) -> String {
        let leases = &self.leases();
        eventually("a leader", || async move {
            leases.get("infraagent-leader").await.ok()?.spec?.holder_identity.filter(|name| !name.is_empty())
        })
        .await
    }
}
