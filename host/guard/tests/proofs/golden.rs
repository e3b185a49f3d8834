//! A table of policies and calls, reviewed as a diff. `UPDATE_GOLDEN=1 cargo test -p infraagent-guard golden` writes it anew.

use std::{collections::BTreeSet, fmt::Write};

use infraagent_guard::{
    Autonomy, Check, Code, Decision, Fact, Facts, Outcome, Policy,
    call::{Call, Disposable, Effect, Mutation, Workload, WriteMethod},
    facts::{Conditions, Seen},
    policy::{Method, Suspend, Verb},
    screen::{Circumstances, Claim},
};

use crate::support::{
    PLENTY, READS, act, ask, asking, claim, clear, cordon, delete, every_call, evict, fetch, finding, get, judge, list, logs, object, on,
    policy, restart, rollback, scale, send, sending, tool, wait, word,
};

struct Row {
    note: &'static str,
    claim: Claim,
    facts: Option<Facts>,
}

fn rows() -> Vec<Row> {
    let plain = |note, action, call: Call| Row { note, facts: Some(clear(&call)), claim: claim(action, call) };
    let mut rows: Vec<Row> = every_call().into_iter().map(|(action, call)| plain("", action, call)).collect();
    let cluster = "clusters.postgresql.cnpg.io";
    let (runs, bounds) = ("agentruns.core.infraagent.io", "infraagentpolicies.core.infraagent.io");
    rows.extend([
        plain("", Some("read"), list(cluster, None)),
        plain("", Some("read"), list("events", Some("prod"))),
        plain("own namespace", Some("read"), list(runs, None)),
        plain("own namespace", Some("read"), get(runs, Some("agents"), "run-0")),
        plain("another's run", Some("read"), get(runs, Some("apps"), "run-0")),
        plain("the policy itself", Some("read"), list(bounds, None)),
        plain("not in the environment", Some("read"), get("pods", Some("foreign"), "web-1")),
        plain("not in the grant", Some("read"), get("pods", Some("kube-system"), "web-1")),
        plain("kind not in the grant", Some("read"), get("configmaps", Some("apps"), "web")),
        plain("namespaced kind, no namespace", Some("read-nodes"), list("pods", None)),
        plain("", Some("read-nodes"), list("nodes", None)),
        plain("", Some("read-nodes"), wait("nodes", None, "node-1")),
        plain("", Some("read"), logs("prod", "web-1")),
        plain("tier raised by the sheet", Some("raised-get"), get("configmaps", Some("apps"), "web")),
        plain("no such action", Some("destroy"), get("pods", Some("apps"), "web-1")),
        plain("no action", None, get("pods", Some("apps"), "web-1")),
        plain("right id, wrong verb", Some("read"), evict("web-1", "uid-1")),
        plain("right id, wrong interface", Some("read"), fetch("site", "/status")),
        plain("ambient with an action", Some("read"), Call::Ambient(infraagent_guard::call::Ambient::Clock)),
        plain("in the environment", None, finding(Some(object("pods", Some("apps"), "web-1")))),
        plain("outside of it", None, finding(Some(object("pods", Some("foreign"), "web-1")))),
        plain("a node that the tool may read", None, finding(Some(object("nodes", None, "node-1")))),
        plain("a kind that it may not", None, finding(Some(object("persistentvolumes", None, "pv-1")))),
        plain("possible data impact", Some("careful-restart"), restart(Workload::StatefulSet, "prod", "db")),
        plain("not in the environment", Some("restart"), restart(Workload::Deployment, "foreign", "web")),
        plain("above the maximum", Some("scale"), scale("apps", "web", 6)),
        plain("to nothing", Some("scale"), scale("apps", "web", 0)),
        plain("wrong endpoint", Some("probe"), fetch("nowhere", "/status")),
        plain("platform says no", Some("probe"), fetch("barred", "/status")),
        plain("holds data", Some("probe"), fetch("bucket", "/object")),
        plain("holds data", Some("write"), send(WriteMethod::Put, "bucket", "/object")),
        plain("not listed", Some("write"), send(WriteMethod::Put, "site", "/issues")),
        plain("listed as a read", Some("write"), send(WriteMethod::Patch, "site", "/odd/thing")),
        plain("a mutation as a read", Some("ask"), ask("helper", "fix")),
        plain("a read as a mutation", Some("ask"), act("helper", "analyze")),
        plain("unlisted tool", Some("ask"), ask("helper", "unheard-of")),
        plain("other uid", Some("evict"), evict("web-1", "uid-2")),
        plain("older version", Some("delete"), delete(Disposable::Job, "old", "uid-1", "40")),
    ]);
    for (note, tool_name, action, call) in [
        ("another tool's action", "look", Some("restart"), restart(Workload::Deployment, "apps", "web")),
        ("its own action", "look", Some("read"), list("pods", Some("apps"))),
        ("without state", "look", None, Call::Ambient(infraagent_guard::call::Ambient::StateGet(crate::support::key("last")))),
    ] {
        rows.push(Row { note, facts: Some(clear(&call)), claim: Claim { tool: tool(tool_name), ..claim(action, call) } });
    }
    let call = restart(Workload::Deployment, "apps", "web");
    let cordoned = cordon("node-1", true);
    let undo = rollback("web");
    let unanswered = Conditions::Unknown("an expression has no answer".into());
    let gone = Facts { preconditions: Conditions::Broken(0), target: Seen::Absent, ..clear(&undo) };
    let missing = || Fact::Unknown("list persistentvolumeclaims".into());
    for (note, action, call, facts) in [
        ("claims die", "restart", &call, Facts { dependants: Fact::Impact, ..clear(&call) }),
        ("claims unknown", "restart", &call, Facts { terminating_claim: missing(), ..clear(&call) }),
        ("gone", "restart", &call, Facts { target: Seen::Absent, ..clear(&call) }),
        ("pre-condition false", "rollback", &undo, Facts { preconditions: Conditions::Broken(1), ..clear(&undo) }),
        ("pre-condition without an answer", "rollback", &undo, Facts { preconditions: unanswered, ..clear(&undo) }),
        ("pre-condition false, target gone", "rollback", &undo, gone),
        ("cooling down", "restart", &call, Facts { cooldown: Fact::Impact, ..clear(&call) }),
        ("node without the label", "cordon", &cordoned, Facts { node: Fact::Impact, ..clear(&cordoned) }),
    ] {
        rows.push(Row { note, claim: claim(Some(action), call.clone()), facts: Some(facts) });
    }
    rows.push(Row { note: "no facts", claim: claim(Some("restart"), call), facts: None });
    rows
}

