//! The site: namespaces, endpoints, MCP servers, data.

use std::collections::{BTreeMap, BTreeSet};

use infraagent_api::{
    AgentEnvironment,
    environment::{AgentEnvironmentSpec, DataResource, DataResources, Endpoint, McpServer, McpTool, ObjectStorage, Write, WriteMethod},
    names::{ToolTier, WriteTier},
};
use infraagent_guard::{
    call,
    name::{EndpointName, McpTool as McpToolName, Namespace, Origin},
    pattern::Glob,
    policy::{self, Environment, Tier},
};

use super::{Findings, Site, SiteEndpoint, WarningKind, credential, origin::Url, platform::Platform};
use crate::broker::{
    facts,
    http::{self, endpoint::Invalid},
};

/// The environment as the guard and the prompt know it.
pub(super) struct Resolved {
    pub(super) document: String,
    pub(super) guard: Environment,
    pub(super) told: Site,
    pub(super) endpoints: http::endpoint::Endpoints,
    pub(super) declared: Vec<facts::DataResource>,
}

pub(super) fn resolve(environment: &AgentEnvironment, platform: &Platform, findings: &mut Findings) -> Resolved {
    let namespace = environment.metadata.namespace.as_deref().unwrap_or("default");
    let name = environment.metadata.name.clone().unwrap_or_default();
    let document = format!("AgentEnvironment `{namespace}/{name}`");
    // The connection is the business of whoever makes clients; channels are used elsewhere and told to nobody.
    let AgentEnvironmentSpec { connection: _, endpoints, namespaces, credentials, channels: _, data_resources, mcp_servers } =
        &environment.spec;

    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (group, members) in namespaces.groups() {
        // The three named roles come first: whatever repeats one of their names stands under `additional`.
        let is_role = matches!(group, "monitoring" | "apps" | "system") && !groups.contains_key(group);
        let path = if is_role { format!("spec.namespaces.{group}") } else { format!("spec.namespaces.additional.{group}") };
        if groups.contains_key(group) {
            findings.problem(&document, path.clone(), "is the name of a group that is there already: choose another name");
        }
        for (index, member) in members.iter().enumerate() {
            all.extend(findings.take(&document, format!("{path}[{index}]"), Namespace::parse(member)));
        }
        let mut members = members.to_vec();
        members.sort();
        members.dedup();
        groups.insert(group.to_owned(), members);
    }

    let data_names = data_names(data_resources);
    let mut guard = Environment { namespaces: all.into_iter().collect(), endpoints: BTreeMap::new(), servers: BTreeMap::new() };
    let mut told_endpoints = BTreeMap::new();
    let mut reached = Vec::new();
    for (name, endpoint) in endpoints {
        let path = format!("spec.endpoints.{name}");
        let parsed_name = findings.take(&document, path.clone(), EndpointName::parse(name));
        let Endpoint { url, health_path, internal, credential, writes, data } = endpoint;
        if let Some(credential) = credential
            && !credentials.contains_key(credential)
        {
            let message = format!("there is no credential `{credential}` under `spec.credentials`: add it, or correct the name");
            findings.problem(&document, format!("{path}.credential"), message);
        }
        let holds_data = data.is_some() || data_names.contains(name.as_str());
        if holds_data && !writes.is_empty() {
            let message = "an endpoint that holds data is GET and HEAD only: remove `writes`, or declare another endpoint without data";
            findings.problem(&document, format!("{path}.writes"), message);
        }
        let url = findings.take(&document, format!("{path}.url"), Url::parse(url));
        let origin = url.as_ref().and_then(|url| findings.take(&document, format!("{path}.url"), Origin::parse(&url.origin())));
        let parsed_writes: Vec<_> = writes
            .iter()
            .enumerate()
            .filter_map(|(index, write)| findings.take(&document, format!("{path}.writes[{index}].path"), parse_write(write)))
            .collect();
        if let (Some(parsed_name), Some(url), Some(origin)) = (parsed_name, url, origin) {
            let allowed = platform.allows_endpoint(&url);
            if !allowed {
                findings.warn(
                    WarningKind::Platform,
                    format!("endpoint `{name}` ({}) is not among the platform's `allowedEndpoints`: it cannot be used", url.origin()),
                );
            }
            let writes = writes.iter().map(|write| format!("{} {} ({})", write.method, write.path, write.tier)).collect();
            let told = SiteEndpoint { url: format!("{}{}", url.origin(), url.base), health_path: health_path.clone(), writes, holds_data };
            told_endpoints.insert(name.clone(), told);
            let attached = credential::of(&document, name, credential.as_deref(), origin.as_str(), credentials, findings);
            let reachable = |attached| http::endpoint::Endpoint::new(origin.as_str(), &url.base, *internal, attached);
            let reached_as = match reachable(attached) {
                // Nobody asked for it by name: it is only called as the endpoint is.
                Err(why @ (Invalid::Readable(_) | Invalid::NoTls(_))) if credential.is_none() => {
                    findings.warn(WarningKind::NoEffect, format!("endpoint `{name}` is asked without its credential: {why}"));
                    reachable(None)
                }
                other => other,
            };
            if let Some(one) = findings.take(&document, format!("{path}.url"), reached_as) {
                if let Some(why) = one.reservation() {
                    findings.warn(WarningKind::NoEffect, format!("endpoint `{name}` cannot be asked: {why}"));
                }
                reached.push((parsed_name.clone(), one));
            }
            let endpoint = policy::Endpoint { origin, base: url.base, holds_data, allowed, writes: parsed_writes };
            guard.endpoints.insert(parsed_name, endpoint);
        }
    }

    let mut told_servers = BTreeMap::new();
    for (name, server) in mcp_servers {
        let path = format!("spec.mcpServers.{name}");
        // Capabilities are compared with what agents require, elsewhere; a digest is compared when the server is asked.
        let McpServer { endpoint, capabilities: _, tools } = server;
        let parsed_name = findings.take(&document, path.clone(), EndpointName::parse(name));
        let url = findings.take(&document, format!("{path}.endpoint"), Url::parse(endpoint));
        let mut listed = BTreeMap::new();
        for (index, McpTool { name, tier, schema_digest: _ }) in tools.iter().enumerate() {
            let tool = findings.take(&document, format!("{path}.tools[{index}].name"), McpToolName::parse(name));
            listed.extend(tool.map(|tool| (tool, tool_tier(*tier))));
        }
        let (Some(parsed_name), Some(url)) = (parsed_name, url) else { continue };
        if platform.allows_endpoint(&url) {
            told_servers.insert(name.clone(), tools.iter().map(|tool| format!("{} ({})", tool.name, tool.tier)).collect());
            guard.servers.insert(parsed_name, listed);
        } else {
            findings.warn(
                WarningKind::Platform,
                format!("MCP server `{name}` ({}) is not among the platform's `allowedEndpoints`: it cannot be used", url.origin()),
            );
        }
    }

    let told = Site {
        name,
        groups: groups.into_iter().filter(|(_, members)| !members.is_empty()).collect(),
        endpoints: told_endpoints,
        servers: told_servers,
        data: data_lines(data_resources),
        backup_max_age: data_resources.backup_max_age.to_string(),
    };
    let DataResources { backup_max_age: _, databases, persistent_storage, object_storage: _ } = data_resources;
    let mut declared = Vec::new();
    for (field, resources) in [("databases", databases), ("persistentStorage", persistent_storage)] {
        for (index, DataResource { kind, namespace, name, backup_schedule: _ }) in resources.iter().enumerate() {
            let parsed = facts::DataResource::parse(kind, namespace.as_deref(), name);
            declared.extend(findings.take(&document, format!("spec.dataResources.{field}[{index}]"), parsed));
        }
    }
    Resolved { document, guard, told, endpoints: reached.into_iter().collect(), declared }
}

