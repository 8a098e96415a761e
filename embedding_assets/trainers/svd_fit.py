"""The work behind `Svd.fit`, in a module of its own: settings can be read without loading JAX."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedding_assets.records import EmbeddingTable, PairTable, Progress, ReportProgress, TrainResult
from embedding_assets.trainers.checkpoint import checkpoint_of
from embedding_assets.trainers.devices import choose_shards, device_name, pick_device
from embedding_assets.trainers.low_rank import Search, Subspace, random_columns, spanned_by, truncated_svd
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.mesh import check_checkpoint, make_ring
from embedding_assets.trainers.svd import Svd
from embedding_assets.trainers.warm import known_sides
from embedding_assets.trainers.weights import degree_normalized, weighted

#: Powers of S that sources and destinations carry.
POWERS = {"half": (0.5, 0.5), "sources": (1.0, 0.0), "destinations": (0.0, 1.0)}


def fit(
    settings: Svd,
    table: PairTable,
    init: Sequence[EmbeddingTable] | None,
    checkpoint: Path | None,
    progress: ReportProgress,
) -> TrainResult:
    """What `Svd.fit` promises; `progress` is called after each round."""
    began = time.perf_counter()
    shards = choose_shards(settings.device, settings.shards)
    check_checkpoint(shards, checkpoint)
    # decided before the checkpoint is looked up: one of other shards is of another work
    settings = replace(settings, shards=shards)
    device = pick_device(settings.device)
    where = device if shards == 1 else make_ring(settings.device, shards)
    matrix = weighted(as_matrix(table), settings.weights)
    if settings.normalize == "degree":
        matrix = degree_normalized(matrix)
    kept = checkpoint_of(checkpoint, settings, table, init)
    saved = kept.load()
    losses = list(saved.losses) if saved else []
    subspace = Subspace(**saved.arrays) if saved else spanned_by(first_columns(settings, table, init), matrix)
    prepared = time.perf_counter()

    def after_round(lost: float, subspace: Subspace) -> None:
        losses.append(lost)
        kept.save(losses, subspace._asdict())
        spent = time.perf_counter() - began
        progress(Progress(epoch=len(losses), epochs=settings.rounds, loss=lost, seconds=spent))

    search = search_of(settings)._replace(rounds=settings.rounds - len(losses))
    found = truncated_svd(matrix, search, subspace, where, after_round)
    kept.remove()
    return TrainResult(
        tables=(
            EmbeddingTable(vocabulary=table.rows, vectors=found.left),
            EmbeddingTable(vocabulary=table.columns, vectors=found.right),
        ),
        loss_curve=tuple(losses),
        seconds=time.perf_counter() - began,
        compile_seconds=found.compile_seconds,
        device=device_name(device, shards),
        metrics={"lost_energy": found.lost, "prepare_seconds": prepared - began, "shards": float(shards)},
        extras={"singular_values": found.singular},
    )


def search_of(settings: Svd) -> Search:
    """The settings that concern the search alone."""
    return Search(settings.dim, settings.rounds, settings.oversampling, POWERS[settings.spread])


def first_columns(settings: Svd, table: PairTable, init: Sequence[EmbeddingTable] | None) -> np.ndarray:
    """(short, W) float32: random, but the first are the earlier vectors of the side with fewer ids, if given."""
    columns = random_columns(table.shape, search_of(settings), np.random.default_rng(settings.seed))
    if init is not None:
        rows, cols = known_sides(table, init, settings.dim)
        earlier = (cols if len(table.rows) >= len(table.columns) else rows).vectors[:, : columns.shape[1]]
        lengths = np.linalg.norm(earlier, axis=0)
        known = np.flatnonzero(lengths > 0)
        # as long as the random ones: nothing shall drown in the rounding of something longer
        columns[:, known] = earlier[:, known] * (np.sqrt(len(columns) / 12) / lengths[known]).astype(np.float32)
    return columns
