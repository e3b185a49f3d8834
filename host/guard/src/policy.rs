//! Who may do what: everything that a decision is measured against, already resolved to plain values.
//!
//! A [`Policy`] is built anew for each call from the agent, its environment, its skills' sheets and the platform's policy, so an edit takes effect in the middle of a run.

use alloc::{collections::BTreeMap, format, string::String, sync::Arc, vec::Vec};

use crate::call::{Call, WriteMethod};
use crate::name::{ActionId, EndpointName, GroupResource, Invalid, McpTool, Namespace, Origin, ToolName};
use crate::pattern::{Glob, Pattern};
use crate::view::View;

words! {
    /// How much an agent may do on its own.
    Autonomy {
        /// Look. Anything above is refused.
        Observe = "observe",
        /// Look, and propose.
        Recommend = "recommend",
        /// Do what can be undone; propose the rest.
        AutomateSafe = "automate-safe",
        /// Do everything that the contract has.
        AutomateDestructive = "automate-destructive",
    }
}

words! {
    /// How dangerous a call is. There is no tier for data mutations, since no call is one.
    Tier,
    /// The autonomy that acts on it without asking.
    needs: Autonomy {
        /// Changes nothing.
        Read = "read" => Autonomy::Observe,
        /// Reversible.
        ServiceMutation = "service-mutation" => Autonomy::AutomateSafe,
        /// Not reversible, but touches no data.
        DestructiveMutation = "destructive-mutation" => Autonomy::AutomateDestructive,
    }
}

/// Where a permit is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The cluster: the uid of its `kube-system` namespace, or a snapshot's name.
    pub cluster: String,
    /// The uid of the run.
    pub run: String,
    /// The uid of the environment.
    pub environment: String,
}

/// Everything that a decision is measured against.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Identifies the versions of all objects this was built from; goes into every intent.
    pub revision: Arc<str>,
    /// Where permits are good.
    pub scope: Arc<Scope>,
    /// The agent's own namespace.
    pub home: Namespace,
    /// The agent's autonomy, before the platform's ceiling.
    pub autonomy: Autonomy,
    /// The actions and tools of all skills of the run.
    pub sheet: Sheet,
    /// The site.
    pub environment: Environment,
    /// The agent's `deniedActions`.
    pub denied: Vec<Pattern>,
    /// The agent's `allowedActions`. None restricts nothing; a list that means nothing allows nothing.
    pub allowed: Option<Vec<Pattern>>,
    /// The bounds of the platform team.
    pub platform: Platform,
}

impl Policy {
    /// The agent's autonomy under the platform's ceiling.
    pub fn effective_autonomy(&self) -> Autonomy {
        self.autonomy.min(self.platform.ceiling)
    }
}

/// The bounds of the platform team. With no policy installed agents can only observe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The highest autonomy of any agent.
    pub ceiling: Autonomy,
    /// The kill switch.
    pub suspend: Suspend,
}

/// What the platform suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspend {
    /// Nothing.
    Nothing,
    /// Every mutation.
    Mutations,
    /// Every call.
    All,
}

/// The actions and tools of all skills of a run. Cheap to clone: policies come and go with each call, the sheet stays.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    actions: Arc<[Action]>,
    tools: Arc<[Tool]>,
}

