//! `mcp-mutation.call-tool`.

infraagent_generic::component!(infraagent_generic::mcp::write);
