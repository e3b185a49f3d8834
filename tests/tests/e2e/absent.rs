//! What is not built yet has an effect all the same: it is named, its calls answer `unavailable`, and nothing reaches anybody.

use infraagent_tests::{
    guest,
    model_server::{Reply, Script},
};
use serde_json::json;

use super::{
    lab::{Lab, condition},
    shop::Shop,
};

#[tokio::test]
async fn writes_to_endpoints_tools_of_servers_and_memory_answer_unavailable_in_a_cluster() {
    let lab = Lab::new().await;
    let shop = Shop::open("open").await;
    let listed = json!([{"name": "read-it", "tier": "read"}, {"name": "change-it", "tier": "service-mutation"}]);
    lab.apply(lab.environment(json!({
        "endpoints": {"shop": {"url": shop.url, "internal": true, "writes": [{"method": "POST", "path": "/orders", "tier": "service-mutation"}]}},
        "mcpServers": {"helper": {"endpoint": shop.url, "tools": listed}},
    })))
    .await;
    lab.apply(lab.agent(json!({"skills": [{"name": "curious"}], "model": {"tier": "reasoning", "timeout": "5m"}}))).await;
    let reply = Reply::default()
        .calls("tell", json!({"endpoint": "shop", "path": "/orders"}))
        .calls("consult", json!({}))
        .calls("instruct", json!({}))
        .calls("remember", json!({}))
        .calls("ask", json!({"endpoint": "shop", "path": "/orders"}));
    let script = Script::replies([reply, Reply::says("That is all.")]);
    let ended = lab.converse(&guest("curious"), script).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);

    let run = lab.record().await;
    let actions = &run.status.as_ref().unwrap().actions;
    for tool in ["tell", "consult", "instruct", "remember"] {
        let entry = actions.iter().find(|entry| entry.tool == tool).unwrap();
        let result = entry.result.as_deref().unwrap();
        assert!(entry.status.as_str() == "failed" && result.contains("unavailable: "), "{entry:?}\n{}", ended.said);
    }
    for change in lab.changes().await {
        assert_eq!((change.status.as_str(), change.reason.as_deref()), ("failed", Some("unavailable")), "{change:?}");
    }
    let asked = actions.iter().find(|entry| entry.tool == "ask").unwrap();
    assert_eq!(asked.status.as_str(), "executed", "{asked:?}");
    assert_eq!(shop.asked(), [("GET".to_owned(), "/orders".to_owned())], "nothing but the look arrived");
    let (status, _, message) = condition(&run, "Supported");
    assert_eq!(status, "False");
    for field in ["spec.mcpServers", "spec.endpoints.shop.writes"] {
        assert!(message.contains(field), "{field}: {message}");
    }
    assert_eq!(lab.verify().await["authentic"]["answer"], "yes");
}
