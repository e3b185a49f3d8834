//! Everything that the operator and an agent of each tier may do, in the API server's own words: a right that appears, or goes, is a change of these lists.

use std::collections::BTreeSet;

use infraagent_tests::{ControlPlane, OPERATOR, apply, client_of, control_plane_with_controllers, documents, eventually};
use k8s_openapi::api::{
    authorization::v1::{
        ResourceAttributes, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec,
    },
    core::v1::PersistentVolumeClaim,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::json;

use crate::identities::{AGENTS, account, enrolled};

const LOOKS: [&str; 3] = ["get", "list", "watch"];

/// What the operator may do beside looking, wherever it is.
const OPERATOR_EVERYWHERE: [&str; 17] = [
    "create agentruns.core.infraagent.io",
    "create events.events.k8s.io",
    "create subjectaccessreviews.authorization.k8s.io",
    "delete agentruns.core.infraagent.io",
    "impersonate groups. infraagent:agents",
    "impersonate userextras/infraagent.io/intent.authentication.k8s.io",
    "impersonate userextras/infraagent.io/run.authentication.k8s.io",
    "patch agentruns.core.infraagent.io",
    "patch agentruns/status.core.infraagent.io",
    "patch events.events.k8s.io",
    "patch infraagents.core.infraagent.io",
    "record agentruns.core.infraagent.io",
    "update agentenvironments/status.core.infraagent.io",
    "update agentruns/status.core.infraagent.io",
    "update infraagentpolicies/status.core.infraagent.io",
    "update infraagents/status.core.infraagent.io",
    "update modeltierconfigs/status.core.infraagent.io",
];

const OPERATOR_AT_HOME: [&str; 8] = [
    "create configmaps.",
    "create leases.coordination.k8s.io",
    "create secrets.",
    "delete configmaps.",
    "delete leases.coordination.k8s.io",
    "patch leases.coordination.k8s.io",
    "update configmaps.",
    "update leases.coordination.k8s.io",
];

const SERVICE_MUTATION: [&str; 8] = [
    "create pods/eviction.",
    "patch applications.argoproj.io",
    "patch daemonsets.apps",
    "patch deployments.apps",
    "patch externalsecrets.external-secrets.io",
    "patch helmreleases.helm.toolkit.fluxcd.io",
    "patch kustomizations.kustomize.toolkit.fluxcd.io",
    "patch statefulsets.apps",
];

const DESTRUCTIVE_MUTATION: [&str; 11] = [
    "delete cronjobs.batch",
    "delete daemonsets.apps",
    "delete deployments.apps",
    "delete horizontalpodautoscalers.autoscaling",
    "delete ingresses.networking.k8s.io",
    "delete jobs.batch",
    "delete pods.",
    "delete replicasets.apps",
    "delete services.",
    "delete statefulsets.apps",
    "patch deployments.apps",
];

/// `verb resource.group`, and the names to which the right is bound.
async fn rights(client: &Client, namespace: &str) -> BTreeSet<String> {
    let review =
        SelfSubjectRulesReview { spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) }, ..Default::default() };
    let answer = Api::<SelfSubjectRulesReview>::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    let mut rights = BTreeSet::new();
    for rule in answer.status.unwrap().resource_rules {
        for verb in &rule.verbs {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let names = rule.resource_names.iter().flatten().map(|name| format!(" {name}")).collect::<String>();
                    rights.insert(format!("{verb} {resource}.{group}{names}"));
                }
            }
        }
    }
    rights
}

/// The rights that change something, or let somebody be somebody else; no wildcard, and of Secrets not one that shows more than one.
fn beyond_looking(rights: &BTreeSet<String>) -> BTreeSet<String> {
    for right in rights {
        assert!(!right.contains('*'), "a wildcard: {right}");
        let shows_secrets = ["list secrets", "watch secrets"].iter().any(|many| right.starts_with(many));
        assert!(!shows_secrets, "{right}");
    }
    let looks = |right: &str| right.split_once(' ').is_some_and(|(verb, _)| LOOKS.contains(&verb));
    rights.iter().filter(|right| !looks(right)).cloned().collect()
}

