//! `kubernetes-service-mutation.request-sync`.

infraagent_generic::component!(infraagent_generic::service_mutation::request_sync);
