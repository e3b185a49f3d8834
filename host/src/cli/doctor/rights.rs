//! Whether the operator has the rights that its roles give it, and may act as each agent's ServiceAccount. The API server itself is asked.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use infraagent_api::InfraAgent;
use k8s_openapi::api::{
    authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec,
    },
    core::v1::ServiceAccount,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::Value;

use super::{Ask, Cluster, Found, Scope, Trouble, find, shipped};
use crate::run::validate::SERVICE_ACCOUNT_PREFIX;

const AREA: &str = "rights";
const ACCOUNTS: &str = "accounts";
/// Questions side by side.
const SIDE_BY_SIDE: usize = 8;
/// Some of what the operator must be able to look at to judge a change: an aggregated role gives it, so no file lists it.
const FACTS: [(&str, &str); 6] = [
    ("", "pods"),
    ("", "persistentvolumeclaims"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("policy", "poddisruptionbudgets"),
];

/// Whose rights are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever asks.
    Own,
    /// A ServiceAccount.
    Account {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Who {
    fn shown(&self) -> String {
        match self {
            Self::Own => "this user".to_owned(),
            Self::Account { namespace, name } => format!("the ServiceAccount {namespace}/{name}"),
        }
    }
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    namespace: Option<String>,
    group: String,
    resource: String,
    subresource: Option<String>,
    name: Option<String>,
    verb: String,
}

impl Right {
    fn attributes(&self) -> ResourceAttributes {
        let Self { namespace, group, resource, subresource, name, verb } = self.clone();
        ResourceAttributes {
            namespace,
            group: Some(group),
            resource: Some(resource),
            subresource,
            name,
            verb: Some(verb),
            ..ResourceAttributes::default()
        }
    }

    /// What people call it, without the verb.
    fn object(&self) -> String {
        let Self { namespace, group, resource, subresource, name, verb: _ } = self;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let sub = subresource.as_ref().map(|sub| format!("/{sub}")).unwrap_or_default();
        let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let place = namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        format!("{resource}{sub}{group}{name}{place}")
    }
}

/// Every right that a rule of a role gives.
fn rights(namespace: Option<&String>, rule: &Value) -> Vec<Right> {
    let list = |field: &str| -> Vec<String> {
        let values = rule.get(field).and_then(Value::as_array).into_iter().flatten();
        values.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let names = list("resourceNames");
    let names: Vec<Option<String>> = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
    let mut rights = Vec::new();
    for group in list("apiGroups") {
        for resource in list("resources") {
            let (resource, subresource) = match resource.split_once('/') {
                Some((resource, sub)) => (resource.to_owned(), Some(sub.to_owned())),
                None => (resource, None),
            };
            for verb in list("verbs") {
                for name in &names {
                    let (group, resource, subresource) = (group.clone(), resource.clone(), subresource.clone());
                    rights.push(Right {
                        namespace: namespace.cloned(),
                        group,
                        resource,
                        subresource,
                        name: name.clone(),
                        verb: verb.clone(),
                    });
                }
            }
        }
    }
    rights
}

fn needed(operator_namespace: &str) -> BTreeSet<Right> {
    let of_roles = shipped::rules(operator_namespace).into_iter().flat_map(|(namespace, rule)| rights(namespace.as_ref(), &rule));
    let facts = FACTS.into_iter().map(|(group, resource)| Right {
        namespace: None,
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: None,
        name: None,
        verb: "list".to_owned(),
    });
    of_roles.chain(facts).collect()
}

/// Asks for every right of the operator.
pub(super) async fn check(cluster: &Cluster, who: &Who, operator_namespace: &str) -> Vec<Found> {
    let needed = needed(operator_namespace);
    let all = needed.len();
    match missing(cluster, who, needed).await {
        Ok(missing) if missing.is_empty() => vec![Found::good(AREA, format!("{} has all {all} rights of the operator", who.shown()))],
        Ok(missing) => {
            let says = format!("{} lacks: {}", who.shown(), listed(&missing));
            let change = "install the roles: `kubectl apply --server-side -f deploy/rbac.yaml`; for an operator of another name or namespace see docs/identities-and-roles.md, and name it with --operator-namespace and --operator-account";
            vec![Found::bad(AREA, says, change)]
        }
        Err(trouble) => vec![unasked(AREA, &trouble)],
    }
}

fn unasked(area: &'static str, trouble: &Trouble) -> Found {
    let change = "ask somebody who may create subjectaccessreviews, or use the operator's kubeconfig with --own-rights";
    Found::not_checked(area, trouble.to_string(), Some(change))
}

/// `patch, update agentruns/status.core.infraagent.io; list pods`
fn listed(missing: &[Right]) -> String {
    let mut by_object: Vec<(String, Vec<&str>)> = Vec::new();
    for right in missing {
        let object = right.object();
        match by_object.iter_mut().find(|(known, _)| *known == object) {
            Some((_, verbs)) => verbs.push(&right.verb),
            None => by_object.push((object, vec![&right.verb])),
        }
    }
    by_object.into_iter().map(|(object, verbs)| format!("{} {object}", verbs.join(", "))).collect::<Vec<_>>().join("; ")
}

async fn missing(cluster: &Cluster, who: &Who, rights: BTreeSet<Right>) -> Result<Vec<Right>, Trouble> {
    let asked = stream::iter(rights).map(|right| async move { Ok((may(cluster, who, &right).await?, right)) });
    let answers: Vec<(bool, Right)> = asked.buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(answers.into_iter().filter(|(may, _)| !may).map(|(_, right)| right).collect())
}

async fn may(cluster: &Cluster, who: &Who, right: &Right) -> Result<bool, Trouble> {
    let (client, resource_attributes) = (cluster.client.clone(), Some(right.attributes()));
    let status = match who {
        Who::Own => {
            let spec = SelfSubjectAccessReviewSpec { resource_attributes, ..SelfSubjectAccessReviewSpec::default() };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            let api = Api::<SelfSubjectAccessReview>::all(client);
            let ask = Ask::of::<SelfSubjectAccessReview>("create", &Scope::All);
            cluster.ask(&ask, api.create(&PostParams::default(), &review)).await?.status
        }
        Who::Account { namespace, name } => {
            let groups =
                ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}"), "system:authenticated".to_owned()];
            let spec = SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                groups: Some(groups.into()),
                resource_attributes,
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let api = Api::<SubjectAccessReview>::all(client);
            let ask = Ask::of::<SubjectAccessReview>("create", &Scope::All);
            cluster.ask(&ask, api.create(&PostParams::default(), &review)).await?.status
        }
    };
    Ok(status.is_some_and(|status| status.allowed))
}

/// Whether each agent's ServiceAccount exists, and the operator may act as it.
pub(super) async fn accounts(cluster: &Cluster, who: &Who, agents: &[InfraAgent]) -> Vec<Found> {
    let mut accounts = BTreeSet::new();
    for agent in agents {
        let name = agent.spec.service_account_name.clone().unwrap_or_else(|| format!("{SERVICE_ACCOUNT_PREFIX}{}", agent.name_any()));
        accounts.insert((agent.namespace().unwrap_or_default(), name));
    }
    if accounts.is_empty() {
        return Vec::new();
    }
    let (mut absent, mut acted) = (Vec::new(), BTreeSet::new());
    for (namespace, name) in &accounts {
        let api = Api::<ServiceAccount>::namespaced(cluster.client.clone(), namespace);
        match find(cluster, api, &Scope::One(namespace.clone()), name).await {
            Ok(Some(_)) => {}
            Ok(None) => absent.push(format!("{namespace}/{name}")),
            Err(trouble) => return vec![Found::unseen(ACCOUNTS, &trouble)],
        }
        acted.insert(Right {
            namespace: Some(namespace.clone()),
            group: String::new(),
            resource: "serviceaccounts".to_owned(),
            subresource: None,
            name: Some(name.clone()),
            verb: "impersonate".to_owned(),
        });
    }
    let mut found = Vec::new();
    if !absent.is_empty() {
        let change = "create them and bind roles to them (deploy/agent-namespace.yaml is the pattern), or correct spec.serviceAccountName";
        found.push(Found::bad(ACCOUNTS, format!("these ServiceAccounts of agents do not exist: {}", absent.join(", ")), change));
    }
    match missing(cluster, who, acted).await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let change = "name them in the Role of their namespace (deploy/agent-namespace.yaml is the pattern)";
            found.push(Found::bad(ACCOUNTS, format!("{} may not act as agents: {}", who.shown(), listed(&missing)), change));
        }
        Err(trouble) => found.push(unasked(ACCOUNTS, &trouble)),
    }
    if found.is_empty() {
        found.push(Found::good(ACCOUNTS, format!("{} ServiceAccounts of agents exist, and the operator may act as them", accounts.len())));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_is_every_combination_of_its_words() {
        let rule = json!({ "apiGroups": ["a", ""], "resources": ["x", "y/status"], "verbs": ["get"], "resourceNames": ["n"] });
        let objects: Vec<String> = rights(Some(&"home".to_owned()), &rule).iter().map(Right::object).collect();
        assert_eq!(objects, ["x.a n in home", "y/status.a n in home", "x n in home", "y/status n in home"]);
    }

    #[test]
    fn what_the_operator_needs_is_what_its_shipped_roles_give() {
        let needed = needed("home");
        let has = |object: &str, verb: &str| needed.iter().any(|right| right.object() == object && right.verb == verb);
        assert!(has("agentruns.core.infraagent.io", "record") && has("leases.coordination.k8s.io in home", "update"));
        assert!(has("groups infraagent:agents", "impersonate") && has("userextras/infraagent.io/run.authentication.k8s.io", "impersonate"));
        assert!(has("persistentvolumeclaims", "list") && !has("deployments.apps", "patch"));
    }

    #[test]
    fn what_is_missing_is_said_once_for_each_object() {
        let right = |resource: &str, verb: &str| Right {
            namespace: None,
            group: "g".to_owned(),
            resource: resource.to_owned(),
            subresource: None,
            name: None,
            verb: verb.to_owned(),
        };
        assert_eq!(listed(&[right("x", "get"), right("x", "list"), right("y", "get")]), "get, list x.g; get y.g");
    }
}
