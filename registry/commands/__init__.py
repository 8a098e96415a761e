"""The commands of `embeddings`, one module a topic; `registry.cli` finds every command in them."""