/// What every account may do, and these.
async fn everybodys_and(plane: &ControlPlane, namespace: &str, parts: &[&[&str]]) -> BTreeSet<String> {
    let everybody = rights(&client_of(&plane.kubeconfig_for(namespace, "nobody").await).await, namespace).await;
    let own = parts.iter().flat_map(|part| part.iter().map(|&right| right.to_owned()));
    beyond_looking(&everybody).into_iter().chain(own).collect()
}

/// The operator once a controller has aggregated what it may look at.
async fn operator(plane: &ControlPlane) -> (Client, String) {
    let (operator, namespace) = enrolled(plane, "matrix").await;
    let operator = client_of(&operator).await;
    let claims = &Api::<PersistentVolumeClaim>::all(operator.clone());
    eventually("the aggregated right to look", || async move { claims.list(&ListParams::default()).await.ok() }).await;
    (operator, namespace)
}

#[tokio::test]
async fn the_operators_rights_are_these() {
    let plane = control_plane_with_controllers();
    let (operator, namespace) = operator(plane).await;
    let elsewhere = plane.namespace("foreign").await;

    let there = rights(&operator, &elsewhere).await;
    assert_eq!(beyond_looking(&there), everybodys_and(plane, &elsewhere, &[&OPERATOR_EVERYWHERE]).await);
    let of_secrets = |rights: &BTreeSet<String>| rights.iter().filter(|right| right.contains(" secrets")).cloned().collect::<Vec<_>>();
    assert_eq!(of_secrets(&there), [""; 0]);
    assert!(there.contains("list deployments.apps") && there.contains("list persistentvolumeclaims."), "it can look: {there:?}");

    let of_agents = rights(&operator, &namespace).await;
    let agents: &[&str] = &["impersonate serviceaccounts. infraagent-forge"];
    assert_eq!(beyond_looking(&of_agents), everybodys_and(plane, &elsewhere, &[&OPERATOR_EVERYWHERE, agents]).await);
    assert_eq!(of_secrets(&of_agents), ["get secrets."]);

    let home = rights(&operator, OPERATOR.0).await;
    assert_eq!(beyond_looking(&home), everybodys_and(plane, &elsewhere, &[&OPERATOR_EVERYWHERE, &OPERATOR_AT_HOME]).await);
    assert_eq!(of_secrets(&home), ["create secrets.", "get secrets."]);
}

#[tokio::test]
async fn an_agents_rights_by_tier_are_these() {
    let plane = control_plane_with_controllers();
    let (_, namespace) = operator(plane).await;
    let admin = plane.admin().await;
    let bare = rights(&client_of(&plane.kubeconfig_for(&namespace, "nobody").await).await, &namespace).await;
    let few = bare.len();
    for (name, role, expected) in [
        ("reader", "infraagent-agent-read", &[][..]),
        ("mender", "infraagent-agent-service-mutation", &SERVICE_MUTATION[..]),
        ("remover", "infraagent-agent-destructive-mutation", &DESTRUCTIVE_MUTATION),
    ] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        apply(&admin, &binding).await.unwrap();
        let agent = &client_of(&plane.kubeconfig_for(&namespace, name).await).await;
        let namespace = namespace.as_str();
        let has =
            eventually("the role of the agent", || async move { Some(rights(agent, namespace).await).filter(|has| has.len() > few) }).await;
        assert_eq!(beyond_looking(&has), everybodys_and(plane, namespace, &[expected]).await, "{role}");
        assert!(!has.iter().any(|right| right.contains(" secrets.")), "{role}: {has:?}");
        assert_eq!(rights(agent, "default").await, bare, "{role} elsewhere");
    }
}

