use std::fs;

use infraagent_api::agent::SkillUpdate;

use super::{fixture::*, *};

fn skill(name: &str, source: &str) -> SkillRef {
    SkillRef { name: name.to_owned(), source: source.to_owned(), update: SkillUpdate::default() }
}

#[tokio::test]
async fn what_is_not_supported_yet_says_so_and_a_bundled_neighbour_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.wasm"), component("rollouts", "1.0.0")).unwrap();
    let sources = Sources::new(Some(folder.path().to_owned()), nobody());
    for source in ["oci://ghcr.io/acme/rollouts:1", "git://github.com/acme/skills#rollouts@main"] {
        let Unresolved { reason, message, transient } = sources.resolve("agents", &skill("rollouts", source)).await.unwrap_err();
        assert_eq!((reason, transient), ("SourceNotSupportedYet", false));
        assert!(message.contains(source) && message.contains("`rollouts`"), "{message}");
    }
    assert_eq!(sources.resolve("agents", &skill("rollouts", "s3://x")).await.unwrap_err().reason, "SourceInvalid");
    assert_eq!(sources.resolve("agents", &skill("rollouts", "bundled")).await.unwrap().manifest.name, "rollouts");
}

#[tokio::test]
async fn without_a_folder_there_are_no_bundled_skills() {
    let unresolved = Sources::new(None, nobody()).resolve("agents", &skill("rollouts", "bundled")).await.unwrap_err();
    assert_eq!(unresolved.reason, "NoBundledSkills");
}
