//! What a run may use, and what it has used.

use std::time::Duration;

use infraagent_api::Dollars;

use crate::llm::Usage;

/// The longest reply, in tokens, whatever the model could do.
pub const REPLY_TOKENS: u32 = 8192;
/// The most entries that a record holds: tool calls plus changes.
pub const MAX_ENTRIES: u32 = 128;

/// What a run may use. Agent and platform agreed on it already: the smaller value of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Tokens, input and output together.
    pub tokens: u64,
    /// Questions to the model.
    pub turns: u32,
    /// From beginning to end.
    pub wall: Duration,
    /// Tool calls plus changes.
    pub entries: u32,
    /// Tokens of one reply.
    pub reply_tokens: u32,
}

/// Prices in billionths of a dollar per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// Input. What is taken from a cache is charged as input, what is written into one a quarter more: the estimate is an upper bound.
    pub input: u64,
    /// Output.
    pub output: u64,
}

impl Prices {
    /// Both prices, or none: half a price would look like a cost.
    pub fn new(input: Option<&Dollars>, output: Option<&Dollars>) -> Option<Self> {
        Some(Self { input: input?.nanos(), output: output?.nanos() })
    }

    /// In dollars, for sums over many replies.
    #[expect(clippy::cast_precision_loss, reason = "an estimate for a graph; what is recorded is computed in integers")]
    pub fn dollars(self, usage: Usage) -> f64 {
        self.exact(usage) as f64 / 1e9
    }

    /// In billionths of a dollar.
    pub fn nanos(self, usage: Usage) -> u64 {
        u64::try_from(self.exact(usage)).unwrap_or(u64::MAX)
    }

    fn exact(self, usage: Usage) -> u128 {
        let Usage { input, output, cached: _, cache_written } = usage;
        let input = u128::from(input) * 4 + u128::from(cache_written);
        (input * u128::from(self.input) / 4 + u128::from(output) * u128::from(self.output)) / 1_000_000
    }

    /// `$0.0042` below one cent, else `$1.23`.
    pub fn cost(self, usage: Usage) -> String {
        let nanos = self.exact(usage);
        if nanos < 10_000_000 {
            let units = (nanos + 50_000) / 100_000;
            format!("${}.{:04}", units / 10_000, units % 10_000)
        } else {
            let cents = (nanos + 5_000_000) / 10_000_000;
            format!("${}.{:02}", cents / 100, cents % 100)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_has_four_digits_below_one_cent_and_two_above() {
        let prices = Prices::new(Some(&"3".parse().unwrap()), Some(&"15.00".parse().unwrap())).unwrap();
        let cost = |input, output| prices.cost(Usage { input, output, ..Usage::default() });
        assert_eq!(cost(0, 0), "$0.0000");
        assert_eq!(cost(1_000, 80), "$0.0042");
        assert_eq!(cost(3_333, 0), "$0.0100", "9.999 thousandths are below one cent and rounded");
        assert_eq!(cost(10_000, 1_000), "$0.05", "45 thousandths");
        assert_eq!(cost(1_000_000, 1_000_000), "$18.00");
        let written = Usage { input: 1_000_000, cache_written: 400_000, ..Usage::default() };
        assert_eq!(prices.cost(written), "$3.30", "a quarter more for what is written into a cache");
        assert_eq!(Prices::new(Some(&"3".parse().unwrap()), None), None);
    }
}
