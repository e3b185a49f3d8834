//! `actions.yaml`: the action sheet as its author writes it. The types and what they may not say are the sandbox's; here they get a file and a line.

use std::collections::BTreeMap;

use infraagent_sandbox::manifest::{ActionSpec, Sheet};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::problem::Problem;

/// The file's name.
pub const FILE: &str = "actions.yaml";

/// Where each action stands.
#[derive(Deserialize)]
struct Places {
    actions: Vec<Spanned<serde_json::Value>>,
}

/// Parses the text of `actions.yaml` and checks everything that needs neither an environment nor the code.
pub fn parse(text: &str) -> Result<Sheet, Vec<Problem>> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(vec![Problem::in_file(FILE, "the file is empty; a skill that only uses log, clock and site says `actions: []`")]);
    }
    let sheet: Sheet = serde_saphyr::from_str(text).map_err(|error| vec![Problem::of_yaml(FILE, text, &error)])?;
    let problems = problems(FILE, &sheet.actions, lines(text));
    if problems.is_empty() { Ok(sheet) } else { Err(problems) }
}

/// What is wrong with actions that stand in a file, each at its line.
pub(super) fn problems(file: &'static str, actions: &[ActionSpec], lines: impl Iterator<Item = u64>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    for (action, at) in actions.iter().zip(lines) {
        if let Err(error) = action.validate() {
            problems.push(Problem::at(file, at, error.to_string()));
        }
        if let Some(first) = seen.insert(action.id.as_str(), at) {
            let first = if first > 0 { format!(", first in line {first}") } else { String::new() };
            problems.push(Problem::at(file, at, format!("action `{}` is declared twice{first}; give each its own id", action.id)));
        }
    }
    problems
}

/// The line of each action; 0 where it cannot be told.
fn lines(text: &str) -> impl Iterator<Item = u64> + use<> {
    let places: Places = serde_saphyr::from_str(text).unwrap_or(Places { actions: Vec::new() });
    places.actions.into_iter().map(|action| action.referenced.line()).chain(std::iter::repeat(0))
}

#[cfg(test)]
mod tests {
    use infraagent_guard::Tier;

    use super::{super::problem::lines, *};

    /// An action with this line in place of its target.
    fn sheet(line: &str) -> String {
        format!("# The sheet.\nactions:\n  - id: act\n    description: Acts.\n    {line}\n")
    }

    #[test]
    fn reads_every_form() {
        for line in [
            "kubernetes: { verb: read, resources: [pods, deployments.apps], namespaces: [apps] }",
            "kubernetes: { verb: [get, list], resources: [nodes] }",
            "kubernetes: { verb: restart, resources: [deployments.apps], namespaces: ['*'], names: ['web-*'] }",
            "kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps], replicas: { min: 1, max: 10 } }",
            "kubernetes: { verb: cordon, nodes: { matchLabels: { pool: spot } } }",
            "http: { endpoints: ['*'], methods: [GET], paths: ['/**'] }",
            "mcp: { server: k8sgpt, tools: [analyze] }",
            "tool: kubectl.rollout\n    targetPattern: 'kubectl.rollout restart deployment/*'",
        ] {
            assert!(parse(&sheet(line)).is_ok(), "{line}: {:?}", parse(&sheet(line)));
        }
        assert_eq!(parse("actions: []").unwrap(), Sheet::default());
        assert!(parse("state: true\nactions: []").unwrap().state);
    }

    /// Actions, and whether they are accepted; shared with the macros of the SDK, which cannot import the host.
    #[derive(Deserialize)]
    struct Table {
        good: Vec<Good>,
        bad: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Good {
        action: String,
        functions: Vec<String>,
    }

    #[test]
    fn the_sheet_is_read_as_the_sdk_reads_it() {
        let table: Table = serde_saphyr::from_str(include_str!("../../../skills-sdk/macros/src/sheet/table.yaml")).unwrap();
        let sheet = |action: &str| {
            let fields = action.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(action).trim();
            let comma = if fields.is_empty() { "" } else { ", " };
            parse(&format!("actions:\n  - {{ id: act, description: Acts.{comma}{fields} }}\n"))
        };
        let mut seen = std::collections::BTreeSet::new();
        for Good { action, functions } in table.good {
            let sheet = sheet(&action).unwrap_or_else(|problems| panic!("{action}: {problems:?}"));
            let found: std::collections::BTreeSet<String> =
                sheet.actions[0].functions().unwrap().into_iter().map(|(interface, function)| format!("{interface}.{function}")).collect();
            assert_eq!(found, functions.into_iter().collect(), "{action}");
            seen.extend(found);
        }
        for action in table.bad {
            assert!(sheet(&action).is_err(), "{action}");
        }
        let verbs = infraagent_guard::policy::Verb::ALL.into_iter().map(|verb| {
            let interface = match verb.tier() {
                Tier::Read => "kubernetes-read",
                Tier::ServiceMutation => "kubernetes-service-mutation",
                Tier::DestructiveMutation => "kubernetes-destructive-mutation",
            };
            format!("{interface}.{}", verb.as_str())
        });
        let others = ["http-read.send", "http-mutation.send", "mcp-read.call-tool", "mcp-mutation.call-tool"].map(str::to_owned);
        assert_eq!(seen, verbs.chain(others).collect(), "every verb of the guard is in the table, at its tier");
    }

