//! A control plane for the tests of this process.
//!
//! Guarantees: it is ready when it is handed out; it ends, and its folder goes, when the [`ControlPlane`] is dropped or the process ends in
//! whatever way, because `hack/control-plane run` holds until its standard input closes.
//!
//! Caveats: a [`kube::Client`] belongs to the runtime that made it, so every test asks for its own.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{apply, client_of, repository};

/// Name of the node on which pods run if controllers do. There is no scheduler: a pod template says `nodeName`.
pub const NODE: &str = "node-1";

/// What runs beside etcd and the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// Nothing: objects stay as they were written, and nobody reacts to them.
    ApiServer,
    /// The controller manager and kwok: workloads roll out, pods on the node [`NODE`] run, claims are bound, garbage is collected.
    Controllers,
}

/// What `hack/control-plane run` announces.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Announced {
    kubeconfig: PathBuf,
    audit_log: PathBuf,
    version: String,
    dir: PathBuf,
    kubectl: PathBuf,
    api_server: u32,
}

/// A running control plane. Dropping it ends it.
#[derive(Debug)]
pub struct ControlPlane {
    announced: Announced,
    /// `hack/control-plane run`; it holds while the pipe to its standard input is open.
    script: Child,
    names: AtomicUsize,
    pub(crate) programs: Programs,
    furnished: OnceCell<()>,
    pub(crate) crds: OnceCell<()>,
    pub(crate) operator: OnceCell<()>,
}

/// The control plane of this process without controllers.
///
/// # Panics
///
/// If there is none to be had; the message says what to do.
pub fn control_plane() -> &'static ControlPlane {
    static SHARED: OnceLock<ControlPlane> = OnceLock::new();
    SHARED.get_or_init(|| ControlPlane::start(Programs::ApiServer))
}

/// The control plane of this process in which workloads come alive.
///
/// # Panics
///
/// If there is none to be had; the message says what to do.
pub fn control_plane_with_controllers() -> &'static ControlPlane {
    static SHARED: OnceLock<ControlPlane> = OnceLock::new();
    SHARED.get_or_init(|| ControlPlane::start(Programs::Controllers))
}

impl ControlPlane {
    /// Starts one for the caller alone, for tests that break it. Others share [`control_plane`].
    ///
    /// # Panics
    ///
    /// If it does not start; the message says what to do.
    pub fn start(programs: Programs) -> Self {
        let version = std::env::var("K8S").ok().filter(|version| !version.is_empty());
        let options: &[&str] = match programs {
            Programs::ApiServer => &[],
            Programs::Controllers => &["--controller-manager", "--kwok"],
        };
        let mut script = Command::new(repository().join("hack/control-plane"))
            .arg("run")
            .args(version)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hack/control-plane can be run");

        let mut line = String::new();
        BufReader::new(script.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let Ok(announced) = serde_json::from_str(&line) else {
            let mut reason = String::new();
            let _ = script.stderr.take().expect("piped").read_to_string(&mut reason);
            panic!("these tests need a Kubernetes control plane, and there is none.\n{line}{reason}");
        };
        Self {
            announced,
            script,
            names: AtomicUsize::new(0),
            programs,
            furnished: OnceCell::new(),
            crds: OnceCell::new(),
            operator: OnceCell::new(),
        }
    }

    /// Path of a kubeconfig that may do everything (group `system:masters`).
    pub fn kubeconfig(&self) -> &Path {
        &self.announced.kubeconfig
    }

    /// Path of the API server's audit log, one JSON object per line; [`ControlPlane::audit_events`] reads it.
    pub fn audit_log(&self) -> &Path {
        &self.announced.audit_log
    }

    /// Version of Kubernetes, for example `1.37.2`.
    pub fn version(&self) -> &str {
        &self.announced.version
    }

    /// A folder that goes with the control plane.
    pub fn dir(&self) -> &Path {
        &self.announced.dir
    }

    /// The process of the API server, for whoever wants to know what it costs.
    pub fn api_server_process(&self) -> u32 {
        self.announced.api_server
    }

    /// Kills etcd, which starts again and finds what it had. Not on a control plane that is shared.
    ///
    /// # Panics
    ///
    /// If its process cannot be found.
    pub fn restart_etcd(&self) {
        let pid = std::fs::read_to_string(self.dir().join("etcd.pid")).expect("the process of etcd");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a process");
        std::fs::write(self.dir().join("restart-etcd"), "").expect("the folder is writable");
        kill_process(pid, Signal::KILL).expect("etcd can be killed");
    }

    /// Freezes the API server: whoever asks it waits. Not on a control plane that is shared.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn freeze_api_server(&self) {
        self.signal_api_server(Signal::STOP);
    }

    /// Wakes it after [`ControlPlane::freeze_api_server`]: now it answers everybody who waited.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn wake_api_server(&self) {
        self.signal_api_server(Signal::CONT);
    }

    fn signal_api_server(&self, signal: Signal) {
        let pid = i32::try_from(self.announced.api_server).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("the API server is there");
    }

    /// A client that may do everything.
    pub async fn admin(&self) -> Client {
        client_of(self.kubeconfig()).await
    }

    /// A command line of kubectl as the admin, with a cache of its own.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.announced.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).arg("--cache-dir").arg(self.dir().join("kubectl"));
        command
    }

    /// A name that nobody else in this process uses: the prefix and a number.
    pub fn unique(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates a namespace with a unique name, and in it the ServiceAccount that pods need; they get no token, so that a pod stays as it was
    /// written. With controllers, the node [`NODE`] and a default class of volumes exist from now on.
    pub async fn namespace(&self, prefix: &str) -> String {
        if self.programs == Programs::Controllers {
            self.furnish().await;
        }
        let client = self.admin().await;
        let name = self.unique(prefix);
        let namespace = Namespace { metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() }, ..Namespace::default() };
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("a namespace can be created");
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name}, "automountServiceAccountToken": false,
        });
        apply(&client, &account).await.expect("a ServiceAccount can be applied");
        name
    }

    /// What workloads need to come alive: a node, and a default class of volumes that kwok provides.
    async fn furnish(&self) {
        let furnish = || async {
            let client = self.admin().await;
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
            let class = json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kwok.x-k8s.io/volume",
                "metadata": {"name": "kwok-volume", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            });
            for object in [node, class] {
                apply(&client, &object).await.expect("a node and a class of volumes can be applied");
            }
        };
        self.furnished.get_or_init(furnish).await;
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
