//! `mcp-read.call-tool`.

infraagent_generic::component!(infraagent_generic::mcp::read);