/// What nobody of ours may touch, whatever he looks at.
const PRECIOUS: [(&str, &str); 30] = [
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "namespaces"),
    ("", "namespaces/finalize"),
    ("", "configmaps"),
    ("", "nodes"),
    ("", "nodes/proxy"),
    ("", "pods/attach"),
    ("", "pods/ephemeralcontainers"),
    ("", "pods/exec"),
    ("", "pods/portforward"),
    ("", "pods/proxy"),
    ("", "replicationcontrollers"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "services/proxy"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apps", "deployments/scale"),
    ("apps", "statefulsets/scale"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("core.infraagent.io", "agentenvironments"),
    ("core.infraagent.io", "infraagentpolicies"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "roles"),
    ("storage.k8s.io", "volumeattachments"),
];

const CHANGES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Whether somebody may do something, asked about him.
async fn may(admin: &Client, user: &str, groups: &[&str], verb: &str, (group, resource): (&str, &str), namespace: &str) -> bool {
    let (resource, sub) = resource.split_once('/').map_or((resource, None), |(resource, sub)| (resource, Some(sub.to_owned())));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(groups.iter().map(|&group| group.to_owned()).collect()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: sub,
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = Api::<SubjectAccessReview>::all(admin.clone()).create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}

#[tokio::test]
async fn nobody_of_ours_may_change_what_is_precious_or_see_secrets_as_a_whole() {
    let plane = control_plane_with_controllers();
    let (_, namespace) = operator(plane).await;
    let admin = &plane.admin().await;
    // One agent with every tier at once.
    for role in documents("deploy/agent-roles.yaml").iter().filter_map(|role| role["metadata"]["name"].as_str().map(str::to_owned)) {
        let everywhere = role.ends_with("nodes") || role.ends_with("cordon");
        let kind = if everywhere { "ClusterRoleBinding" } else { "RoleBinding" };
        let metadata = match everywhere {
            true => json!({"name": format!("{namespace}-{role}")}),
            false => json!({"name": role, "namespace": namespace}),
        };
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "infraagent-forge", "namespace": namespace}],
        });
        apply(admin, &binding).await.unwrap();
    }
    let user = &account(&namespace, "infraagent-forge");
    let groups = [AGENTS, "system:authenticated"];
    for (verb, what) in [("delete", ("apps", "deployments")), ("create", ("", "pods/eviction")), ("patch", ("", "nodes"))] {
        let namespace = namespace.as_str();
        eventually("the tiers", || async move { may(admin, user, &groups, verb, what, namespace).await.then_some(()) }).await;
    }
    let operator = account(OPERATOR.0, OPERATOR.1);
    let of_operator = ["system:serviceaccounts", "system:serviceaccounts:infraagent-system", "system:authenticated"];
    for (user, groups, place) in
        [(user, &groups[..], namespace.as_str()), (&operator, &of_operator, &namespace), (&operator, &of_operator, OPERATOR.0)]
    {
        for what in PRECIOUS {
            for verb in CHANGES {
                // Cordon is a patch of the node.
                if user != &operator && (verb, what.1) == ("patch", "nodes") {
                    continue;
                }
                // Where the records of an agent begin is a ConfigMap beside the operator's keys.
                if user == &operator && place == OPERATOR.0 && what == ("", "configmaps") && matches!(verb, "create" | "update" | "delete")
                {
                    continue;
                }
                assert!(!may(admin, user, groups, verb, what, place).await, "{user}: {verb} {what:?} in {place}");
            }
        }
        for verb in ["list", "watch", "update", "patch", "delete", "deletecollection", "*"] {
            assert!(!may(admin, user, groups, verb, ("", "secrets"), place).await, "{user}: {verb} secrets in {place}");
        }
        for verb in ["impersonate", "*"] {
            assert!(!may(admin, user, groups, verb, ("", "users"), place).await, "{user}: {verb} users");
            assert!(!may(admin, user, groups, verb, ("", "serviceaccounts"), place).await, "{user}: {verb} accounts in {place}");
        }
        for verb in ["escalate", "bind"] {
            assert!(!may(admin, user, groups, verb, ("rbac.authorization.k8s.io", "clusterroles"), place).await, "{user}: {verb}");
        }
    }
}
