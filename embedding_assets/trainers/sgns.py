"""Skip-gram with negative sampling on counted pairs: a table of counts in, two of vectors out.

The objective is that of Mikolov et al. (2013), summed over the whole table at once:

    sum_ij  n_ij log s(x_ij)  +  k n_i p_j log s(-x_ij),      x_ij = a_i . b_j,   p_j ~ n_j ^ 0.75

where s is the logistic function, n_ij counts the pair, n_i = sum_j n_ij and n_j = sum_i n_ij. No
negative is sampled: their expectation is exact, tile by tile, and a tile is three matrix products.
An epoch costs 6 V_row V_col D operations, however long the corpus was.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import numpy as np
import scipy.sparse as sp

from embedding_assets.records import (
    EmbeddingTable,
    PairTable,
    Progress,
    ReportProgress,
    TrainResult,
)
from embedding_assets.trainers.devices import PLACES, Place, device_name, pick_device
from embedding_assets.trainers.errors import TrainingDiverged, check_integer, check_setting
from embedding_assets.trainers.matrix import as_matrix, dimensions
from embedding_assets.trainers.spectral import Start, spectral_start
from embedding_assets.trainers.tile_epoch import compile_epoch, first_state, shape_of, take_vectors
from embedding_assets.trainers.tiles import Tiles, choose_tile, lay_out, power_of_two

StartName = Literal["spectral", "random"]
STARTS: tuple[str, ...] = get_args(StartName)


@dataclass(frozen=True, kw_only=True)
class Sgns:
    """Settings of skip-gram with negative sampling; `fit` trains.

    Attributes:
        dim: D, width of a vector.
        epochs: how often every pair is visited.
        learning_rate: Adagrad's, falling linearly to 0 over all epochs.
        k: negatives for one pair, in expectation.
        noise_exponent: negatives are drawn by (column count) ** this; below 1 rare ones get more.
        start: `spectral` begins at a factorisation of log PMI and needs few epochs, `random` near 0.
        damping: of the spectral start, in counts: the log PMI of a center with this many is halved.
        tile: largest edge of a tile, T, a power of two; small vocabularies get smaller tiles.
        seed: the same table and seed give the same bytes on the same machine.
        device: `auto` takes an accelerator where jax has one.
    """

    dim: int = 64
    epochs: int = 2
    learning_rate: float = 0.09
    k: int = 5
    noise_exponent: float = 0.75
    start: StartName = "spectral"
    damping: float = 50.0
    tile: int = 512
    seed: int = 0
    device: Place = "auto"

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("epochs", 1), ("k", 1), ("tile", 8), ("seed", 0)):
            check_integer(self, name, least)
        check_setting(self, "tile", self.tile == power_of_two(self.tile), "a power of two")
        check_setting(self, "learning_rate", 0 < self.learning_rate < math.inf, "above 0")
        check_setting(self, "noise_exponent", 0 <= self.noise_exponent <= 1, "in [0, 1]")
        check_setting(self, "damping", 0 <= self.damping < math.inf, "at least 0")
        check_setting(self, "start", self.start in STARTS, f"one of {STARTS}")
        check_setting(self, "device", self.device in PLACES, f"one of {PLACES}")

    def fit(self, table: PairTable, *, progress: ReportProgress | None = None) -> TrainResult:
        """Train on `table`: centers and contexts as (V_row, D) and (V_col, D) float32, always finite.

        An id without a pair keeps the vector that it started with. The loss is the objective
        negated, a mean over the pair mass, each tile measured just before it is trained on.

        Beside the table, memory peaks below 60 bytes a pair and 32 D bytes an id, plus 20 MB for
        tiles (measured: 42 and 35 bytes a pair at 2 and 7 million pairs, D = 64).

        Raises:
            InvalidPairTable: the table is empty, too small, or has impossible ids or counts.
            TrainingDiverged: the loss or a vector is no longer finite.
            ValueError: there is no such device.
        """
        began = time.perf_counter()
        device = pick_device(self.device)
        counts = as_matrix(table)
        chances = noise_chances(counts, self.noise_exponent)
        place_rng, start_rng, order_rng = np.random.default_rng(self.seed).spawn(3)
        tiles = lay_out(counts, self.k * chances, choose_tile(table.shape, self.tile), place_rng)
        state = first_state(tiles, *self._start(counts, chances, start_rng))
        prepared = time.perf_counter()
        program = compile_epoch(shape_of(tiles, self.dim), device)
        compiled = time.perf_counter()
        losses: list[float] = []
        state, arrays = jax.device_put((state, tiles.arrays), device)
        for order, rates in self._schedule(tiles, order_rng):
            state, loss = program(state, arrays, order, np.int32(len(tiles.used)), rates)
            losses.append(self._finite(float(loss) / counts.nnz, epoch=len(losses) + 1))
            if progress:
                spent = time.perf_counter() - began
                progress(Progress(epoch=len(losses), epochs=self.epochs, loss=losses[-1], seconds=spent))
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

    def _start(
        self, counts: sp.csr_array, chances: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.start == "spectral":
            return spectral_start(counts, chances, Start(self.dim, self.damping), rng)
        centers, contexts = (
            rng.standard_normal((n, self.dim), dtype=np.float32) / self.dim for n in dimensions(counts)
        )
        return centers, contexts

    def _schedule(self, tiles: Tiles, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each epoch its tiles in random order, and the learning rates at its two ends."""
        rates = np.linspace(self.learning_rate, 0.0, self.epochs + 1, dtype=np.float32)
        for epoch in range(self.epochs):
            order = np.zeros(len(tiles.arrays.starts) - 1, np.int32)
            order[: len(tiles.used)] = rng.permutation(tiles.used)
            yield order, rates[epoch : epoch + 2]

    def _finite(self, loss: float, epoch: int) -> float:
        if math.isfinite(loss):
            return loss
        raise TrainingDiverged(
            f"the loss of epoch {epoch} of {self.epochs} is {loss}; "
            f"Sgns.learning_rate is {self.learning_rate}, try a tenth of it"
        )


def noise_chances(counts: sp.csr_array, exponent: float) -> np.ndarray:
    """(V_col,) float64 chance of each column to be a negative, ~ its count ** `exponent`."""
    mass = counts.sum(axis=0, dtype=np.float64)
    # 0 ** 0 is 1: a column without pairs must not become a negative when the exponent is 0
    raised = np.where(mass > 0, mass**exponent, 0.0)
    return raised / raised.sum()
