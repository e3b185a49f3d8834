//! An operator of one test: installed in a namespace of its own, with an identity of its own, for the agents of one namespace. So tests of the operator share an
//! API server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::{ControlPlane, OPERATOR, Replica, apply, documents};

/// An operator that is installed, and how its replicas are started.
#[derive(Debug)]
pub struct Installation {
    /// The operator's namespace: Leases and keys.
    pub home: String,
    /// The namespace of its agents.
    pub namespace: String,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
    options: Vec<String>,
}

impl ControlPlane {
    /// Installs an operator for one new namespace, in which it may act as `accounts`. `options` are added to the command line of its replicas.
    ///
    /// # Panics
    ///
    /// If the API server refuses something.
    pub async fn operator(&self, accounts: &[&str], options: &[&str]) -> Installation {
        self.install_operator().await;
        let (home, namespace) = (self.namespace("operator").await, self.namespace("agents").await);
        let client = self.admin().await;
        for document in own(documents("deploy/rbac.yaml"), &home, &namespace) {
            apply(&client, &document).await.unwrap_or_else(|error| panic!("{}: {error}", document["metadata"]["name"]));
        }
        self.enroll_for((&home, OPERATOR.1), &namespace, accounts).await;
        let kubeconfig = self.kubeconfig_for(&home, OPERATOR.1).await;
        let folder = tempfile::tempdir().expect("a folder");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Installation { home, namespace, kubeconfig, folder, options }
    }
}

/// What `deploy/rbac.yaml` gives the operator, for one in another namespace. What it gives everybody is there already.
fn own(documents: Vec<Value>, home: &str, namespace: &str) -> Vec<Value> {
    let mut own = Vec::new();
    for mut document in documents {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        if matches!(kind.as_str(), "Namespace" | "ClusterRole") {
            continue;
        }
        if kind == "ClusterRoleBinding" {
            let name = format!("{}-{home}", document["metadata"]["name"].as_str().expect("a name"));
            document["metadata"]["name"] = json!(name);
        } else {
            document["metadata"]["namespace"] = json!(home);
        }
        if let Some(subject) = document.pointer_mut("/subjects/0/namespace") {
            *subject = json!(home);
        }
        document["metadata"]["labels"]["agents"] = json!(namespace);
        own.push(document);
    }
    own
}

impl Installation {
    /// Gives another namespace these ServiceAccounts of agents, as which this operator may act. Replicas must be told with `--watch-namespaces`.
    ///
    /// # Panics
    ///
    /// If the API server refuses something.
    pub async fn enroll(&self, plane: &ControlPlane, namespace: &str, accounts: &[&str]) {
        plane.enroll_for((&self.home, OPERATOR.1), namespace, accounts).await;
    }

    /// Starts a replica.
    pub fn replica(&self, identity: &str) -> Replica {
        self.replica_with(identity, &[])
    }

    /// Starts a replica with more options.
    pub fn replica_with(&self, identity: &str, more: &[&str]) -> Replica {
        self.start(identity, &self.kubeconfig, more)
    }

    /// Starts a replica that finds the API server at another address.
    ///
    /// # Panics
    ///
    /// If its kubeconfig cannot be written.
    pub fn replica_through(&self, identity: &str, address: SocketAddr) -> Replica {
        let mut kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        for cluster in &mut kubeconfig.clusters {
            if let Some(cluster) = &mut cluster.cluster {
                cluster.server = Some(format!("https://{address}"));
            }
        }
        let path = self.folder.path().join(format!("{}.kubeconfig", address.port()));
        std::fs::write(&path, serde_json::to_vec(&kubeconfig).expect("JSON")).expect("writable");
        self.start(identity, &path, &[])
    }

    fn start(&self, identity: &str, kubeconfig: &Path, more: &[&str]) -> Replica {
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let mut arguments = vec!["--kubeconfig".to_owned(), path(kubeconfig)];
        arguments.extend(["--operator-namespace".to_owned(), self.home.clone()]);
        arguments.extend(["--watch-namespaces".to_owned(), self.namespace.clone()]);
        arguments.extend(["--cache-dir".to_owned(), path(&self.folder.path().join("cache"))]);
        // Many replicas on one machine: each takes ports that are free.
        arguments.extend(["--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"].map(str::to_owned));
        arguments.extend(self.options.iter().cloned());
        arguments.extend(more.iter().map(|&option| option.to_owned()));
        Replica::start(identity, self.folder.path(), &arguments)
    }

    /// Who its replicas are, in the API server's audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.home, OPERATOR.1)
    }

    /// What all replicas said.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                all += &format!("== {}\n{text}\n", entry.file_name().to_string_lossy());
            }
        }
        all
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // A test that fails shows what the operator said.
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
