//! The cross-field rules of the definitions, for documents that never pass an API server.
//!
//! The API server evaluates them in CEL; here they are plain code with the very same messages. A test breaks every rule of every kind
//! that can come from a file and finds its message, so the two cannot drift apart unnoticed.

use std::time::Duration;

use crate::{
    AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig, Problem,
    agent::{self, EscalationTarget, TriggerKind, guardrails, schedule},
    environment::{self, ConnectionKind, CredentialKind},
    model_tier::{self, Auth, AuthKind},
    policy::{self, SignatureMode},
    schema::Rule,
};

/// A kind that can come from a file.
pub trait Rules {
    /// Every rule that the document breaks, in the words of the API server.
    fn broken_rules(&self) -> Vec<Problem>;
}

#[derive(Default)]
struct Broken(Vec<Problem>);

impl Broken {
    fn unless(&mut self, holds: bool, path: impl Into<String>, (_, message): Rule) {
        if !holds {
            self.0.push(Problem { path: path.into(), message: message.to_owned() });
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

impl Rules for InfraAgent {
    fn broken_rules(&self) -> Vec<Problem> {
        let mut broken = Broken::default();
        let spec = &self.spec;
        let interval = spec.schedule.interval.as_ref();
        broken.unless(interval.is_none_or(|interval| interval.as_std() >= SECOND * 60), "spec.schedule", schedule::RULES[0]);
        for (index, trigger) in spec.schedule.triggers.iter().enumerate() {
            let has_source = trigger.kind != TriggerKind::Webhook || trigger.source.is_some();
            broken.unless(has_source, format!("spec.schedule.triggers[{index}]"), schedule::TRIGGER_RULES[0]);
        }
        let timeout = spec.model.timeout.as_std();
        broken.unless((SECOND..=HOUR * 24).contains(&timeout), "spec.model.timeout", agent::TIMEOUT[0]);
        let deadline = spec.starting_deadline.as_ref();
        broken.unless(deadline.is_none_or(|deadline| deadline.as_std() >= SECOND), "spec.startingDeadline", agent::STARTING_DEADLINE[0]);
        if let Some(escalation) = &spec.guardrails.escalation {
            let has_channel = escalation.target != EscalationTarget::Channel || escalation.channel_name.is_some();
            broken.unless(has_channel, "spec.guardrails.escalation", guardrails::ESCALATION_RULES[0]);
        }
        broken.0
    }
}

impl Rules for AgentEnvironment {
    fn broken_rules(&self) -> Vec<Problem> {
        let mut broken = Broken::default();
        let connection = &self.spec.connection;
        let (is_remote, has_kubeconfig) = (connection.kind == ConnectionKind::Kubeconfig, connection.kubeconfig.is_some());
        broken.unless(!is_remote || has_kubeconfig, "spec.connection", environment::CONNECTION_RULES[0]);
        broken.unless(is_remote || !has_kubeconfig, "spec.connection", environment::CONNECTION_RULES[1]);
        for (name, endpoint) in &self.spec.endpoints {
            let is_read_only = endpoint.data.is_none() || endpoint.writes.is_empty();
            broken.unless(is_read_only, format!("spec.endpoints.{name}"), environment::ENDPOINT_RULES[0]);
        }
        for (name, credential) in &self.spec.credentials {
            let fits = credential.header.is_none() || credential.kind == CredentialKind::ApiKey;
            broken.unless(fits, format!("spec.credentials.{name}"), environment::CREDENTIAL_RULES[0]);
        }
        broken.0
    }
}

impl Rules for ModelTierConfig {
    fn broken_rules(&self) -> Vec<Problem> {
        let mut broken = Broken::default();
        let mut auth = |auth: &Option<Auth>, path: String| {
            let complete = auth.as_ref().is_none_or(|auth| match auth.kind {
                AuthKind::None | AuthKind::ServiceAccount => true,
                AuthKind::ApiKey | AuthKind::OAuth | AuthKind::Custom => auth.secret_ref.is_some(),
            });
            broken.unless(complete, path, model_tier::AUTH_RULES[0]);
        };
        auth(&self.spec.default_auth, "spec.defaultAuth".to_owned());
        for (index, tier) in self.spec.tiers.iter().enumerate() {
            auth(&tier.auth, format!("spec.tiers[{index}].auth"));
        }
        for (index, tier) in self.spec.tiers.iter().enumerate() {
            let has_one_url = tier.endpoint.is_none() || tier.base_url.is_none();
            broken.unless(has_one_url, format!("spec.tiers[{index}]"), model_tier::TIER_RULES[0]);
        }
        broken.0
    }
}

impl Rules for InfraAgentPolicy {
    fn broken_rules(&self) -> Vec<Problem> {
        let mut broken = Broken::default();
        if let Some(signatures) = &self.spec.signatures {
            let trusts_somebody = match signatures.mode {
                SignatureMode::Off => true,
                SignatureMode::Require | SignatureMode::Warn => !signatures.keys.is_empty() || !signatures.identities.is_empty(),
            };
            broken.unless(trusts_somebody, "spec.signatures", policy::SIGNATURE_RULES[0]);
        }
        if let Some(limits) = &self.spec.limits {
            let least = Duration::from_millis(10);
            let between = |duration: &Option<crate::GoDuration>, least: Duration, most: Duration| {
                duration.as_ref().is_none_or(|duration| (least..=most).contains(&duration.as_std()))
            };
            broken.unless(between(&limits.timeout, SECOND, Duration::MAX), "spec.limits", policy::LIMIT_RULES[0]);
            broken.unless(between(&limits.skill_cpu, least, SECOND * 10), "spec.limits", policy::LIMIT_RULES[1]);
            broken.unless(between(&limits.skill_timeout, least, SECOND * 120), "spec.limits", policy::LIMIT_RULES[2]);
        }
        for (index, window) in self.spec.freeze_windows.iter().enumerate() {
            let fits = (SECOND * 60..=HOUR * 8_784).contains(&window.duration.as_std());
            broken.unless(fits, format!("spec.freezeWindows[{index}]"), policy::FREEZE_RULES[0]);
        }
        broken.0
    }
}
