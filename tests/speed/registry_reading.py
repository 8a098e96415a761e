"""Rows about reading: keys to vectors, the first lookup, one row, memory of readers and of a publisher."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from registry import Version, open_registry
from tests.speed.registry_neighbors import Line, line
from tests.speed.registry_world import World, alternate, fresh_batch, run_alone

BATCH = 100_000
_READERS = 4


def small_batch(world: World, rounds: int) -> Line:
    """Keys a second from a list of new strings to an array of vectors, against a dict and `np.take`; 100k keys."""
    return _against_dict(world.cosine, rounds)


def large_batch(world: World, rounds: int) -> Line:
    """The same with a million keys."""
    return _against_dict(open_registry(world.large[0])["user/large"], rounds)


def _against_dict(version: Version, rounds: int) -> Line:
    keys = version.keys().to_pylist()
    table, row_of = np.array(version.numpy()), {key: row for row, key in enumerate(keys)}
    mine, theirs = _with_fresh_keys(
        rounds, keys, version.lookup, lambda asked: np.take(table, [row_of[key] for key in asked], axis=0)
    )
    return line(theirs / mine, 1, {"keys_per_second": round(BATCH / mine)}, {"keys_per_second": round(BATCH / theirs)})


def gensim_batch(world: World, rounds: int) -> Line:
    """The same against gensim's KeyedVectors, 100k keys."""
    # a peer, which only `make speed` installs
    from gensim.models import KeyedVectors  # pyright: ignore[reportMissingImports]

    version = world.cosine
    keys = version.keys().to_pylist()
    vectors = KeyedVectors(version.dim, count=len(keys))
    vectors.add_vectors(keys, version.numpy())
    mine, theirs = _with_fresh_keys(rounds, keys, version.lookup, lambda asked: vectors[asked])
    return line(theirs / mine, 1, {"keys_per_second": round(BATCH / mine)}, {"keys_per_second": round(BATCH / theirs)})


def _with_fresh_keys(rounds: int, keys: list[str], *works: Callable[[list[str]], np.ndarray]) -> list[float]:
    """Median seconds of each; every call gets strings of its own, made before the clock starts."""
    calls = len(works) * (rounds + 1)
    batches = [fresh_batch(keys, BATCH, seed // len(works)) for seed in range(calls)]
    waiting = iter(batches)
    del batches
    np.testing.assert_array_equal(*(work(fresh_batch(keys, 1000, 0)) for work in works))
    return alternate(rounds, *(partial(lambda work: work(next(waiting)), work) for work in works))


def first_lookup(world: World, rounds: int) -> Line:
    """Open a million keys in a new process and look one up, hashing 520 MB included, against a dict from Parquet."""
    return _first_lookup(world, rounds, "new")


def reopened_lookup(world: World, rounds: int) -> Line:
    """The same in a process that has hashed the files before, which it does once."""
    return _first_lookup(world, rounds, "verified")


def _first_lookup(world: World, rounds: int, state: str) -> Line:
    root = world.large[0]
    key = open_registry(root)["user/large"].keys()[7].as_py()
    runs = [(run_alone("first_lookup", root, key, state), run_alone("dict_lookup", root, key)) for _ in range(rounds)]
    ours, peer = (
        {name: float(np.median([run[name] for run in side])) for name in side[0]} for side in zip(*runs, strict=True)
    )
    result = line(peer["seconds"] / ours["seconds"], 100, ours, peer)
    share = ours["rss_mib"] / peer["rss_mib"]
    return result | {"rss_ratio": round(share, 3), "rss_bar": 0.4, "met": result["met"] and share <= 0.4}


def one_row(world: World, rounds: int) -> Line:
    """One key to its vector, against reading its row group of `vectors.parquet`, the group being known."""
    version = world.cosine
    path = next(Path(world.store.root).glob("user/cosine/versions/*/vectors.parquet"))
    file, keys = pq.ParquetFile(path), version.keys().to_pylist()
    size = file.metadata.row_group(0).num_rows
    rows = iter(np.random.default_rng(5).integers(0, len(keys), 100_000).tolist())

    def from_parquet() -> np.ndarray:
        row = next(rows)
        column = file.read_row_group(row // size, columns=["vector"])["vector"]
        return column.combine_chunks().flatten().to_numpy().reshape(-1, version.dim)[row % size]

    def many() -> None:
        for _ in range(1000):
            version.lookup(keys[next(rows)])

    mine, theirs = alternate(rounds, many, lambda: [from_parquet() for _ in range(10)])
    ours, peer = mine / 1000, theirs / 10
    return line(peer / ours, 100, {"microseconds": round(ours * 1e6, 1)}, {"microseconds": round(peer * 1e6, 1)})


def readers(world: World, _rounds: int) -> Line:
    """Memory of four processes that have each read a million vectors, shared pages counted once."""
    root = world.large[0]
    command = [sys.executable, "-m", "tests.speed.registry_alone", "read_all", root]
    home = Path(__file__).parents[2]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home)
        for _ in range(_READERS)
    ]
    for step in ("go\n", "leave\n"):  # all have read before any is measured, and are measured before any leaves
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.write(step)
            process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in running]
    size = sum(path.stat().st_size for path in Path(root).glob("user/large/versions/*/table.safetensors")) / (1 << 20)
    total = sum(each["pss_mib"] for each in found)
    ours = {"pss_mib": round(total), "file_mib": round(size), "processes": _READERS}
    return {"ratio": round(total / size, 3), "bar": 1.2, "met": total <= 1.2 * size, "ours": ours, "peer": {}}


def publish_memory(world: World, _rounds: int) -> Line:
    """Peak memory of a process that publishes a million vectors, its own copy of them included."""
    cost = world.large[1]
    ratio = cost["peak_mib"] / cost["table_mib"]
    ours = {name: round(value, 1) for name, value in cost.items()}
    return {"ratio": round(ratio, 3), "bar": 3, "met": ratio < 3, "ours": ours, "peer": {}}


def composer_export(world: World, _rounds: int) -> Line:
    """Largest difference between vectors composed by the registry and by an export without it."""
    from registry.compose.export import load_bag

    path = world.root / "bag.safetensors"
    world.cosine.export(path, overwrite=True)
    rng, keys = np.random.default_rng(6), world.cosine.keys().to_pylist()
    bags = [{keys[i]: float(rng.uniform(0.1, 3)) for i in rng.integers(0, len(keys), 10)} for _ in range(1000)]
    difference = np.abs(load_bag(path).compose(bags).vectors - world.cosine.compose(bags).vectors).max()
    ours = {"difference": float(difference), "bags": len(bags)}
    return {"ratio": float(difference), "bar": 1e-6, "met": bool(difference <= 1e-6), "ours": ours, "peer": {}}


ROWS = {
    "batch-lookup-100k": small_batch,
    "gensim-lookup-100k": gensim_batch,
    "one-row": one_row,
    "composer-export": composer_export,
    "publish-memory-1m": publish_memory,
    "batch-lookup-1m": large_batch,
    "open-first-lookup-1m": first_lookup,
    "reopen-first-lookup-1m": reopened_lookup,
    "readers-pss-1m": readers,
}
