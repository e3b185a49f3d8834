//! URLs of endpoints: an origin and a base path, nothing else. And the platform's patterns of origins.

use std::net::{IpAddr, Ipv6Addr};

use infraagent_guard::name::HttpPath;

/// Names under which a cluster's own API server, or the metadata service of a cloud, is reached.
const FORBIDDEN: [&str; 6] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "metadata", "metadata.google.internal", "instance-data.ec2.internal"];

/// A URL in parts, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: &'static str,
    /// Lower case, without a dot at its end; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Without the final slash: empty or `/api`.
    pub(super) base: String,
}

impl Url {
    /// Scheme, host, optional port and path. User information, query, fragment and anything encoded are refused.
    pub(super) fn parse(input: &str) -> Result<Self, String> {
        let bad = |what: &str| {
            format!(
                "`{}` {what}: write for example `https://api.example.com` or `http://grafana.monitoring.svc:3000/api`",
                input.escape_debug()
            )
        };
        let (scheme, rest) = if let Some(rest) = input.strip_prefix("https://") {
            ("https", rest)
        } else if let Some(rest) = input.strip_prefix("http://") {
            ("http", rest)
        } else {
            return Err(bad("is no http or https URL"));
        };
        if rest.contains(['?', '#']) {
            return Err(bad("has a query or fragment"));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(bad("holds a user name or password, which belong into a credential"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("has no valid host and port"))?;
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        // A cluster may have any domain below `svc`.
        if FORBIDDEN.contains(&host.as_str()) || host.starts_with("kubernetes.default.svc.") {
            return Err(bad("is an API server or a metadata service, which no endpoint may be"));
        }
        if address(&host).is_some_and(is_link_local) {
            return Err(bad("is a link-local address, which no endpoint may be"));
        }
        let base = path.trim_end_matches('/');
        if !base.is_empty() {
            HttpPath::parse(base).map_err(|error| bad(&format!("has a path that is not plain ({error})")))?;
        }
        let default = if scheme == "https" { 443 } else { 80 };
        Ok(Self { scheme, host, port: port.unwrap_or(default), base: base.to_owned() })
    }

    /// Scheme, host and, where it is not the usual one, port.
    pub(super) fn origin(&self) -> String {
        match (self.scheme, self.port) {
            ("https", 443) | ("http", 80) => format!("{}://{}", self.scheme, self.host),
            (scheme, port) => format!("{scheme}://{}:{port}", self.host),
        }
    }

    /// Whether a pattern of the platform covers it: `*` stands for one label at the front of the host, for the whole host, or for the port.
    pub(super) fn is_covered_by(&self, pattern: &str) -> bool {
        let Some((scheme, authority)) = pattern.split_once("://") else { return false };
        if scheme != self.scheme {
            return false;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (authority, None),
        };
        let usual = if self.scheme == "https" { 443 } else { 80 };
        let port = match port {
            None => self.port == usual,
            Some("*") => true,
            Some(port) => port.parse() == Ok(self.port),
        };
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix("*.") {
            _ if host == "*" => true,
            Some(parent) => self.host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => self.host == host,
        };
        port && host
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest[..end].parse::<Ipv6Addr>().ok()?;
            (&authority[..end + 2], rest[end + 1..].strip_prefix(':').or((rest.len() == end + 1).then_some(""))?)
        }
        None => authority.split_once(':').map_or((authority, ""), |(host, port)| if port.is_empty() { ("", "") } else { (host, port) }),
    };
    let named = host.starts_with('[')
        || (host.len() <= 253
            && host.trim_end_matches('.').split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                    && !label.starts_with('-')
            }));
    if !named || host.is_empty() {
        return None;
    }
    let port = if port.is_empty() { None } else { Some(port.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string().len() <= 5)?) };
    Some((host, port))
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.to_ipv4_mapped().is_some_and(|address| address.is_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_origin_and_a_base_path() {
        for (input, origin, base) in [
            ("https://api.github.com", "https://api.github.com", ""),
            ("https://API.GitHub.com./", "https://api.github.com", ""),
            ("https://api.github.com:443/v3/", "https://api.github.com", "/v3"),
            ("http://grafana.monitoring.svc:3000/api", "http://grafana.monitoring.svc:3000", "/api"),
            ("http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080", "/x"),
            ("http://10.0.0.1", "http://10.0.0.1", ""),
        ] {
            let url = Url::parse(input).unwrap();
            assert_eq!((url.origin().as_str(), url.base.as_str()), (origin, base), "{input}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_refused() {
        for input in [
            "https://api.github.com@evil.example/",
            "ftp://x",
            "//x",
            "https://",
            "https:///x",
            "https://a b/",
            "https://a/b?c",
            "https://a/b#c",
            "https://a/../b",
            "https://a/%2e%2e/b",
            "https://a:0/",
            "https://a:99999/",
            "https://a:/",
            "https://a:1:2/",
            "https://[::1",
            "https://[nonsense]/",
            "https://exämple.com/",
            "https://kubernetes.default.svc/",
            "https://KUBERNETES.default.svc./",
            "https://kubernetes.default.svc.corp.example",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://metadata.google.internal",
        ] {
            assert!(Url::parse(input).is_err(), "{input}");
        }
    }

    #[test]
    fn patterns_of_the_platform_cover_one_label_or_any_port() {
        for (url, pattern, covered) in [
            ("https://api.example.com", "https://*.example.com", true),
            ("https://a.b.example.com", "https://*.example.com", false),
            ("https://example.com", "https://*.example.com", false),
            ("https://evil-example.com", "https://*.example.com", false),
            ("http://api.example.com", "https://*.example.com", false),
            ("https://api.example.com:8443", "https://api.example.com", false),
            ("https://api.example.com:8443", "https://api.example.com:*", true),
            ("https://api.example.com:8443", "https://api.example.com:8443", true),
            ("https://anything.at.all", "https://*", true),
            ("http://[2001:db8::1]:80", "http://[2001:db8::1]", true),
            ("https://API.example.com", "https://api.EXAMPLE.com", true),
        ] {
            assert_eq!(Url::parse(url).unwrap().is_covered_by(pattern), covered, "{url} by {pattern}");
        }
    }
}
