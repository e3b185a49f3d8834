//! Which agents have series, and how those of one agent are removed from a family, whatever their other labels are.

use std::collections::{HashMap, HashSet};

use prometheus::{
    Registry,
    core::{Collector as _, MetricVec, MetricVecBuilder},
    proto::Metric,
};

/// The values of the labels `namespace` and `agent` in all families that have both.
pub(super) fn agents(registry: &Registry) -> HashSet<(String, String)> {
    let families = registry.gather();
    let of = |metric: &Metric| {
        let value = |name: &str| metric.get_label().iter().find(|label| label.name() == name).map(|label| label.value().to_owned());
        Some((value("namespace")?, value("agent")?))
    };
    families.iter().flat_map(|family| family.get_metric()).filter_map(of).collect()
}

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
