//! `kubernetes-destructive-mutation.delete`.

infraagent_generic::component!(infraagent_generic::destructive_mutation::delete);
