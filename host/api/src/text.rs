//! Words of the API: enums that read and print as the text users write.
//!
//! Serde, `Display`, `FromStr` and the schema all come from one table, so they cannot disagree.

use std::fmt;

/// A word that is not in the vocabulary of its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// What the word should have been, for example `autonomy`.
    pub what: &'static str,
    /// What was written.
    pub input: String,
    /// Every word that would have been understood.
    pub expected: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} `{}`: use one of ", self.what, self.input)?;
        for (index, word) in self.expected.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}`{word}`")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownWord {}

/// Declares a `Copy` enum whose variants are words; the first literal names it in error messages.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                #[doc = concat!("\n\nWritten `", $text, "`.")]
                $variant,
            )+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            const WORDS: &'static [&'static str] = &[$($text),+];

            /// The word as it stands in a manifest.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::UnknownWord;

            fn from_str(input: &str) -> Result<Self, Self::Err> {
                match input {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::text::UnknownWord { what: $what, input: input.to_owned(), expected: Self::WORDS }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::from_str(deserializer)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
            }
        }
    };
}

pub(crate) use words;

/// Decodes a string through `FromStr`, keeping its error text.
pub(crate) fn from_str<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use crate::agent::SkillUpdate;

    #[test]
    fn a_word_reads_and_prints_the_same_everywhere() {
        for word in SkillUpdate::ALL.iter().copied() {
            assert_eq!(word.to_string().parse(), Ok(word));
            let json = serde_json::to_value(word).unwrap();
            assert_eq!(json, word.as_str());
            assert_eq!(serde_json::from_value::<SkillUpdate>(json).unwrap(), word);
        }
        assert_eq!(SkillUpdate::default(), SkillUpdate::OnChange);
        assert_eq!(format!("{:>7}", SkillUpdate::Always), " always");
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        let error = serde_json::from_str::<SkillUpdate>("\"Always\"").unwrap_err();
        assert_eq!(error.to_string(), "unknown skill update rule `Always`: use one of `on-change`, `always`");
    }
}
