//! `kubernetes-service-mutation.evict`.

infraagent_generic::component!(infraagent_generic::service_mutation::evict);
