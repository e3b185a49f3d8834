//! The skills that come with the operator: a folder of components and of folders of skills without code, looked up by the name in their manifests.
//!
//! Looking costs one listing and one `stat` for each file; a file is read when it is new or changed. Its bytes are not kept: what they were is told by their
//! digest, and they are read again when the skill is loaded.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Component, Unresolved};
use crate::skill::{actions, frontmatter};

/// What tells one version of a file from another without reading it. Nobody can set the time of its last change back.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// The folder.
#[derive(Debug)]
pub(super) struct Bundled {
    folder: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

/// One skill of the folder.
#[derive(Debug)]
struct Known {
    /// Of the files that it was read from.
    stamps: Vec<Stamp>,
    /// The skill in it, or what is wrong with it.
    skill: Result<Component, String>,
}

impl Bundled {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, known: Mutex::default() }
    }

    /// The skill with this name. Blocks: it looks at files.
    pub(super) fn find(&self, name: &str) -> Result<Component, Unresolved> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut known).map_err(|error| {
            let message = format!("the folder of bundled skills `{}` cannot be read: {error}", self.folder.display());
            Unresolved::lasting("BundledSkillsUnreadable", message)
        })?;
        let named = || known.iter().filter(|(_, known)| known.skill.as_ref().is_ok_and(|skill| skill.manifest.name == name));
        match named().collect::<Vec<_>>().as_slice() {
            [(_, Known { skill: Ok(skill), stamps: _ })] => Ok(skill.clone()),
            [] | [_] => Err(missing(name, &known)),
            [_, _, ..] => {
                let files: Vec<_> = named().map(|(path, _)| shown(path)).collect();
                let message = format!("several bundled files are skill `{name}`: {}: leave one", files.join(", "));
                Err(Unresolved::lasting("SkillAmbiguous", message))
            }
        }
    }

    fn refresh(&self, known: &mut BTreeMap<PathBuf, Known>) -> io::Result<()> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(files) = files(&path) else { continue };
            let stamps: Vec<_> = files.iter().map(|file| stamp(file)).collect();
            let unchanged = known.remove(&path).filter(|known| known.stamps == stamps);
            found.insert(path.clone(), unchanged.unwrap_or_else(|| Known { stamps, skill: read(&path) }));
        }
        *known = found;
        Ok(())
    }
}

/// The files that a skill is read from, if there is one at all. What begins with a dot is a matter of whoever mounted the folder.
fn files(path: &Path) -> Option<Vec<PathBuf>> {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let document = path.join(frontmatter::FILE);
    if hidden {
        None
    } else if path.extension().is_some_and(|extension| extension == "wasm") {
        Some(vec![path.to_owned()])
    } else if document.is_file() {
        Some(vec![document, path.join(actions::FILE)])
    } else {
        None
    }
}

fn stamp(file: &Path) -> Stamp {
    file.metadata().ok().map(|data| (data.dev(), data.ino(), data.ctime(), data.ctime_nsec(), data.len()))
}

fn read(path: &Path) -> Result<Component, String> {
    let skill = Component::read(path).map(|skill| skill.left_in(path)).map_err(|error| error.to_string());
    match &skill {
        Ok(skill) => {
            tracing::info!(file = %path.display(), skill = skill.manifest.name, version = skill.manifest.version, digest = skill.digest, "bundled skill")
        }
        Err(error) => tracing::warn!(file = %path.display(), %error, "bundled file is no skill"),
    }
    skill
}

