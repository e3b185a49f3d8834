//! `kubernetes-read.logs`.

infraagent_generic::component!(infraagent_generic::kubernetes_read::logs);