impl Sheet {
    /// Refuses duplicate ids and tools, tools with unknown actions, and mutating actions that overlap: two grants for one change would make
    /// the weaker cooldown or pre-condition the one that counts. Nor may a cooldown or pre-condition stand where it would never be asked for.
    pub fn new(mut actions: Vec<Action>, mut tools: Vec<Tool>) -> Result<Self, Invalid> {
        actions.sort_by(|a, b| a.id.cmp(&b.id));
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        for action in &mut actions {
            if let Grant::Kubernetes(KubernetesGrant { namespaces: Some(namespaces), .. }) = &mut action.grant {
                namespaces.sort();
                namespaces.dedup();
            }
            if action.grant.only_reads() && (action.cooldown_seconds > 0 || !action.preconditions.is_empty()) {
                return Err(Invalid::new("action", action.id.as_str(), "no cooldown and no pre-conditions on an action that only reads"));
            }
        }
        if let Some([first, _]) = actions.array_windows().find(|[a, b]| a.id == b.id) {
            return Err(Invalid::new("action id", first.id.as_str(), "ids that are unique across all skills of the agent"));
        }
        if let Some([first, _]) = tools.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(Invalid::new("tool name", first.name.as_str(), "names that are unique across all skills of the agent"));
        }
        for tool in &mut tools {
            let undeclared = |id: &ActionId| Invalid::new("action of a tool", id.as_str(), "an id that the action sheet declares");
            let position = |id| position(&actions, id).ok_or_else(|| undeclared(id));
            tool.positions = tool.actions.iter().map(position).collect::<Result<_, _>>()?;
        }
        let mut pairs = actions.iter().enumerate().flat_map(|(i, a)| actions.iter().skip(i.saturating_add(1)).map(move |b| (a, b)));
        if let Some((a, b)) = pairs.find(|(a, b)| a.grant.overlaps(&b.grant)) {
            let expected = "mutating actions that cover no common target: which one's cooldown would count?";
            return Err(Invalid::new("pair of actions", &format!("{}, {}", a.id, b.id), expected));
        }
        Ok(Self { actions: actions.into(), tools: tools.into() })
    }

    /// All actions, sorted by id.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// All tools, sorted by name.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// The action with this id.
    pub fn action(&self, id: &ActionId) -> Option<&Action> {
        self.find(id).map(|(_, action)| action)
    }

    /// The same, and where it stands: what [`Tool::may_claim`] asks for.
    pub(crate) fn find(&self, id: &ActionId) -> Option<(usize, &Action)> {
        let at = position(&self.actions, id)?;
        self.actions.get(at).map(|action| (at, action))
    }

    /// The tool with this name.
    pub fn tool(&self, name: &ToolName) -> Option<&Tool> {
        self.tools.binary_search_by(|tool| tool.name.cmp(name)).ok().and_then(|at| self.tools.get(at))
    }
}

/// Where an action stands among actions sorted by id.
fn position(actions: &[Action], id: &ActionId) -> Option<usize> {
    actions.binary_search_by(|action| action.id.cmp(id)).ok()
}

/// A tool of a skill and the only actions that calls made while it runs may claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    name: ToolName,
    actions: Vec<ActionId>,
    /// Where its actions stand in the sheet, sorted: texts are compared once per call, not twice. Empty until the sheet is made.
    positions: Vec<usize>,
    state: bool,
}

impl Tool {
    /// `state`: the skill's sheet asks for memory.
    pub fn new(name: ToolName, mut actions: Vec<ActionId>, state: bool) -> Self {
        actions.sort();
        Self { name, actions, positions: Vec::new(), state }
    }

    /// Its name.
    pub fn name(&self) -> &ToolName {
        &self.name
    }

    /// Its actions, sorted.
    pub fn actions(&self) -> &[ActionId] {
        &self.actions
    }

    /// True if its skill has memory.
    pub fn state(&self) -> bool {
        self.state
    }

    pub(crate) fn may_claim(&self, position: usize) -> bool {
        self.positions.binary_search(&position).is_ok()
    }
}

/// An action of a sheet, resolved against the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its id.
    pub id: ActionId,
    /// What it covers.
    pub grant: Grant,
    /// May raise the tier of what it covers, never lower it.
    pub raise: Option<Tier>,
    /// The sheet says that data may be affected: needs automate-destructive.
    pub data_impact: bool,
    /// Seconds before it may be used again on the same target; 0 for none.
    pub cooldown_seconds: u32,
    /// CEL over the live object, and what to say when it is false.
    pub preconditions: Vec<Precondition>,
}

/// A pre-condition of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// A CEL expression over `object`.
    pub cel: String,
    /// What to say when it is false: the words of the sheet's author.
    pub message: String,
}

/// What an action covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Verbs on objects of the cluster.
    Kubernetes(KubernetesGrant),
    /// Requests to endpoints of the environment.
    Http(HttpGrant),
    /// Tools of an MCP server of the environment.
    Mcp(McpGrant),
}

/// Verbs on objects of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesGrant {
    /// Which verbs.
    pub verbs: Vec<Verb>,
    /// On which kinds.
    pub kinds: Vec<GroupResource>,
    /// In which namespaces (groups already resolved). None: cluster-scoped kinds only.
    pub namespaces: Option<Vec<Namespace>>,
    /// Which names; empty for all.
    pub names: Vec<Glob>,
    /// Bounds for scale: without them scale is not covered.
    pub replicas: Option<(u32, u32)>,
    /// Labels that a node must carry: without them cordon is not covered.
    pub nodes: Vec<(String, String)>,
}

/// Requests to endpoints of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// Names of endpoints.
    pub endpoints: Vec<Glob>,
    /// Methods.
    pub methods: Vec<Method>,
    /// Paths: `*` stays within a segment, `**` does not.
    pub paths: Vec<Glob>,
}

/// Tools of an MCP server of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpGrant {
    /// The server.
    pub server: EndpointName,
    /// Its tools.
    pub tools: Vec<Glob>,
}

