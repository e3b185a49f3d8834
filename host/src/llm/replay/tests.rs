use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::llm::{Content, Message, Role, ToolDefinition, ToolResult, ToolStatus, Trust};

fn request(messages: Vec<Message>) -> Request {
    Request {
        model: "anthropic/claude".to_owned(),
        system: "You are forge.\nToday is 2026-11-22T16:30:51Z.".to_owned(),
        messages: messages.into_iter().map(Arc::new).collect(),
        tools: vec![ToolDefinition {
            name: "inspect".to_owned(),
            description: "Looks.".to_owned(),
            input_schema: json!({ "type": "object", "properties": { "b": {}, "a": {} } }).into(),
        }],
        may_call: true,
        stable: 1,
        max_tokens: 8192,
    }
}

fn result(call: &str, text: &str) -> Message {
    let trust = Trust::World { source: "inspect".to_owned() };
    let result = ToolResult { call: call.to_owned(), status: ToolStatus::Ok, text: text.to_owned(), trust };
    Message { role: Role::User, content: vec![Content::ToolResult(result)] }
}

const REPLIES: &str = "\
# How the demo begins.
conversation: 1
turns:
  - note: looks around
    reply:
      text: I look.
      calls:
        - name: inspect
          arguments: {namespace: shop}
  - reply:
      text: All is well.
      usage: {input: 10, output: 5, cached: 2}
";

/// Asks two questions, the second with `seen` as the result of the call.
fn hold(replay: &Replay, seen: &str) -> Result<Vec<Reply>, Error> {
    let task = Message::user("Begin.");
    let first = replay.complete(&request(vec![task.clone()]))?;
    let second = replay.complete(&request(vec![task, Message::assistant(&first), result("call-1-1", seen)]))?;
    replay.finish()?;
    Ok(vec![first, second])
}

fn recorded(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("talk.yaml");
    std::fs::write(&path, REPLIES).unwrap();
    hold(&Replay::open(&path, Mode::Update).unwrap(), "2 deployments\n1 broken").unwrap();
    path
}

#[test]
fn an_update_writes_the_requests_and_a_strict_replay_then_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(&folder);
    insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap());

    let replies = hold(&Replay::open(&path, Mode::Strict).unwrap(), "2 deployments\n1 broken").unwrap();
    assert_eq!(replies[0].calls[0].id, "call-1-1");
    assert_eq!(replies[0].stop, Stop::ToolUse);
    assert!(replies[0].usage.input > 0 && replies[0].usage.output > 0, "usage is estimated where none is recorded");
    assert_eq!(replies[1].usage, Usage { input: 10, output: 5, cached: 2, cache_written: 0 });
    assert_eq!(replies[1].stop, Stop::EndTurn);

    let before = std::fs::read_to_string(&path).unwrap();
    hold(&Replay::open(&path, Mode::Update).unwrap(), "2 deployments\n1 broken").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "an update of what is up to date changes nothing");
}

#[test]
fn times_uids_and_versions_may_differ() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.yaml");
    std::fs::write(&path, REPLIES).unwrap();
    let seen = |time: &str, uid: &str, version: &str| format!("{{\"at\":\"{time}\",\"uid\":\"{uid}\",\"resourceVersion\":\"{version}\"}}");
    let one = seen("2026-11-22T16:30:51Z", "0b1f6c3e-5b8a-4c1e-9f3a-2d1c0b9a8f7e", "1");
    let other = seen("2027-01-01T00:00:00.5Z", "ffffffff-5b8a-4c1e-9f3a-2d1c0b9a8f7e", "99812");
    hold(&Replay::open(&path, Mode::Update).unwrap(), &one).unwrap();
    hold(&Replay::open(&path, Mode::Strict).unwrap(), &other).unwrap();
}

#[test]
fn a_different_request_fails_at_its_turn_with_a_diff() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(&folder);
    let error = hold(&Replay::open(&path, Mode::Strict).unwrap(), "2 deployments\n2 broken").unwrap_err();
    assert!(matches!(error, Error::Differs { turn: 2, .. }), "{error}");
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn every_part_of_a_request_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(&folder);
    let task = || vec![Message::user("Begin.")];
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 10] = [
        ("model", |request| request.model = "openai/gpt".to_owned()),
        ("max_tokens", |request| request.max_tokens = 8191),
        ("system", |request| request.system.push('.')),
        ("no calls", |request| request.may_call = false),
        ("tool gone", |request| request.tools.clear()),
        ("tool name", |request| request.tools[0].name.push('x')),
        ("tool description", |request| request.tools[0].description.push('x')),
        ("tool schema", |request| Arc::make_mut(&mut request.tools[0].input_schema)["properties"]["a"] = json!({ "type": "string" })),
        ("message", |request| request.messages[0] = Message::user("Start.").into()),
        ("role", |request| Arc::make_mut(&mut request.messages[0]).role = Role::Assistant),
    ];
    for (what, change) in changes {
        let mut request = request(task());
        change(&mut request);
        let error = Replay::open(&path, Mode::Strict).unwrap().complete(&request).unwrap_err();
        assert!(matches!(error, Error::Differs { turn: 1, .. }), "{what}: {error}");
    }
    assert!(Replay::open(&path, Mode::Strict).unwrap().complete(&request(task())).is_ok());

    // The reply as it is repeated to the model, the error flag, and the order of keys.
    let replay = Replay::open(&path, Mode::Strict).unwrap();
    let first = replay.complete(&request(task())).unwrap();
    let mut altered = first.clone();
    altered.text.push('!');
    let messages = vec![Message::user("Begin."), Message::assistant(&altered), result("call-1-1", "2 deployments\n1 broken")];
    assert!(matches!(replay.complete(&request(messages)), Err(Error::Differs { turn: 2, .. })));

    let replay = Replay::open(&path, Mode::Strict).unwrap();
    let first = replay.complete(&request(task())).unwrap();
    let mut failed = result("call-1-1", "2 deployments\n1 broken");
    if let Content::ToolResult(result) = &mut failed.content[0] {
        result.status = ToolStatus::Error;
    }
    assert!(matches!(
        replay.complete(&request(vec![Message::user("Begin."), Message::assistant(&first), failed])),
        Err(Error::Differs { turn: 2, .. })
    ));
}

