//! Why a cluster gave no answer, and what a person can do about it.

use kube::{Resource, core::Status};

use super::Scope;
use crate::{causes::causes, cli::program};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    verb: &'static str,
    group: String,
    plural: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Ask {
    /// A verb on objects of a kind.
    pub fn of<K: Resource<DynamicType = ()>>(verb: &'static str, scope: &Scope) -> Self {
        let namespace = match scope {
            Scope::One(namespace) => Some(namespace.clone()),
            Scope::All => None,
        };
        let (group, plural, kind) = (K::group(&()).into_owned(), K::plural(&()).into_owned(), K::kind(&()).into_owned());
        Self { verb, group, plural, kind, namespace, name: String::new() }
    }

    /// Of one object.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The rule of a role that allows it.
    fn rule(&self) -> String {
        format!("{{ apiGroups: [{:?}], resources: [{}], verbs: [{}] }}", self.group, self.plural, self.verb)
    }

    fn place(&self) -> String {
        self.namespace.as_ref().map_or_else(|| " in all namespaces".to_owned(), |namespace| format!(" in namespace `{namespace}`"))
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody said which cluster.
    #[error("no cluster: {0}; name a kubeconfig with --kubeconfig or $KUBECONFIG, and a context of it with --context")]
    NoKubeconfig(String),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig `{0}` cannot be used: {1}")]
    Kubeconfig(String, String),
    /// Nobody answers.
    #[error(
        "the API server at `{0}` cannot be reached: {1}; is it the cluster that you mean (--kubeconfig, --context), and is it running?"
    )]
    Unreachable(String, String),
    /// The API server does not know who asks.
    #[error(
        "the API server at `{0}` does not accept the credentials of the kubeconfig: log in again, or name another context with --context"
    )]
    Unauthorized(String),
    /// The definitions are missing.
    #[error(
        "this cluster does not know `{plural}`: InfraAgent is not installed there; install its definitions with `{program} crds | kubectl apply --server-side -f -`, or name another cluster with --context"
    )]
    NotInstalled {
        /// What was asked for.
        plural: String,
        /// The command that has the definitions.
        program: String,
    },
    /// The right is missing.
    #[error("{who} may not {verb} {plural}{place}: ask for a role with the rule {rule}")]
    Forbidden {
        /// Who asked, as far as the API server says it.
        who: String,
        /// The verb.
        verb: String,
        /// The resource.
        plural: String,
        /// Where.
        place: String,
        /// What is missing.
        rule: String,
    },
    /// Somebody decided against it: an admission policy.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// There is no such object.
    #[error("there is no {kind} `{name}` in namespace `{namespace}`{}", hint(near))]
    NotFound {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// An object cannot be read.
    #[error("`{0}` cannot be read: {1}; is this program older than the cluster's definitions?")]
    Unreadable(String, String),
}

