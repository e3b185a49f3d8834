//! Who leads: one Lease, taken by a conditioned write. What a leader does is safe if there are two of them for a moment; there being one is for calm.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};
use tokio::{sync::watch, time::timeout};

use super::{Operator, conditions::said, heartbeat::LeaseRef, lead};

/// Name of the Lease that says who leads.
pub(crate) const NAME: &str = "infraagent-leader";

/// What is known of the Lease of another leader.
struct Rival {
    resource_version: String,
    /// Since when it has not changed, by this machine's clock.
    since: Duration,
}

/// Stands for leadership until told to leave, and leads while it has it.
pub(super) async fn campaign(operator: Arc<Operator>, own: LeaseRef, mut leave: watch::Receiver<bool>) {
    let mut candidate = Candidate::new(&operator, own);
    let mut term: Option<tokio::task::JoinHandle<()>> = None;
    // Every request of it has a time limit of one renewal, and there are two.
    let pulse = operator.health.task("leadership", operator.settings.timings.lease * 2);
    let mut ticks = tokio::time::interval(operator.settings.timings.renewal());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = leave.wait_for(|leave| *leave) => break,
            _ = ticks.tick() => {}
        }
        pulse.beat();
        candidate.stand().await;
        operator.metrics.leads(candidate.leads());
        match (candidate.leads(), term.take()) {
            (true, None) => {
                tracing::info!(identity = operator.settings.identity, "this replica leads");
                term = Some(tokio::spawn(lead::lead(Arc::clone(&operator), candidate.own.clone())));
            }
            (true, Some(ended)) if ended.is_finished() => {
                tracing::error!("leading ended by itself; it begins anew");
                term = Some(tokio::spawn(lead::lead(Arc::clone(&operator), candidate.own.clone())));
            }
            (true, going) => term = going,
            (false, Some(going)) => {
                tracing::warn!("this replica no longer leads");
                going.abort();
            }
            (false, None) => {}
        }
    }
    pulse.finish();
    operator.metrics.leads(false);
    if let Some(term) = term {
        term.abort();
    }
    candidate.release().await;
}

struct Candidate<'a> {
    operator: &'a Operator,
    own: LeaseRef,
    api: Api<Lease>,
    rival: Option<Rival>,
    /// The Lease as this replica wrote it last, and when it asked for that.
    held: Option<(Lease, Duration)>,
}

impl<'a> Candidate<'a> {
    fn new(operator: &'a Operator, own: LeaseRef) -> Self {
        let api = Api::namespaced(operator.connection.leases.clone(), operator.connection.operator_namespace.as_str());
        Self { operator, own, api, rival: None, held: None }
    }

    /// Until somebody else could lead. What is under way by then overlaps with the next leader's work, which does no harm.
    fn leads(&self) -> bool {
        let timings = self.operator.settings.timings;
        self.held.as_ref().is_some_and(|(_, asked)| self.operator.clock.elapsed() < *asked + timings.lease)
    }

    /// Renews, or takes what is free. Whatever goes wrong leaves things as they are; time does the rest.
    async fn stand(&mut self) {
        let patience = self.operator.settings.timings.renewal();
        match timeout(patience, self.try_to_stand()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = said(&error), "the Lease of the leader could not be read or written"),
            Err(_) => tracing::warn!("the Lease of the leader could not be read or written in time"),
        }
    }

    async fn try_to_stand(&mut self) -> Result<(), kube::Error> {
        let asked = self.operator.clock.elapsed();
        if let Some((held, _)) = &self.held {
            let written = self.api.replace(NAME, &PostParams::default(), &self.renewed(held.clone(), false)).await;
            match written {
                Ok(lease) => {
                    self.held = Some((lease, asked));
                    return Ok(());
                }
                // Somebody wrote it: look who.
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        let Some(found) = self.api.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            let new = self.renewed(Lease { metadata, spec: None }, true);
            return self.took(self.api.create(&PostParams::default(), &new).await, asked);
        };
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        let free = holder.is_empty() || holder == self.own.name || self.has_run_out(&found);
        if !free {
            self.held = None;
            return Ok(());
        }
        let next = self.renewed(found, holder != self.own.name);
        self.took(self.api.replace(NAME, &PostParams::default(), &next).await, asked)
    }

    /// A conflict is no error: somebody else was faster.
    fn took(&mut self, written: Result<Lease, kube::Error>, asked: Duration) -> Result<(), kube::Error> {
        match written {
            Ok(lease) => {
                (self.held, self.rival) = (Some((lease, asked)), None);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.held = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nobody renewed it for its whole duration, by this machine's clock: what time it says does not matter.
    fn has_run_out(&mut self, found: &Lease) -> bool {
        let now = self.operator.clock.elapsed();
        let version = found.metadata.resource_version.clone().unwrap_or_default();
        let seconds = found.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.operator.settings.timings.lease, Duration::from_secs);
        match &self.rival {
            Some(rival) if rival.resource_version == version => now >= rival.since + duration,
            Some(_) | None => {
                self.rival = Some(Rival { resource_version: version, since: now });
                false
            }
        }
    }

    fn renewed(&self, mut lease: Lease, new: bool) -> Lease {
        let now = MicroTime(self.operator.clock.now());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(self.own.name.clone());
        spec.lease_duration_seconds = i32::try_from(self.operator.settings.timings.lease.as_secs().max(1)).ok();
        spec.renew_time = Some(now.clone());
        if new {
            spec.acquire_time = Some(now);
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |times| times.saturating_add(1)));
        }
        lease
    }

    /// Lets others lead at once.
    async fn release(self) {
        let Some((mut lease, _)) = self.held else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
        }
        match timeout(Duration::from_secs(3), self.api.replace(NAME, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!("leadership is released"),
            Ok(Err(error)) => tracing::warn!(error = said(&error), "leadership could not be released"),
            Err(_) => tracing::warn!("leadership could not be released in time"),
        }
    }
}
