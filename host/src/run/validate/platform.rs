//! Several policies of the platform as one: the strictest value wins, field by field.

use std::time::Duration;

use infraagent_api::{
    InfraAgentPolicy,
    policy::{InfraAgentPolicySpec, Limits as PolicyLimits, SignatureMode, Signatures, Suspend as SuspendWord},
};
use infraagent_guard::policy::{Autonomy, Platform as GuardPlatform, Suspend};

use super::{Findings, SkillCeilings, WarningKind, autonomy};
use crate::run::freeze::Freeze;

/// What the platform says, merged.
pub(super) struct Platform {
    pub(super) guard: GuardPlatform,
    pub(super) freezes: Vec<Freeze>,
    pub(super) tokens: Option<u64>,
    pub(super) turns: Option<u32>,
    pub(super) wall: Option<Duration>,
    pub(super) entries: Option<u32>,
    pub(super) skill_ceilings: SkillCeilings,
    /// Each list must cover an endpoint. An empty list covers none.
    endpoints: Vec<Vec<String>>,
    models: Vec<Vec<String>>,
}

/// The smaller of what is there.
fn tighten<T: Ord>(bound: &mut Option<T>, other: Option<T>) {
    *bound = match (bound.take(), other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

pub(super) fn merge(policies: &[InfraAgentPolicy], paused: bool, findings: &mut Findings) -> Platform {
    let mut ceiling: Option<Autonomy> = None;
    let mut merged = Platform {
        guard: GuardPlatform { ceiling: Autonomy::Observe, suspend: Suspend::Nothing },
        freezes: Vec::new(),
        tokens: None,
        turns: None,
        wall: None,
        entries: None,
        skill_ceilings: SkillCeilings::default(),
        endpoints: Vec::new(),
        models: Vec::new(),
    };
    for policy in policies {
        let document = format!("InfraAgentPolicy `{}`", policy.metadata.name.as_deref().unwrap_or_default());
        // Sources are judged with the agent's skills, and the selector where policies are matched with namespaces: not here.
        let InfraAgentPolicySpec {
            namespace_selector: _,
            max_autonomy,
            allowed_sources: _,
            allowed_registries,
            signatures,
            allowed_endpoints,
            allowed_models,
            daily_budget,
            limits,
            freeze_windows,
            suspend,
        } = &policy.spec;
        tighten(&mut ceiling, max_autonomy.map(autonomy));
        merged.endpoints.extend(allowed_endpoints.clone());
        merged.models.extend(allowed_models.clone());
        // Registries and signatures are judged where skills are fetched, the daily budget where runs are counted: neither happens to a run from files.
        let required = signatures.as_ref().is_some_and(|Signatures { mode, keys: _, identities: _ }| match mode {
            SignatureMode::Require => true,
            SignatureMode::Warn | SignatureMode::Off => false,
        });
        for (field, is_set) in [
            ("spec.allowedRegistries", allowed_registries.is_some()),
            ("spec.signatures.mode", required),
            ("spec.dailyBudget", daily_budget.is_some()),
        ] {
            if is_set {
                findings.warn(WarningKind::Platform, format!("{document}, `{field}`: has no effect on a run that is started by hand"));
            }
        }
        if let Some(limits) = limits {
            merged.limits(&document, limits, findings);
        }
        for (index, window) in freeze_windows.iter().enumerate() {
            merged.freezes.extend(findings.take(&document, format!("spec.freezeWindows[{index}]"), Freeze::new(window)));
        }
        merged.guard.suspend = merged.guard.suspend.max(match suspend {
            SuspendWord::None => Suspend::Nothing,
            SuspendWord::Mutations => Suspend::Mutations,
            SuspendWord::All => Suspend::All,
        });
    }
    match ceiling {
        Some(ceiling) => merged.guard.ceiling = ceiling,
        None => findings.warn(
            WarningKind::Platform,
            "no InfraAgentPolicy sets `spec.maxAutonomy`: the agent can only observe; give one (with --policy on the command line)",
        ),
    }
    if paused {
        merged.guard.suspend = merged.guard.suspend.max(Suspend::Mutations);
        findings.warn(WarningKind::Platform, "the agent is paused (`spec.paused: true`): nothing will be changed");
    }
    match merged.guard.suspend {
        Suspend::Nothing => {}
        Suspend::Mutations => findings.warn(WarningKind::Platform, "mutations are suspended: nothing will be changed"),
        Suspend::All => {
            findings.warn(WarningKind::Platform, "a policy suspends everything (`spec.suspend: all`): every call will be refused")
        }
    }
    merged
}

impl Platform {
    fn limits(&mut self, document: &str, limits: &PolicyLimits, findings: &mut Findings) {
        let PolicyLimits { token_budget, max_iterations, max_actions, timeout, skill_memory_mib, skill_cpu, skill_timeout } = limits;
        let mut positive = |field: &str, value: Option<i64>| {
            let value = value?;
            let parsed = u64::try_from(value).ok().filter(|value| *value > 0);
            if parsed.is_none() {
                findings.problem(document, format!("spec.limits.{field}"), format!("must be at least 1, not {value}"));
            }
            parsed
        };
        tighten(&mut self.tokens, positive("tokenBudget", *token_budget));
        let small = |value: Option<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        tighten(&mut self.turns, small(positive("maxIterations", max_iterations.map(i64::from))));
        tighten(&mut self.entries, small(positive("maxActions", max_actions.map(i64::from))));
        tighten(&mut self.skill_ceilings.memory_bytes, positive("skillMemoryMib", skill_memory_mib.map(i64::from)).map(|mib| mib << 20));
        tighten(&mut self.wall, timeout.as_ref().map(|timeout| timeout.as_std()));
        tighten(&mut self.skill_ceilings.cpu, skill_cpu.as_ref().map(|time| time.as_std()));
        tighten(&mut self.skill_ceilings.wall, skill_timeout.as_ref().map(|time| time.as_std()));
    }

    /// Whether every policy that speaks about endpoints covers this one.
    pub(super) fn allows_endpoint(&self, url: &super::origin::Url) -> bool {
        self.endpoints.iter().all(|list| list.iter().any(|pattern| url.is_covered_by(pattern)))
    }

    /// Whether every policy that speaks about models covers `provider/model`; `*` stands for the rest.
    pub(super) fn allows_model(&self, id: &str) -> bool {
        self.models.iter().all(|list| {
            list.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => id.starts_with(start),
                None => id == pattern,
            })
        })
    }
}