fn missing(name: &str, known: &BTreeMap<PathBuf, Known>) -> Unresolved {
    let (skills, broken): (Vec<_>, Vec<_>) = known.values().map(|known| known.skill.as_ref()).partition(|skill| skill.is_ok());
    let skills: Vec<_> = skills.into_iter().flatten().map(|skill| format!("`{}`", skill.manifest.name)).collect();
    let have = if skills.is_empty() { "there is none".to_owned() } else { format!("there are {}", skills.join(", ")) };
    let broken: String = broken.into_iter().filter_map(Result::err).map(|error| format!("; {error}")).collect();
    Unresolved::lasting("SkillNotFound", format!("no bundled skill is called `{name}`: {have}{broken}"))
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill::source::fixture::{DOCUMENT, SHEET, component};

    fn reason(found: Result<Component, Unresolved>) -> (&'static str, String) {
        let Unresolved { reason, message, transient } = found.expect_err("unresolved");
        assert!(!transient, "a file does not heal by itself");
        (reason, message)
    }

    #[test]
    fn a_skill_is_found_by_the_name_in_its_manifest_whatever_its_file_is_called() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.wasm"), component("rollouts", "1.0.0")).unwrap();
        fs::write(folder.path().join("rollouts.txt"), "no skill").unwrap();
        let bundled = Bundled::new(folder.path().to_owned());
        let found = bundled.find("rollouts").unwrap();
        assert_eq!((found.manifest.name.as_str(), found.manifest.version.as_str()), ("rollouts", "1.0.0"));
        assert_eq!(found.digest, infraagent_sandbox::admission::digest(&component("rollouts", "1.0.0")));
        let (word, message) = reason(bundled.find("triage"));
        assert!(word == "SkillNotFound" && message.contains("`triage`") && message.contains("`rollouts`"), "{message}");
    }

    #[test]
    fn a_folder_is_a_skill_without_code_and_read_again_when_its_sheet_changes() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("restarts");
        fs::create_dir(&at).unwrap();
        fs::create_dir(folder.path().join(".hidden")).unwrap();
        fs::write(at.join("SKILL.md"), DOCUMENT).unwrap();
        fs::write(at.join("actions.yaml"), SHEET).unwrap();
        let bundled = Bundled::new(folder.path().to_owned());
        let first = bundled.find("restarts").unwrap();
        assert_eq!(first.digest, bundled.find("restarts").unwrap().digest);
        fs::write(at.join("actions.yaml"), SHEET.replace("[apps]", "[shop]")).unwrap();
        let second = bundled.find("restarts").unwrap();
        assert_ne!(first.digest, second.digest);
        fs::write(at.join("actions.yaml"), SHEET.replace("verb:", "verbs:")).unwrap();
        let (_, message) = reason(bundled.find("restarts"));
        assert!(message.contains("verbs") && message.contains("restarts"), "{message}");
    }

    #[test]
    fn two_files_with_one_skill_are_both_named_and_neither_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for (file, name, version) in [("a.wasm", "twice", "1.0.0"), ("b.wasm", "twice", "2.0.0"), ("c.wasm", "once", "1.0.0")] {
            fs::write(folder.path().join(file), component(name, version)).unwrap();
        }
        let bundled = Bundled::new(folder.path().to_owned());
        let (word, message) = reason(bundled.find("twice"));
        assert!(word == "SkillAmbiguous" && message.contains("a.wasm") && message.contains("b.wasm"), "{message}");
        assert!(bundled.find("once").is_ok(), "others are not concerned");
    }

    #[test]
    fn changes_of_the_folder_are_seen_and_nothing_else_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.wasm"), component("rollouts", "1.0.0")).unwrap();
        fs::write(at("b.wasm"), component("triage", "1.0.0")).unwrap();
        let bundled = Bundled::new(folder.path().to_owned());
        let (first, other) = (bundled.find("rollouts").unwrap(), bundled.find("triage").unwrap());
        assert!(std::sync::Arc::ptr_eq(&first.manifest, &bundled.find("rollouts").unwrap().manifest), "unchanged files are not read again");

        fs::write(at("a.wasm"), component("rollouts", "1.1.0")).unwrap();
        assert_eq!(bundled.find("rollouts").unwrap().manifest.version, "1.1.0");
        assert!(std::sync::Arc::ptr_eq(&other.manifest, &bundled.find("triage").unwrap().manifest));
        assert!(matches!(first.units(), Err(super::super::Unusable::Changed { .. })), "the old code is not there any more");

        fs::rename(at("b.wasm"), at("c.wasm")).unwrap();
        assert!(bundled.find("triage").unwrap().shown.ends_with("c.wasm"));
        fs::remove_file(at("c.wasm")).unwrap();
        assert_eq!(reason(bundled.find("triage")).0, "SkillNotFound");
    }

    #[test]
    fn a_broken_file_is_named_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("good.wasm"), component("good", "1.0.0")).unwrap();
        fs::write(folder.path().join("bad.wasm"), "no component").unwrap();
        let bundled = Bundled::new(folder.path().to_owned());
        assert!(bundled.find("good").is_ok());
        let (word, message) = reason(bundled.find("bad"));
        assert!(word == "SkillNotFound" && message.contains("bad.wasm") && message.contains("is no skill"), "{message}");
        let none = Bundled::new(folder.path().join("nothing"));
        assert_eq!(reason(none.find("good")).0, "BundledSkillsUnreadable");
    }
}
