//! `http-read.send`.

infraagent_generic::component!(infraagent_generic::http::read);
