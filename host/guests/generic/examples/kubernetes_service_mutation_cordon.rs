//! `kubernetes-service-mutation.cordon`.

infraagent_generic::component!(infraagent_generic::service_mutation::cordon);
