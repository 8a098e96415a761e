"""ALS against implicit: the same graph, the same objective, as many epochs and threads, rounds in turn."""

import itertools
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from embedding_assets.records import Progress
from embedding_assets.trainers.als import Als, Solver
from tests.speed.als_quality import (
    as_table_of_pairs,
    objective,
    planted_graph,
    ranking,
    split,
    twitch_graph,
)
from tests.speed.measuring import measured

DIM = 64
EPOCHS = 15
SEEDS = 5
SIDES = ("ours", "peer")
EDGES = 1_000_000
SCALES = (1, 4, 16)
#: Edges at scale 1.
SMALLEST = 250_000
#: Both sides are tuned on these: regularization, alpha.
GRID = tuple(itertools.product((30.0, 100.0, 300.0), (5.0, 20.0, 60.0)))
BARS = {"als-exact": 0.8, "als-cg": 1.5, "als-twitch": -0.005, "als-scale": None}
NAMES = tuple(BARS)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What both sides are asked to do."""

    graph: sp.csr_array
    solver: Solver
    regularization: float = 0.01
    alpha: float = 1.0
    epochs: int = EPOCHS
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Vectors of one side of the comparison, and what they cost; `seconds` without compiling, `epochs` with it."""

    users: np.ndarray
    items: np.ndarray
    seconds: float
    compile_seconds: float
    peak_bytes: int
    epochs: tuple[Progress, ...] = ()


