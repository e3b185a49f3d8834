//! The orderly end of a replica: no new runs, then no new changes, then the runs that are left are closed as interrupted.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{Operator, heartbeat::Heartbeat, hold::Holder};
use crate::run::stop::Stop;

/// What closing the records takes, at the end.
const CLOSING: Duration = Duration::from_secs(5);

/// Waits for the runs of this replica, at most as long as the settings say.
pub(super) async fn drain(operator: &Operator, holder: &Arc<Holder>, heartbeat: &Heartbeat) {
    let timings = operator.settings.timings;
    let end = Instant::now() + timings.drain;
    let closing = CLOSING.min(timings.drain / 3);
    holder.close();
    if holder.count() == 0 {
        return;
    }
    tracing::info!(runs = holder.count(), "waiting for the runs of this replica");
    heartbeat.draining().await;
    // What begins later could not have ended when the process does.
    let last_change = end.checked_sub(closing + timings.effect).unwrap_or_else(Instant::now);
    if until_empty(holder, last_change).await {
        return;
    }
    heartbeat.tenure().stop();
    if until_empty(holder, end.checked_sub(closing).unwrap_or(end)).await {
        return;
    }
    tracing::warn!(runs = holder.count(), "runs of this replica are interrupted");
    holder.stop_all(Stop::Shutdown);
    if !until_empty(holder, end).await {
        tracing::error!(runs = holder.count(), "runs could not be closed in time: another replica will close them");
    }
}

/// True once no run is left; false when the time is over first.
async fn until_empty(holder: &Holder, end: Instant) -> bool {
    loop {
        if holder.count() == 0 {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::select! {
            () = sleep_until(end) => {}
            () = sleep(Duration::from_millis(50)) => {}
        }
    }
}
