//! Whether somebody leads, and whether a replica takes runs.

use jiff::Timestamp;

use super::{Cluster, Found};
use crate::cli::replicas::{Held, Replica, Replicas};

const AREA: &str = "operator";

/// Looks at the Leases.
pub(super) async fn check(cluster: &Cluster, namespace: &str, now: Timestamp) -> Vec<Found> {
    match Replicas::read(cluster, namespace, now).await {
        Ok(replicas) => judge(&replicas, namespace),
        Err(trouble) => vec![Found::unseen(AREA, &trouble)],
    }
}

fn judge(Replicas { leader, replicas }: &Replicas, namespace: &str) -> Vec<Found> {
    let start = "start a replica (`infraagent operator`), or look at why those that run do not renew their Leases";
    let mut found = Vec::new();
    found.push(match leader {
        None => Found::bad(AREA, format!("nobody leads in namespace {namespace}: no run starts"), start),
        Some(Held { holder, silent_seconds, has_run_out: true }) => {
            Found::bad(AREA, format!("the leader {holder} is silent for {silent_seconds} s"), start)
        }
        Some(Held { holder, silent_seconds, has_run_out: false }) => {
            Found::good(AREA, format!("{holder} leads (renewed {silent_seconds} s ago)"))
        }
    });
    let serving: Vec<&Replica> = replicas.iter().filter(|replica| replica.serves()).collect();
    found.push(match serving.len() {
        0 => Found::bad(AREA, "no replica takes runs", start),
        1 => Found::odd(AREA, "one replica takes runs", "start a second one, so that runs go on when it is gone"),
        several => Found::good(AREA, format!("{several} replicas take runs")),
    });
    for replica in replicas.iter().filter(|replica| !replica.serves()) {
        let says = format!("{} takes runs: {} (renewed {} s ago)", replica.lease, replica.takes_runs, replica.silent_seconds);
        found.push(Found::odd(AREA, says, "the leader closes the runs of a replica that is gone, and removes its Lease"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    #[test]
    fn an_operator_that_does_not_work_is_seen() {
        let replica = |name: &str, takes_runs| Replica { lease: name.to_owned(), identity: name.to_owned(), silent_seconds: 1, takes_runs };
        let held = |has_run_out| Some(Held { holder: "one".to_owned(), silent_seconds: 1, has_run_out });
        let verdicts = |leader, replicas| {
            let found = judge(&Replicas { leader, replicas }, "home");
            found.iter().map(|found| found.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(held(false), vec![replica("one", "yes"), replica("two", "yes")]), [Verdict::Good, Verdict::Good]);
        assert_eq!(
            verdicts(held(false), vec![replica("one", "yes"), replica("two", "no: it is silent")]),
            [Verdict::Good, Verdict::Odd, Verdict::Odd]
        );
        assert_eq!(verdicts(held(true), vec![replica("one", "no: it is silent")]), [Verdict::Bad, Verdict::Bad, Verdict::Odd]);
        assert_eq!(verdicts(None, Vec::new()), [Verdict::Bad, Verdict::Bad]);
    }
}