def compare(data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `BARS`."""
    for name in only or BARS:
        if name == "als-twitch":
            yield compare_ranking(twitch_graph(data))
        elif name == "als-scale":
            yield compare_growth()
        else:
            yield compare_speed(name, rounds)


def ours(work: Work) -> Fitted:
    """Sorting the pairs into chunks is part of the time."""
    table = as_table_of_pairs(work.graph)
    trainer = Als(
        dim=DIM,
        epochs=work.epochs,
        regularization=work.regularization,
        alpha=work.alpha,
        solver=work.solver,
        seed=work.seed,
        device="cpu",
    )
    epochs: list[Progress] = []
    done = measured(lambda: trainer.fit(table, progress=epochs.append))
    users, items = (side.vectors for side in done.result.tables)
    compiling = done.result.compile_seconds
    return Fitted(
        users=users,
        items=items,
        seconds=done.seconds - compiling,
        compile_seconds=compiling,
        peak_bytes=done.peak_bytes,
        epochs=tuple(epochs),
    )


def implicit(work: Work) -> Fitted:
    """The weights 1 + alpha n are given to it ready made; BLAS has one thread, as it asks."""
    # a peer, which only `make speed` installs
    from implicit.als import AlternatingLeastSquares  # pyright: ignore[reportMissingImports]

    weights = sp.csr_matrix(work.graph)
    weights.data = 1.0 + np.float32(work.alpha) * weights.data
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=DIM,
            regularization=work.regularization,
            iterations=work.epochs,
            use_cg=work.solver == "cg",
            num_threads=os.cpu_count() or 1,
            random_state=work.seed,
            use_gpu=False,
        )
        done = measured(lambda: model.fit(weights, show_progress=False))
    return Fitted(
        users=model.user_factors,
        items=model.item_factors,
        seconds=done.seconds,
        compile_seconds=0.0,
        peak_bytes=done.peak_bytes,
    )


def compare_speed(name: str, rounds: int) -> dict[str, Any]:
    """Medians of `rounds` seeds; quality is held where our objective is not above the peer's.

    `ratio` is of the time until our objective first is as low as the peer's last; `ratio_equal_epochs` is of the same
    number of epochs. Our start is part of both.
    """
    graph = planted_graph(EDGES)
    solver: Solver = "cg" if name == "als-cg" else "exact"
    sides: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for seed in range(rounds):
        work = Work(graph=graph, solver=solver, seed=seed)
        theirs = implicit(work)
        sides["peer"].append(_figures(work, theirs))
        mine = ours(work)
        sides["ours"].append(_figures(work, mine) | _until(mine, sides["peer"][-1]["objective"]))
    mine, theirs = _medians(sides["ours"]), _medians(sides["peer"])
    return {
        "row": name,
        "ratio": round(mine["seconds_to_quality"] / theirs["seconds"], 3),
        "ratio_equal_epochs": round(mine["seconds"] / theirs["seconds"], 3),
        "bar": BARS[name],
        "quality_held": mine["objective"] <= theirs["objective"],
        "edges": graph.nnz,
        "ours": mine,
        "peer": theirs,
    }


def compare_ranking(graph: sp.csr_array) -> dict[str, Any]:
    """Each side tuned on validation pairs, fitted again with them, and judged on test pairs; `SEEDS` splits.

    `margin` is how far we are above the peer in the worse of the two figures.
    """
    sides = {
        side: _medians([_tuned(fit, graph, seed) for seed in range(SEEDS)], statistics.fmean)
        for side, fit in (("ours", ours), ("peer", implicit))
    }
    mine, theirs = sides["ours"], sides["peer"]
    margin = min(mine[metric] - theirs[metric] for metric in ("recall_10", "ndcg_10"))
    return {
        "row": "als-twitch",
        "ratio": round(mine["seconds"] / theirs["seconds"], 3),
        "margin": round(margin, 4),
        "bar": BARS["als-twitch"],
        "quality_held": margin >= BARS["als-twitch"],
        "edges": graph.nnz,
        "ours": mine,
        "peer": theirs,
    }


def compare_growth() -> dict[str, Any]:
    """Seconds at 1, 4 and 16 times the edges, and the exponent of their growth over all of it."""
    sides: dict[str, dict[str, float]] = {"ours": {}, "peer": {}}
    for scale in SCALES:
        work = Work(graph=planted_graph(SMALLEST * scale), solver="cg", epochs=5)
        for side, fit in (("peer", implicit), ("ours", ours)):
            done = fit(work)
            figures = {"seconds": done.seconds, "compile_seconds": done.compile_seconds}
            figures["peak_bytes"] = done.peak_bytes
            sides[side] |= {f"{name}_{scale}x": round(value, 4) for name, value in figures.items()}
    for figures in sides.values():
        growth = figures[f"seconds_{SCALES[-1]}x"] / figures["seconds_1x"]
        figures["exponent"] = round(float(np.log(growth) / np.log(SCALES[-1])), 3)
    largest = f"seconds_{SCALES[-1]}x"
    return {
        "row": "als-scale",
        "ratio": round(sides["ours"][largest] / sides["peer"][largest], 3),
        "bar": BARS["als-scale"],
        "quality_held": True,
        "edges": SMALLEST * SCALES[-1],
        **sides,
    }


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    head = f"{line['row']}: {line['edges']:,} edges"
    sides = [f"  {side}: " + ", ".join(f"{name} {value:,g}" for name, value in line[side].items()) for side in SIDES]
    held = "quality held" if line["quality_held"] else "QUALITY NOT HELD: the ratio does not count"
    more = "".join(f", {name} {line[name]}" for name in ("ratio_equal_epochs", "margin") if name in line)
    return "\n".join([head, *sides, f"  ratio {line['ratio']}{more} (bar {line['bar']}); {held}"])


def _figures(work: Work, done: Fitted) -> dict[str, float]:
    return {
        "seconds": done.seconds,
        "compile_seconds": done.compile_seconds,
        "peak_bytes": done.peak_bytes,
        "objective": objective(work.graph, done.users, done.items, work.alpha, work.regularization),
    }


def _until(done: Fitted, wanted: float) -> dict[str, float]:
    """Epochs and seconds until the objective was at most `wanted`; infinite where it never was."""
    for report in done.epochs:
        if report.loss <= wanted:
            seconds = report.seconds - done.compile_seconds
            return {"epochs_to_quality": report.epoch, "seconds_to_quality": seconds}
    return {"epochs_to_quality": np.inf, "seconds_to_quality": np.inf}


def _tuned(fit: Callable[[Work], Fitted], graph: sp.csr_array, seed: int) -> dict[str, float]:
    parts = split(graph, seed=seed)

    def fitted(train: sp.csr_array, regularization: float, alpha: float) -> Fitted:
        return fit(Work(graph=train, solver="cg", regularization=regularization, alpha=alpha, seed=seed))

    def ndcg(settings: tuple[float, float]) -> float:
        done = fitted(parts.train, *settings)
        return ranking(done.users, done.items, parts.train, parts.validation)[1]

    best = max(GRID, key=ndcg)
    known = (parts.train + parts.validation).tocsr()
    done = fitted(known, *best)
    recall, gain = ranking(done.users, done.items, known, parts.test)
    return {
        "seconds": done.seconds,
        "compile_seconds": done.compile_seconds,
        "peak_bytes": done.peak_bytes,
        "recall_10": recall,
        "ndcg_10": gain,
        "regularization": best[0],
        "alpha": best[1],
    }


def _medians(
    rounds: list[dict[str, float]], middle: Callable[[list[float]], float] = statistics.median
) -> dict[str, float]:
    """The middle of each figure; a program is compiled, and memory first used, in the first round alone."""
    first = ("compile_seconds", "peak_bytes")
    return {
        name: round((max if name in first else middle)([figures[name] for figures in rounds]), 4) for name in rounds[0]
    }
