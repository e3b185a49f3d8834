//! `kubernetes-read.list`.

infraagent_generic::component!(infraagent_generic::kubernetes_read::list);
