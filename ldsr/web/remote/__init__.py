"""The page for programs: Gradio's API and tools of MCP."""
