//! Amounts of CPU, memory and things.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// An amount, as Kubernetes writes it: `250m`, `1Gi`, `10`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl Quantity {
    /// In the base unit: cores, bytes, pieces. None if the text is no quantity.
    pub fn value(&self) -> Option<f64> {
        const SUFFIXES: [(&str, f64); 15] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("Pi", 1_125_899_906_842_624.0),
            ("Ei", 1_152_921_504_606_846_976.0),
            ("n", 1e-9),
            ("u", 1e-6),
            ("m", 1e-3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
            ("E", 1e18),
        ];
        for (suffix, factor) in SUFFIXES {
            if let Some(number) = self.0.strip_suffix(suffix) {
                return number.parse::<f64>().ok().map(|number| number * factor);
            }
        }
        self.0.parse().ok()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::json::document(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_have_values_in_base_units() {
        for (text, expected) in [
            ("10", Some(10.0)),
            ("250m", Some(0.25)),
            ("1Gi", Some(1_073_741_824.0)),
            ("128Mi", Some(134_217_728.0)),
            ("1k", Some(1000.0)),
            ("1e3", Some(1000.0)),
            ("much", None),
            ("", None),
        ] {
            assert_eq!(Quantity(text.to_owned()).value(), expected, "{text}");
        }
        let quantities: Vec<Quantity> = serde_json::from_str(r#"["1Gi", 10]"#).unwrap();
        assert_eq!(quantities, [Quantity("1Gi".to_owned()), Quantity("10".to_owned())]);
    }
}
