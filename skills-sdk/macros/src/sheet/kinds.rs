//! Kinds that a verb can be used on, and where they live. Only what the contract names; the host knows the rest.

use super::Verb;

/// Kinds that some verb changes: group, plural, singular, short names.
const CHANGEABLE: [(&str, &str, &str, &[&str]); 15] = [
    ("apps", "deployments", "deployment", &["deploy"]),
    ("apps", "statefulsets", "statefulset", &["sts"]),
    ("apps", "daemonsets", "daemonset", &["ds"]),
    ("apps", "replicasets", "replicaset", &["rs"]),
    ("", "pods", "pod", &["po"]),
    ("batch", "jobs", "job", &[]),
    ("batch", "cronjobs", "cronjob", &["cj"]),
    ("", "services", "service", &["svc"]),
    ("networking.k8s.io", "ingresses", "ingress", &["ing"]),
    ("autoscaling", "horizontalpodautoscalers", "horizontalpodautoscaler", &["hpa"]),
    ("", "nodes", "node", &["no"]),
    ("kustomize.toolkit.fluxcd.io", "kustomizations", "kustomization", &["ks"]),
    ("helm.toolkit.fluxcd.io", "helmreleases", "helmrelease", &["hr"]),
    ("argoproj.io", "applications", "application", &["app", "apps"]),
    ("external-secrets.io", "externalsecrets", "externalsecret", &["es"]),
];

/// Kubernetes' own kinds that live outside of namespaces, by any of their names.
const CLUSTER_SCOPED: [&str; 19] = [
    "nodes",
    "node",
    "no",
    "nodes.metrics.k8s.io",
    "namespaces",
    "namespace",
    "ns",
    "persistentvolumes",
    "persistentvolume",
    "pv",
    "storageclasses",
    "storageclass",
    "sc",
    "storageclasses.storage.k8s.io",
    "priorityclasses",
    "priorityclasses.scheduling.k8s.io",
    "customresourcedefinitions",
    "customresourcedefinitions.apiextensions.k8s.io",
    "crd",
];

/// Groups whose other kinds live in namespaces.
const NAMESPACED_GROUPS: [&str; 6] = ["apps", "batch", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io"];

/// The plural of a kind that some verb changes.
fn changeable(written: &str) -> Option<&'static str> {
    let (word, group) = written.split_once('.').map_or((written, None), |(word, group)| (word, Some(group)));
    let named = |(own, plural, singular, short): &&(&str, &'static str, &str, &[&str])| {
        let called = word.eq_ignore_ascii_case(plural) || word.eq_ignore_ascii_case(singular) || short.contains(&word);
        called && group.is_none_or(|group| group == *own)
    };
    CHANGEABLE.iter().find(named).map(|(_, plural, _, _)| *plural)
}

fn applies(verb: Verb, written: &str) -> bool {
    let Some(plural) = changeable(written) else { return verb.tier() == Some(super::verb::Tier::Read) && verb != Verb::Logs };
    match verb {
        Verb::Get | Verb::List | Verb::Wait => true,
        Verb::Logs | Verb::Evict => plural == "pods",
        Verb::Cordon => plural == "nodes",
        Verb::Pause | Verb::Rollback => plural == "deployments",
        Verb::Restart => ["deployments", "statefulsets", "daemonsets"].contains(&plural),
        Verb::Scale => ["deployments", "statefulsets"].contains(&plural),
        Verb::RequestSync => ["kustomizations", "helmreleases", "applications", "externalsecrets"].contains(&plural),
        Verb::Delete => !["nodes", "kustomizations", "helmreleases", "applications", "externalsecrets"].contains(&plural),
        Verb::HttpRead | Verb::HttpMutation | Verb::McpRead | Verb::McpMutation => false,
    }
}

fn is_namespaced(written: &str) -> bool {
    let own_group = written.split_once('.').is_none_or(|(_, group)| NAMESPACED_GROUPS.contains(&group));
    (own_group || changeable(written).is_some()) && !CLUSTER_SCOPED.contains(&written.to_ascii_lowercase().as_str())
}

/// Kinds and namespaces fit the verbs. Without resources the verbs say which kind they mean.
pub(super) fn check(verbs: &[Verb], resources: &[String], namespaces: &[String]) -> Result<(), String> {
    let mut kinds: Vec<&str> = resources.iter().map(String::as_str).collect();
    if kinds.is_empty() {
        for verb in verbs {
            match verb {
                Verb::Logs | Verb::Evict => kinds.push("pods"),
                Verb::Cordon => kinds.push("nodes"),
                Verb::Pause | Verb::Rollback => kinds.push("deployments"),
                Verb::Get | Verb::List | Verb::Wait | Verb::Restart | Verb::Scale | Verb::RequestSync | Verb::Delete => {
                    return Err("`resources` is missing: list them as RBAC does, like `[pods, deployments.apps]`".to_owned());
                }
                Verb::HttpRead | Verb::HttpMutation | Verb::McpRead | Verb::McpMutation => {}
            }
        }
    }
    let word = |written: &str| written.split('.').next().unwrap_or_default().to_ascii_lowercase();
    if let Some(secret) = kinds.iter().find(|kind| matches!(word(kind).as_str(), "secrets" | "secret")) {
        return Err(format!("`{secret}` cannot be read by a skill: the host attaches credentials itself"));
    }
    if let Some(kind) = kinds.iter().find(|kind| !verbs.iter().any(|verb| applies(*verb, kind))) {
        return Err(format!(
            "no verb of this action can be used on `{kind}`: claims, secrets, custom resources and the like cannot be changed"
        ));
    }
    if let Some(verb) = verbs.iter().find(|verb| !kinds.iter().any(|kind| applies(**verb, kind))) {
        return Err(format!("the verb `{}` can be used on none of the listed resources", verb.type_name()));
    }
    let outside = |kind: &&str| CLUSTER_SCOPED.contains(&kind.to_ascii_lowercase().as_str());
    if namespaces.is_empty() {
        if let Some(kind) = kinds.iter().find(|kind| is_namespaced(kind)) {
            return Err(format!("`namespaces` is missing for `{kind}`: name groups or namespaces, or `[\"*\"]` for all of them"));
        }
    } else if kinds.iter().any(outside) {
        return Err("some of these kinds live outside of namespaces: make an action of its own for them, without `namespaces`".to_owned());
    }
    let fits = |name: &String| {
        name == "*" || !(name.is_empty() || name.len() > 63 || name.contains(|c: char| c == '*' || c.is_whitespace() || c.is_control()))
    };
    match namespaces.iter().find(|name| !fits(name)) {
        Some(bad) => Err(format!("`namespaces` takes names of groups, names of namespaces, or `*` for all: `{bad}` is none")),
        None => Ok(()),
    }
}
