//! The keys that outlive pods: one signs records, one authenticates compiled skills. They are in the Secret `infraagent-keys`, which is created once, by whoever
//! comes first, and never written again.

use std::sync::Arc;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, api::PostParams};

use super::{Error, conditions::said};
use crate::{audit::AuditKey, skill::cache::Key};

/// Name of the Secret.
pub const SECRET: &str = "infraagent-keys";
const AUDIT: &str = "audit.key";
/// The public key, in PEM, in the Secret.
pub const PUBLIC: &str = "audit.pub";
const CACHE: &str = "cache.key";

/// The keys of an installation.
#[derive(Debug)]
pub struct Keys {
    /// Signs records.
    pub audit: Arc<AuditKey>,
    /// Authenticates compiled skills.
    pub cache: Key,
}

/// Reads the keys, or makes them if there are none.
pub async fn keys(client: &kube::Client, namespace: &str) -> Result<Keys, Error> {
    let failed = |message: String| Error::Keys(format!("{namespace}/{SECRET}"), message);
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let found = match api.get_opt(SECRET).await.map_err(|error| failed(said(&error)))? {
        Some(found) => found,
        None => match api.create(&PostParams::default(), &new().map_err(failed)?).await {
            Ok(made) => made,
            // Another replica was faster: its keys are the keys.
            Err(kube::Error::Api(status)) if status.code == 409 => api.get(SECRET).await.map_err(|error| failed(said(&error)))?,
            Err(error) => return Err(failed(said(&error))),
        },
    };
    let data = found.data.unwrap_or_default();
    let bytes =
        |name: &str| data.get(name).map(|ByteString(bytes)| bytes.as_slice()).ok_or_else(|| failed(format!("it has no key `{name}`")));
    let pem = std::str::from_utf8(bytes(AUDIT)?).map_err(|_| failed(format!("`{AUDIT}` is no text")))?;
    let audit = AuditKey::from_pem(pem).ok_or_else(|| failed(format!("`{AUDIT}` is no Ed25519 key in PKCS#8 PEM")))?;
    let cache = bytes(CACHE)?.try_into().map_err(|_| failed(format!("`{CACHE}` has not 32 bytes")))?;
    Ok(Keys { audit: Arc::new(audit), cache: Key::from_bytes(cache) })
}

fn new() -> Result<Secret, String> {
    let audit = AuditKey::generate().map_err(|error| error.to_string())?;
    let (private, public) = audit.to_pem().ok_or("the key cannot be written as PEM")?;
    let mut cache = vec![0; 32];
    getrandom::fill(&mut cache).map_err(|error| error.to_string())?;
    let data = [(AUDIT, private.into_bytes()), (PUBLIC, public.into_bytes()), (CACHE, cache)];
    Ok(Secret {
        metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
        data: Some(data.into_iter().map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).collect()),
        // Whoever exchanges a key makes every record before it unverifiable.
        immutable: Some(true),
        ..Secret::default()
    })
}
