//! What tests need to see the product from outside: a real Kubernetes API server, identities on it, its audit log, and the program.
//!
//! Nothing here imports the host: what a test of this package knows about the product, a user of it could know too.
//!
//! ```no_run
//! # async fn example() {
//! use infraagent_tests::control_plane;
//!
//! let plane = control_plane();
//! plane.install_crds().await;
//! let namespace = plane.namespace("restart").await;
//! let admin = plane.admin().await;
//! # }
//! ```
//!
//! * [`control_plane`]: etcd and kube-apiserver; objects stay exactly as they were written.
//! * [`control_plane_with_controllers`]: with the controller manager and kwok too, so that rollouts complete, pods run, claims are bound
//!   and garbage is collected.
//! * [`ControlPlane::operator`]: an operator in namespaces of its own, whose replicas are processes that a test kills, freezes and cuts off.
//! * [`model_server`]: a model that says what its script says, in the vendors' wire formats.
//! * [`Passage`]: a way to the API server on which requests and answers get lost as a test wants it.
//!
//! A control plane exists once per test process, is started when it is first asked for, and ends with the process. Tests run in parallel and must
//! stay in namespaces of their own. The version is that of the environment variable `K8S`, else the newest known to `hack/control-plane`.

mod audit_log;
mod binary;
mod control_plane;
mod identity;
mod install;
mod installation;
pub mod model_server;
mod passage;
mod proxy;
mod replica;
mod skill;
mod wait;

pub use audit_log::{AuditEvent, Impersonated, ObjectReference, ResponseStatus, User};
pub use binary::binary;
pub use control_plane::{ControlPlane, NODE, Programs, control_plane, control_plane_with_controllers};
pub use identity::{client_of, config_of};
pub use install::{OPERATOR, apply, documents, repository};
pub use installation::Installation;
pub use passage::{Fate, Passage, Passing};
pub use proxy::Wire;
pub use replica::Replica;
pub use skill::{guest, skill};
pub use wait::eventually;
