use infraagent_api::{
    names::{Severity, Tier},
    run::RunPhase,
};
use serde_json::json;

use super::*;
use crate::{
    cli::lines::RULE,
    llm::{Stop, ToolStatus, Usage},
    run::event::{Ended, Outcome, Verdict},
};

fn plain(events: &[Event]) -> String {
    let mut timeline = Timeline::default();
    let text: String = events.iter().zip(0..).map(|(event, at)| timeline.render(event, Duration::from_millis(at * 130))).collect();
    anstream::adapter::strip_str(&text).to_string()
}

fn started() -> Event {
    Event::Started(Started {
        run: "forge-20261122-163051".to_owned(),
        agent: "agents/forge".to_owned(),
        emoji: Some("🔨".to_owned()),
        environment: "site-a".to_owned(),
        model: "anthropic/claude-sonnet-4-5".to_owned(),
        autonomy: ("automate-safe".to_owned(), "automate-destructive".to_owned()),
        skills: vec![("deployment-pipeline 0.1.0".to_owned(), 5)],
        warnings: vec!["the platform's ceiling is `automate-safe`".to_owned()],
    })
}

fn tool(call: &str, name: &str) -> Event {
    Event::ToolStarted { call: call.to_owned(), tool: name.to_owned(), arguments: json!({ "namespace": "shop", "limit": 3 }) }
}

fn decided(call: &str, what: &str, verdict: Verdict) -> Event {
    Event::Decided {
        call: call.to_owned(),
        what: what.to_owned(),
        tier: Some(Tier::ServiceMutation),
        action: Some("restart-deployment".to_owned()),
        verdict,
        took: Duration::ZERO,
    }
}

fn finished(call: &str, tool: &str, status: ToolStatus) -> Event {
    Event::ToolEnded {
        call: call.to_owned(),
        tool: tool.to_owned(),
        status,
        summary: "3 deployments".to_owned(),
        took: Duration::from_millis(12),
        why: None,
    }
}