fn parse_write(write: &Write) -> Result<policy::Write, String> {
    let Write { method, path, tier } = write;
    if !path.starts_with('/') {
        return Err(format!("`{path}` must start with `/`"));
    }
    let method = match method {
        WriteMethod::Post => call::WriteMethod::Post,
        WriteMethod::Put => call::WriteMethod::Put,
        WriteMethod::Patch => call::WriteMethod::Patch,
    };
    let tier = match tier {
        WriteTier::ServiceMutation => Tier::ServiceMutation,
        WriteTier::DestructiveMutation => Tier::DestructiveMutation,
    };
    Ok(policy::Write { method, path: Glob::parse(path).map_err(|error| error.to_string())?, tier })
}

fn tool_tier(tier: ToolTier) -> Tier {
    match tier {
        ToolTier::Read => Tier::Read,
        ToolTier::ServiceMutation => Tier::ServiceMutation,
        ToolTier::DestructiveMutation => Tier::DestructiveMutation,
    }
}

/// Names under which declared data may also be an endpoint: better one endpoint too careful than one too open.
fn data_names(data: &DataResources) -> BTreeSet<&str> {
    let DataResources { backup_max_age: _, databases, persistent_storage: _, object_storage } = data;
    let buckets = object_storage.iter().flat_map(|bucket| [Some(bucket.name.as_str()), bucket.provider.as_deref()]).flatten();
    databases.iter().map(|database| database.name.as_str()).chain(buckets).collect()
}

fn data_lines(data: &DataResources) -> Vec<String> {
    let DataResources { backup_max_age: _, databases, persistent_storage, object_storage } = data;
    let object = |object: &DataResource| {
        let DataResource { kind, namespace, name, backup_schedule } = object;
        let namespace = namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        let backup = backup_schedule.as_ref().map(|schedule| format!(", backup schedule {schedule}")).unwrap_or_default();
        format!("{kind}/{name}{namespace}{backup}")
    };
    let bucket = |bucket: &ObjectStorage| {
        let ObjectStorage { kind, name, provider } = bucket;
        let provider = provider.as_ref().map(|provider| format!(" at {provider}")).unwrap_or_default();
        format!("{kind}/{name}{provider}")
    };
    let mut lines: Vec<String> = databases.iter().chain(persistent_storage).map(object).chain(object_storage.iter().map(bucket)).collect();
    lines.sort();
    lines
}
