//! Where things are on the API server: paths, from parts that cannot change their meaning.

use infraagent_guard::name::GroupResource;

use crate::broker::world::ServedKind;

/// A kind in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<'a> {
    kind: &'a GroupResource,
    version: &'a str,
    namespace: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// `version` none: the preferred one.
    pub(super) fn of(served: &'a ServedKind, version: Option<&'a str>, namespace: Option<&'a str>) -> Self {
        let preferred = || served.versions.first().map_or("v1", String::as_str);
        Self { kind: &served.resource, version: version.unwrap_or_else(preferred), namespace }
    }

    /// `apps/v1`
    pub(super) fn api_version(&self) -> String {
        if self.kind.group().is_empty() { self.version.to_owned() } else { format!("{}/{}", self.kind.group(), self.version) }
    }

    /// All objects.
    pub(super) fn list(&self) -> String {
        let root = if self.kind.group().is_empty() { "/api".to_owned() } else { format!("/apis/{}", segment(self.kind.group())) };
        let namespace = self.namespace.map_or_else(String::new, |namespace| format!("/namespaces/{}", segment(namespace)));
        format!("{root}/{}{namespace}/{}", segment(self.version), segment(self.kind.resource()))
    }

    /// One object.
    pub(super) fn object(&self, name: &str) -> String {
        format!("{}/{}", self.list(), segment(name))
    }

    /// A subresource of one object.
    pub(super) fn sub(&self, name: &str, subresource: &str) -> String {
        format!("{}/{subresource}", self.object(name))
    }
}

/// One segment. The name of an owner is whatever somebody wrote into an owner reference, so everything but letters, digits, `-`, `_`, `.` and `:` is escaped;
/// the dots that mean a folder are escaped too, which makes them a name that nothing has.
fn segment(text: &str) -> String {
    let only_dots = text.bytes().all(|b| b == b'.');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':') || (b == b'.' && !only_dots);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// `a=b&c=d`, escaped; empty values are left out. Nothing if nothing is left.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(key, value);
    }
    let text = query.finish();
    if text.is_empty() { text } else { format!("?{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(kind: &str) -> ServedKind {
        ServedKind {
            resource: GroupResource::parse(kind).unwrap(),
            kind: String::new(),
            namespaced: true,
            versions: vec!["v1".to_owned(), "v1beta1".to_owned()],
            listable: true,
        }
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let (pods, deployments) = (served("pods"), served("deployments.apps"));
        assert_eq!(Place::of(&pods, None, Some("shop")).object("web-1"), "/api/v1/namespaces/shop/pods/web-1");
        assert_eq!(Place::of(&pods, None, Some("shop")).sub("web-1", "eviction"), "/api/v1/namespaces/shop/pods/web-1/eviction");
        assert_eq!(Place::of(&deployments, Some("v1beta1"), None).list(), "/apis/apps/v1beta1/deployments");
        assert_eq!(Place::of(&deployments, None, None).api_version(), "apps/v1");
        assert_eq!(Place::of(&pods, None, None).api_version(), "v1");
    }

    #[test]
    fn no_name_leaves_its_segment() {
        let pods = served("pods");
        for (name, segment) in [
            ("../secrets/x", "..%2Fsecrets%2Fx"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("a?b#c", "a%3Fb%23c"),
            ("a%2fb", "a%252fb"),
            ("system:node", "system:node"),
            ("web.v1", "web.v1"),
        ] {
            assert_eq!(Place::of(&pods, None, Some("shop")).object(name), format!("/api/v1/namespaces/shop/pods/{segment}"), "{name}");
        }
    }

    #[test]
    fn values_of_a_query_are_escaped() {
        assert_eq!(query(&[("a", "x=y&z"), ("b", ""), ("c", "!d")]), "?a=x%3Dy%26z&c=%21d");
        assert_eq!(query(&[("a", "")]), "");
    }
}