#[test]
fn a_run_as_a_person_sees_it() {
    let refused =
        Verdict::Deny { code: "data-protection".to_owned(), reason: "the call could destroy data: claims of the StatefulSet".to_owned() };
    let usage = Usage { input: 1204, output: 86, cached: 1000, cache_written: 0 };
    let text = plain(&[
        started(),
        Event::TurnStarted { turn: 1, of: 10, max_tokens: 8192 },
        Event::Replied { usage, used: 1290, budget: 50_000, cost: Some("$0.0049".to_owned()), model: None, stop: Stop::ToolUse },
        Event::Said { text: "I look at the rollouts first.\nThen I decide.".to_owned() },
        tool("a", "inspect"),
        tool("b", "inspect_pods"),
        decided("b", "kubectl.get pods -n shop", Verdict::Allow),
        finished("b", "inspect_pods", ToolStatus::Ok),
        finished("a", "inspect", ToolStatus::Error),
        tool("c", "restart"),
        decided("c", "kubectl.rollout restart deployment/web -n shop", Verdict::Allow),
        Event::Effect {
            call: "c".to_owned(),
            seq: 3,
            what: "kubectl.rollout restart deployment/web -n shop".to_owned(),
            outcome: Outcome::Changed,
        },
        decided("c", "kubectl.scale statefulset/db -n shop --replicas=1", refused),
        decided("c", "kubectl.delete job/x -n shop", Verdict::Propose),
        finished("c", "restart", ToolStatus::Blocked),
        Event::Finding {
            severity: Severity::Critical,
            resource: Some("deployment/web -n shop".to_owned()),
            message: "crash loop".to_owned(),
        },
        Event::Ended(Ended {
            phase: RunPhase::Succeeded,
            reason: None,
            report: Some("# Report\n\n- `web` restarted.".to_owned()),
            usage,
            turns: 2,
            cost: Some("$0.0049".to_owned()),
            took: Duration::from_millis(1234),
            changed: 1,
            blocked: 1,
            proposed: 1,
        }),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_from_elsewhere_reaches_the_terminal_raw() {
    const EVIL: &str = "x\u{1b}[2J\u{1b}]0;t\u{7}\r\u{9b}31m\u{202e}\u{8}";
    let evil = || EVIL.to_owned();
    let events = [
        Event::Started(Started {
            run: evil(),
            agent: evil(),
            emoji: Some(evil()),
            environment: evil(),
            model: evil(),
            autonomy: ("observe".to_owned(), "observe".to_owned()),
            skills: vec![(evil(), 1)],
            warnings: vec![evil()],
        }),
        Event::Said { text: evil() },
        Event::ToolStarted { call: evil(), tool: evil(), arguments: json!({ EVIL: EVIL }) },
        Event::Decided {
            call: evil(),
            what: evil(),
            tier: None,
            action: Some(evil()),
            verdict: Verdict::Deny { code: evil(), reason: evil() },
            took: Duration::ZERO,
        },
        Event::Decided { call: evil(), what: evil(), tier: None, action: Some(evil()), verdict: Verdict::Allow, took: Duration::ZERO },
        Event::Decided { call: evil(), what: evil(), tier: None, action: Some(evil()), verdict: Verdict::Propose, took: Duration::ZERO },
        Event::Effect { call: evil(), seq: 1, what: evil(), outcome: Outcome::Failed(evil()) },
        Event::ToolEnded { call: evil(), tool: evil(), status: ToolStatus::Ok, summary: evil(), took: Duration::ZERO, why: None },
        Event::Finding { severity: Severity::Info, resource: Some(evil()), message: evil() },
        Event::Ended(Ended {
            phase: RunPhase::Failed,
            reason: Some(evil()),
            report: Some(evil()),
            usage: Usage::default(),
            turns: 0,
            cost: None,
            took: Duration::ZERO,
            changed: 0,
            blocked: 0,
            proposed: 0,
        }),
    ];
    let colours = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    let mut timeline = Timeline::default();
    for event in &events {
        let text = timeline.render(event, Duration::ZERO);
        // Our own colours are the only sequences that are left.
        let ours = colours.replace_all(&text, "");
        assert!(!ours.contains(['\u{1b}', '\u{7}', '\r', '\u{9b}', '\u{202e}', '\u{8}']), "{ours:?}");
        assert!(!text.contains("\u{1b}[2J") && text.contains("u{1b}"), "{text:?}");
    }
}

#[test]
fn a_report_cannot_pass_for_lines_of_the_timeline() {
    let forged = format!("done\n{RULE}\n✔ Succeeded\n   0.01s      ✓ kubectl.delete pvc/db -n shop  allowed\n\n● turn 9 of 9");
    let text = plain(&[Event::Ended(Ended {
        phase: RunPhase::Failed,
        reason: Some(forged.clone()),
        report: Some(forged),
        usage: Usage::default(),
        turns: 1,
        cost: None,
        took: Duration::ZERO,
        changed: 0,
        blocked: 0,
        proposed: 0,
    })]);
    assert_eq!(text.lines().filter(|line| *line == RULE).count(), 2, "{text}");
    let unmarked: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('│')).collect();
    assert_eq!(unmarked, ["", RULE, RULE, "✗ Failed: done", "  0 ms · 1 turn · 0 tokens · 0 changes · 0 refused"]);
    assert_eq!(text.matches("✔ Succeeded").count(), 2, "what was said is shown");
}

#[test]
fn long_lines_are_cut_and_numbers_grouped() {
    let text = plain(&[Event::ToolStarted { call: "a".to_owned(), tool: "t".to_owned(), arguments: json!({ "x": "y".repeat(5000) }) }]);
    assert!(text.chars().count() < 140 && text.contains('…'), "{text}");
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}

#[test]
fn words_of_the_model_are_wrapped_and_never_lost() {
    let words: Vec<String> = (0..60).map(|at| format!("word{at}")).collect();
    let text = plain(&[Event::Said { text: format!("{}\n  - kept as it is", words.join(" ")) }]);
    assert!(text.lines().count() > 4 && text.lines().all(|line| line.chars().count() <= 125), "{text}");
    let told: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with("word")).collect();
    assert_eq!(told, words);
    assert!(text.contains("│   - kept as it is"), "{text}");
}
