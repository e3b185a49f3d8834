//! The tools on a fake host: no network, no WebAssembly.

mod contents;
mod looks;

use skills_sdk::http::Certificate;
use skills_sdk::prelude::*;
use skills_sdk::testing::Host;

use crate::SKILL;

/// What the fake host's clock says, in seconds.
const NOW: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

/// A site with these endpoints; `shop` says where it tells how it is.
fn site(names: &[&str]) -> Host {
    let endpoints: Value = names
        .iter()
        .map(|&name| {
            let health = if name == "shop" { json!("/healthz") } else { Value::Null };
            (
                name.to_owned(),
                json!({ "url": format!("https://{name}.example.com"), "healthPath": health, "writes": [], "holdsData": false }),
            )
        })
        .collect::<skills_sdk::serde_json::Map<_, _>>()
        .into();
    Host::new(SKILL).site(json!({ "name": "lab", "endpoints": endpoints }))
}

fn ends_in(days: i64) -> Option<Certificate> {
    Some(Certificate {
        subject: "CN=shop.example.com".to_owned(),
        issuer: "CN=R11".to_owned(),
        not_before: NOW - 60 * DAY,
        not_after: NOW + days * DAY,
    })
}
