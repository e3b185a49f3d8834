//! `kubernetes-service-mutation.restart`.

infraagent_generic::component!(infraagent_generic::service_mutation::restart);
