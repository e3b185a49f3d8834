//! `http-mutation.send`.

infraagent_generic::component!(infraagent_generic::http::write);
