"""Skip-gram with negative sampling on counted pairs: a table of counts in, two of vectors out.

The objective is that of Mikolov et al. (2013), summed over the whole table at once:

    sum_ij  n_ij log s(x_ij)  +  k n_i p_j log s(-x_ij),      x_ij = a_i . b_j,   p_j ~ n_j ^ 0.75

where s is the logistic function, n_ij counts the pair, n_i = sum_j n_ij and n_j = sum_i n_ij. No
negative is sampled: their expectation is exact, tile by tile, and a tile is three matrix products.
An epoch costs 6 V_row V_col D operations, however long the corpus was.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from embedding_assets.records import PairTable, ReportProgress, TrainResult
from embedding_assets.trainers.checks import PLACES, Place, check_integer, check_setting
from embedding_assets.trainers.progress import in_terminal

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
        check_setting(self, "tile", self.tile.bit_count() == 1, "a power of two")
        check_setting(self, "learning_rate", 0 < self.learning_rate < math.inf, "above 0")
        check_setting(self, "noise_exponent", 0 <= self.noise_exponent <= 1, "in [0, 1]")
        check_setting(self, "damping", 0 <= self.damping < math.inf, "at least 0")
        check_setting(self, "start", self.start in STARTS, f"one of {STARTS}")
        check_setting(self, "device", self.device in PLACES, f"one of {PLACES}")

    def fit(self, table: PairTable, *, progress: ReportProgress | None = None) -> TrainResult:
        """Train on `table`: centers and contexts as (V_row, D) and (V_col, D) float32, always finite.

        An id without a pair keeps the vector that it started with. The loss is the objective
        negated, a mean over the pair mass, each tile measured just before it is trained on.

        Without `progress`, a terminal shows a bar.

        Beside the table, memory peaks below 60 bytes a pair and 32 D bytes an id, plus 20 MB for
        tiles (measured: 42 and 35 bytes a pair at 2 and 7 million pairs, D = 64).

        Raises:
            InvalidPairTable: the table is empty, too small, or has impossible ids or counts.
            TrainingDiverged: the loss or a vector is no longer finite.
            ValueError: there is no such device.
        """
        from embedding_assets.trainers.sgns_fit import fit  # loads JAX: only who trains pays for it

        with in_terminal(self.epochs) as shown:
            return fit(self, table, progress or shown)
