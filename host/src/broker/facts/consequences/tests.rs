use std::sync::Arc;

use infraagent_guard::name::GroupResource;

use super::*;
use crate::broker::world::{ServedKind, WorldError};

/// Nothing is in it; the kinds are what counts.
struct Empty(Arc<[ServedKind]>);

impl World for Empty {
    async fn get(&self, _: &GroupResource, _: Option<&str>, name: &str) -> Result<Value, WorldError> {
        Err(WorldError::NotFound(name.to_owned()))
    }

    async fn list(&self, _: &GroupResource, _: Option<&str>) -> Result<Vec<Value>, WorldError> {
        Ok(Vec::new())
    }

    async fn kinds(&self) -> Result<Arc<[ServedKind]>, WorldError> {
        Ok(Arc::clone(&self.0))
    }
}

async fn fact(group: &str, resource: &str, namespaced: bool, listable: bool) -> Fact {
    let resource = GroupResource::new(group, resource).unwrap();
    let world = Empty(Arc::new([ServedKind { resource, kind: "Any".to_owned(), namespaced, versions: vec!["v1".to_owned()], listable }]));
    let doomed = Doomed { uids: BTreeSet::from(["pod-uid".to_owned()]), ..Doomed::default() };
    dependants(&world, &mut Ancestry::new(&world).await.unwrap(), &doomed, "shop").await
}

#[tokio::test]
async fn a_custom_kind_that_cannot_be_listed_is_unknown_and_named() {
    match fact("vault.example.com", "ledgers", true, false).await {
        Fact::Unknown(missing) => assert!(missing.contains("ledgers.vault.example.com"), "{missing}"),
        Fact::Clear | Fact::Impact => panic!("nobody knows what it holds"),
    }
    for (group, resource, namespaced, listable) in [
        ("vault.example.com", "ledgers", true, true),
        ("vault.example.com", "ledgers", false, false),
        ("metrics.k8s.io", "pods", true, false),
        ("authorization.k8s.io", "localsubjectaccessreviews", true, false),
        ("cilium.io", "ciliumendpoints", true, false),
    ] {
        assert_eq!(fact(group, resource, namespaced, listable).await, Fact::Clear, "{resource}.{group}");
    }
}
