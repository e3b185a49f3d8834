//! Finds stuck rollouts, and restarts what is stuck.

use std::time::Duration;

use skills_sdk::kinds::Deployment;
use skills_sdk::kubernetes::Condition;
use skills_sdk::prelude::*;

use actions::{RestartDeployment, WatchDeployments};

skills_sdk::skill! { tools: [find_stuck, restart_stuck] }

/// Names the deployments whose current version does not run everywhere.
#[tool(actions = [WatchDeployments])]
pub fn find_stuck(cx: &Cx<Self>) -> Result<Output> {
    let deployments = cx.list_all(WatchDeployments, Deployment::all(), 500)?;
    let mut stuck = Vec::new();
    for deployment in deployments.items.iter().filter(|deployment| !deployment.is_rolled_out()) {
        cx.finding(Severity::Warning, Some(deployment.object()), "the rollout is stuck")?;
        stuck.push(json!({ "name": deployment.name(), "namespace": deployment.metadata.namespace }));
    }
    Output::new(&json!({ "stuck": stuck, "complete": deployments.complete }), format!("{} stuck", stuck.len()))
}

/// Arguments of `restart_stuck`.
#[args]
pub struct Restart {
    /// The deployment's namespace.
    namespace: String,
    /// The deployment's name.
    name: String,
}

/// Restarts a deployment whose rollout is stuck, and says whether that helped.
#[tool(actions = [WatchDeployments, RestartDeployment])]
pub fn restart_stuck(cx: &Cx<Self>, args: Restart) -> Result<Output> {
    let target = Deployment::at(args.namespace, args.name);
    let described = cx.describe(WatchDeployments, target.clone())?;
    if described.object.is_rolled_out() {
        return Err(Error::invalid("the deployment is not stuck"));
    }
    cx.restart(RestartDeployment, &target, "the rollout was stuck")?;
    let helped = cx.wait(WatchDeployments, &target, Condition::RolledOut, Duration::from_secs(20))?;
    Output::new(&json!({ "helped": helped }), if helped { "restarted, and it runs" } else { "restarted, still stuck" })
}

#[cfg(test)]
mod tests {
    use skills_sdk::prelude::*;
    use skills_sdk::testing::Host;

    use crate::SKILL;

    const STUCK: &str = "
        apiVersion: apps/v1
        kind: Deployment
        metadata: { namespace: apps, name: web }
        spec: { replicas: 3 }
        status: { replicas: 3, updatedReplicas: 1, availableReplicas: 2 }
    ";

    #[test]
    fn a_stuck_deployment_is_found_and_restarted() {
        let host = Host::new(SKILL).yaml(STUCK).install();
        assert_eq!(host.call("find_stuck", json!({})).unwrap().summary, "1 stuck");
        assert_eq!(host.findings().len(), 1);
        let output = host.call("restart_stuck", json!({ "namespace": "apps", "name": "web" })).unwrap();
        assert_eq!(output.content, json!({ "helped": true }));
    }

    #[test]
    fn a_cooldown_reaches_the_model() {
        let host = Host::new(SKILL).yaml(STUCK).deny("restart-deployment", "cooldown", "four minutes to go").install();
        let error = host.call("restart_stuck", json!({ "namespace": "apps", "name": "web" })).unwrap_err();
        assert!(error.is_denied());
    }
}