fn columns() -> Vec<(&'static str, Policy, Circumstances)> {
    let full = || policy(Autonomy::AutomateDestructive);
    let mut suspended = full();
    suspended.platform.suspend = Suspend::Mutations;
    let mut listed = full();
    listed.denied = vec![
        on(&[Verb::Delete], "pods", Some("*"), None),
        on(READS, "pods", None, Some("prod")),
        sending(&[Method::Post], "**/ADMIN**"),
        on(&[Verb::Cordon], "nodes", Some("node-1"), None),
        on(&[Verb::Evict], "*", None, None),
        asking("helper", "repo**"),
    ];
    listed.allowed = Some(vec![
        on(READS, "*", None, None),
        on(&[Verb::Logs, Verb::Delete, Verb::Evict, Verb::Cordon], "*", None, None),
        on(&[Verb::Restart, Verb::Rollback, Verb::Pause], "*", None, None),
        sending(&Method::ALL, "**"),
        asking("**", "**"),
    ]);
    vec![
        ("observe", policy(Autonomy::Observe), PLENTY),
        ("recommend", policy(Autonomy::Recommend), PLENTY),
        ("automate-safe", policy(Autonomy::AutomateSafe), PLENTY),
        ("destructive", full(), PLENTY),
        ("lists", listed, PLENTY),
        ("frozen", full(), Circumstances { frozen: true, ..PLENTY }),
        ("suspended", suspended, PLENTY),
        ("spent", full(), Circumstances { entries: 0, egress_bytes: 3, ..PLENTY }),
    ]
}

fn render() -> (String, BTreeSet<Code>, BTreeSet<Check>) {
    let (columns, mut codes, mut checks) = (columns(), BTreeSet::new(), BTreeSet::new());
    let mut cells =
        vec![["call", "action"].into_iter().chain(columns.iter().map(|(name, ..)| *name)).map(str::to_owned).collect::<Vec<_>>()];
    for row in rows() {
        let note = if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) };
        let action = row.claim.action.as_ref().map_or("-", |action| action.as_str());
        let mut line = vec![format!("{}{note}", row.claim.call), action.to_owned()];
        for (_, policy, now) in &columns {
            let decision = judge(policy, now, row.claim.clone(), row.facts.clone());
            if let Decision::Deny(denial) = &decision {
                codes.insert(denial.code);
                checks.extend(Check::ALL.into_iter().filter(|check| matches!(denial.checks.outcome(*check), Outcome::Fail(_))));
            }
            line.push(word(&decision));
        }
        cells.push(line);
    }
    let widths: Vec<usize> = (0..cells[0].len()).map(|at| cells.iter().map(|line| line[at].len()).max().unwrap()).collect();
    let mut table = String::new();
    for line in cells {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(table, "{}", padded.join("  ").trim_end()).unwrap();
    }
    (table, codes, checks)
}

#[test]
fn golden_table_of_policies_and_calls() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proofs/golden.txt");
    let (table, ..) = render();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    for (at, (ours, theirs)) in table.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {} differs from the golden table", at + 1);
    }
    assert_eq!(table.lines().count(), golden.lines().count());
}

#[test]
fn golden_table_has_every_code_check_verb_and_effect() {
    let (table, codes, checks) = render();
    // The broker makes this one of a proposal.
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !codes.contains(code) && **code != Code::ApprovalRequired).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(checks.len(), Check::ALL.len(), "{checks:?}");
    for outcome in ["allow", "propose"] {
        assert!(table.contains(outcome));
    }
    let effects: BTreeSet<&str> = every_call()
        .iter()
        .filter_map(|(_, call)| match call {
            Call::Mutation(Mutation { effect, reason: _ }) => Some(match effect {
                Effect::Restart(_) => "restart",
                Effect::Scale(_) => "scale",
                Effect::Pause(..) => "pause",
                Effect::Evict(..) => "evict",
                Effect::Cordon(..) => "cordon",
                Effect::RequestSync(..) => "request-sync",
                Effect::Delete(_) => "delete",
                Effect::Rollback(..) => "rollback",
                Effect::Http(_) => "http",
                Effect::Mcp(_) => "mcp",
            }),
            Call::Read(_) | Call::Ambient(_) => None,
        })
        .collect();
    let verbs: Vec<&str> = Verb::ALL.into_iter().filter(|verb| verb.tier() > infraagent_guard::Tier::Read).map(Verb::as_str).collect();
    assert!(verbs.iter().all(|verb| effects.contains(verb)) && effects.len() == verbs.len() + 2, "{effects:?}");
}
