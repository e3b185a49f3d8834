//! Entries of allow and deny lists match what their fields say, and nothing else.

use infraagent_guard::{
    call::{Scalable, WriteMethod},
    name::{GroupResource, Namespace, Origin},
    pattern::{KindPattern, KubernetesPattern, Object, Pattern, Subject},
    policy::{Method, Verb},
};

use crate::support::{READS, asking, glob, on, sending};

fn kubernetes<'a>(verb: Verb, kind: (&'a str, &'a str), namespace: Option<&'a str>, name: Option<&'a str>) -> Subject<'a> {
    let namespace = namespace.map(|text| &*Box::leak(Box::new(Namespace::parse(text).unwrap())));
    Subject::Kubernetes(Object { verb, kind, namespace, name, replicas: None })
}

fn scale(replicas: u32) -> Subject<'static> {
    let kind = Scalable::StatefulSet.group_resource();
    let Subject::Kubernetes(object) = kubernetes(Verb::Scale, kind, Some("apps"), Some("db")) else { unreachable!() };
    Subject::Kubernetes(Object { replicas: Some(replicas), ..object })
}

fn http(method: Method, origin: &str, path: &'static str) -> Subject<'static> {
    Subject::Http { method, origin: Box::leak(Box::new(Origin::parse(origin).unwrap())), path }
}

const PODS: (&str, &str) = ("", "pods");

#[test]
fn an_entry_matches_what_its_fields_say() {
    let pod = |verb, name| kubernetes(verb, PODS, Some("apps"), Some(name));
    let pods = kubernetes(Verb::List, PODS, Some("apps"), None);
    let node = |verb| kubernetes(verb, ("", "nodes"), None, Some("node-1"));
    let backups = |group| kubernetes(Verb::List, (group, "scheduledbackups"), Some("apps"), None);
    let counted = |count| match on(&[Verb::Scale], "*", None, None) {
        Pattern::Kubernetes(pattern) => Pattern::Kubernetes(KubernetesPattern { replicas: Some(count), ..pattern }),
        other => other,
    };
    let at =
        |origin: &str, path| Pattern::Http { methods: vec![Method::Post], origin: Some(Origin::parse(origin).unwrap()), path: glob(path) };
    let (site, other) = ("https://api.github.com", "https://api.github.com.evil.example");
    // Entry, subject, is it allowed by the entry, is it denied by the entry.
    let table = [
        (on(&[Verb::Delete], "pods", None, None), pod(Verb::Delete, "web"), true, true),
        (on(&[Verb::Delete], "pods", None, None), pod(Verb::Evict, "web"), false, false),
        (on(&[Verb::Delete], "deployments", None, None), pod(Verb::Delete, "web"), false, false),
        (on(READS, "pods", None, None), kubernetes(Verb::Get, ("metrics.k8s.io", "pods"), Some("apps"), Some("web")), false, false),
        (on(&[Verb::Delete], "pods", Some("web-*"), None), pod(Verb::Delete, "web-1"), true, true),
        (on(&[Verb::Delete], "pods", Some("web-*"), None), pod(Verb::Delete, "db-1"), false, false),
        // A list shows every object: one of them is enough to deny it, and not enough to allow it.
        (on(READS, "pods", Some("web-*"), None), pods, false, true),
        (on(READS, "pods", Some("*"), None), pods, true, true),
        (on(READS, "pods", None, Some("prod")), pods, false, false),
        (on(READS, "pods", None, Some("app*")), pods, true, true),
        (on(&[Verb::Cordon], "nodes", None, Some("apps")), node(Verb::Cordon), false, false),
        (on(&[Verb::Cordon], "nodes", None, Some("*")), node(Verb::Cordon), true, true),
        (on(&[Verb::Cordon], "nodes", Some("node-2"), None), node(Verb::Cordon), false, false),
        (on(READS, "scheduledbackup*", None, None), backups("postgresql.cnpg.io"), true, true),
        (on(READS, "*.postgresql.cnpg.io", None, None), backups("postgresql.cnpg.io"), true, true),
        (on(READS, "*.postgresql.cnpg.io", None, None), backups("k8s.enterprisedb.io"), false, false),
        (on(READS, "scheduledbackups.postgresql.cnpg.io", None, None), backups("k8s.enterprisedb.io"), false, false),
        (on(READS, "*.apps", None, None), pods, false, false),
        (counted(0), scale(0), true, true),
        (counted(0), scale(1), false, false),
        (on(&[Verb::Scale], "*", None, None), scale(1), true, true),
        (sending(&[Method::Get], "**/status"), http(Method::Get, site, "/api/status"), true, true),
        (sending(&[Method::Get], "**/status"), http(Method::Post, site, "/api/status"), false, false),
        (sending(&[Method::Get], "/api/*"), http(Method::Get, site, "/api/a/b"), false, false),
        (at(site, "/repos/**"), http(Method::Post, site, "/repos/a/issues"), true, true),
        (at(site, "/repos/**"), http(Method::Post, other, "/repos/a/issues"), false, false),
        (at("http://api.github.com", "/repos/**"), http(Method::Post, site, "/repos/a/issues"), false, false),
        // Another spelling of a denied path is denied, and not allowed.
        (sending(&[Method::Post], "/admin"), http(Method::Post, site, "/Admin/"), false, true),
        (asking("helper", "repo**"), Subject::Mcp { server: "helper", tool: "repo/drop" }, true, true),
        (asking("helper", "repo*"), Subject::Mcp { server: "helper", tool: "repo/drop" }, false, false),
        (asking("helper", "fix"), Subject::Mcp { server: "helper", tool: "fix2" }, false, false),
        (asking("**", "**"), pod(Verb::Get, "web"), false, false),
        (on(&Verb::ALL, "*", None, None), http(Method::Get, site, "/"), false, false),
        (Pattern::Everything, scale(3), true, true),
        (Pattern::Everything, http(Method::Post, site, "/"), true, true),
    ];
    for (entry, subject, allowed, denied) in table {
        assert_eq!((entry.allows(&subject), entry.denies(&subject)), (allowed, denied), "{entry:?} on {subject:?}");
    }
}

/// Every single field that an entry has can make it miss, and whatever an entry allows, it denies.
#[test]
fn what_an_entry_allows_it_denies_and_every_field_counts() {
    let subjects = [
        kubernetes(Verb::Get, PODS, Some("apps"), Some("web-1")),
        kubernetes(Verb::List, PODS, Some("apps"), None),
        kubernetes(Verb::List, ("apps", "deployments"), None, None),
        kubernetes(Verb::Cordon, ("", "nodes"), None, Some("node-1")),
        scale(2),
    ];
    let verbs: [&[Verb]; 3] = [&[], READS, &Verb::ALL];
    let kinds: [&[KindPattern]; 3] = [&[], &[KindPattern::Exactly(GroupResource::parse("pods").unwrap())], &[KindPattern::Like(glob("*"))]];
    let texts = [None, Some(glob("*")), Some(glob("web-*")), Some(glob("apps"))];
    let (mut allowed, mut denied) = (0, 0);
    for subject in &subjects {
        let Subject::Kubernetes(Object { verb, kind, namespace, name: called, replicas: count }) = *subject else { panic!() };
        for verbs in verbs {
            for kinds in kinds {
                for name in &texts {
                    for space in &texts {
                        for replicas in [None, Some(2), Some(3)] {
                            let entry = Pattern::Kubernetes(KubernetesPattern {
                                verbs: verbs.to_vec(),
                                kinds: kinds.to_vec(),
                                name: name.clone(),
                                namespace: space.clone(),
                                replicas,
                            });
                            let fits = |glob: &Option<infraagent_guard::pattern::Glob>, text: Option<&str>, absent| match (glob, text) {
                                (None, _) => true,
                                (Some(glob), None) => absent || glob.is_any(),
                                (Some(glob), Some(text)) => glob.matches(text),
                            };
                            let expected = |deny| {
                                verbs.contains(&verb)
                                    && kinds.iter().any(|pattern| pattern.matches(kind))
                                    && fits(name, called, deny)
                                    && fits(space, namespace.map(Namespace::as_str), false)
                                    && (replicas.is_none() || replicas == count)
                            };
                            assert_eq!((entry.allows(subject), entry.denies(subject)), (expected(false), expected(true)), "{entry:?}");
                            assert!(entry.denies(subject) || !entry.allows(subject));
                            allowed += u32::from(entry.allows(subject));
                            denied += u32::from(entry.denies(subject));
                        }
                    }
                }
            }
        }
    }
    assert!(allowed > 50 && denied > allowed, "{allowed} {denied}");
}

#[test]
fn methods_are_the_same_in_every_place() {
    use infraagent_guard::call::ReadMethod;
    let reads: Vec<Method> = ReadMethod::ALL.map(ReadMethod::method).into();
    let writes: Vec<Method> = WriteMethod::ALL.map(WriteMethod::method).into();
    assert_eq!([reads.clone(), writes.clone()].concat(), Method::ALL);
    assert!(reads.iter().all(|method| method.reads()) && !writes.iter().any(|method| method.reads()));
}