impl Grant {
    /// True if no call under it changes anything. Of MCP tools only the environment knows.
    fn only_reads(&self) -> bool {
        match self {
            Self::Kubernetes(grant) => grant.verbs.iter().all(|verb| verb.tier() == Tier::Read),
            Self::Http(grant) => grant.methods.iter().all(|method| method.reads()),
            Self::Mcp(_) => false,
        }
    }

    /// True if both cover some common change. Reads may overlap: nothing is bypassed by it.
    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: &[Glob], b: &[Glob]| a.iter().any(|x| b.iter().any(|y| x.may_meet(y)));
        match (self, other) {
            (Self::Kubernetes(a), Self::Kubernetes(b)) => {
                let namespaces = match (&a.namespaces, &b.namespaces) {
                    (Some(a), Some(b)) => a.iter().any(|namespace| b.contains(namespace)),
                    (a, b) => a.is_none() && b.is_none(),
                };
                let changes = a.verbs.iter().any(|verb| verb.tier() > Tier::Read && b.verbs.contains(verb));
                let names = a.names.is_empty() || b.names.is_empty() || meet(&a.names, &b.names);
                changes && namespaces && names && a.kinds.iter().any(|kind| b.kinds.contains(kind))
            }
            (Self::Http(a), Self::Http(b)) => {
                let changes = a.methods.iter().any(|method| !method.reads() && b.methods.contains(method));
                changes && meet(&a.endpoints, &b.endpoints) && meet(&a.paths, &b.paths)
            }
            // Whether an MCP tool changes anything is known to the environment only, so overlap is refused for all.
            (Self::Mcp(a), Self::Mcp(b)) => a.server == b.server && meet(&a.tools, &b.tools),
            (Self::Kubernetes(_) | Self::Http(_) | Self::Mcp(_), _) => false,
        }
    }
}

words! {
    /// The verbs of the contract on cluster objects.
    Verb,
    /// The tier of the verb.
    tier: Tier {
        /// Reads one object.
        Get = "get" => Tier::Read,
        /// Reads many.
        List = "list" => Tier::Read,
        /// Reads the log of a pod.
        Logs = "logs" => Tier::Read,
        /// Waits for one object.
        Wait = "wait" => Tier::Read,
        /// Rolling restart.
        Restart = "restart" => Tier::ServiceMutation,
        /// Number of replicas.
        Scale = "scale" => Tier::ServiceMutation,
        /// Pause and resume a rollout.
        Pause = "pause" => Tier::ServiceMutation,
        /// Evict a pod.
        Evict = "evict" => Tier::ServiceMutation,
        /// Cordon and uncordon a node.
        Cordon = "cordon" => Tier::ServiceMutation,
        /// Ask a GitOps tool.
        RequestSync = "request-sync" => Tier::ServiceMutation,
        /// Delete a disposable object.
        Delete = "delete" => Tier::DestructiveMutation,
        /// Roll a Deployment back.
        Rollback = "rollback" => Tier::DestructiveMutation,
    }
}

words! {
    /// The HTTP methods of the contract. There is no DELETE.
    Method,
    /// True for GET and HEAD.
    reads: bool {
        /// Reads.
        Get = "GET" => true,
        /// Reads the head only.
        Head = "HEAD" => true,
        /// Writes.
        Post = "POST" => false,
        /// Writes.
        Put = "PUT" => false,
        /// Writes.
        Patch = "PATCH" => false,
    }
}

/// The site.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Every namespace of every group.
    pub namespaces: Vec<Namespace>,
    /// Endpoints by name.
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
    /// MCP servers, their listed tools and the tiers that the environment gives them.
    pub servers: BTreeMap<EndpointName, BTreeMap<McpTool, Tier>>,
}

/// An endpoint of the environment.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Scheme, host and port.
    pub origin: Origin,
    /// The path of its URL without the final slash: empty or `/api`.
    pub base: String,
    /// It is declared as object storage or database: GET and HEAD only.
    pub holds_data: bool,
    /// The platform allows it.
    pub allowed: bool,
    /// What may be written, and at which tier. Nothing else may.
    pub writes: Vec<Write>,
}

/// A method and path that the site says changes something.
#[derive(Debug, Clone)]
pub struct Write {
    /// The method.
    pub method: WriteMethod,
    /// The path: `*` stays within a segment, `**` does not.
    pub path: Glob,
    /// Service or destructive mutation.
    pub tier: Tier,
}

/// The tier of a call as verb and environment give it. None: the environment does not list it.
pub fn tier(call: &Call, environment: &Environment) -> Option<Tier> {
    View::of(call).tier(environment)
}
