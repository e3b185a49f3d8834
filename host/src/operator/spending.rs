//! What the agents of a namespace have used today, and whether another run fits under what the platform allows them.
//!
//! A run may use at most its token budget, so that is what is set aside for it until it has ended: the limit of a day is never exceeded, however many runs begin
//! together. The sums are read from the records when they are first needed, so they survive restarts; what retention removed within the day is not in them.

use std::collections::{HashMap, HashSet};

use infraagent_api::{AgentRun, InfraAgentPolicy, ModelTierConfig, model_tier::TierMapping};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use kube::{Api, ResourceExt as _, api::ListParams};
use tokio::sync::Mutex;

use crate::{llm::Usage, run::budget::Prices};

/// Records per request.
const PAGE: u32 = 200;

/// What the policies allow the agents of one namespace per day (UTC), the strictest of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Tokens.
    pub(super) tokens: Option<u64>,
    /// Billionths of a dollar.
    pub(super) nanos: Option<u64>,
}

/// Tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) tokens: u64,
    /// Billionths of a dollar.
    pub(super) nanos: u64,
}

/// What was used today, by namespace.
#[derive(Debug, Default)]
pub(super) struct Spending(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    date: Option<Date>,
    used: HashMap<String, Spent>,
    counted: HashSet<String>,
}

impl Allowance {
    pub(super) fn of(policies: &[InfraAgentPolicy]) -> Self {
        let budgets = || policies.iter().filter_map(|policy| policy.spec.daily_budget.as_ref());
        Self {
            tokens: budgets().filter_map(|budget| budget.tokens).map(|tokens| u64::try_from(tokens).unwrap_or(0)).min(),
            nanos: budgets().filter_map(|budget| budget.cost.as_ref()).map(infraagent_api::Dollars::nanos).min(),
        }
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.tokens.is_none() && self.nanos.is_none()
    }

    /// Why a run that may use `wanted` does not fit beside what was used and what is set aside. None: it fits.
    pub(super) fn refuses(&self, used: Spent, aside: Spent, wanted: Spent) -> Option<String> {
        let over = |limit: Option<u64>, used: u64, aside: u64, wanted: u64| {
            limit.filter(|limit| used.saturating_add(aside).saturating_add(wanted) > *limit)
        };
        if let Some(limit) = over(self.tokens, used.tokens, aside.tokens, wanted.tokens) {
            return Some(format!(
                "the platform allows the agents of this namespace {limit} tokens a day: {} are used, {} are set aside for active runs, and this one may use {}",
                used.tokens, aside.tokens, wanted.tokens
            ));
        }
        over(self.nanos, used.nanos, aside.nanos, wanted.nanos).map(|limit| {
            format!(
                "the platform allows the agents of this namespace {} a day: {} are used, {} are set aside for active runs, and this one may use {}",
                dollars(limit),
                dollars(used.nanos),
                dollars(aside.nanos),
                dollars(wanted.nanos)
            )
        })
    }
}

impl Spending {
    /// What the agents of the namespace have used today.
    pub(super) async fn used(
        &self,
        client: &kube::Client,
        models: &[ModelTierConfig],
        namespace: &str,
        now: Timestamp,
    ) -> Result<Spent, kube::Error> {
        let mut day = self.0.lock().await;
        let today = date(now);
        if day.date != Some(today) {
            let mut fresh = Day { date: Some(today), ..Day::default() };
            let api = Api::<AgentRun>::all(client.clone());
            let mut parameters = ListParams::default().limit(PAGE);
            loop {
                let page = api.list(&parameters).await?;
                for run in &page.items {
                    fresh.count(run, models);
                }
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => parameters = parameters.continue_token(&token),
                    None => break,
                }
            }
            *day = fresh;
        }
        Ok(day.used.get(namespace).copied().unwrap_or_default())
    }

    /// A run has ended.
    pub(super) async fn ended(&self, run: &AgentRun, models: &[ModelTierConfig]) {
        let mut day = self.0.lock().await;
        if day.date.is_some() {
            day.count(run, models);
        }
    }
}

impl Day {
    fn count(&mut self, run: &AgentRun, models: &[ModelTierConfig]) {
        let Some(status) = &run.status else { return };
        let ended = status.completion_time.as_ref().map(|time| date(time.0));
        let (Some(usage), Some(uid)) = (&status.usage, run.uid()) else { return };
        if ended.is_none() || ended != self.date || !self.counted.insert(uid) {
            return;
        }
        let number = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
        let tokens = Usage { input: number(usage.tokens_in), output: number(usage.tokens_out), ..Usage::default() };
        let price = status.model.as_deref().and_then(|model| prices(models, model));
        let used = self.used.entry(run.namespace().unwrap_or_default()).or_default();
        used.tokens = used.tokens.saturating_add(tokens.total());
        used.nanos = used.nanos.saturating_add(price.map_or(0, |price| price.nanos(tokens)));
    }
}

