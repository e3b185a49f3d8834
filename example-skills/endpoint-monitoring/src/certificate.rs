//! The certificate of one endpoint: for whom, by whom, and for how long.

use skills_sdk::http::{Certificate, Read};
use skills_sdk::prelude::*;

use crate::health;
use crate::probe::{self, Outcome};
use crate::site;

#[args]
pub struct CertificateArgs {
    /// The endpoint's name in the environment.
    endpoint: String,
}

/// Tells for whom and by whom the certificate of an endpoint is, how many days are left, and whether clients believe it.
#[tool(actions = [Probe])]
pub fn check_certificate(cx: &Cx<Self>, args: CertificateArgs) -> Result<Output> {
    let endpoint = site::endpoint(cx, &args.endpoint)?;
    let outcome = probe::ask(cx, &Read::head(&endpoint.name, &endpoint.path))?;
    let now = cx.now_unix_ms();
    let name = endpoint.name;
    let (content, summary) = match &outcome {
        Outcome::Refused(why) => (json!({ "endpoint": name, "state": "not-asked", "why": why }), [&name, " was not asked"].concat()),
        Outcome::Failed(reason, sentence) => {
            let is_about_it = reason.starts_with("certificate-");
            let state = if is_about_it { "not-believed" } else { "not-seen" };
            let severity = health::word(health::problems(&outcome, u32::MAX, now)[0].severity);
            (
                json!({ "endpoint": name, "state": state, "severity": severity, "code": reason, "message": sentence }),
                [&name, ": ", reason].concat(),
            )
        }
        Outcome::Answered(response) => match &response.tls {
            None => (json!({ "endpoint": name, "state": "plain-http" }), [&name, " is plain http"].concat()),
            Some(certificate) => {
                let days = health::days_left(certificate, now);
                let Certificate { subject, issuer, not_before, not_after } = certificate;
                let problem = health::expiry(certificate, now);
                let content = json!({
                    "endpoint": name, "state": "believed", "severity": problem.map_or("info", |problem| health::word(problem.severity)),
                    "daysLeft": days, "subject": subject, "issuer": issuer, "validFrom": not_before, "validUntil": not_after,
                });
                (content, [&name, ": ", &days.to_string(), " days left"].concat())
            }
        },
    };
    Ok(Output { content, summary })
}
