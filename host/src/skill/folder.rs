//! A skill as a folder: `SKILL.md`, `actions.yaml`, and for languages without a describer `tools.json`.
//!
//! Reading is all or nothing: every mistake of every file is reported at once, and what comes out has been checked.

use std::path::{Path, PathBuf};

use infraagent_sandbox::manifest::{CONTRACT, Manifest, Sheet, ToolDescription};

use super::{
    actions,
    frontmatter::{self, Document},
    problem::{self, Problem},
};

/// The file with tool descriptions.
pub const TOOLS: &str = "tools.json";
/// The largest file that is read, in bytes. A manifest is smaller.
pub(super) const MAX_FILE: u64 = 512 * 1024;
/// The first host that speaks the contract.
const MINIMUM_HOST: &str = "0.2.0";

/// What a folder says about a skill.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    /// `SKILL.md`.
    pub document: Document,
    /// `actions.yaml`.
    pub sheet: Sheet,
}

/// Why a folder is no skill.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder itself.
    #[error("`{0}` is not a directory; give the directory with SKILL.md and actions.yaml")]
    NotADirectory(PathBuf),
    /// The folder of a skill that must be built.
    #[error("`{path}` belongs to a skill with code; build it with `infraagent skill build` or `infraagent skill pack`, and give the component", path = .0.display())]
    HasCode(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{path}`{hint}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large.
    #[error("`{0}` has more than {MAX_FILE} bytes; shorten it")]
    TooLarge(PathBuf),
    /// The files say something that cannot be.
    #[error("{}", problem::lines(.0))]
    Invalid(Vec<Problem>),
}

impl Folder {
    /// Reads a folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::NotADirectory(folder.to_owned()));
        }
        let document = read(
            folder,
            frontmatter::FILE,
            "; write it: front matter with `name`, `description` and `version`, then instructions for the model",
        )?;
        let sheet = read(folder, actions::FILE, "; write it, perhaps with `actions: []`: what is not in it cannot be called")?;
        Self::parse(&document, &sheet)
    }

    /// Parses the texts of `SKILL.md` and `actions.yaml`.
    pub fn parse(document: &str, sheet: &str) -> Result<Self, Error> {
        match (Document::parse(document), actions::parse(sheet)) {
            (Ok(document), Ok(sheet)) => Ok(Self { document, sheet }),
            (document, sheet) => Err(Error::Invalid(document.err().into_iter().chain(sheet.err()).flatten().collect())),
        }
    }

    /// Parses the texts of a skill without code. Its actions stand in `actions.yaml` or in the front matter.
    pub fn without_code(document: &str, sheet: Option<&str>) -> Result<Self, Error> {
        let (document, sheet) = match (Document::without_code(document), sheet.map(actions::parse)) {
            (Ok((document, None)), Some(Ok(sheet))) => (document, sheet),
            (Ok((document, Some(listed))), None) => {
                let problems = actions::problems(frontmatter::FILE, &listed, std::iter::repeat(0));
                if !problems.is_empty() {
                    return Err(Error::Invalid(problems));
                }
                (document, Sheet { state: false, actions: listed })
            }
            (Ok((_, Some(_))), Some(Ok(_))) => {
                let message = "`actions` stand here and in `actions.yaml`: keep one of the two";
                return Err(Error::Invalid(vec![Problem::in_file(frontmatter::FILE, message)]));
            }
            (Ok((_, None)), None) => {
                let message = "there is no action sheet: write `actions.yaml`, or `actions` into the front matter";
                return Err(Error::Invalid(vec![Problem::in_file(frontmatter::FILE, message)]));
            }
            (document, sheet) => {
                let sheet = sheet.and_then(Result::err);
                return Err(Error::Invalid(document.err().into_iter().chain(sheet).flatten().collect()));
            }
        };
        Ok(Self { document, sheet })
    }

    /// Reads the folder of a skill without code.
    pub fn read_without_code(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::NotADirectory(folder.to_owned()));
        }
        if let Some(file) = ["Cargo.toml", TOOLS].into_iter().map(|name| folder.join(name)).find(|file| file.exists()) {
            return Err(Error::HasCode(file));
        }
        let document =
            read(folder, frontmatter::FILE, "; write it: front matter with `name` and `description`, then instructions for the model")?;
        let sheet = if folder.join(actions::FILE).exists() { Some(read(folder, actions::FILE, "")?) } else { None };
        Self::without_code(&document, sheet.as_deref())
    }

    /// The manifest of the skill with these tools.
    pub fn manifest(&self, tools: Vec<ToolDescription>) -> Result<Manifest, Error> {
        let Self { document, sheet } = self.clone();
        let Document { name, description, version, license, tags, limits, minimum_host, instructions } = document;
        let minimum_host = minimum_host.or_else(|| Some(MINIMUM_HOST.to_owned()));
        let contract = CONTRACT.to_owned();
        let manifest = Manifest { name, version, description, license, tags, instructions, contract, minimum_host, tools, sheet, limits };
        let problems = manifest.problems();
        if problems.is_empty() {
            Ok(manifest)
        } else {
            Err(Error::Invalid(problems.into_iter().map(|message| Problem::in_file("the skill", message)).collect()))
        }
    }
}

/// Reads the tool descriptions of a folder.
pub fn tools(folder: &Path) -> Result<Vec<ToolDescription>, Error> {
    let hint = "; write it: a list of `{\"name\", \"description\", \"inputSchema\", \"actions\"}`, one for each tool";
    let text = read(folder, TOOLS, hint)?;
    serde_json::from_str(&text).map_err(|error| {
        let line = u64::try_from(error.line()).unwrap_or(0);
        let message = error.to_string();
        let message = message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        Error::Invalid(vec![Problem::at(TOOLS, line, message)])
    })
}

fn read(folder: &Path, name: &str, hint: &'static str) -> Result<String, Error> {
    let path = folder.join(name);
    let fail = |source: std::io::Error| {
        let hint = if source.kind() == std::io::ErrorKind::NotFound { hint } else { "" };
        Error::Read { path: path.clone(), hint, source }
    };
    let size = std::fs::metadata(&path).map_err(fail)?.len();
    if size > MAX_FILE {
        return Err(Error::TooLarge(path));
    }
    std::fs::read_to_string(&path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "---\nname: hello\ndescription: Says hello.\nversion: 1.2.3\n---\nDo it.\n";

    fn tool(actions: &[&str]) -> ToolDescription {
        ToolDescription {
            name: "greet".to_owned(),
            description: "Greets.".to_owned(),
            input_schema: serde_json::json!({"type": "object"}),
            actions: actions.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn mistakes_of_all_files_come_at_once() {
        let error = Folder::parse(&DOCUMENT.replace("version", "versions"), "actions: [{ id: x }]").unwrap_err().to_string();
        assert!(error.contains("SKILL.md:4: ") && error.contains("versions"), "{error}");
        assert!(error.contains("actions.yaml:1: ") && error.contains("exactly one target"), "{error}");
    }

    #[test]
    fn the_manifest_carries_all_that_the_files_say() {
        let source =
            Folder::parse(DOCUMENT, "actions: [{ id: probe, http: { endpoints: ['*'], methods: [GET], paths: ['/**'] } }]").unwrap();
        let manifest = source.manifest(vec![tool(&["probe"])]).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.instructions.as_str(), manifest.contract.as_str()), ("hello", "Do it.", CONTRACT));
        assert_eq!(manifest.minimum_host.as_deref(), Some(MINIMUM_HOST));
        assert_eq!(manifest.sheet, source.sheet);
    }

    #[test]
    fn a_tool_with_an_undeclared_action_makes_no_manifest() {
        let source = Folder::parse(DOCUMENT, "actions: []").unwrap();
        assert!(source.manifest(vec![tool(&["probe"])]).unwrap_err().to_string().contains("`probe`"));
        assert!(source.manifest(vec![tool(&[])]).is_ok());
        assert!(source.manifest(Vec::new()).is_err());
    }

    #[test]
    fn folders_say_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folder::read(&folder.path().join("none")).unwrap_err().to_string().contains("not a directory"));
        assert!(Folder::read(folder.path()).unwrap_err().to_string().contains("SKILL.md"));
        std::fs::write(folder.path().join(frontmatter::FILE), DOCUMENT).unwrap();
        assert!(Folder::read(folder.path()).unwrap_err().to_string().contains("actions.yaml"));
        std::fs::write(folder.path().join(actions::FILE), "actions: []").unwrap();
        assert!(Folder::read(folder.path()).is_ok());
        assert!(tools(folder.path()).unwrap_err().to_string().contains("inputSchema"));
        std::fs::write(folder.path().join(TOOLS), "[\n{\"name\": \"x\", \"schema\": {}}\n]").unwrap();
        let error = tools(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("tools.json:2: unknown field `schema`"), "{error}");
        std::fs::write(folder.path().join(actions::FILE), vec![b' '; 600_000]).unwrap();
        assert!(Folder::read(folder.path()).unwrap_err().to_string().contains("shorten"));
    }
}
