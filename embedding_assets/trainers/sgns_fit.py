"""The work behind `Sgns.fit`, in a module of its own: settings can be read without loading JAX."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import scipy.sparse as sp

from embedding_assets.records import EmbeddingTable, PairTable, Progress, ReportProgress, TrainResult
from embedding_assets.trainers.checkpoint import Saved, checkpoint_of
from embedding_assets.trainers.devices import Device, choose_precision, choose_shards, device_name, pick_device
from embedding_assets.trainers.errors import CannotShard, TrainingDiverged
from embedding_assets.trainers.exact_tiles import ExactTiles
from embedding_assets.trainers.held_out import HeldOut, Seen, seen_in, split
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.mixed_tiles import MixedTiles
from embedding_assets.trainers.ring import RingTiles
from embedding_assets.trainers.sampled import SampledNegatives
from embedding_assets.trainers.sgns import Course, Sgns
from embedding_assets.trainers.sgns_start import first_vectors
from embedding_assets.trainers.warm import known_sides
from embedding_assets.trainers.way import State, Way, Work


class Run(NamedTuple):
    """Where a fit stands, after as many epochs as there are losses."""

    state: State
    losses: tuple[float, ...] = ()
    seen: Seen = Seen()


def fit(
    settings: Sgns,
    table: PairTable,
    init: Sequence[EmbeddingTable] | None,
    checkpoint: Path | None,
    progress: ReportProgress,
) -> TrainResult:
    """What `Sgns.fit` promises."""
    began = time.perf_counter()
    start_rng, held_rng, way_rng = np.random.default_rng(settings.seed).spawn(3)
    device = pick_device(settings.device)
    settings = settled(settings, device, checkpoint)
    # decided before the checkpoint is looked up: one of another course is of another work
    settings = replace(settings, **settings.course(table.shape, device.platform)._asdict())
    known = None if init is None else known_sides(table, init, settings.dim)
    counts, held = hold_out(settings, table, held_rng)
    chances = noise_chances(counts, settings.noise_exponent, table.columns.counts)
    work = Work(settings, counts, chances, way_rng, device)
    kept = checkpoint_of(checkpoint, settings, table, init)
    saved = kept.load()
    way = choose_way(work)
    run = resumed(way, saved) if saved else Run(way.begin(*first_vectors(on_host(work), known, start_rng)))
    prepared = time.perf_counter() - began - way.compile_seconds
    while not is_done(work, run):
        run = next_epoch(work.course, way, run, held)
        kept.save(run.losses, {**run.state._asdict(), **run.seen.arrays()})
        spent = time.perf_counter() - began
        progress(Progress(epoch=len(run.losses), epochs=work.course.epochs, loss=run.losses[-1], seconds=spent))
    centers, contexts = run.seen.best or way.vectors(run.state)
    kept.remove()
    return TrainResult(
        tables=(
            EmbeddingTable(vocabulary=table.rows, vectors=centers),
            EmbeddingTable(vocabulary=table.columns, vectors=contexts),
        ),
        loss_curve=run.losses,
        seconds=time.perf_counter() - began,
        compile_seconds=way.compile_seconds,
        device=device_name(device, work.shards),
        metrics={"prepare_seconds": prepared, **way.metrics, **run.seen.metrics()},
        extras=run.seen.curve(),
    )


def settled(settings: Sgns, device: Device, checkpoint: Path | None) -> Sgns:
    """`settings` without `auto` in what depends on the devices.

    Raises:
        DeviceNotFound: there are fewer devices than shards.
        CannotShard: several processes train one table, and are asked for what they could disagree about.
    """
    shards = choose_shards(settings.device, settings.shards)
    if shards > 1 and jax.process_count() > 1 and (checkpoint or settings.patience):
        raise CannotShard(
            f"checkpoint is {checkpoint} and patience {settings.patience}, but {jax.process_count()} processes train "
            "this table, and one of them may be an epoch ahead; leave both out, or train in one process"
        )
    return replace(settings, shards=shards, precision=choose_precision(settings.precision, device))


def on_host(work: Work) -> Work:
    """`work` for the CPU, if several devices share the table: one of them may have no room for all of it."""
    return work if work.shards == 1 else work._replace(device=pick_device("cpu"))


WAYS: dict[str, Callable[[Work], Way]] = {"exact": ExactTiles, "mixed": MixedTiles, "sampled": SampledNegatives}


def choose_way(work: Work) -> Way:
    """The way of treating negatives that the settings ask for, laid out and compiled for the table."""
    return WAYS[work.course.negatives](work) if work.shards == 1 else RingTiles(work)


def hold_out(settings: Sgns, table: PairTable, rng: np.random.Generator) -> tuple[sp.csr_array, HeldOut | None]:
    """The counts to train on, and what the setting `held_out` keeps from them."""
    counts = as_matrix(table)
    if not settings.held_out:
        return counts, None
    split_rng, watch_rng = rng.spawn(2)
    counts, pairs = split(counts, settings.held_out, split_rng, mirrored=table.rows is table.columns)
    noise = settings.k * noise_chances(counts, settings.noise_exponent, table.columns.counts)
    return counts, HeldOut(pairs, noise, watch_rng)


def resumed(way: Way, saved: Saved) -> Run:
    """The run that a checkpoint holds."""
    arrays = dict(saved.arrays)
    seen = seen_in(arrays)
    return Run(way.resume(arrays), saved.losses, seen)


def is_done(work: Work, run: Run) -> bool:
    """Whether all epochs ran, or the held-out loss has not fallen for `patience` of them."""
    patience = work.settings.patience
    impatient = patience is not None and run.seen.epochs_since_best() >= patience
    return len(run.losses) == work.course.epochs or impatient


def next_epoch(course: Course, way: Way, run: Run, held: HeldOut | None) -> Run:
    """One more epoch, and what held-out pairs say of it.

    Raises:
        TrainingDiverged: the loss, or a vector that is looked at, is not finite.
    """
    epoch = len(run.losses)
    rates = np.linspace(course.learning_rate, 0.0, course.epochs + 1, dtype=np.float32)[epoch : epoch + 2]
    state, loss = way.run_epoch(run.state, epoch, rates)
    losses = (*run.losses, finite(course, loss, epoch + 1))
    if held is None:
        return Run(state, losses)
    vectors = way.vectors(state)
    return Run(state, losses, run.seen.after(held.loss(*vectors), vectors))


def finite(course: Course, loss: float, epoch: int) -> float:
    """`loss`, or TrainingDiverged with what to change."""
    if math.isfinite(loss):
        return loss
    raise TrainingDiverged(
        f"the loss of epoch {epoch} of {course.epochs} is {loss}; "
        f"Sgns.learning_rate is {course.learning_rate}, try a tenth of it"
    )


def noise_chances(counts: sp.csr_array, exponent: float, occurrences: np.ndarray | None = None) -> np.ndarray:
    """(V_col,) float64 chance of each column to be a negative, ~ its occurrences ** `exponent`.

    Occurrences, as in word2vec, and not pairs: a word of short texts has few pairs. Pairs stand in for them where
    they are not known, or are 0 for a column that has pairs.
    """
    mass = counts.sum(axis=0, dtype=np.float64)
    paired = mass > 0
    weights = mass if occurrences is None or np.any(occurrences[paired] <= 0) else occurrences
    # a column without pairs stays out: nothing would hold its vector against the negatives
    raised = np.where(paired, weights, 1.0) ** exponent * paired
    return raised / raised.sum()
