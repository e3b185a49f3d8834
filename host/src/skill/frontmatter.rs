//! `SKILL.md`: front matter and instructions, the open Agent Skills format.
//!
//! Of that format `name`, `description`, `license`, `compatibility` and `metadata` are understood; `version`, `tags`, `limits` and `minimumHost` are ours
//! (a version under `metadata` counts too, since that is where the open format puts it). Any other key is an error: one that is ignored is one that
//! somebody relied on. In a skill without code `actions` may stand here, instead of in `actions.yaml`.

use std::collections::BTreeMap;

use infraagent_sandbox::manifest::{ActionSpec, LimitRequest};
use serde::Deserialize;

use super::problem::Problem;

/// The file's name.
pub const FILE: &str = "SKILL.md";
/// The fence above and below the front matter.
const FENCE: &str = "---";
/// The version of a skill without code that says none.
const UNVERSIONED: &str = "0.0.0";

/// What `SKILL.md` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The skill's name.
    pub name: String,
    /// One sentence: what it does and when to use it.
    pub description: String,
    /// Its version.
    pub version: String,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// Limits that differ from the defaults.
    pub limits: Option<LimitRequest>,
    /// The oldest host that can run it.
    pub minimum_host: Option<String>,
    /// What the model is told.
    pub instructions: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Front {
    name: String,
    description: String,
    version: Option<String>,
    license: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    limits: Option<LimitRequest>,
    minimum_host: Option<String>,
    /// Notes for other hosts.
    #[serde(default)]
    metadata: BTreeMap<String, serde_json::Value>,
    /// A note for people: what the skill needs around it.
    #[serde(default, rename = "compatibility")]
    _compatibility: Option<String>,
    #[serde(default, rename = "allowed-tools")]
    allowed_tools: Option<serde::de::IgnoredAny>,
    /// The sheet of a skill without code may stand here.
    actions: Option<Vec<ActionSpec>>,
}

impl Document {
    /// Parses the text of the `SKILL.md` of a skill with code.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        Self::read(text, true).map(|(document, _)| document)
    }

    /// Parses the text of the `SKILL.md` of a skill without code. It may hold the actions; and it need have no version, since nobody builds it: its digest tells
    /// one from another.
    pub fn without_code(text: &str) -> Result<(Self, Option<Vec<ActionSpec>>), Vec<Problem>> {
        Self::read(text, false)
    }

    fn read(text: &str, code: bool) -> Result<(Self, Option<Vec<ActionSpec>>), Vec<Problem>> {
        let one = |problem| vec![problem];
        let (front, instructions) = split(text).map_err(one)?;
        let front: Front = serde_saphyr::from_str(&front).map_err(|error| one(Problem::of_yaml(FILE, &front, &error)))?;
        let Front {
            name,
            description,
            version,
            license,
            tags,
            limits,
            minimum_host,
            mut metadata,
            _compatibility: _,
            allowed_tools,
            actions,
        } = front;
        let mut problems = Vec::new();
        if code && actions.is_some() {
            problems.push(Problem::in_file(FILE, "`actions` belong into `actions.yaml`, where the build of a skill with code reads them"));
        }
        if allowed_tools.is_some() {
            problems.push(Problem::in_file(
                FILE,
                "`allowed-tools` grants nothing here; say in `actions.yaml` what the skill may do, and remove the key",
            ));
        }
        if description.trim().is_empty() {
            problems.push(Problem::in_file(FILE, "`description` is empty; write one sentence: what the skill does and when to use it"));
        }
        let version = match (version, metadata.remove("version")) {
            (Some(version), _) | (None, Some(serde_json::Value::String(version))) => version,
            (None, _) if !code => UNVERSIONED.to_owned(),
            (None, _) => {
                problems.push(Problem::in_file(FILE, "`version` is missing; write one like `version: 0.1.0`"));
                String::new()
            }
        };
        if problems.is_empty() {
            Ok((Self { name, description, version, license, tags, limits, minimum_host, instructions }, actions))
        } else {
            Err(problems)
        }
    }
}

