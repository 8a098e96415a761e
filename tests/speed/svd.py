"""The SVD against scikit-learn's randomized_svd: the same pair table, rounds in turn, energy lost beside the time.

The graphs are synthetic, bipartite and of stated size: both ends of an edge are drawn with a chance
~ (rank + 10) ** -0.8, so degrees follow a power law; repeated draws are the count. The shared real graphs have
under 0.3 M edges.
"""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.trainers.svd import Svd
from tests.speed.measuring import measured


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the comparison.

    Attributes:
        edges: how many the graph has.
        sources, destinations: ids of the two sides.
        dim: of both factorisations.
        bar: the ratio of our time to the peer's that the project aims at; None where it is only reported.
    """

    edges: int
    sources: int
    destinations: int
    dim: int
    bar: float | None


ROWS = {
    "svd-1m": Row(edges=1_000_000, sources=100_000, destinations=20_000, dim=128, bar=0.3),
    "svd-10m": Row(edges=10_000_000, sources=250_000, destinations=50_000, dim=64, bar=None),
}
SCALE = "svd-scale"
NAMES = (*ROWS, SCALE)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One factorisation of one side; `seconds` without compiling, which is beside it."""

    seconds: float
    compile_seconds: float
    peak_bytes: int
    lost_energy: float


def compare(data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `ROWS`, then how our time grows with the data; `data` is not needed."""
    del data
    train_ours(power_law_graph(200, 100, 1000), 4, seed=0)  # loading the libraries is nobody's memory or time
    train_sklearn(power_law_graph(200, 100, 1000), 4, seed=0)
    for name in only or NAMES:
        yield scale(rounds) if name == SCALE else against_sklearn(name, rounds)


def against_sklearn(name: str, rounds: int) -> dict[str, Any]:
    """Medians of both sides, alternating."""
    row = ROWS[name]
    table = power_law_graph(row.sources, row.destinations, row.edges)
    ours, peer = [], []
    for seed in range(rounds):
        ours.append(train_ours(table, row.dim, seed))
        peer.append(train_sklearn(table, row.dim, seed))
    mine, theirs = medians(ours), medians(peer)
    return {
        "row": name,
        "ratio": round(mine["seconds"] / theirs["seconds"], 3),
        "bar": row.bar,
        "quality_held": all(a.lost_energy <= b.lost_energy for a, b in zip(ours, peer, strict=True)),
        "edges": len(table),
        "input_bytes": table.row_ids.nbytes + table.col_ids.nbytes + table.counts.nbytes,
        "ours": mine,
        "peer": theirs,
    }


def scale(rounds: int) -> dict[str, Any]:
    """Seconds on 1, 4 and 16 times the data, ids and edges alike, and the exponent of the growth."""
    seconds = {}
    for times in (1, 4, 16):
        table = power_law_graph(12_500 * times, 2_500 * times, 200_000 * times)
        seconds[len(table)] = medians([train_ours(table, 64, seed) for seed in range(rounds)])["seconds"]
    edges = list(seconds)
    exponent = math.log(seconds[edges[-1]] / seconds[edges[0]]) / math.log(edges[-1] / edges[0])
    return {"row": SCALE, "exponent": round(exponent, 3), "ours": {str(n): seconds[n] for n in edges}}


def power_law_graph(sources: int, destinations: int, edges: int, seed: int = 0) -> PairTable:
    """Exactly `edges` different edges, in (source, destination) order."""
    rng = np.random.default_rng(seed)
    codes: np.ndarray = np.empty(0, np.int64)
    counts = codes
    draws = edges
    while len(codes) < edges:
        draws = draws * 5 // 4
        ends = (rng.choice(n, draws, p=_chances(n)).astype(np.int64) for n in (sources, destinations))
        codes, counts = np.unique(next(ends) * destinations + next(ends), return_counts=True)
    kept = np.sort(rng.permutation(len(codes))[:edges])
    return PairTable(
        rows=_vocabulary("user", sources),
        columns=_vocabulary("producer", destinations),
        row_ids=(codes[kept] // destinations).astype(np.int32),
        col_ids=(codes[kept] % destinations).astype(np.int32),
        counts=counts[kept].astype(np.float32),
    )


def train_ours(table: PairTable, dim: int, seed: int) -> Round:
    """Checking the table, its two sparse forms and all copies are part of the time."""
    done = measured(partial(Svd(dim=dim, weights="raw", seed=seed, device="cpu").fit, table))
    return Round(
        seconds=done.seconds - done.result.compile_seconds,
        compile_seconds=done.result.compile_seconds,
        peak_bytes=done.peak_bytes,
        lost_energy=done.result.metrics["lost_energy"],
    )


def train_sklearn(table: PairTable, dim: int, seed: int) -> Round:
    """`randomized_svd` with two power iterations; making the sparse matrix is part of the time."""
    from sklearn.utils.extmath import randomized_svd

    def work() -> np.ndarray:
        matrix = sp.csr_matrix((table.counts, (table.row_ids, table.col_ids)), shape=table.shape)
        return randomized_svd(matrix, dim, n_iter=2, random_state=seed)[1]

    done = measured(work)
    kept = np.square(done.result.astype(np.float64)).sum() / np.square(table.counts.astype(np.float64)).sum()
    return Round(seconds=done.seconds, compile_seconds=0.0, peak_bytes=done.peak_bytes, lost_energy=1.0 - float(kept))


def medians(rounds: list[Round]) -> dict[str, float]:
    """Of seconds and energy; the largest compile time, and the largest peak, which a later round hides."""
    return {
        "seconds": round(statistics.median(r.seconds for r in rounds), 4),
        "compile_seconds": round(max(r.compile_seconds for r in rounds), 4),
        "peak_bytes": max(r.peak_bytes for r in rounds),
        "lost_energy": round(statistics.median(r.lost_energy for r in rounds), 5),
    }


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    if line["row"] == SCALE:
        steps = ", ".join(f"{int(edges):,} edges {seconds:.2f} s" for edges, seconds in line["ours"].items())
        return f"{SCALE}: {steps}; seconds ~ edges ** {line['exponent']}"
    sides = [
        f"  {side:<5}{s['seconds']:>10.3f} s  {s['peak_bytes'] / 1e6:>8.0f} MB  lost {s['lost_energy']:.5f}"
        for side, s in ((side, line[side]) for side in ("ours", "peer"))
    ]
    held = "energy held" if line["quality_held"] else "MORE ENERGY LOST: the ratio does not count"
    head = f"{line['row']}: {line['edges']:,} edges, {line['input_bytes'] / 1e6:.0f} MB"
    bar = "no bar" if line["bar"] is None else f"bar {line['bar']}"
    compiled = f"compiled in {line['ours']['compile_seconds']:.2f} s"
    return "\n".join([head, *sides, f"  ratio {line['ratio']} ({bar}); {held}; {compiled}"])


def _chances(size: int) -> np.ndarray:
    chances = (np.arange(size) + 10.0) ** -0.8
    return chances / chances.sum()


def _vocabulary(entity: str, size: int) -> Vocabulary:
    keys = pa.array([f"{entity}{i}" for i in range(size)], pa.string())
    return Vocabulary(entity=entity, keys=keys, counts=np.ones(size))
