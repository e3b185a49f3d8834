//! `kubernetes-read.wait`.

infraagent_generic::component!(infraagent_generic::kubernetes_read::wait);
