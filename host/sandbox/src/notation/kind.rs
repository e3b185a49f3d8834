//! The kind in an entry of a list: Kubernetes' own by any of their names, custom resources in singular or plural, wildcards.

use infraagent_guard::{
    name::{GroupResource, Invalid},
    pattern::{Glob, KindPattern},
};

/// What stands where an entry names a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Exactly(GroupResource),
    /// A custom resource without its group, in singular or plural: of any group.
    OfAnyGroup(String),
    Wild(Glob),
    /// A lone word with a wildcard: a kind. As a deny entry also a name, since the original matched whole lines.
    Loose(Glob),
}

impl Kind {
    pub(super) fn parse(input: &str, metrics: bool) -> Result<Self, Invalid> {
        let input = input.to_ascii_lowercase();
        let kind = match input.as_str() {
            wild if wild.contains('*') => Self::Wild(Glob::parse(if metrics { "*.metrics.k8s.io" } else { wild })?),
            plain if metrics => Self::Exactly(GroupResource::new("metrics.k8s.io", GroupResource::parse(plain)?.resource())?),
            plain if plain.contains('.') || GroupResource::built_in(plain).is_some() => Self::Exactly(GroupResource::parse(plain)?),
            plain => Self::OfAnyGroup(GroupResource::parse(plain)?.resource().to_owned()),
        };
        Ok(kind)
    }

    /// The kinds that are meant.
    pub(super) fn patterns(&self) -> Result<Vec<KindPattern>, Invalid> {
        match self {
            Self::Exactly(kind) if is_event(kind) => events(),
            Self::Exactly(kind) => Ok(vec![KindPattern::Exactly(kind.clone())]),
            Self::OfAnyGroup(word) => {
                let plurals = [word.clone(), format!("{word}s"), format!("{word}es")];
                let irregular = word.strip_suffix('y').map(|stem| format!("{stem}ies"));
                plurals.into_iter().chain(irregular).map(|plural| Glob::parse(&plural).map(KindPattern::Like)).collect()
            }
            Self::Wild(glob) | Self::Loose(glob) => {
                // The wildcard may stand in a singular, as in `networkpolicy*`.
                let by_singular = GroupResource::all_built_in().filter(|kind| !glob.is_any() && glob.matches(&kind.singular()));
                Ok(std::iter::once(KindPattern::Like(glob.clone())).chain(by_singular.map(KindPattern::Exactly)).collect())
            }
        }
    }
}

/// Events have two API groups and are the same objects.
pub(super) fn events() -> Result<Vec<KindPattern>, Invalid> {
    ["", "events.k8s.io"].into_iter().map(|group| GroupResource::new(group, "events").map(KindPattern::Exactly)).collect()
}

fn is_event(kind: &GroupResource) -> bool {
    kind.is("", "events") || kind.is("events.k8s.io", "events")
}
