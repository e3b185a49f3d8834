//! From a name to addresses, at the moment of the connection: what is not admitted is dropped before anything connects, and the connection uses what was judged.
//!
//! There is no second look-up that could answer differently: the client connects to exactly the addresses that come out of here.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{address::Kind, trouble::Trouble};

/// Asks the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Something of this installation that no endpoint may be: an API server, this program itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// What it is, for people: `the API server of the cluster`.
    pub what: &'static str,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Judges what a resolver answers, for the requests of one endpoint.
pub(super) struct Admission {
    pub(super) names: Arc<dyn Resolve>,
    pub(super) internal: bool,
    pub(super) port: u16,
    pub(super) protected: Arc<[Protected]>,
}

impl Admission {
    /// The addresses that may be connected to. None of them is left only if there is at least one reason.
    async fn admitted(&self, name: Name) -> Result<Vec<SocketAddr>, Trouble> {
        let found = self.names.resolve(name).await.map_err(|_| Trouble::Unresolved)?;
        let mut refused = None;
        let mut admitted = Vec::new();
        for address in found {
            match self.judge(address).await {
                Ok(()) => admitted.push(address),
                Err(trouble) => refused = Some(trouble),
            }
        }
        if admitted.is_empty() { Err(refused.unwrap_or(Trouble::Unresolved)) } else { Ok(admitted) }
    }

    /// Whether this address may be connected to.
    pub(super) async fn judge(&self, address: SocketAddr) -> Result<(), Trouble> {
        let kind = Kind::of(address.ip());
        if !kind.is_admitted(self.internal) {
            return Err(Trouble::Address { kind });
        }
        for Protected { what, host, port } in self.protected.iter().filter(|one| one.port == self.port) {
            let same = |ip: IpAddr| ip.to_canonical() == address.ip().to_canonical();
            let is_it = match (host.parse::<IpAddr>(), host.parse::<Name>()) {
                (Ok(ip), _) => same(ip),
                // A name that has no address now is nothing that could be reached under another name; its certificate would still tell.
                (Err(_), Ok(name)) => self.names.resolve(name).await.is_ok_and(|mut found| found.any(|found| same(found.ip()))),
                (Err(_), Err(_)) => false,
            };
            if is_it {
                tracing::warn!(what, port, "an endpoint is something that no endpoint may be");
                return Err(Trouble::Target(what));
            }
        }
        Ok(())
    }
}

impl Resolve for Admission {
    fn resolve(&self, name: Name) -> Resolving {
        let this =
            Self { names: Arc::clone(&self.names), internal: self.internal, port: self.port, protected: Arc::clone(&self.protected) };
        Box::pin(async move {
            let admitted = this.admitted(name).await?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}