    #[test]
    fn every_mistake_names_its_key_and_its_line() {
        let restart = "kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] }";
        let table = [
            ("kubernetes: { verbs: restart, resources: [deployments.apps] }".to_owned(), "verbs"),
            ("kubernetes: { verb: restarts, resources: [deployments.apps], namespaces: [apps] }".to_owned(), "restarts"),
            ("kubernetes: { verb: list, resources: [secrets], namespaces: [apps] }".to_owned(), "secrets"),
            ("kubernetes: { verb: list, resources: ['*'], namespaces: [apps] }".to_owned(), "*"),
            ("kubernetes: { verb: list, namespaces: [apps] }".to_owned(), "resources"),
            ("kubernetes: { verb: delete, resources: [persistentvolumeclaims], namespaces: [apps] }".to_owned(), "persistentvolumeclaims"),
            ("kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps] }".to_owned(), "replicas"),
            (
                "kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps], replicas: { min: 3, max: 1 } }".to_owned(),
                "replicas",
            ),
            ("kubernetes: { verb: cordon }".to_owned(), "nodes"),
            ("kubernetes: { verb: exec, resources: [pods], namespaces: [apps] }".to_owned(), "exec"),
            ("http: { endpoints: [api], methods: [DELETE], paths: ['/**'] }".to_owned(), "DELETE"),
            ("http: { endpoints: [api], methods: [GET] }".to_owned(), "paths"),
            ("mcp: { server: k8sgpt }".to_owned(), "tools"),
            ("target: pods".to_owned(), "target"),
            ("tool: kubectl.rollout".to_owned(), "kubectl.rollout"),
            ("tool: kubectl.exec".to_owned(), "kubectl.exec"),
            ("pattern: 'kubectl.delete pod/*'".to_owned(), "tool"),
            (format!("{restart}\n    tool: kubectl.get"), "exactly one target"),
            (format!("{restart}\n    cooldown: 1d"), "cooldown"),
            (format!("{restart}\n    cooldowns: 5m"), "cooldowns"),
            (format!("{restart}\n    tier: read"), "tier"),
            (format!("{restart}\n    tier: data-mutation"), "data-mutation"),
            (format!("{restart}\n    dataImpact: maybe"), "maybe"),
            (format!("{restart}\n    rollback: {{ description: undo, automatic: true }}"), "automatic"),
            (format!("{restart}\n    preConditions: [{{ cel: 'true' }}]"), "message"),
            (format!("{restart}\n    preConditions: [{{ expr: 'true', message: m }}]"), "expr"),
            (format!("{restart}\n    id: twice"), "id"),
        ];
        for (line, word) in table {
            let problems = lines(&parse(&sheet(&line)).expect_err(&line));
            assert!(problems.starts_with("actions.yaml:"), "{line}\n=> {problems}");
            assert!(problems.contains(word), "{line}: `{word}` is not in\n{problems}");
            assert!(!problems.contains("saphyr") && !problems.contains('\n'), "{problems}");
        }
    }

    #[test]
    fn mistakes_are_found_where_they_stand() {
        let text = "actions:\n  - id: one\n    http: { endpoints: ['*'], methods: [GET], paths: ['/**'] }\n  - id: two\n    mcp: { server: S!, tools: [x] }\n  - id: one\n    mcp: { server: s, tools: [x] }\n";
        let problems = parse(text).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [Some(4), Some(6)], "{problems:?}");
        assert!(problems.iter().any(|problem| problem.message.contains("declared twice, first in line 2")));
    }

    #[test]
    fn bad_files_are_refused_as_a_whole() {
        for (text, word) in [
            ("", "empty"),
            ("# nothing\n", "empty"),
            ("actions: {}", "actions"),
            ("action: []", "action"),
            ("[]", ""),
            ("actions: []\nstate: maybe", "maybe"),
        ] {
            let problems = lines(&parse(text).expect_err(text));
            assert!(problems.contains(word), "{text:?}: {problems}");
        }
    }
}
