"""The work behind `Als.fit` and `Als.fold_in`, in a module of its own: settings can be read without loading JAX."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import scipy.sparse as sp

from embedding_assets.records import EmbeddingTable, PairTable, Progress, ReportProgress, TrainResult
from embedding_assets.trainers.als import Als, Solver
from embedding_assets.trainers.als_layout import lay_out
from embedding_assets.trainers.als_sweep import Basis, Strength, Sums, compile_half_sweep, program_of
from embedding_assets.trainers.checkpoint import checkpoint_of
from embedding_assets.trainers.devices import Device, device_name, pick_device
from embedding_assets.trainers.errors import InvalidPairTable, TrainingDiverged
from embedding_assets.trainers.low_rank import Search, random_columns, spanned_by, truncated_svd
from embedding_assets.trainers.matrix import as_matrix, dimensions
from embedding_assets.trainers.warm import known_sides, known_vectors

ROWS, COLUMNS = 0, 1


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


@dataclass
class Work:
    """What is trained on, and where; `compile_seconds` adds up what making it ready spends on compiling."""

    counts: sp.csr_array
    device: Device
    compile_seconds: float = 0.0


class Sweeper:
    """Holds the vectors of one table on one device, and solves either side from the other."""

    def __init__(self, settings: Als, work: Work, solver: Solver) -> None:
        device = work.device
        layout = lay_out(work.counts, slots_on(device))
        began = time.perf_counter()
        self._half_sweep = compile_half_sweep(program_of(layout, settings.dim, settings.feedback, solver), device)
        work.compile_seconds += time.perf_counter() - began
        self.slots_per_pair = layout.slots / (2 * work.counts.nnz)
        self._settings = settings
        self._device = device
        self._total = layout.total
        self._places = layout.places
        self._sides = jax.device_put(layout.sides, device)
        self._factors: jax.Array | None = None

    def begin(self, centers: np.ndarray, contexts: np.ndarray) -> None:
        """Take over (V_row, D) and (V_col, D) vectors."""
        factors = np.zeros((self._total, self._settings.dim), np.float32)
        factors[self._places[ROWS]] = centers
        factors[self._places[COLUMNS]] = contexts
        self._factors = jax.device_put(factors, self._device)

    def solve(self, side: int, gram: np.ndarray) -> Sums:
        """Solve one side; `gram` (D, D) is that of the other."""
        settings = self._settings
        strength = Strength(np.float32(settings.alpha), np.float32(settings.regularization))
        self._factors, sums = self._half_sweep(self._factors, self._sides[side], basis_of(settings, gram), strength)
        return Sums(*map(np.asarray, sums))

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """(V_row, D) and (V_col, D) float32.

        Raises:
            TrainingDiverged: a vector is not finite.
        """
        factors = np.asarray(self._factors)
        centers, contexts = (factors[places] for places in self._places)
        for name, side in (("center", centers), ("context", contexts)):
            if broken := np.count_nonzero(~np.isfinite(side).all(axis=1)):
                raise TrainingDiverged(
                    f"{broken} of {len(side)} {name} vectors are not finite; {advice(self._settings)}"
                )
        return centers, contexts


def fit(
    settings: Als,
    table: PairTable,
    init: Sequence[EmbeddingTable] | None,
    checkpoint: Path | None,
    progress: ReportProgress,
) -> TrainResult:
    """What `Als.fit` promises."""
    began = time.perf_counter()
    known = None if init is None else known_sides(table, init, settings.dim)
    work = Work(as_matrix(table), pick_device(settings.device))
    kept = checkpoint_of(checkpoint, settings, table, init)
    saved = kept.load()
    if saved:
        run = Run(**saved.arrays, losses=saved.losses)
    else:
        run = first_run(settings, work, known and (known[ROWS].vectors, known[COLUMNS].vectors))
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
        device=device_name(work.device),
        metrics={"prepare_seconds": prepared, "slots_per_pair": sweeper.slots_per_pair},
    )


def fold_in(settings: Als, table: PairTable, contexts: EmbeddingTable) -> EmbeddingTable:
    """What `Als.fold_in` promises."""
    known = known_vectors("contexts", contexts.vocabulary, contexts, settings.dim).vectors
    work = Work(as_matrix(on_contexts(table, contexts), least_rows=1), pick_device(settings.device))
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


def first_run(settings: Als, work: Work, init: tuple[np.ndarray, np.ndarray] | None) -> Run:
    """Earlier centers and contexts with 0 for new keys, or new centers and no contexts yet; 0 for ids without pairs."""
    used = used_of(work.counts)
    if init is not None:
        centers, contexts = (part * mask for part, mask in zip(init, used, strict=True))
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
    found = truncated_svd(counts, search, subspace, work.device)
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


def basis_of(settings: Als, gram: np.ndarray) -> Basis:
    """Coordinates in which what the rows of one side share is the identity; see `als_sweep`.

    With gram + regularization = Q E Q' these are z = E^-1/2 Q' y and u = E^1/2 Q' x; for explicit feedback rows share
    nothing.

    Args:
        settings: for the feedback and the regularization.
        gram: (D, D), of the kept side.

    Raises:
        TrainingDiverged: `gram` is not finite.
    """
    if settings.feedback == "explicit":
        one = np.eye(settings.dim, dtype=np.float32)
        return Basis(one, one, one)
    if not np.isfinite(gram).all():
        raise TrainingDiverged(f"the vectors are no longer finite; {advice(settings)}")
    energies, turn = np.linalg.eigh(gram.astype(np.float64))
    # rounding may have made one of them negative
    scale = np.sqrt(np.maximum(energies, 0.0) + settings.regularization)
    over, under = turn * scale, turn / scale
    return Basis(*(part.astype(np.float32) for part in (under, over, under.T)))


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


def slots_on(device: Device) -> int:
    """The most slots of a chunk: megabytes of vectors on a CPU, more where each chunk costs launches."""
    return 1 << 15 if device.platform == "cpu" else 1 << 18


def finite(settings: Als, loss: float, epoch: int) -> float:
    """`loss`, or TrainingDiverged with what to change."""
    if math.isfinite(loss):
        return loss
    raise TrainingDiverged(f"the loss of epoch {epoch} of {settings.epochs} is {loss}; {advice(settings)}")


def advice(settings: Als) -> str:
    """What to change when numbers overflow."""
    return (
        f"Als.alpha is {settings.alpha} and Als.regularization {settings.regularization}: "
        "scale the counts down, lower alpha or raise regularization"
    )
