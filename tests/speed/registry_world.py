"""What the registry's rows are measured on: a hard set of 100,000 vectors, a table of a million, and helpers.

The *hard set*: 2,000 centres drawn from a 128-dimensional normal distribution; each vector is a centre plus noise of
the same size, stretched by a log-normal length (sigma .4). A vector has about 50 neighbours, at cosine .5 where
strangers are at 0 +- .09, and a random plane separates it from half of them: a forest has to look at many leaves.
Queries are drawn in the same way and are no rows of it.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from registry import Draft, Version, open_registry
from registry.search.scan import Vectors, scan

DIM = 128
SMALL, LARGE = 100_000, 1_000_000
QUERIES = 512
CENTERS = 2000
K = 10


class World:
    """Published versions, made when a row first needs them, in a folder that goes with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="registry-speed-")
        self.root = Path(self._folder.name)
        self.store = open_registry(self.root / "registry")

    def close(self) -> None:
        """Remove everything."""
        self._folder.cleanup()

    @cached_property
    def hard(self) -> tuple[np.ndarray, np.ndarray]:
        """(100,000, 128) float32 vectors and (512, 128) float32 queries."""
        rng = np.random.default_rng(0)
        centers = rng.normal(size=(CENTERS, DIM))
        values = centers[rng.integers(0, CENTERS, SMALL + QUERIES)] + rng.normal(size=(SMALL + QUERIES, DIM))
        values *= rng.lognormal(0, 0.4, size=(len(values), 1))
        return values[:SMALL].astype(np.float32), values[SMALL:].astype(np.float32)

    @cached_property
    def cosine(self) -> Version:
        """The hard set, with metric cosine, a graph, and an attribute `bucket` that is 0 to 999."""
        buckets = np.random.default_rng(1).permutation(SMALL) % 1000
        return self._publish("cosine", graph=True, attributes=pa.table({"bucket": buckets}))

    @cached_property
    def dot(self) -> Version:
        """The hard set, with metric dot."""
        return self._publish("dot", metric="dot")

    def _publish(self, name: str, **facts: Any) -> Version:
        draft = Draft(entity="user", name=name, space=name, keys=user_keys(SMALL), vectors=self.hard[0], **facts)
        return self.store.publish(draft)

    @cached_property
    def large(self) -> tuple[str, dict[str, float]]:
        """Root of a registry with `user/large` (1,000,000 x 128), and what publishing it cost."""
        root = str(self.root / "large")
        return root, run_alone("publish", root)

    def truth(self, metric: str, rows: np.ndarray | None = None) -> np.ndarray:
        """(512, 10) the true neighbours of the queries, among all rows or some."""
        values, queries = self.hard
        none = np.full(len(queries), -1, np.int64)
        return scan(Vectors(values, rows), queries, K, metric, none)[0]  # type: ignore[arg-type]


def user_keys(count: int) -> pa.StringArray:
    """Keys `user_<number>`, the numbers unordered and up to a thousand million."""
    numbers = np.random.default_rng(2).choice(1_000_000_000, count, replace=False)
    return pa.array([f"user_{number}" for number in numbers.tolist()])


def fresh_batch(keys: list[str], count: int, seed: int) -> list[str]:
    """Random keys as new strings, as they come out of a request or a file: their hashes are not known yet."""
    picked = np.random.default_rng(seed).integers(0, len(keys), count)
    return [keys[i].encode().decode() for i in picked.tolist()]


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the (Q, k) true rows that are among the (Q, c) rows found; -1 is none."""
    return float((found[:, :, None] == truth[:, None, :]).any(axis=1).mean())


def alternate(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Median seconds of each work, done in turn; each is done once before, unmeasured."""
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in seconds]


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Equal threads: this process on one core, and one thread in numpy's products."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with threadpool_limits(1):
            yield
    finally:
        os.sched_setaffinity(0, cores)


def run_alone(work: str, *arguments: str) -> dict[str, float]:
    """Do a work of `registry_alone` in a process of its own; returns what it measured."""
    command = [sys.executable, "-m", "tests.speed.registry_alone", work, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return json.loads(done.stdout)