#[test]
fn turns_that_are_missing_or_left_over_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(&folder);
    let replay = Replay::open(&path, Mode::Strict).unwrap();
    let first = replay.complete(&request(vec![Message::user("Begin.")])).unwrap();
    assert!(matches!(replay.finish(), Err(Error::Leftover { asked: 1, recorded: 2 })));
    let messages = vec![Message::user("Begin."), Message::assistant(&first), result("call-1-1", "2 deployments\n1 broken")];
    replay.complete(&request(messages.clone())).unwrap();
    assert!(matches!(replay.complete(&request(messages)), Err(Error::Unanswered { turn: 3, appended: false })));

    let fresh = Replay::parse(&path, REPLIES, Mode::Strict).unwrap();
    assert!(matches!(fresh.complete(&request(vec![Message::user("Begin.")])), Err(Error::NotRecorded { turn: 1 })));
}

#[test]
fn an_author_can_write_reply_after_reply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.yaml");
    std::fs::write(&path, "conversation: 1\nturns: []\n").unwrap();
    let replay = Replay::open(&path, Mode::Update).unwrap();
    assert!(matches!(replay.complete(&request(vec![Message::user("Begin.")])), Err(Error::Unanswered { turn: 1, appended: true })));
    replay.finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("text: Begin."), "the open request is in the file: {text}");
    std::fs::write(&path, format!("{text}    reply:\n      text: Done.\n")).unwrap();
    let replay = Replay::open(&path, Mode::Strict).unwrap();
    assert_eq!(replay.complete(&request(vec![Message::user("Begin.")])).unwrap().text, "Done.");
}

#[test]
fn what_is_no_recording_is_named() {
    for (text, word) in [
        ("conversation: 2\nturns: []\n", "`conversation: 2`"),
        ("conversation: 1\nturns: []\nextra: 1\n", "extra"),
        ("conversation: 1\nturns:\n  - reply: {text: a, calls: [{tool: x}]}\n", "tool"),
        ("conversation: 1\nturns:\n  - reply: {txt: a}\n", "txt"),
        ("- a", ""),
    ] {
        let error = Replay::parse(Path::new("talk.yaml"), text, Mode::Strict).unwrap_err();
        assert!(matches!(error, Error::Format { .. }) && error.to_string().contains(word), "{error}");
    }
}

proptest! {
    /// Whatever the world says: written, read again, compared.
    #[test]
    fn any_text_survives_the_file(texts in prop::collection::vec("(\\PC|[ \n\t:#'\"|>&*!%@`{}\\[\\]\\-\r\u{1b}\u{85}\u{2028}\u{feff}]){0,40}", 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.yaml");
        std::fs::write(&path, REPLIES).unwrap();
        let seen = texts.join("\n");
        hold(&Replay::open(&path, Mode::Update).unwrap(), &seen).unwrap();
        let strict = hold(&Replay::open(&path, Mode::Strict).unwrap(), &seen);
        prop_assert!(strict.is_ok(), "{}", strict.unwrap_err());
    }

    /// With the turn before, what a turn holds determines the whole request: two different requests never look the same.
    #[test]
    fn different_requests_are_recorded_differently(
        before in prop::collection::vec(0..3u8, 1..6),
        one in prop::collection::vec(0..3u8, 0..8),
        other in prop::collection::vec(0..3u8, 0..8),
    ) {
        let messages = |texts: &[u8]| texts.iter().map(|text| Message::user(text.to_string())).collect::<Vec<_>>();
        let reply = Reply { text: "0".to_owned(), calls: Vec::new(), stop: Stop::EndTurn, usage: Usage::default(), model: None };
        let before = file::Canonical::of(&request(messages(&before)));
        let asked = |texts: &[u8]| {
            let mut all = messages(texts);
            // Some of them are the model's.
            for message in all.iter_mut().skip(1).step_by(2) {
                message.role = Role::Assistant;
            }
            let request = file::Canonical::of(&request(all));
            (request.since(Some((&before, &reply))), request)
        };
        let ((one_asked, one), (other_asked, other)) = (asked(&one), asked(&other));
        prop_assert_eq!(one == other, one_asked == other_asked);
    }
}