/// The front matter, with as many lines above it as in the file so that errors name the right one, and the text below it.
fn split(text: &str) -> Result<(String, String), Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some(FENCE) {
        return Err(Problem::at(
            FILE,
            1,
            "the file does not begin with front matter; write `---`, then `name`, `description` and `version`, then `---`",
        ));
    }
    let mut front = String::from("\n");
    loop {
        match lines.next() {
            None => return Err(Problem::at(FILE, 1, "the front matter has no end; close it with a line `---`")),
            Some(line) if line.trim_end() == FENCE => break,
            Some(line) => {
                front.push_str(line);
                front.push('\n');
            }
        }
    }
    let instructions = lines.collect::<Vec<_>>().join("\n");
    Ok((front, instructions.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "---\nname: hello\ndescription: Says hello.\nversion: 1.2.3\nlicense: MIT\ntags: [a, b]\nmetadata: {author: ada}\n---\n\n# Hello\n\nDo it.\n";

    #[test]
    fn reads_front_matter_and_instructions() {
        let document = Document::parse(GOOD).unwrap();
        assert_eq!((document.name.as_str(), document.version.as_str(), document.license.as_deref()), ("hello", "1.2.3", Some("MIT")));
        assert_eq!(document.tags, ["a", "b"]);
        assert_eq!(document.instructions, "# Hello\n\nDo it.");
        assert_eq!(Document::parse(&GOOD.replace('\n', "\r\n")).unwrap(), document);
        assert_eq!(Document::parse(&format!("\u{feff}{GOOD}")).unwrap(), document);
    }

    #[test]
    fn a_version_under_metadata_counts() {
        let text = GOOD.replace("version: 1.2.3\n", "").replace("{author: ada}", "{author: ada, version: '2.0.0'}");
        assert_eq!(Document::parse(&text).unwrap().version, "2.0.0");
    }

    #[test]
    fn without_code_a_version_may_be_missing_and_actions_may_stand_here() {
        let text =
            GOOD.replace("version: 1.2.3\n", "actions: [{ id: look, kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }]\n");
        let (document, actions) = Document::without_code(&text).unwrap();
        assert_eq!((document.version.as_str(), actions.unwrap()[0].id.as_str()), (UNVERSIONED, "look"));
        let problems = super::super::problem::lines(&Document::parse(&text).unwrap_err());
        assert!(problems.contains("`actions` belong into `actions.yaml`") && problems.contains("`version` is missing"), "{problems}");
        let misspelled = Document::without_code(&text.replace("verb:", "verbs:")).unwrap_err();
        assert!(super::super::problem::lines(&misspelled).contains("verbs"), "{misspelled:?}");
    }

    #[test]
    fn limits_are_read() {
        let text = GOOD.replace("license: MIT", "limits: {memoryBytes: 134217728, cpuMillis: 5000}");
        let limits = Document::parse(&text).unwrap().limits.unwrap();
        assert_eq!((limits.memory_bytes, limits.cpu_millis, limits.host_calls), (Some(134_217_728), Some(5000), None));
    }

    #[test]
    fn every_mistake_names_its_key_and_line() {
        let table = [
            (GOOD.replace("license:", "licence:"), "SKILL.md:5:", "licence"),
            (GOOD.replace("tags: [a, b]", "limits: {memory: 1}"), "SKILL.md:6:", "memory"),
            (GOOD.replace("name: hello\n", ""), "SKILL.md", "name"),
            (GOOD.replace("description: Says hello.\n", ""), "SKILL.md", "description"),
            (GOOD.replace("Says hello.", "''"), "SKILL.md", "description"),
            (GOOD.replace("version: 1.2.3\n", ""), "SKILL.md", "version"),
            (GOOD.replace("tags: [a, b]", "tags: a"), "SKILL.md:6:", ""),
            (GOOD.replace("tags: [a, b]", "license: MIT"), "SKILL.md:6:", "license"),
            (GOOD.replace("tags: [a, b]", "allowed-tools: Bash"), "SKILL.md", "allowed-tools"),
            (GOOD.replace("tags: [a, b]", "tags: ["), "SKILL.md:", ""),
            (GOOD.replacen("---\n", "", 1), "SKILL.md:1:", "front matter"),
            (GOOD.replace("\n---\n\n", "\n\n"), "SKILL.md:1:", "no end"),
            (String::new(), "SKILL.md:1:", "front matter"),
        ];
        for (text, place, word) in table {
            let problems = super::super::problem::lines(&Document::parse(&text).unwrap_err());
            assert!(problems.starts_with(place) && problems.contains(word), "{text}\n=> {problems}");
            assert!(!problems.contains('\n') && !problems.contains("saphyr"), "{problems}");
        }
    }
}
