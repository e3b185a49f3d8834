//! The conversation as the model sees it: a window over the whole.
//!
//! The window holds the first message (the task) and the last exchanges. An exchange is a reply of the model together with the results of
//! its calls: it stays or leaves as a whole, so no result is ever without its call, and no call without its result.

use std::sync::Arc;

use crate::llm::{Content, Message, Reply, Role, ToolResult, Trust};

/// How many exchanges stay.
pub const KEPT_EXCHANGES: usize = 4;

/// A conversation.
#[derive(Debug, Clone)]
pub struct History {
    task: Arc<Message>,
    exchanges: Vec<Exchange>,
}

#[derive(Debug, Clone)]
struct Exchange {
    reply: Arc<Message>,
    results: Arc<Message>,
}

impl History {
    /// Begins with the task.
    pub fn new(task: Message) -> Self {
        Self { task: Arc::new(task), exchanges: Vec::new() }
    }

    /// Adds a reply, as the `message` that stands for it, and the results of its calls, and lets the oldest exchange go if there are too many. A call without a result gets an
    /// error in its place; a result without a call is left out.
    pub fn push(&mut self, reply: &Reply, message: Arc<Message>, mut results: Vec<ToolResult>) {
        let content = reply
            .calls
            .iter()
            .map(|call| match results.iter().position(|result| result.call == call.id) {
                Some(at) => results.swap_remove(at),
                None => ToolResult {
                    call: call.id.clone(),
                    status: crate::llm::ToolStatus::Error,
                    text: "this call was not executed".to_owned(),
                    trust: Trust::Host,
                },
            })
            .map(Content::ToolResult)
            .collect();
        self.exchanges.push(Exchange { reply: message, results: Arc::new(Message { role: Role::User, content }) });
        let leaving = self.exchanges.len().saturating_sub(KEPT_EXCHANGES);
        self.exchanges.drain(..leaving);
    }

    /// How many of the messages the request after the next will begin with, if the conversation goes on: all of them as long as the window has
    /// room for one more exchange, then only the task.
    pub fn stable(&self) -> usize {
        if self.exchanges.len() < KEPT_EXCHANGES { 1 + 2 * self.exchanges.len() } else { 1 }
    }

    /// The messages of the next request; `note` is said by the host at the end.
    pub fn messages(&self, note: Option<&str>) -> Vec<Arc<Message>> {
        let said = self.exchanges.iter().flat_map(|Exchange { reply, results }| [reply, results]);
        let mut messages: Vec<_> = std::iter::once(&self.task).chain(said).cloned().collect();
        if let (Some(note), Some(last)) = (note, messages.last_mut()) {
            Arc::make_mut(last).content.push(Content::Text { text: note.to_owned(), trust: Trust::Host });
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::llm::{Stop, ToolCall, ToolStatus, Usage};

    fn reply(turn: usize, calls: usize) -> Reply {
        let calls =
            (0..calls).map(|at| ToolCall { id: format!("{turn}.{at}"), name: "t".to_owned(), arguments: json!({}).into() }).collect();
        Reply { text: format!("turn {turn}"), calls, stop: Stop::ToolUse, usage: Usage::default(), model: None }
    }

    proptest! {
        /// Whatever was called and answered, in whatever order, answered or not.
        #[test]
        fn no_result_is_without_its_call_and_no_call_without_its_result(
            turns in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..6), 0..12),
            note in any::<bool>(),
        ) {
            let mut history = History::new(Message::user("task"));
            for (turn, answered) in turns.iter().enumerate() {
                let reply = reply(turn, answered.len());
                let results = reply.calls.iter().zip(answered).rev().filter(|(_, answered)| **answered)
                    .map(|(call, _)| ToolResult { call: call.id.clone(), status: ToolStatus::Ok, text: "r".into(), trust: Trust::Host })
                    .chain([ToolResult { call: "stray".into(), status: ToolStatus::Ok, text: "r".into(), trust: Trust::Host }])
                    .collect();
                history.push(&reply, Arc::new(Message::assistant(&reply)), results);
                let messages = history.messages(note.then_some("note"));

                prop_assert!(messages.len() <= 1 + 2 * KEPT_EXCHANGES);
                prop_assert_eq!(&messages[0].content[0], &Message::user("task").content[0]);
                let alternates = messages.iter().enumerate().all(|(at, message)| (message.role == Role::User) == (at % 2 == 0));
                prop_assert!(alternates, "user and assistant take turns");
                // What is called stable is repeated by the request after the next.
                if !note {
                    let mut later = history.clone();
                    later.push(&reply, Arc::new(Message::assistant(&reply)), Vec::new());
                    let stable = history.stable();
                    prop_assert_eq!(&messages[..stable], &later.messages(None)[..stable]);
                }
                // Each user message answers exactly the calls of the message before it, in their order.
                for pair in messages[1..].chunks(2) {
                    let calls: Vec<_> = pair[0].content.iter().filter_map(|c| match c { Content::ToolUse(call) => Some(call.id.clone()), _ => None }).collect();
                    let results: Vec<_> = pair[1].content.iter().filter_map(|c| match c { Content::ToolResult(r) => Some(r.call.clone()), _ => None }).collect();
                    prop_assert_eq!(&calls, &results);
                    prop_assert_eq!(calls.iter().collect::<BTreeSet<_>>().len(), calls.len());
                }
                let newest = format!("turn {turn}");
                let shown = messages.iter().any(|m| m.content.contains(&Content::Text { text: newest.clone(), trust: Trust::Host }));
                prop_assert!(shown, "the newest exchange stays");
            }
        }
    }
}
