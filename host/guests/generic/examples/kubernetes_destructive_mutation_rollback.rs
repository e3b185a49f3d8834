//! `kubernetes-destructive-mutation.rollback`.

infraagent_generic::component!(infraagent_generic::destructive_mutation::rollback);
