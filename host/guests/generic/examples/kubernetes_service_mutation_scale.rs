//! `kubernetes-service-mutation.scale`.

infraagent_generic::component!(infraagent_generic::service_mutation::scale);
