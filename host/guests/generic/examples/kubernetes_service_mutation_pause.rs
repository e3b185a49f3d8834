//! `kubernetes-service-mutation.pause`.

infraagent_generic::component!(infraagent_generic::service_mutation::pause);
