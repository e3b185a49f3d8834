//! The product on a real Kubernetes API server, through what a user has: the API, kubectl and the program.
//!
//! One binary, one module per concern. Every test asks for the shared control plane of [`infraagent_tests`] and stays in namespaces of its
//! own, so all of them run in parallel. `K8S=1.33.13` chooses the version.

mod absent;
mod admission;
mod canaries;
mod crds;
mod edited;
mod harness;
mod identities;
mod lab;
mod outage;
mod people;
mod record;
mod run;
mod shadow;
mod shop;
mod storm;
mod walls;
mod writers;
