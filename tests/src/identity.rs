//! Who asks: kubeconfigs of ServiceAccounts, and clients made of them.

use std::path::{Path, PathBuf};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::{ControlPlane, apply};

impl ControlPlane {
    /// Path of a kubeconfig of this ServiceAccount, which is created if it is missing. It carries a token of one hour.
    pub async fn kubeconfig_for(&self, namespace: &str, service_account: &str) -> PathBuf {
        let client = self.admin().await;
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": service_account, "namespace": namespace},
        });
        apply(&client, &account).await.expect("a ServiceAccount can be applied");
        let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let granted =
            accounts.create_token_request(service_account, &PostParams::default(), &request).await.expect("a token can be requested");
        let token = granted.status.expect("a granted token").token;
        self.kubeconfig_with(&format!("{namespace}.{service_account}"), AuthInfo { token: Some(token.into()), ..AuthInfo::default() })
    }

    /// Path of a kubeconfig of an invented user with these groups (an admin who impersonates him; the audit log says so).
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> PathBuf {
        let mut auth = self.template().auth_infos.remove(0).auth_info.expect("the admin's credentials");
        auth.impersonate = Some(user.to_owned());
        auth.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
        self.kubeconfig_with(&self.unique("as"), auth)
    }

    fn template(&self) -> Kubeconfig {
        Kubeconfig::read_from(self.kubeconfig()).expect("the admin's kubeconfig")
    }

    /// The admin's kubeconfig with other credentials.
    fn kubeconfig_with(&self, name: &str, auth: AuthInfo) -> PathBuf {
        let mut kubeconfig = self.template();
        kubeconfig.auth_infos[0].auth_info = Some(auth);
        let path = self.dir().join(format!("{name}.kubeconfig"));
        // Another test may read the one of the same identity at this moment: it finds the old one or the new one.
        let new = self.dir().join(self.unique("new"));
        std::fs::write(&new, serde_json::to_vec(&kubeconfig).expect("JSON")).expect("the folder is writable");
        std::fs::rename(&new, &path).expect("the folder is writable");
        path
    }
}

/// Configuration of a client from a kubeconfig file.
pub async fn config_of(kubeconfig: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a usable kubeconfig")
}

/// A client from a kubeconfig file, for the runtime of the caller.
pub async fn client_of(kubeconfig: &Path) -> Client {
    Client::try_from(config_of(kubeconfig).await).expect("a client")
}
