//! A new skill, whose own tests pass at once. The template is a real skill: what is tested here is what an author gets.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files of a new skill.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("SKILL.md", include_str!("template/SKILL.md.in")),
    ("actions.yaml", include_str!("template/actions.yaml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("src/tests.rs", include_str!("template/tests.rs.in")),
    (".gitignore", "/target/\n"),
];

/// Why there is no new skill.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name.
    #[error(
        "`{0}` cannot be the name of a skill; use words of a-z and 0-9 joined by single `-`, beginning with a letter, at most 63 characters"
    )]
    Name(String),
    /// Something is there already.
    #[error("`{0}` exists already; choose another name, or remove it")]
    Exists(PathBuf),
    /// Not the SDK.
    #[error("`{0}` is not the source of skills-sdk; give the directory with its Cargo.toml")]
    NotTheSdk(PathBuf),
    /// Cannot write.
    #[error("cannot write `{path}`", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Where the SDK comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// From the registry.
    Published,
    /// From a folder.
    Local(PathBuf),
}

impl Sdk {
    /// The folder that was given; else the checkout that this binary was built from, if it is still there; else the registry.
    pub fn find(given: Option<&Path>) -> Result<Self, Error> {
        let is_sdk = |folder: &Path| fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("name = \"skills-sdk\""));
        if let Some(given) = given {
            let whole = given.canonicalize().ok().filter(|folder| is_sdk(folder));
            return whole.map(Self::Local).ok_or_else(|| Error::NotTheSdk(given.to_owned()));
        }
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../skills-sdk").canonicalize();
        Ok(checkout.ok().filter(|folder| is_sdk(folder)).map_or(Self::Published, Self::Local))
    }

    /// The value of the dependency in Cargo.toml.
    fn dependency(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::Published => format!("\"{version}\""),
            // A debug string is a TOML basic string for every path that is text.
            Self::Local(folder) => format!("{{ version = \"{version}\", path = {:?} }}", folder.to_string_lossy()),
        }
    }
}

/// Writes a new skill below `parent` and answers its folder.
pub fn create(parent: &Path, name: &str, sdk: &Sdk) -> Result<PathBuf, Error> {
    if !is_name(name) {
        return Err(Error::Name(name.chars().flat_map(char::escape_debug).collect()));
    }
    let folder = parent.join(name);
    let write = |path: &Path, source| Error::Write { path: path.to_owned(), source };
    fs::create_dir(&folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists(folder.clone()),
        _ => write(&folder, source),
    })?;
    fs::create_dir(folder.join("src")).map_err(|source| write(&folder, source))?;
    for (file, template) in FILES {
        let path = folder.join(file);
        let text = template.replace("{{name}}", name).replace("{{sdk}}", &sdk.dependency());
        fs::write(&path, text).map_err(|source| write(&path, source))?;
    }
    Ok(folder)
}

fn is_name(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 63 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('-').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill::folder::Folder;

    #[test]
    fn bad_names_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        for name in
            ["", "Hello", "hello_world", "-a", "a-", "a--b", "2fast", "../x", "a/b", "a.b", "caf\u{e9}", "a\u{1b}[31m", &"a".repeat(64)]
        {
            let error = create(parent.path(), name, &Sdk::Published).unwrap_err();
            assert!(matches!(&error, Error::Name(_)), "{name}: {error}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "nothing was written");
    }

    #[test]
    fn existing_folders_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("mine")).unwrap();
        assert!(matches!(create(parent.path(), "mine", &Sdk::Published), Err(Error::Exists(_))));
        assert_eq!(fs::read_dir(parent.path().join("mine")).unwrap().count(), 0);
    }

    #[test]
    fn a_new_skill_is_complete_and_valid() {
        let parent = tempfile::tempdir().unwrap();
        let folder = create(parent.path(), "my-skill", &Sdk::Published).unwrap();
        for (file, _) in FILES {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            assert!(!text.contains("{{"), "{file} has a placeholder left");
        }
        let source = Folder::read(&folder).unwrap();
        assert_eq!(source.document.name, "my-skill");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("skills-sdk = \"{}\"", env!("CARGO_PKG_VERSION"))), "{manifest}");
    }

    #[test]
    fn the_sdk_is_found_where_it_is_said_to_be() {
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(matches!(Sdk::find(Some(elsewhere.path())), Err(Error::NotTheSdk(_))));
        fs::write(elsewhere.path().join("Cargo.toml"), "[package]\nname = \"skills-sdk\"\n").unwrap();
        let Ok(Sdk::Local(folder)) = Sdk::find(Some(elsewhere.path())) else { panic!("a local SDK") };
        let parent = tempfile::tempdir().unwrap();
        let skill = create(parent.path(), "local", &Sdk::Local(folder.clone())).unwrap();
        assert!(fs::read_to_string(skill.join("Cargo.toml")).unwrap().contains(&format!("path = {:?}", folder.to_str().unwrap())));
    }
}
