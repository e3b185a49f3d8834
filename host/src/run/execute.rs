//! Executes tool calls: one entry of the record, one fresh instance of the skill's component, one door, then the entry is sealed.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_api::AgentRunStatus;
use infraagent_guard::{Code, call::Call, call::Ambient, call::Finding, name::ToolName};
use infraagent_sandbox::{
    broker::{Broker, CallError, Request},
    instance::{self, Failure, Skill},
    limits::Limits,
};

use super::tools::{Outcome, RecordLost, Tools};
use crate::{
    audit::{self, ToolEntry, ToolOutcome, escape_terminal},
    broker::{Door, Shared},
    llm::{ToolCall, ToolStatus, Trust},
};

/// How long a change that was begun may still take when its tool call or run has ended.
const SETTLE: Duration = Duration::from_secs(10);

/// A skill that can be called, and what a call may use.
#[derive(Debug)]
pub struct Loaded {
    /// The component.
    pub skill: Skill,
    /// Per tool call: what the manifest asks for under what the platform allows.
    pub limits: Limits,
}

/// The tools of a run's skills, in the sandbox.
#[derive(Debug)]
pub struct SkillTools {
    shared: Arc<Shared>,
    run: String,
    skills: BTreeMap<String, Arc<Loaded>>,
}
