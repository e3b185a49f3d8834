//! Objects that the environment declares as data.

use infraagent_guard::name::{Namespace, ObjectName};

/// A database or a piece of storage that the environment declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataResource {
    group: String,
    kind: String,
    namespace: Option<Namespace>,
    name: ObjectName,
}

/// A declaration that cannot mean an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data resource `{input}` is not valid: {why}")]
pub struct InvalidDataResource {
    input: String,
    why: String,
}

impl DataResource {
    /// `kind` is a kind with its API group where it has one: `PersistentVolumeClaim`, `postgresql.cnpg.io/Cluster`, or short `cnpg.io/Cluster`.
    pub fn parse(kind: &str, namespace: Option<&str>, name: &str) -> Result<Self, InvalidDataResource> {
        let error = |why: String| InvalidDataResource { input: format!("{kind} {name}").escape_debug().to_string(), why };
        let (group, word) = kind.rsplit_once('/').unwrap_or(("", kind));
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric()) || !word.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(error("expected a kind such as `PersistentVolumeClaim` or `cnpg.io/Cluster`".to_owned()));
        }
        let namespace = namespace.map(Namespace::parse).transpose().map_err(|invalid| error(invalid.to_string()))?;
        let name = ObjectName::parse(name).map_err(|invalid| error(invalid.to_string()))?;
        Ok(Self { group: group.to_owned(), kind: word.to_owned(), namespace, name })
    }

    /// True for an object with this API group, kind, namespace (empty for cluster-scoped) and name.
    pub(super) fn is(&self, group: &str, kind: &str, namespace: &str, name: &str) -> bool {
        self.is_kind(group, kind) && self.namespace.as_ref().map_or("", Namespace::as_str) == namespace && self.name.as_str() == name
    }

    /// True for the kind. A group may be declared by its last labels: `cnpg.io` stands for `postgresql.cnpg.io`.
    pub(super) fn is_kind(&self, group: &str, kind: &str) -> bool {
        let same_group =
            group == self.group || (!self.group.is_empty() && group.strip_suffix(&self.group).is_some_and(|rest| rest.ends_with('.')));
        same_group && self.kind == kind
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_ref().map(Namespace::as_str)
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::DataResource;

    #[test]
    fn a_declaration_names_exactly_one_object() {
        let short = DataResource::parse("cnpg.io/Cluster", Some("prod"), "main").unwrap();
        assert!(short.is("postgresql.cnpg.io", "Cluster", "prod", "main"));
        assert!(short.is("cnpg.io", "Cluster", "prod", "main"));
        assert!(!short.is("evilcnpg.io", "Cluster", "prod", "main"));
        assert!(!short.is("postgresql.cnpg.io", "Cluster", "prod", "main-2"));
        assert!(!short.is("postgresql.cnpg.io", "Backup", "prod", "main"));
        let claim = DataResource::parse("PersistentVolumeClaim", Some("prod"), "data").unwrap();
        assert!(claim.is("", "PersistentVolumeClaim", "prod", "data"));
        assert!(!claim.is("", "PersistentVolumeClaim", "staging", "data"));
        assert!(!claim.is("example.com", "PersistentVolumeClaim", "prod", "data"));
    }

    #[test]
    fn what_names_no_kind_is_refused() {
        for kind in ["", "persistentvolumeclaims", "cnpg.io/", "Cluster*", "cnpg.io/Cl uster"] {
            assert!(DataResource::parse(kind, Some("prod"), "main").is_err(), "{kind}");
        }
        assert!(DataResource::parse("Cluster", Some("Prod"), "main").is_err());
        assert!(DataResource::parse("Cluster", None, "a/b").is_err());
    }
}