/// The most that a run with this token budget can cost.
pub(super) fn at_most(tokens: u64, prices: Option<Prices>) -> Spent {
    let dearest = prices.map_or(0, |prices| prices.input.saturating_mul(5).div_ceil(4).max(prices.output));
    let nanos = u128::from(tokens) * u128::from(dearest) / 1_000_000;
    Spent { tokens, nanos: u64::try_from(nanos).unwrap_or(u64::MAX) }
}

/// The prices of `provider/model`, wherever they stand.
fn prices(models: &[ModelTierConfig], id: &str) -> Option<Prices> {
    let is_it = |mapping: &&TierMapping| format!("{}/{}", mapping.provider, mapping.model) == id;
    let mapping = models.iter().flat_map(|config| &config.spec.tiers).find(is_it)?;
    Prices::new(mapping.cost_per_million_input.as_ref(), mapping.cost_per_million_output.as_ref())
}

/// The day, in UTC.
fn date(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// When the next day begins, in UTC.
pub(super) fn tomorrow(now: Timestamp) -> Timestamp {
    let next = date(now).tomorrow().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    next.map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

fn dollars(nanos: u64) -> String {
    let cents = nanos.div_ceil(10_000_000);
    format!("${}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(budget: Value) -> InfraAgentPolicy {
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgentPolicy", "metadata": { "name": "p" }, "spec": { "dailyBudget": budget },
        }))
        .unwrap()
    }

    fn run(uid: &str, ended: &str, tokens: (i64, i64)) -> AgentRun {
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": { "name": uid, "namespace": "agents", "uid": uid },
            "spec": { "agentRef": "a", "environmentRef": "e", "trigger": "manual" },
            "status": { "phase": "Succeeded", "completionTime": ended, "model": "acme/m", "usage": { "tokensIn": tokens.0, "tokensOut": tokens.1 } },
        }))
        .unwrap()
    }

    fn models() -> Vec<ModelTierConfig> {
        let tier =
            json!({ "tier": "standard", "provider": "acme", "model": "m", "costPerMillionInput": "2", "costPerMillionOutput": "10" });
        vec![serde_json::from_value(json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": { "name": "default" }, "spec": { "tiers": [tier] } })).unwrap()]
    }

    #[test]
    fn the_strictest_budget_holds() {
        let policies = [policy(json!({ "tokens": 500, "cost": "2" })), policy(json!({ "tokens": 900, "cost": "1.50" })), policy(json!({}))];
        assert_eq!(Allowance::of(&policies), Allowance { tokens: Some(500), nanos: Some(1_500_000_000) });
        assert!(Allowance::of(&policies[2..]).is_unlimited());
    }

    #[test]
    fn what_active_runs_may_use_is_set_aside() {
        let allowance = Allowance { tokens: Some(100), nanos: None };
        let spent = |tokens| Spent { tokens, nanos: 0 };
        assert_eq!(allowance.refuses(spent(40), spent(30), spent(30)), None);
        assert!(allowance.refuses(spent(40), spent(30), spent(31)).unwrap().contains("40 are used, 30 are set aside"));
        let money = Allowance { tokens: None, nanos: Some(1_000_000_000) };
        let nanos = |nanos| Spent { tokens: 0, nanos };
        assert_eq!(money.refuses(nanos(500_000_000), nanos(0), nanos(500_000_000)), None);
        assert!(money.refuses(nanos(500_000_000), nanos(1), nanos(500_000_000)).unwrap().contains("$1.00 a day"));
    }

    #[test]
    fn a_run_is_counted_once_and_only_on_its_day() {
        let mut day = Day { date: Some("2026-11-22".parse().unwrap()), ..Day::default() };
        let one = run("one", "2026-11-22T23:59:59Z", (1_000_000, 100_000));
        for ended in [&one, &one, &run("yesterday", "2026-11-21T23:59:59Z", (9, 9)), &run("tomorrow", "2026-11-23T00:00:00Z", (9, 9))] {
            day.count(ended, &models());
        }
        assert_eq!(day.used["agents"], Spent { tokens: 1_100_000, nanos: 3_000_000_000 });
    }

    #[test]
    fn the_most_that_a_run_can_cost_is_never_too_little() {
        let prices = prices(&models(), "acme/m").unwrap();
        assert_eq!(at_most(1_000_000, Some(prices)), Spent { tokens: 1_000_000, nanos: 10_000_000_000 });
        assert_eq!(at_most(10, None).nanos, 0);
    }

    #[test]
    fn the_day_ends_at_midnight_in_utc() {
        assert_eq!(tomorrow("2026-12-31T23:59:59Z".parse().unwrap()), "2027-01-01T00:00:00Z".parse().unwrap());
    }
}
