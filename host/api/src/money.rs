//! Money: US dollars as decimal strings, since a price like `0.80` is not a binary float.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

/// What the API server accepts.
pub(crate) const DOLLARS_PATTERN: &str = r"^[0-9]{1,9}(\.[0-9]{1,9})?$";

/// An amount of US dollars, exact to a billionth.
#[derive(Clone)]
pub struct Dollars {
    text: String,
    nanos: u64,
}

/// Why a text is no amount of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid amount `{input}`: write US dollars as a decimal string, for example `0.80` or `15`")]
pub struct InvalidDollars {
    /// What was written.
    pub input: String,
}

impl Dollars {
    /// Billionths of a dollar.
    pub fn nanos(&self) -> u64 {
        self.nanos
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Dollars {
    type Err = InvalidDollars;

    fn from_str(input: &str) -> Result<Self, Self::Err> {
        let nanos = parse(input).ok_or_else(|| InvalidDollars { input: input.to_owned() })?;
        Ok(Self { text: input.to_owned(), nanos })
    }
}

fn parse(input: &str) -> Option<u64> {
    let (whole, fraction) = input.split_once('.').unwrap_or((input, "0"));
    let plain = |digits: &str| (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.text)
    }
}

impl PartialEq for Dollars {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Dollars {}

impl PartialOrd for Dollars {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dollars {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl hash::Hash for Dollars {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl serde::Serialize for Dollars {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Dollars {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::from_str(deserializer)
    }
}

impl schemars::JsonSchema for Dollars {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": DOLLARS_PATTERN, "maxLength": 19 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_keep_their_text() {
        for (text, nanos) in
            [("0.80", 800_000_000), ("15", 15_000_000_000), ("0.000000001", 1), ("999999999.999999999", 999_999_999_999_999_999)]
        {
            let amount: Dollars = text.parse().unwrap();
            assert_eq!((amount.nanos(), amount.as_str()), (nanos, text));
        }
        assert_eq!("0.8".parse::<Dollars>(), "0.80".parse());
        assert!("0.8".parse::<Dollars>().unwrap() < "0.81".parse().unwrap());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "$1", "-1", "1,5", ".5", "1.", "1e3", "NaN", "1.2.3", "10000000000"] {
            assert!(text.parse::<Dollars>().unwrap_err().to_string().contains(&format!("`{text}`")));
        }
    }
}
