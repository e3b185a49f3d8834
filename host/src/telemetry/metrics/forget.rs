//! Removes the series of one agent from a family, whatever its other labels are.

use std::collections::HashMap;

use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};

/// Removes every series with these values of the labels `namespace` and `agent`.
pub(super) fn series<B: MetricVecBuilder>(family: &MetricVec<B>, namespace: &str, agent: &str) {
    for snapshot in family.collect() {
        for metric in snapshot.get_metric() {
            let labels: HashMap<&str, &str> = metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
            if labels.get("namespace") == Some(&namespace) && labels.get("agent") == Some(&agent) {
                // An error says that somebody else removed it.
                let _ = family.remove(&labels);
            }
        }
    }
}
