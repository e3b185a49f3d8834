//! `kubernetes-read.get`.

infraagent_generic::component!(infraagent_generic::kubernetes_read::get);
