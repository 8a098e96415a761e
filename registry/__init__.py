"""Published embeddings and everyone's way to read them.

    from registry import open_registry

    store = open_registry("data/registry")
    words = store["word/word@latest"]            # also @v12, @2026-01-05
    vectors = words.lookup(["jax", "gpu"])       # (2, D) float32
    words.neighbors("jax", k=10).keys[0]
    words.scores(), words.lineage(), store.versions("word/word")

Needs numpy and pyarrow; Annoy is loaded by the first question that it answers.
"""

from registry import errors
from registry.reader import Version
from registry.records import Draft, Neighbors, Score, Upstream, VersionInfo
from registry.store import Store, open_registry

__all__ = [
    "Draft",
    "Neighbors",
    "Score",
    "Store",
    "Upstream",
    "Version",
    "VersionInfo",
    "errors",
    "open_registry",
]
