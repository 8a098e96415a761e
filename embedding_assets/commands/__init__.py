"""Commands of `embeddings` that need more than the registry; each is named in pyproject.toml and loaded when called."""