fn hint(near: &[String]) -> String {
    match near {
        [] => ": look at another namespace with -n, or at all with `list -A`".to_owned(),
        [one] => format!(": did you mean `{one}`?"),
        several => format!(": did you mean one of {}?", several.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

impl Trouble {
    /// From what the client says.
    pub fn of(error: &kube::Error, ask: &Ask, url: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::said(status, ask, url),
            other => Self::Unreachable(url.to_owned(), causes(other)),
        }
    }

    /// The same of a watch.
    pub fn watching(error: &kube::runtime::watcher::Error, ask: &Ask, url: &str) -> Self {
        use kube::runtime::watcher::Error;
        match error {
            Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => Self::of(error, ask, url),
            Error::WatchError(status) if status.code == 403 => Self::said(status, ask, url),
            // The watch begins anew.
            Error::WatchError(_) | Error::NoResourceVersion => Self::Unreachable(url.to_owned(), error.to_string()),
        }
    }

    fn said(status: &Status, ask: &Ask, url: &str) -> Self {
        // Of a right that is missing the API server writes this sentence; an admission policy writes its own.
        let lacks_right = status.message.contains("\" cannot ") && status.message.contains("resource \"");
        match status.code {
            401 => Self::Unauthorized(url.to_owned()),
            403 if lacks_right => {
                let who = status.message.split_once("User \"").and_then(|(_, rest)| rest.split_once('"'));
                let who = who.map_or_else(|| "this user".to_owned(), |(user, _)| format!("user `{user}`"));
                Self::Forbidden { who, verb: ask.verb.to_owned(), plural: ask.plural.clone(), place: ask.place(), rule: ask.rule() }
            }
            404 => match &status.details {
                Some(details) if details.name == ask.name && !ask.name.is_empty() => Self::NotFound {
                    kind: ask.kind.clone(),
                    name: ask.name.clone(),
                    namespace: ask.namespace.clone().unwrap_or_default(),
                    near: Vec::new(),
                },
                Some(details) if details.kind == "namespaces" => Self::Refused(status.message.clone()),
                Some(_) | None => Self::NotInstalled { plural: format!("{}.{}", ask.plural, ask.group), program: program::name() },
            },
            429 | 500.. => Self::Unreachable(url.to_owned(), status.message.clone()),
            _ => Self::Refused(status.message.clone()),
        }
    }
}

/// Names that may have been meant, the likeliest first; at most three.
pub fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let allowed = (wanted.chars().count() / 3).max(2);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let distance = strsim::damerau_levenshtein(wanted, name);
            let begins = wanted.len() >= 2 && (name.starts_with(wanted) || wanted.starts_with(name));
            (distance <= allowed || begins).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use infraagent_api::AgentRun;
    use kube::core::response::StatusDetails;

    use super::*;

    fn trouble(code: u16, message: &str, details: Option<StatusDetails>) -> Trouble {
        let status = Status { code, message: message.to_owned(), details, ..Status::default() };
        let ask = Ask::of::<AgentRun>("get", &Scope::One("shop".to_owned())).named("forge");
        Trouble::of(&kube::Error::Api(status.boxed()), &ask, "https://cluster")
    }

    #[test]
    fn names_that_look_alike_are_found_and_others_are_not() {
        let names = ["forge-1a2b3c4d-1", "forge-1a2b3c4d-2", "watcher", "frge"];
        assert_eq!(near("forge", names.into_iter()), ["frge", "forge-1a2b3c4d-1", "forge-1a2b3c4d-2"]);
        assert_eq!(near("wacther", names.into_iter()), ["watcher"]);
        assert_eq!(near("database", names.into_iter()), [""; 0]);
        assert_eq!(near("x", names.into_iter()), [""; 0]);
    }

    #[test]
    fn every_error_says_what_to_do() {
        let details: StatusDetails = serde_json::from_str(r#"{ "name": "forge", "kind": "agentruns" }"#).unwrap();
        let missing = trouble(404, "not found", Some(details));
        assert_eq!(
            missing.to_string(),
            "there is no AgentRun `forge` in namespace `shop`: look at another namespace with -n, or at all with `list -A`"
        );
        let Trouble::NotFound { kind, name, namespace, near: _ } = missing else { panic!("{missing}") };
        let near = vec!["forge-1".to_owned(), "forge-2".to_owned()];
        let told = Trouble::NotFound { kind, name, namespace, near }.to_string();
        assert!(told.ends_with(": did you mean one of `forge-1`, `forge-2`?"), "{told}");
        let forbidden = trouble(403, "agentruns is forbidden: User \"jane\" cannot get resource \"agentruns\" in ...", None).to_string();
        assert_eq!(
            forbidden,
            "user `jane` may not get agentruns in namespace `shop`: ask for a role with the rule { apiGroups: [\"core.infraagent.io\"], resources: [agentruns], verbs: [get] }"
        );
        let policy = trouble(403, "ValidatingAdmissionPolicy 'x' denied request: choose another name", None);
        assert!(matches!(policy, Trouble::Refused(_)), "{policy}");
        assert!(trouble(404, "404 page not found", None).to_string().contains("crds | kubectl apply --server-side -f -"));
        assert!(matches!(trouble(401, "Unauthorized", None), Trouble::Unauthorized(_)));
        assert!(matches!(trouble(503, "no", None), Trouble::Unreachable(..)));
    }
}
