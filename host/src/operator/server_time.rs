//! What time it is for the API server, which stamps every object. Whoever forgets or deletes by age asks it: a replica whose clock is ahead would do it too early.

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, ResourceExt as _, api::PostParams};

use super::Operator;

/// Never exists: it is only tried.
const NAME: &str = "infraagent-what-time-is-it-";

/// Asks by pretending to create an object.
pub(super) async fn ask(operator: &Operator) -> Result<Timestamp, kube::Error> {
    let connection = &operator.connection;
    let api = Api::<Lease>::namespaced(connection.client.clone(), connection.operator_namespace.as_str());
    let metadata = ObjectMeta { generate_name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let tried = api.create(&parameters, &Lease { metadata, spec: None }).await?;
    Ok(tried.creation_timestamp().map_or_else(|| operator.clock.now(), |time| time.0))
}
