"""The work behind `Als.fit` and `Als.fold_in`, in a module of its own: settings can be read without loading JAX."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from embedding_assets.records import EmbeddingTable, PairTable, Progress, ReportProgress, TrainResult
from embedding_assets.trainers.als import Als, Solver
from embedding_assets.trainers.als_sweep import Sums
from embedding_assets.trainers.als_sweeper import COLUMNS, ROWS, Sweeper, Work, advice
from embedding_assets.trainers.checkpoint import checkpoint_of
from embedding_assets.trainers.devices import choose_shards, device_name, pick_device
from embedding_assets.trainers.errors import InvalidPairTable, TrainingDiverged
from embedding_assets.trainers.low_rank import Search, random_columns, spanned_by, truncated_svd
from embedding_assets.trainers.matrix import as_matrix, dimensions
from embedding_assets.trainers.mesh import check_checkpoint, make_ring, ring_of
from embedding_assets.trainers.warm import Known, known_sides, known_vectors


class Run(NamedTuple):
    """Where a fit stands between epochs.

    Attributes:
        centers: (V_row, D) float32.
        contexts: (V_col, D) float32.
        gram: (D, D), sum of x x' over the centers; float32 as the device summed it, once there was an epoch.
        losses: after each epoch so far.
    """

    centers: np.ndarray
    contexts: np.ndarray
    gram: np.ndarray
    losses: tuple[float, ...] = ()


def fit(
    settings: Als,
    table: PairTable,
    init: Sequence[EmbeddingTable] | None,
    checkpoint: Path | None,
    progress: ReportProgress,
) -> TrainResult:
    """What `Als.fit` promises."""
    began = time.perf_counter()
    shards = choose_shards(settings.device, settings.shards)
    check_checkpoint(shards, checkpoint)
    # decided before the checkpoint is looked up: another number of parts rounds differently
    settings = replace(settings, shards=shards)
    known = None if init is None else known_sides(table, init, settings.dim)
    device = pick_device(settings.device)
    # one device of this process; the first of all may be another's
    work = Work(as_matrix(table), ring_of([device]) if shards == 1 else make_ring(settings.device, shards))
    kept = checkpoint_of(checkpoint, settings, table, init)
    saved = kept.load()
    run = Run(**saved.arrays, losses=saved.losses) if saved else first_run(settings, work, known)
    sweeper = Sweeper(settings, work, solver_of(settings))
    sweeper.begin(run.centers, run.contexts)
    pairs, most = work.counts.nnz, worst_objective(settings, work.counts)
    prepared = time.perf_counter() - began - work.compile_seconds
    losses, gram = list(run.losses), run.gram
    while len(losses) < settings.epochs:
        contexts = sweeper.solve(COLUMNS, gram)
        centers = sweeper.solve(ROWS, contexts.gram)
        gram = centers.gram
        objective = most - float(centers.gain) + penalty(settings, contexts)
        losses.append(finite(settings, objective / pairs, len(losses) + 1))
        if checkpoint is not None:
            kept.save(losses, dict(zip(Run._fields, (*sweeper.vectors(), gram), strict=False)))
        spent = time.perf_counter() - began
        progress(Progress(epoch=len(losses), epochs=settings.epochs, loss=losses[-1], seconds=spent))
    centers, contexts = sweeper.vectors()
    kept.remove()
    return TrainResult(
        tables=(
            EmbeddingTable(vocabulary=table.rows, vectors=centers),
            EmbeddingTable(vocabulary=table.columns, vectors=contexts),
        ),
        loss_curve=tuple(losses),
        seconds=time.perf_counter() - began,
        compile_seconds=work.compile_seconds,
        device=device_name(device, shards),
        metrics={"prepare_seconds": prepared, **sweeper.metrics},
    )


def fold_in(settings: Als, table: PairTable, contexts: EmbeddingTable) -> EmbeddingTable:
    """What `Als.fold_in` promises."""
    known = known_vectors("contexts", contexts.vocabulary, contexts, settings.dim).vectors
    counts = as_matrix(on_contexts(table, contexts), least_rows=1)
    work = Work(counts, ring_of([pick_device(settings.device)]))
    sweeper = Sweeper(settings, work, "exact")
    sweeper.begin(np.zeros((len(table.rows), settings.dim), np.float32), known)
    sweeper.solve(ROWS, gram_of(known))
    return EmbeddingTable(vocabulary=table.rows, vectors=sweeper.vectors()[ROWS])


def on_contexts(table: PairTable, contexts: EmbeddingTable) -> PairTable:
    """`table` with all `contexts` as its columns, in their order.

    Raises:
        InvalidPairTable: a column that is not among them.
    """
    import pyarrow.compute as pc  # only a fold-in pays for it

    places = pc.index_in(table.columns.keys, value_set=contexts.vocabulary.keys)  # pyright: ignore[reportAttributeAccessIssue] - made when pyarrow is imported
    if places.null_count:
        unknown = table.columns.keys.filter(places.is_null())
        raise InvalidPairTable(
            f"{len(unknown)} of {len(table.columns)} columns have no vector in contexts, such as "
            f"{unknown[0].as_py()!r}; leave them out of the table"
        )
    return replace(table, columns=contexts.vocabulary, col_ids=places.to_numpy()[table.col_ids])


def first_run(settings: Als, work: Work, known: tuple[Known, Known] | None) -> Run:
    """Earlier centers and contexts with 0 for new keys, or new centers and no contexts yet; 0 for ids without pairs."""
    used = used_of(work.counts)
    if known is not None:
        centers, contexts = (side.vectors * mask for side, mask in zip(known, used, strict=True))
        if centers.any():
            return Run(centers, contexts, gram_of(centers))
    rng = np.random.default_rng(settings.seed)
    if settings.start == "spectral":
        centers = spectral_centers(settings, work, rng)
    else:
        # not around 0: all that is seen is wanted above 0, and fewer epochs lead there
        centers = rng.random((len(used[ROWS]), settings.dim), np.float32) * used[ROWS]
    return Run(centers, np.zeros((len(used[COLUMNS]), settings.dim), np.float32), gram_of(centers))


def spectral_centers(settings: Als, work: Work, rng: np.random.Generator) -> np.ndarray:
    """(V_row, D) float32, U S^1/2 of the truncated SVD of the counts, or of what they add to the weights, in logs."""
    counts = work.counts
    if settings.feedback == "implicit":
        values = np.log1p(np.float32(settings.alpha) * counts.data)
        counts = sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)
    search = Search(settings.dim, powers=(0.5, 0.5))
    subspace = spanned_by(random_columns(dimensions(counts), search, rng), counts)
    # where devices share the table, one of them may have no room for all of it
    device = work.ring.devices[0] if work.ring.size == 1 else pick_device("cpu")
    found = truncated_svd(counts, search, subspace, device)
    work.compile_seconds += found.compile_seconds
    return found.left


def used_of(counts: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """(V_row, 1) and (V_col, 1) float32: 1 for an id with a pair, 0 for one without."""
    lengths = np.diff(counts.indptr), np.bincount(counts.indices, minlength=dimensions(counts)[COLUMNS])
    over, under = ((length > 0).astype(np.float32)[:, None] for length in lengths)
    return over, under


def gram_of(vectors: np.ndarray) -> np.ndarray:
    """(D, D) float32, sum of x x' over (V, D) vectors."""
    return vectors.T @ vectors


def worst_objective(settings: Als, counts: sp.csr_array) -> float:
    """The objective of vectors that are all 0."""
    counted = counts.data.astype(np.float64)
    weights = 1.0 + settings.alpha * counted
    return float(weights.sum() if settings.feedback == "implicit" else (weights * counted**2).sum())


def penalty(settings: Als, solved: Sums) -> float:
    """What the vectors of one side cost by their length."""
    if settings.feedback == "explicit":
        return float(solved.energy)
    return settings.regularization * float(np.trace(solved.gram, dtype=np.float64))


def solver_of(settings: Als) -> Solver:
    """What `auto` stands for."""
    if settings.solver == "auto":
        return "cg" if settings.feedback == "implicit" else "exact"
    return settings.solver


def finite(settings: Als, loss: float, epoch: int) -> float:
    """`loss`, or TrainingDiverged with what to change."""
    if math.isfinite(loss):
        return loss
    raise TrainingDiverged(f"the loss of epoch {epoch} of {settings.epochs} is {loss}; {advice(settings)}")
