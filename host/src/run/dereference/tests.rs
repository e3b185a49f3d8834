use infraagent_sandbox::manifest::{self, Manifest};
use serde_json::{Value, json};

use super::*;
use crate::run::{
    fixture,
    validate::{Inputs, RunIdentity, SkillInput, validate},
};

/// A folder with the usual files, after `change` had its way with the documents.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(change: impl FnOnce(&mut fixture::Documents)) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut documents = fixture::documents();
        change(&mut documents);
        let fixture::Documents { agent, environment, models, policies, manifests } = documents;
        folder.write("agent.yaml", &[agent]);
        folder.write("environment.yaml", &[environment]);
        folder.write("models.yaml", &models);
        folder.write("policy.yaml", &policies);
        for manifest in manifests {
            let manifest: Manifest = fixture::object(manifest);
            let empty = b"\0asm\x0d\0\x01\0";
            fs::write(folder.0.path().join(format!("{}.wasm", manifest.name)), manifest::append(empty, &manifest).unwrap()).unwrap();
        }
        folder
    }

    fn write(&self, name: &str, documents: &[Value]) {
        let text: Vec<String> = documents.iter().map(|document| serde_saphyr::to_string(document).unwrap()).collect();
        fs::write(self.0.path().join(name), text.join("---\n")).unwrap();
    }

    fn paths(&self) -> Paths {
        let path = |name: &str| self.0.path().join(name);
        Paths {
            agent: path("agent.yaml"),
            environment: path("environment.yaml"),
            models: path("models.yaml"),
            policy: Some(path("policy.yaml")),
            skills: vec![path("rollouts.wasm")],
        }
    }

    fn error(&self) -> String {
        dereference(&self.paths()).unwrap_err().to_string()
    }
}

#[test]
fn all_files_together_make_a_run() {
    let folder = Folder::new(|_| ());
    let documents = dereference(&folder.paths()).unwrap();
    assert_eq!(documents.agent.metadata.name.as_deref(), Some("forge"));
    assert_eq!(documents.environment.metadata.name.as_deref(), Some("site-a"));
    assert_eq!((documents.models.len(), documents.policies.len(), documents.components.len()), (1, 1, 1));
    let component = &documents.components[0];
    assert_eq!(component.manifest.name, "rollouts");
    assert!(component.digest.starts_with("sha256:") && component.digest.len() == 71, "{}", component.digest);
    assert_eq!(dereference(&Paths { policy: None, ..folder.paths() }).unwrap().policies, []);
}

#[test]
fn one_file_may_hold_everything() {
    let folder = Folder::new(|_| ());
    let other = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" }, "spec": { "whatever": 1 } });
    let mut elsewhere = fixture::environment();
    elsewhere["metadata"]["namespace"] = json!("other");
    folder.write("all.yaml", &[other, elsewhere, fixture::environment(), fixture::models(), fixture::agent()]);
    let all = folder.0.path().join("all.yaml");
    let documents = dereference(&Paths { agent: all.clone(), environment: all.clone(), models: all, ..folder.paths() }).unwrap();
    assert_eq!(documents.environment.metadata.namespace.as_deref(), Some("agents"));
}

#[test]
fn unknown_fields_are_named_with_file_and_path() {
    for (change, file, path) in [
        (
            Box::new(|d: &mut fixture::Documents| d.agent["spec"]["guardrials"] = json!({})) as Box<dyn FnOnce(&mut fixture::Documents)>,
            "agent.yaml",
            "spec.guardrials",
        ),
        (
            Box::new(|d| d.environment["spec"]["endpoints"]["github"]["internel"] = json!(true)),
            "environment.yaml",
            "spec.endpoints.github.internel",
        ),
        (Box::new(|d| d.models[0]["spec"]["tiers"][0]["maxToken"] = json!(1)), "models.yaml", "spec.tiers[0].maxToken"),
        (Box::new(|d| d.policies[0]["spec"]["maxAutonmy"] = json!("observe")), "policy.yaml", "spec.maxAutonmy"),
        (Box::new(|d| d.agent["spec"]["guardrails"]["autonomy"] = json!("everything")), "agent.yaml", "spec.guardrails.autonomy"),
        (Box::new(|d| d.agent["spec"]["model"]["tokenBudget"] = json!(0)), "agent.yaml", "spec.model.tokenBudget"),
        (Box::new(|d| d.agent["spec"]["model"]["tokenBudget"] = json!("many")), "agent.yaml", "spec.model.tokenBudget"),
    ] {
        let error = Folder::new(change).error();
        assert!(error.contains(file) && error.contains(&format!("`{path}`")), "{path}: {error}");
    }
}

