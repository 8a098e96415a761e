"""The SVD against scikit-learn's randomized_svd: the same pair table, rounds in turn, energy lost beside the time.

Graphs of a million edges and more are synthetic; of the shared real ones, which have 0.3 M at most, it is also asked
how many held-out links a factorisation finds.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.svd import Svd
from tests.speed.measuring import measured
from tests.speed.svd_graphs import Graph, follow_graph, power_law_graph


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the comparison.

    Attributes:
        graph: makes it, from the folder of the shared data.
        dim: of both factorisations.
        bar: the ratio of our time to the peer's that the project aims at; None where it is only reported.
    """

    graph: Callable[[Path], Graph]
    dim: int
    bar: float | None


ROWS = {
    "svd-twitch": Row(graph=lambda data: follow_graph(data, "twitch_de"), dim=128, bar=None),
    "svd-deezer": Row(graph=lambda data: follow_graph(data, "deezer_ro"), dim=128, bar=None),
    "svd-1m": Row(graph=lambda _: power_law_graph(100_000, 20_000, 1_000_000), dim=128, bar=0.3),
    "svd-10m": Row(graph=lambda _: power_law_graph(250_000, 50_000, 10_000_000), dim=64, bar=None),
}
SCALE = "svd-scale"
NAMES = (*ROWS, SCALE)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One factorisation of one side; `seconds` without compiling, which is beside it; recall of held-out links."""

    seconds: float
    compile_seconds: float
    peak_bytes: int
    lost_energy: float
    recall_10: float | None


def compare(data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `ROWS`, then how our time grows with the data."""
    train_ours(power_law_graph(200, 100, 1000), 4, seed=0)  # loading the libraries is nobody's memory or time
    train_sklearn(power_law_graph(200, 100, 1000), 4, seed=0)
    for name in only or NAMES:
        yield scale(rounds) if name == SCALE else against_sklearn(name, data, rounds)


def against_sklearn(name: str, data: Path, rounds: int) -> dict[str, Any]:
    """Medians of both sides, alternating."""
    row = ROWS[name]
    graph = row.graph(data)
    table = graph.table
    ours, peer = [], []
    for seed in range(rounds):
        ours.append(train_ours(graph, row.dim, seed))
        peer.append(train_sklearn(graph, row.dim, seed))
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
        graph = power_law_graph(12_500 * times, 2_500 * times, 200_000 * times)
        seconds[len(graph.table)] = medians([train_ours(graph, 64, seed) for seed in range(rounds)])["seconds"]
    edges = list(seconds)
    exponent = math.log(seconds[edges[-1]] / seconds[edges[0]]) / math.log(edges[-1] / edges[0])
    return {"row": SCALE, "exponent": round(exponent, 3), "ours": {str(n): seconds[n] for n in edges}}


def train_ours(graph: Graph, dim: int, seed: int) -> Round:
    """Checking the table, its two sparse forms and all copies are part of the time."""
    done = measured(partial(Svd(dim=dim, weights="raw", seed=seed, device="cpu").fit, graph.table))
    return Round(
        seconds=done.seconds - done.result.compile_seconds,
        compile_seconds=done.result.compile_seconds,
        peak_bytes=done.peak_bytes,
        lost_energy=done.result.metrics["lost_energy"],
        recall_10=graph.recall(*(side.vectors for side in done.result.tables)),
    )


def train_sklearn(graph: Graph, dim: int, seed: int) -> Round:
    """`randomized_svd` with two power iterations; making the sparse matrix is part of the time."""
    from sklearn.utils.extmath import randomized_svd

    table = graph.table

    def work() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        matrix = sp.csr_matrix((table.counts, (table.row_ids, table.col_ids)), shape=table.shape)
        return randomized_svd(matrix, dim, n_iter=2, random_state=seed)  # pyright: ignore[reportArgumentType] - or "auto"

    done = measured(work)
    left, singular, right = done.result
    kept = np.square(singular.astype(np.float64)).sum() / np.square(table.counts.astype(np.float64)).sum()
    return Round(
        seconds=done.seconds,
        compile_seconds=0.0,
        peak_bytes=done.peak_bytes,
        lost_energy=1.0 - float(kept),
        recall_10=graph.recall(left * singular, right.T),
    )


def medians(rounds: list[Round]) -> dict[str, float]:
    """Of seconds and energy; the largest compile time, and the largest peak, which a later round hides."""
    recalls = [r.recall_10 for r in rounds if r.recall_10 is not None]
    return {
        "seconds": round(statistics.median(r.seconds for r in rounds), 4),
        "compile_seconds": round(max(r.compile_seconds for r in rounds), 4),
        "peak_bytes": max(r.peak_bytes for r in rounds),
        "lost_energy": round(statistics.median(r.lost_energy for r in rounds), 5),
        **({"recall_10": round(statistics.median(recalls), 4)} if recalls else {}),
    }


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    if line["row"] == SCALE:
        steps = ", ".join(f"{int(edges):,} edges {seconds:.2f} s" for edges, seconds in line["ours"].items())
        return f"{SCALE}: {steps}; seconds ~ edges ** {line['exponent']}"
    sides = [
        f"  {side:<5}{s['seconds']:>10.3f} s  {s['peak_bytes'] / 1e6:>8.0f} MB  lost {s['lost_energy']:.5f}"
        + (f"  recall@10 {s['recall_10']:.4f}" if "recall_10" in s else "")
        for side, s in ((side, line[side]) for side in ("ours", "peer"))
    ]
    held = "energy held" if line["quality_held"] else "MORE ENERGY LOST: the ratio does not count"
    head = f"{line['row']}: {line['edges']:,} edges, {line['input_bytes'] / 1e6:.0f} MB"
    bar = "no bar" if line["bar"] is None else f"bar {line['bar']}"
    compiled = f"compiled in {line['ours']['compile_seconds']:.2f} s"
    return "\n".join([head, *sides, f"  ratio {line['ratio']} ({bar}); {held}; {compiled}"])
