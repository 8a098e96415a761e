"""What `sgns_fit` asks of one way of treating negatives; `exact_tiles` is the first."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.checks import Precision
from embedding_assets.trainers.devices import Device, choose_precision, choose_shards
from embedding_assets.trainers.matrix import dimensions
from embedding_assets.trainers.sgns import Course, Sgns

#: Arrays in a NamedTuple, on the device: all that changes while training, and all that a checkpoint keeps.
State = Any


class Work(NamedTuple):
    """What a way is made from.

    Attributes:
        settings: of the fit.
        counts: (V_row, V_col) float32, what is trained on.
        chances: (V_col,) float64, of each column to be a negative; sums to 1.
        rng: for everything that the way draws; made from the seed, so a resumed fit draws the same.
        device: where it runs.
    """

    settings: Sgns
    counts: sp.csr_array
    chances: np.ndarray
    rng: np.random.Generator
    device: Device

    @property
    def precision(self) -> Precision:
        """Of the matrix products."""
        return choose_precision(self.settings.precision, self.device)

    @property
    def shards(self) -> int:
        """How many devices hold the table."""
        return choose_shards(self.settings.device, self.settings.shards)

    @property
    def course(self) -> Course:
        """What the settings leave open, decided for this table and device."""
        return self.settings.course(dimensions(self.counts), self.device.platform)


class Way(Protocol):
    """One way of treating negatives, laid out and compiled for one table: `Way(work)`.

    Attributes:
        compile_seconds: what compiling took.
        metrics: facts worth keeping, such as the tile's edge.
    """

    compile_seconds: float
    metrics: dict[str, float]

    def begin(self, centers: np.ndarray, contexts: np.ndarray) -> State:
        """The state before the first epoch, from (V_row, D) and (V_col, D) float32 in vocabulary order."""
        ...

    def resume(self, arrays: dict[str, np.ndarray]) -> State:
        """The state whose fields were written to a checkpoint."""
        ...

    def run_epoch(self, state: State, epoch: int, rates: np.ndarray) -> tuple[State, float]:
        """Train one epoch; what is drawn depends on the epoch's number alone, not on what ran before.

        Args:
            state: consumed; its buffers are reused.
            epoch: counted from 0.
            rates: (2,) float32, learning rate at its begin and end.

        Returns:
            The new state, and the loss: the objective negated, a mean over the pair mass.
        """
        ...

    def vectors(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """(V_row, D) and (V_col, D) float32 in vocabulary order, copied.

        Raises:
            TrainingDiverged: a vector is not finite.
        """
        ...
