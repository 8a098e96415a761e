"""The work behind `Sgns.fit`, in a module of its own: settings can be read without loading JAX."""

import math
import time
from collections.abc import Iterator

import jax
import numpy as np
import scipy.sparse as sp

from embedding_assets.records import EmbeddingTable, PairTable, Progress, ReportProgress, TrainResult
from embedding_assets.trainers.devices import device_name, pick_device
from embedding_assets.trainers.errors import TrainingDiverged
from embedding_assets.trainers.matrix import as_matrix, dimensions
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.spectral import Start, spectral_start
from embedding_assets.trainers.tile_epoch import compile_epoch, first_state, shape_of, take_vectors
from embedding_assets.trainers.tiles import Tiles, choose_tile, lay_out


def fit(settings: Sgns, table: PairTable, progress: ReportProgress) -> TrainResult:
    """What `Sgns.fit` promises; `progress` is called after each epoch."""
    began = time.perf_counter()
    device = pick_device(settings.device)
    counts = as_matrix(table)
    chances = noise_chances(counts, settings.noise_exponent)
    place_rng, start_rng, order_rng = np.random.default_rng(settings.seed).spawn(3)
    tiles = lay_out(counts, settings.k * chances, choose_tile(table.shape, settings.tile), place_rng)
    state = first_state(tiles, *first_vectors(settings, counts, chances, start_rng))
    prepared = time.perf_counter()
    program = compile_epoch(shape_of(tiles, settings.dim), device)
    compiled = time.perf_counter()
    losses: list[float] = []
    state, arrays = jax.device_put((state, tiles.arrays), device)
    for order, rates in schedule(settings, tiles, order_rng):
        state, loss = program(state, arrays, order, np.int32(len(tiles.used)), rates)
        losses.append(finite(settings, float(loss) / counts.nnz, epoch=len(losses) + 1))
        spent = time.perf_counter() - began
        progress(Progress(epoch=len(losses), epochs=settings.epochs, loss=losses[-1], seconds=spent))
    centers, contexts = take_vectors(state, tiles)
    return TrainResult(
        tables=(
            EmbeddingTable(vocabulary=table.rows, vectors=centers),
            EmbeddingTable(vocabulary=table.columns, vectors=contexts),
        ),
        loss_curve=tuple(losses),
        seconds=time.perf_counter() - began,
        compile_seconds=compiled - prepared,
        device=device_name(device),
        metrics={"prepare_seconds": prepared - began, "tile": float(tiles.size)},
    )


def first_vectors(
    settings: Sgns, counts: sp.csr_array, chances: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(V_row, D) and (V_col, D) float32 to begin from."""
    if settings.start == "spectral":
        return spectral_start(counts, chances, Start(settings.dim, settings.damping), rng)
    centers, contexts = (
        rng.standard_normal((n, settings.dim), dtype=np.float32) / settings.dim for n in dimensions(counts)
    )
    return centers, contexts


def schedule(settings: Sgns, tiles: Tiles, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each epoch its tiles in random order, and the learning rates at its two ends."""
    rates = np.linspace(settings.learning_rate, 0.0, settings.epochs + 1, dtype=np.float32)
    for epoch in range(settings.epochs):
        order = np.zeros(len(tiles.arrays.starts) - 1, np.int32)
        order[: len(tiles.used)] = rng.permutation(tiles.used)
        yield order, rates[epoch : epoch + 2]


def finite(settings: Sgns, loss: float, epoch: int) -> float:
    """`loss`, or TrainingDiverged with what to change."""
    if math.isfinite(loss):
        return loss
    raise TrainingDiverged(
        f"the loss of epoch {epoch} of {settings.epochs} is {loss}; "
        f"Sgns.learning_rate is {settings.learning_rate}, try a tenth of it"
    )


def noise_chances(counts: sp.csr_array, exponent: float) -> np.ndarray:
    """(V_col,) float64 chance of each column to be a negative, ~ its count ** `exponent`."""
    mass = counts.sum(axis=0, dtype=np.float64)
    # 0 ** 0 is 1: a column without pairs must not become a negative when the exponent is 0
    raised = np.where(mass > 0, mass**exponent, 0.0)
    return raised / raised.sum()
