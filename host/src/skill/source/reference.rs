//! What stands in `spec.skills[].source`.

use std::str::FromStr;

/// Where an agent says that a skill is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// In the folder that the operator brings along.
    Bundled,
    /// In a ConfigMap of the agent's namespace.
    ConfigMap {
        /// Its name; absent: the skill's.
        name: Option<String>,
        /// Its key; absent: found by what is there.
        key: Option<String>,
    },
    /// In a registry.
    Oci,
    /// In a Git repository.
    Git,
}

/// A source that means nothing. The API server refuses most of them already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source `{}` is none: write `bundled`, `configmap`, `configmap://name[/key]`, `oci://...` or `git://...`", .0.escape_debug())]
pub(super) struct Unknown(String);

impl FromStr for Reference {
    type Err = Unknown;

    fn from_str(source: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown(source.chars().take(80).collect());
        match source.split_once("://") {
            None if source == "bundled" => Ok(Self::Bundled),
            None if source == "configmap" => Ok(Self::ConfigMap { name: None, key: None }),
            Some(("configmap", rest)) => {
                let (name, key) = rest.split_once('/').map_or((rest, None), |(name, key)| (name, Some(key)));
                let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
                let is_key = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
                if is_name && key.is_none_or(is_key) {
                    Ok(Self::ConfigMap { name: Some(name.to_owned()), key: key.map(str::to_owned) })
                } else {
                    Err(unknown())
                }
            }
            Some(("oci", rest)) if !rest.is_empty() => Ok(Self::Oci),
            Some(("git", rest)) if !rest.is_empty() => Ok(Self::Git),
            Some(_) | None => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nothing_else() {
        let map = |name: Option<&str>, key: Option<&str>| Reference::ConfigMap { name: name.map(Into::into), key: key.map(Into::into) };
        for (source, expected) in [
            ("bundled", Reference::Bundled),
            ("configmap", map(None, None)),
            ("configmap://triage", map(Some("triage"), None)),
            ("configmap://triage/SKILL.md", map(Some("triage"), Some("SKILL.md"))),
            ("oci://ghcr.io/acme/x:1", Reference::Oci),
            ("git://github.com/acme/skills#x@v1", Reference::Git),
        ] {
            assert_eq!(source.parse(), Ok(expected), "{source}");
        }
        for wrong in [
            "",
            "Bundled",
            "bundled/x",
            "configmap://",
            "configmap:///x",
            "configmap://x/",
            "configmap://other/triage/SKILL.md",
            "configmap://../kube-system/x",
            "configmap://X",
            "configmap://x?y",
            "configmap://x/..%2f",
            "oci://",
            "git://",
            "http://x/y",
            "file:///etc",
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
