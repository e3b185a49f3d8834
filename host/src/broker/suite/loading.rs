//! A folder that cannot be a cluster is refused, naming file and field.

use super::*;

fn try_load(files: &[(&str, &str)]) -> Result<Snapshot, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Snapshot::load(dir.path(), "run-1", "env-1", Some(now())).map_err(|error| {
        let path = dir.path().to_string_lossy().into_owned();
        error.to_string().replace(&format!("{path}/"), "")
    })
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n";

#[test]
fn mistakes_name_file_and_field() {
    for (files, needles) in [
        (vec![], vec!["no Kubernetes object"]),
        (vec![("a.yaml", "kind: Pod\nmetadata: {name: a}\n")], vec!["a.yaml", "apiVersion", "missing"]),
        (vec![("a.yaml", "apiVersion: v1\nmetadata: {name: a}\n")], vec!["a.yaml", "kind", "missing"]),
        (vec![("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop}\n")], vec!["a.yaml", "metadata.name", "missing"]),
        (vec![("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")], vec!["a.yaml", "metadata.namespace", "namespaced"]),
        (
            vec![("a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: a, namespace: shop}\n")],
            vec!["metadata.namespace", "cluster-scoped"],
        ),
        (vec![("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: A/B, namespace: shop}\n")], vec!["metadata.name", "A/B"]),
        (vec![("a.yaml", POD), ("b/c.yml", POD)], vec!["c.yml", "metadata.name", "a.yaml"]),
        (vec![("a.yaml", "a: [\n")], vec!["a.yaml", "YAML"]),
        (vec![("a.yaml", "- 1\n")], vec!["a.yaml", "expected a Kubernetes object"]),
        (vec![("a.yaml", POD), ("faults.yaml", "forbiden: []\n")], vec!["faults.yaml", "forbiden"]),
    ] {
        let error = try_load(&files).unwrap_err();
        for needle in needles {
            assert!(error.contains(needle), "{needle}: {error}");
        }
    }
}

#[tokio::test]
async fn documents_lists_and_folders_are_all_read() {
    let list = "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop}}\n";
    let typed = "apiVersion: v1\nkind: PodList\nitems:\n  - metadata: {name: c, namespace: shop}\n";
    let both = format!("---\n{POD}---\n{list}---\n");
    let snapshot =
        try_load(&[("x.yaml", &both), ("deep/er/y.yml", typed), ("notes.txt", "no yaml"), ("logs/shop/a/main.log", "x\n")]).unwrap();
    let pods = snapshot.list(&GroupResource::parse("pods").unwrap(), Some("shop")).await.unwrap();
    assert_eq!(pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(pods.iter().all(|pod| pod["metadata"]["uid"].is_string() && pod["metadata"]["resourceVersion"].is_string()));
    assert!(snapshot.get(&GroupResource::parse("namespaces").unwrap(), None, "shop").await.is_ok(), "its namespace exists");
}

#[tokio::test]
async fn definitions_give_plural_and_scope() {
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: kine.example.com}\nspec:\n  group: example.com\n  \
                      names: {kind: Cow, plural: kine}\n  scope: Cluster\n  versions: [{name: v2, served: true}]\n---\napiVersion: example.com/v2\nkind: Cow\nmetadata: {name: berta}\n";
    let snapshot = try_load(&[("a.yaml", definition)]).unwrap();
    assert!(snapshot.get(&GroupResource::parse("kine.example.com").unwrap(), None, "berta").await.is_ok());
    let kinds = snapshot.kinds().await.unwrap();
    let cow = kinds.iter().find(|kind| kind.kind == "Cow").unwrap();
    assert!(cow.is_custom() && !cow.namespaced && cow.versions == ["v2"]);
    assert!(kinds.iter().filter(|kind| kind.kind == "VolumeSnapshot" || kind.kind == "Pod").all(|kind| !kind.is_custom()));
}

#[tokio::test]
async fn the_content_of_secrets_is_not_kept() {
    let snapshot = load("shop");
    let secret = snapshot.get(&GroupResource::parse("secrets").unwrap(), Some("shop"), "web").await.unwrap();
    assert!(secret.get("data").is_none());
}
