//! Whether an agent's ServiceAccount may list the Events of a namespace. The operator may read them everywhere, and must not do for an agent what the
//! agent could not do itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use infraagent_api::InfraAgent;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, ResourceExt as _, api::PostParams};

use crate::{
    broker::kubernetes::AGENTS,
    operator::{Operator, conditions::said},
    run::validate::SERVICE_ACCOUNT_PREFIX,
};

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// How many answers are kept.
const MOST: usize = 65_536;

/// User and namespace, to when it was asked and what the answer was.
type Known = HashMap<(String, String), (Duration, bool)>;

/// What the API server said.
#[derive(Debug, Default)]
pub(super) struct Access(Mutex<Known>);

impl Access {
    /// Asks, if it is not known. What cannot be asked is not allowed.
    pub(super) async fn allows(&self, operator: &Operator, agent: &InfraAgent, namespace: &str) -> bool {
        let account = agent.spec.service_account_name.clone().unwrap_or_else(|| format!("{SERVICE_ACCOUNT_PREFIX}{}", agent.name_any()));
        let user = format!("system:serviceaccount:{}:{account}", agent.namespace().unwrap_or_default());
        let (key, now) = ((user.clone(), namespace.to_owned()), operator.clock.elapsed());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some((asked, allowed)) = known
            && now.saturating_sub(asked) < BELIEVED
        {
            return allowed;
        }
        let allowed = match ask(operator, &user, namespace).await {
            Ok(allowed) => allowed,
            Err(error) => {
                tracing::warn!(error = said(&error), user, "it cannot be asked whether an agent may read Events");
                return false;
            }
        };
        if !allowed && known.is_none_or(|(_, before)| before) {
            tracing::warn!(user, namespace, "a trigger has no effect: the agent's ServiceAccount may not list Events there");
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, (now, allowed));
        allowed
    }
}

async fn ask(operator: &Operator, user: &str, namespace: &str) -> Result<bool, kube::Error> {
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        resource: Some("events".to_owned()),
        verb: Some("list".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        // As an agent's own requests are seen.
        groups: Some(vec![AGENTS.to_owned(), "system:authenticated".to_owned()]),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = Api::<SubjectAccessReview>::all(operator.connection.client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}
