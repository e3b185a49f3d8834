//! Whether the skills of agents can be had.

use std::{collections::BTreeMap, path::PathBuf};

use infraagent_api::InfraAgent;
use kube::ResourceExt as _;

use super::{Cluster, Found};
use crate::skill::source::Sources;

const AREA: &str = "skills";
/// Where a skill comes from that the operator brings along.
const BUNDLED: &str = "bundled";

/// Resolves each skill once for each namespace, as the operator would, with the rights of whoever asks.
pub(super) async fn check(cluster: &Cluster, bundled: Option<PathBuf>, agents: &[InfraAgent]) -> Vec<Found> {
    let knows_bundled = bundled.is_some();
    let sources = Sources::new(bundled, cluster.client.clone());
    let mut wanted = BTreeMap::new();
    for agent in agents {
        let namespace = agent.namespace().unwrap_or_default();
        for skill in &agent.spec.skills {
            let users: &mut Vec<String> = &mut wanted
                .entry((namespace.clone(), skill.name.clone(), skill.source.clone()))
                .or_insert_with(|| (skill.clone(), Vec::new()))
                .1;
            users.push(agent.name_any());
        }
    }
    let (mut found, mut good, mut unknown) = (Vec::new(), 0, Vec::new());
    for ((namespace, name, source), (skill, users)) in wanted {
        if source == BUNDLED && !knows_bundled {
            unknown.push(name);
            continue;
        }
        match sources.resolve(&namespace, &skill).await {
            Ok(_) => good += 1,
            Err(why) if why.transient => found.push(Found::not_checked(AREA, why.message, None)),
            Err(why) => found.push(Found::bad(
                AREA,
                format!("{} ({}), used by {namespace}/{}", why.message, why.reason, users.join(", ")),
                "provide the skill, or correct spec.skills",
            )),
        }
    }
    unknown.sort();
    unknown.dedup();
    if !unknown.is_empty() {
        found.push(Found::not_checked(
            AREA,
            format!("bundled ones: {}", unknown.join(", ")),
            Some("name the operator's folder with --bundled-skills"),
        ));
    }
    if good > 0 {
        found.push(Found::good(AREA, format!("{good} can be had")));
    }
    found
}
