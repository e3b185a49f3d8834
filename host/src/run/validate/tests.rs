use infraagent_guard::policy::{Suspend, Tier};
use serde_json::json;

use super::*;
use crate::run::fixture::{self, Documents};

/// What is wrong after a change, one line each.
fn problems(change: impl FnOnce(&mut Documents)) -> Vec<String> {
    match validate(fixture::inputs(change)) {
        Ok(_) => Vec::new(),
        Err(Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Documents), document: &str, path: &str, word: &str) {
    let problems = problems(change);
    let found =
        problems.iter().any(|problem| problem.starts_with(document) && problem.contains(&format!("`{path}`")) && problem.contains(word));
    assert!(found, "expected {document} `{path}` … {word}, found {problems:#?}");
}

#[track_caller]
fn warned(run: &ValidatedRun, kind: WarningKind, word: &str) {
    assert!(run.warnings.iter().any(|warning| warning.kind == kind && warning.message.contains(word)), "{:#?}", run.warnings);
}

#[test]
fn a_run_that_is_right_has_its_meaning_and_no_warnings() {
    let run = fixture::run(|_| ());
    assert_eq!(run.warnings, []);
    let policy = run.policy();
    assert_eq!(&*policy.revision, "agent=7 environment=3 policy=1");
    assert_eq!(
        (policy.scope.cluster.as_str(), policy.scope.run.as_str(), policy.scope.environment.as_str()),
        ("snapshot/test", "run-uid", "environment-uid")
    );
    assert_eq!(policy.home.as_str(), "agents");
    assert_eq!(policy.effective_autonomy(), Autonomy::AutomateSafe);
    let namespaces: Vec<_> = policy.environment.namespaces.iter().map(Namespace::as_str).collect();
    assert_eq!(namespaces, ["cart", "monitoring", "shop", "shop-staging"]);
    let endpoint = |name: &str| {
        let endpoint = policy.environment.endpoints.iter().find(|(key, _)| key.as_str() == name).unwrap().1;
        (endpoint.origin.to_string(), endpoint.base.clone(), endpoint.holds_data, endpoint.writes.len())
    };
    assert_eq!(endpoint("grafana"), ("http://grafana.monitoring.svc:3000".to_owned(), "/api".to_owned(), false, 0));
    assert_eq!(endpoint("github"), ("https://api.github.com".to_owned(), String::new(), false, 1));
    assert!(endpoint("minio").2, "declared as object storage by its provider's name");
    assert_eq!(policy.environment.servers.values().map(BTreeMap::len).sum::<usize>(), 1);
    let tools: Vec<_> = policy.sheet.tools().iter().map(|tool| tool.name().as_str()).collect();
    assert_eq!(tools, ["inspect", "report_finding", "restart"]);
    assert_eq!(run.tool("inspect").unwrap().1.tier, Tier::Read);
    assert_eq!(run.tool("restart").unwrap().1.tier, Tier::ServiceMutation);
    assert!(run.tool("report_finding").is_none());
    assert_eq!(run.model.id(), "anthropic/claude-sonnet-4-5");
    let limits = Limits { tokens: 10_000, turns: 5, wall: Duration::from_secs(60), entries: 128, reply_tokens: 8192 };
    assert_eq!(run.limits, limits);
}

#[test]
fn without_a_policy_the_agent_only_observes() {
    let run = fixture::run(|documents| documents.policies.clear());
    assert_eq!(run.effective_autonomy(), Autonomy::Observe);
    warned(&run, WarningKind::Platform, "no InfraAgentPolicy sets `spec.maxAutonomy`");
    let silent = fixture::run(|documents| documents.policies[0]["spec"] = json!({ "suspend": "none" }));
    assert_eq!(silent.effective_autonomy(), Autonomy::Observe, "a policy that says nothing about autonomy grants none");
}

#[test]
fn of_several_policies_the_strictest_value_wins() {
    let mut second = fixture::policy();
    second["metadata"]["name"] = json!("second");
    second["spec"] = json!({ "maxAutonomy": "recommend", "suspend": "mutations", "limits": { "tokenBudget": 9000, "maxActions": 200, "skillMemoryMib": 32 } });
    let run = fixture::run(|documents| {
        documents.policies[0]["spec"]["limits"] =
            json!({ "tokenBudget": 9500, "maxIterations": 3, "timeout": "30s", "maxActions": 20, "skillCpu": "2s" });
        documents.policies.push(second);
    });
    assert_eq!(run.limits, Limits { tokens: 9000, turns: 3, wall: Duration::from_secs(30), entries: 20, reply_tokens: 8192 });
    assert_eq!(run.skill_ceilings, SkillCeilings { memory_bytes: Some(32 << 20), cpu: Some(Duration::from_secs(2)), wall: None });
    assert_eq!(run.effective_autonomy(), Autonomy::Recommend);
    assert_eq!(run.policy().platform.suspend, Suspend::Mutations);
}

#[test]
fn a_paused_agent_changes_nothing() {
    let run = fixture::run(|documents| documents.agent["spec"]["paused"] = json!(true));
    assert_eq!(run.policy().platform.suspend, Suspend::Mutations);
    warned(&run, WarningKind::Platform, "paused");
}

#[test]
fn freeze_windows_are_asked_with_the_time() {
    let run = fixture::run(|documents| {
        documents.policies[0]["spec"]["freezeWindows"] = json!([{ "name": "weekend", "cron": "0 22 * * 5", "duration": "48h" }]);
    });
    let at = |time: &str| time.parse().unwrap();
    assert_eq!(run.freeze(at("2026-11-21T12:00:00Z")), Some("weekend"));
    assert_eq!(run.freeze(at("2026-11-24T12:00:00Z")), None);
    let now = run.circumstances(at("2026-11-21T12:00:00Z"), 5, 100, Duration::from_millis(1500));
    assert_eq!(now, Circumstances { frozen: true, entries: 5, egress_bytes: 100, millis: 1500 });
    let zone = json!([{ "name": "w", "cron": "0 22 * * 5", "duration": "48h", "timeZone": "Mars/Phobos" }]);
    refused(
        |documents| documents.policies[0]["spec"]["freezeWindows"] = zone,
        "InfraAgentPolicy `platform`",
        "spec.freezeWindows[0]",
        "Mars/Phobos",
    );
}

#[test]
fn a_misspelled_guardrail_is_refused_by_name() {
    refused(
        |documents| documents.agent["spec"]["guardrails"]["deniedActoins"] = json!(["kubectl.delete *"]),
        "InfraAgent `agents/forge`",
        "spec.guardrails.deniedActoins",
        "unknown field",
    );
}

#[test]
fn an_entry_that_does_not_parse_is_named() {
    for (field, entry) in [
        ("allowedActions", "kubectl.rollout"),
        ("deniedActions", "kubectl.scale x --replicas=many"),
        ("allowedActions", "http.get ftp://x"),
    ] {
        refused(
            |documents| documents.agent["spec"]["guardrails"][field] = json!(["kubectl.get *", entry]),
            "InfraAgent",
            &format!("spec.guardrails.{field}[1]"),
            entry,
        );
    }
}

#[test]
fn an_entry_that_can_match_nothing_is_a_warning() {
    for (field, entry, why) in [
        ("allowedActions", "kubectl.delete pvc/*", "no call of a skill"),
        ("allowedActions", "kubectl.get deployments -n elsewhere", "not part of the environment"),
        ("allowedActions", "mcp.unknown.analyze", "no MCP server"),
        ("allowedActions", "github.close_issue *", "no call of a skill"),
        ("deniedActions", "github.delete *", "no tool has this name"),
        ("deniedActions", "kubectl.delet pod/*", "no tool has this name"),
    ] {
        let run = fixture::run(|documents| documents.agent["spec"]["guardrails"][field] = json!([entry]));
        warned(&run, WarningKind::Guardrail, why);
    }
    let run = fixture::run(|documents| {
        documents.policies.clear();
        documents.agent["spec"]["guardrails"]["allowedActions"] = json!(["kubectl.rollout restart deployment/*"]);
    });
    warned(&run, WarningKind::Guardrail, "the autonomy is `observe`");
    let run = fixture::run(|documents| {
        documents.agent["spec"]["guardrails"]["allowedActions"] =
            json!(["kubectl.get *", "mcp.k8sgpt.analyze", "http.get *", "kubectl.rollout restart deployment/* -n sh*"]);
        documents.agent["spec"]["guardrails"]["deniedActions"] = json!(["kubectl.delete namespace/*"]);
    });
    assert_eq!(run.warnings, [], "denying what nobody can do is no mistake");
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let problems = problems(|documents| {
        documents.agent["spec"]["schedule"] = json!({ "cron": "61 * * * *" });
        documents.agent["spec"]["model"]["timeout"] = json!("10ms");
        documents.environment["spec"]["endpoints"]["grafana"]["url"] = json!("https://api.github.com@evil.example/");
        documents.manifests[0]["tools"][1]["inputSchema"] = json!({ "type": "object", "$ref": "http://example.com/x" });
    });
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn what_the_environment_says_is_checked() {
    let environment = "AgentEnvironment `agents/site-a`";
    let set = |path: &'static str, value: Value| move |documents: &mut Documents| *documents.environment.pointer_mut(path).unwrap() = value;
    refused(set("/spec/namespaces/apps/0", json!("Shop")), environment, "spec.namespaces.apps[0]", "Shop");
    refused(set("/spec/namespaces/additional", json!({ "staging": ["a_b"] })), environment, "spec.namespaces.additional.staging[0]", "a_b");
    refused(set("/spec/namespaces/additional", json!({ "apps": ["x"] })), environment, "spec.namespaces.additional.apps", "already");
    refused(set("/spec/endpoints/github/url", json!("http://169.254.169.254/")), environment, "spec.endpoints.github.url", "link-local");
    refused(
        set("/spec/endpoints/github/url", json!("https://kubernetes.default.svc")),
        environment,
        "spec.endpoints.github.url",
        "API server",
    );
    refused(
        set("/spec/endpoints/github/writes/0/path", json!("repos")),
        environment,
        "spec.endpoints.github.writes[0].path",
        "must start with `/`",
    );
    let writes = json!({ "url": "https://minio.example.com", "writes": [{ "method": "PUT", "path": "/**", "tier": "service-mutation" }] });
    refused(set("/spec/endpoints/minio", writes), environment, "spec.endpoints.minio.writes", "GET and HEAD only");
    refused(
        set("/spec/endpoints/github", json!({ "url": "https://x.example", "credential": "pat" })),
        environment,
        "spec.endpoints.github.credential",
        "`pat`",
    );
    refused(set("/spec/mcpServers/k8sgpt/tools/0/name", json!("a b")), environment, "spec.mcpServers.k8sgpt.tools[0].name", "a b");
}

#[test]
fn endpoints_beyond_the_platform_cannot_be_used() {
    let run = fixture::run(|documents| documents.policies[0]["spec"]["allowedEndpoints"] = json!(["https://*.github.com"]));
    warned(&run, WarningKind::Platform, "endpoint `grafana`");
    warned(&run, WarningKind::Platform, "MCP server `k8sgpt`");
    let policy = run.policy();
    let allowed: Vec<_> =
        policy.environment.endpoints.iter().filter(|(_, endpoint)| endpoint.allowed).map(|(name, _)| name.as_str()).collect();
    assert_eq!(allowed, ["github"]);
    assert!(policy.environment.servers.is_empty());
}

#[test]
fn the_model_is_chosen_by_tier() {
    let fast = fixture::run(|documents| documents.agent["spec"]["model"]["tier"] = json!("fast"));
    assert_eq!((fast.model.id().as_str(), fast.model.prices), ("anthropic/claude-haiku-4-5", None));
    let mut other = fixture::models();
    other["metadata"]["name"] = json!("a-first");
    other["spec"]["tiers"][1]["model"] = json!("other");
    let both = fixture::run(|documents| documents.models.insert(0, other));
    assert_eq!(both.model.model, "claude-sonnet-4-5", "the one named default is preferred");
    let short = fixture::run(|documents| documents.models[0]["spec"]["tiers"][1]["maxTokens"] = json!(1000));
    assert_eq!(short.limits.reply_tokens, 1000);

    let document = "ModelTierConfig `default`";
    refused(|documents| documents.agent["spec"]["model"]["tier"] = json!("reasoning"), document, "spec.tiers", "`reasoning`");
    refused(
        |documents| documents.models[0]["spec"]["tiers"][1]["provider"] = json!("replay"),
        document,
        "spec.tiers[1].provider",
        "command line only",
    );
    refused(
        |documents| documents.policies[0]["spec"]["allowedModels"] = json!(["openai/*"]),
        document,
        "spec.tiers[1].model",
        "allowedModels",
    );
    refused(
        |documents| documents.models[0]["spec"]["tiers"][1]["endpoint"] = json!("https://api.github.com/v1"),
        "AgentEnvironment",
        "spec.endpoints.github.url",
        "model provider",
    );
    let allowed = fixture::run(|documents| documents.policies[0]["spec"]["allowedModels"] = json!(["anthropic/*"]));
    assert_eq!(allowed.model.provider, "anthropic");
}

#[test]
fn a_model_is_reached_as_its_tier_says() {
    let document = "ModelTierConfig `default`";
    let key = |auth: Value, default: Value| {
        fixture::run(|documents| {
            documents.models[0]["spec"]["tiers"][1]["auth"] = auth;
            documents.models[0]["spec"]["defaultAuth"] = default;
        })
        .model
        .auth
    };
    let api_key = json!({ "type": "apiKey", "secretRef": "llm" });
    let expected = |key: &str| ModelAuth::Key(SecretKey { secret: "llm".to_owned(), key: key.to_owned() });
    assert_eq!(key(Value::Null, Value::Null), ModelAuth::None);
    assert_eq!(key(Value::Null, api_key.clone()), expected("api-key"));
    assert_eq!(
        key(json!({ "type": "apiKey", "secretRef": "llm", "secretKey": "k" }), json!({ "type": "oauth", "secretRef": "x" })),
        expected("k")
    );
    assert_eq!(key(json!({ "type": "none" }), api_key), ModelAuth::None, "the tier's own replaces the default as a whole");
    for kind in [AuthKind::OAuth, AuthKind::Custom, AuthKind::ServiceAccount] {
        let auth = json!({ "type": kind, "secretRef": "llm" });
        assert_eq!(key(auth.clone(), Value::Null), ModelAuth::Unsupported(kind));
        assert_eq!(key(Value::Null, auth), ModelAuth::Unsupported(kind));
    }

    let tier = |field: &'static str, value: &'static str| {
        move |documents: &mut Documents| documents.models[0]["spec"]["tiers"][1][field] = json!(value)
    };
    refused(tier("provider", "ollama"), document, "spec.tiers[1].endpoint", "`ollama` has no address of its own");
    refused(tier("endpoint", "http://169.254.169.254/v1"), document, "spec.tiers[1].endpoint", "link-local");
    let local = fixture::run(|documents| {
        tier("provider", "ollama")(documents);
        tier("baseURL", "http://OLLAMA.models.svc:11434/v1/")(documents);
    });
    assert_eq!(local.model.url.as_deref(), Some("http://ollama.models.svc:11434/v1"));
    let own = |documents: &mut Documents| documents.environment["spec"]["endpoints"]["github"]["url"] = json!("https://api.anthropic.com");
    refused(own, "AgentEnvironment", "spec.endpoints.github.url", "model provider");
}

#[test]
fn an_escalation_needs_its_channel() {
    let escalate = |value: Value| move |documents: &mut Documents| documents.agent["spec"]["guardrails"]["escalation"] = value;
    let path = "spec.guardrails.escalation.channelName";
    refused(escalate(json!({ "target": "channel" })), "InfraAgent", path, "name a channel");
    refused(escalate(json!({ "target": "channel", "channelName": "ops" })), "InfraAgent", path, "no channel `ops`");
    let run = fixture::run(|documents| {
        documents.environment["spec"]["channels"] = json!({ "ops": { "type": "slack", "target": "#ops" } });
        escalate(json!({ "target": "channel", "channelName": "ops", "timeout": "60s", "onTimeout": "proceed" }))(documents);
    });
    let expected = Escalation {
        target: EscalationTarget::Channel,
        channel: Some("ops".to_owned()),
        timeout: Duration::from_secs(60),
        on_timeout: OnTimeout::Proceed,
    };
    assert_eq!(run.escalation, Some(expected));
}

#[test]
fn skills_are_resolved_or_refused() {
    let second = |name: &str, tool: &str| {
        let mut manifest = fixture::manifest();
        manifest["name"] = json!(name);
        manifest["tools"] = json!([{ "name": tool, "description": "", "inputSchema": { "type": "object" }, "actions": ["other"] }]);
        manifest["sheet"] = json!({ "actions": [{ "id": "other", "description": "x", "kubernetes": { "verb": "get", "resources": ["pods"], "namespaces": ["apps"] } }] });
        manifest
    };
    refused(|documents| documents.manifests.push(second("more", "inspect")), "skills", "actions", "inspect");
    refused(|documents| documents.manifests.push(second("more", "report_finding")), "skills", "actions", "report_finding");
    refused(|documents| documents.manifests[0]["tools"][0]["actions"] = json!(["undeclared"]), "skills", "actions", "undeclared");
    refused(
        |documents| documents.manifests[0]["tools"][0]["inputSchema"] = json!({ "type": "string" }),
        "skill `rollouts`",
        "tools.restart.inputSchema",
        "type: object",
    );
    let both = fixture::run(|documents| documents.manifests.insert(0, second("another", "peek")));
    assert_eq!(both.skills.iter().map(|skill| skill.name.as_str()).collect::<Vec<_>>(), ["another", "rollouts"]);
}

#[test]
fn an_action_without_namespaces_is_a_warning() {
    let run = fixture::run(|documents| documents.environment["spec"]["namespaces"]["apps"] = json!([]));
    warned(&run, WarningKind::NoEffect, "action `restart-deployment`");
}

#[test]
fn what_a_run_from_files_cannot_honour_is_said() {
    let run = fixture::run(|documents| {
        documents.policies[0]["spec"]["allowedRegistries"] = json!(["ghcr.io/acme/*"]);
        documents.policies[0]["spec"]["signatures"] = json!({ "mode": "require", "keys": ["key"] });
        documents.policies[0]["spec"]["dailyBudget"] = json!({ "tokens": 1000 });
    });
    for field in ["spec.allowedRegistries", "spec.signatures.mode", "spec.dailyBudget"] {
        warned(
            &run,
            WarningKind::Platform,
            &format!("InfraAgentPolicy `platform`, `{field}`: has no effect on a run that is started by hand"),
        );
    }
    assert_eq!(run.warnings.len(), 3, "{:#?}", run.warnings);
    let off = fixture::run(|documents| documents.policies[0]["spec"]["signatures"] = json!({ "mode": "off" }));
    assert_eq!(off.warnings, []);
}

#[test]
fn a_skill_is_the_one_that_the_agent_names() {
    let source = |source: &str| {
        let source = json!(source);
        move |documents: &mut Documents| documents.agent["spec"]["skills"][0]["source"] = source
    };
    let path = "spec.skills[0].source";
    let given = format!("sha256:{}", "0".repeat(64));
    let other = format!("sha256:{}", "1".repeat(64));
    let differs = problems(source(&format!("oci://ghcr.io/acme/rollouts@{other}")));
    assert!(matches!(differs.as_slice(), [one] if one.contains(path) && one.contains(&given) && one.contains(&other)), "{differs:#?}");
    assert_eq!(fixture::run(source(&format!("oci://ghcr.io/acme/rollouts@{given}"))).warnings, []);
    for elsewhere in ["oci://ghcr.io/acme/rollouts:1", "git://github.com/acme/skills#rollouts@main"] {
        warned(&fixture::run(source(elsewhere)), WarningKind::NoEffect, &format!("(`{elsewhere}`) is not asked"));
    }
    for here in ["bundled", "configmap", "configmap://rollouts/skill"] {
        assert_eq!(fixture::run(source(here)).warnings, [], "{here}");
    }
    for (allowed, from) in [(json!(["oci"]), "bundled"), (json!(["bundled"]), "oci://ghcr.io/acme/rollouts:1"), (json!([]), "configmap")] {
        let change = |documents: &mut Documents| {
            documents.policies[0]["spec"]["allowedSources"] = allowed;
            source(from)(documents);
        };
        refused(change, "InfraAgent `agents/forge`", path, "`allowedSources` of InfraAgentPolicy `platform`");
    }
}

#[test]
fn a_required_capability_that_is_missing_is_named() {
    let require = |capability: &str| {
        let capability = json!(["kubectl.read", capability]);
        move |documents: &mut Documents| {
            documents.agent["spec"]["capabilities"] = json!({ "required": capability, "optional": ["nowhere.x"] })
        }
    };
    let prepare = |documents: &mut Documents| {
        documents.environment["spec"]["mcpServers"]["k8sgpt"]["capabilities"] = json!(["k8sgpt.analyze", "search"]);
        documents.environment["spec"]["credentials"] = json!({ "pagerduty": { "secretRef": "pagerduty", "type": "bearer-token" } });
    };
    for capability in
        ["kubectl.write.safe", "http", "http.read", "grafana.query", "github", "k8sgpt.analyze", "search.web", "pagerduty.page"]
    {
        let run = fixture::run(|documents| {
            prepare(documents);
            require(capability)(documents);
        });
        assert_eq!(run.warnings, [], "{capability}");
    }
    let path = "spec.capabilities.required[1]";
    for capability in ["argocd.sync", "k8sgpt.explain", "slack"] {
        let change = |documents: &mut Documents| {
            prepare(documents);
            require(capability)(documents);
        };
        refused(change, "InfraAgent `agents/forge`", path, &format!("`{capability}`"));
    }
    for capability in ["http", "grafana.query", "k8sgpt.analyze"] {
        let change = |documents: &mut Documents| {
            prepare(documents);
            documents.policies[0]["spec"]["allowedEndpoints"] = json!([]);
            require(capability)(documents);
        };
        refused(change, "InfraAgent `agents/forge`", path, &format!("`{capability}`"));
    }
}
