"""Small drafts for the registry's tests; every axis has a size of its own."""

import numpy as np
import pyarrow as pa

from registry import Draft, Store, Upstream
from registry.layout import Place

N, D = 37, 5

LINEAGE = Upstream(
    asset="word/pairs",
    partition="2026-01-05",
    data_version="d1",
    run_id="run-1",
    upstream=(
        Upstream(asset="raw/tweets", partition="2025-12-29", data_version="d2"),
        Upstream(asset="raw/tweets", partition="2026-01-05", data_version="d3"),
    ),
)


def make_keys(count: int = N) -> pa.StringArray:
    """Keys of different lengths and scripts; `key3`, `key7`, `key11`, ... are plain."""
    return pa.array([f"{'木é '[i % 3] * ((i + 1) % 4)}key{i}" for i in range(count)], pa.string())


def make_vectors(count: int = N, dim: int = D, seed: int = 0) -> np.ndarray:
    """(count, dim) float32, of different lengths so that the three metrics disagree."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dim)) * rng.uniform(0.5, 2, size=(count, 1))
    return vectors.astype(np.float32)


def make_draft(**changes) -> Draft:
    """A valid draft, but for `changes`."""
    facts = {
        "entity": "word",
        "name": "word",
        "keys": make_keys(),
        "vectors": make_vectors(),
        "week": "2026-01-05",
        "space": "run-1:centers",
    }
    return Draft(**(facts | changes))


def tombstone(store: Store, number: int, at: str, kind: str = "erased", replaced_by: int | None = None) -> None:
    """Record that `word/word@v<number>` is gone, without touching its files."""
    record = {"version": number, "kind": kind, "reason": "asked to", "at": at, "replaced_by": replaced_by}
    store._catalog.log(Place("word", "word").retention).append(lambda _: record, lambda _: False)