#[test]
fn references_must_fit() {
    let error = Folder::new(|documents| documents.agent["spec"]["environmentRef"] = json!("site-b")).error();
    assert!(error.contains("`spec.environmentRef`") && error.contains("`agents/site-b`") && error.contains("`agents/site-a`"), "{error}");

    let error = Folder::new(|documents| documents.agent["spec"]["skills"] = json!([{ "name": "another" }])).error();
    assert!(error.contains("`spec.skills[0].name`") && error.contains("`another`") && error.contains("`rollouts`"), "{error}");

    let folder = Folder::new(|documents| {
        let mut more = fixture::manifest();
        more["name"] = json!("more");
        documents.manifests.push(more);
    });
    let mut paths = folder.paths();
    paths.skills.push(folder.0.path().join("more.wasm"));
    let error = dereference(&paths).unwrap_err().to_string();
    assert!(error.contains("`more`") && error.contains("does not use"), "{error}");
    paths.skills = vec![folder.0.path().join("rollouts.wasm"); 2];
    assert!(dereference(&paths).unwrap_err().to_string().contains("more than one component"));
}

#[test]
fn files_that_are_something_else_are_named() {
    let folder = Folder::new(|_| ());
    let paths = folder.paths();
    let swapped = dereference(&Paths { agent: paths.models.clone(), ..paths.clone() }).unwrap_err().to_string();
    assert!(swapped.contains("has no InfraAgent"), "{swapped}");
    let missing = dereference(&Paths { agent: folder.0.path().join("nothing.yaml"), ..paths.clone() }).unwrap_err().to_string();
    assert!(missing.contains("nothing.yaml"), "{missing}");
    let no_skill = dereference(&Paths { skills: vec![paths.agent.clone()], ..paths.clone() }).unwrap_err().to_string();
    assert!(no_skill.contains("is no skill"), "{no_skill}");
    folder.write("two.yaml", &[fixture::agent(), fixture::agent()]);
    let two = dereference(&Paths { agent: folder.0.path().join("two.yaml"), ..paths.clone() }).unwrap_err().to_string();
    assert!(two.contains("2 documents of kind InfraAgent"), "{two}");
    fs::write(folder.0.path().join("bad.yaml"), "a: [").unwrap();
    let bad = dereference(&Paths { agent: folder.0.path().join("bad.yaml"), ..paths.clone() }).unwrap_err().to_string();
    assert!(bad.contains("not valid YAML"), "{bad}");
    fs::write(folder.0.path().join("twice.yaml"), "kind: InfraAgent\nkind: InfraAgent\n").unwrap();
    let twice = dereference(&Paths { agent: folder.0.path().join("twice.yaml"), ..paths }).unwrap_err().to_string();
    assert!(twice.contains("not valid YAML"), "{twice}");
}

#[test]
fn the_shipped_demo_is_valid() {
    let demo = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo").join(name);
    let folder = Folder::new(|documents| documents.manifests[0]["name"] = json!("deployment-pipeline"));
    let skills = vec![folder.0.path().join("deployment-pipeline.wasm")];
    let paths = Paths {
        agent: demo("agent.yaml"),
        environment: demo("environment.yaml"),
        models: demo("models.yaml"),
        policy: Some(demo("policy.yaml")),
        skills,
    };
    let Documents { agent, environment, models, policies, components } = dereference(&paths).unwrap_or_else(|error| panic!("{error}"));
    let skills = components.into_iter().map(|component| SkillInput { manifest: component.manifest, digest: component.digest }).collect();
    let run = RunIdentity { name: "forge-1".to_owned(), uid: "uid".to_owned(), input: None };
    let inputs = Inputs { agent, environment, models, policies, skills, cluster: "snapshot/demo".to_owned(), run };
    let run = validate(inputs).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.warnings, []);
    crate::llm::Replay::open(&demo("conversation.yaml"), crate::llm::replay::Mode::Strict).unwrap_or_else(|error| panic!("{error}"));
}
