"""Embeddings declared in YAML: each folder here with a `defs.yaml` is one; see `embedding_assets.component`."""
