"""Skip-gram with negative sampling on counted pairs: a table of counts in, two of vectors out.

The objective is that of Mikolov et al. (2013), summed over the whole table at once:

    sum_ij  n_ij log s(x_ij)  +  k n_i p_j log s(-x_ij),      x_ij = a_i . b_j,   p_j ~ n_j ^ 0.75

where s is the logistic function, n_ij counts the pair, n_i = sum_j n_ij, and n_j is how often context
j occurred. There are three ways to treat the negatives (`Sgns.negatives`):

- exact: their expectation, tile by tile; a tile is three matrix products, and an epoch costs
  6 V_row V_col D operations, however long the corpus was;
- mixed: tiles of frequent ids are visited often, those of rare ids in part, by turns drawn at random;
- sampled: word2vec's SGD, pair by pair, which costs what the corpus costs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from embedding_assets.records import EmbeddingTable, PairTable, ReportProgress, TrainResult
from embedding_assets.trainers.checks import (
    PLACES,
    PRECISIONS,
    Place,
    PrecisionChoice,
    ShardsChoice,
    check_integer,
    check_setting,
)
from embedding_assets.trainers.progress import in_terminal

StartName = Literal["spectral", "random"]
STARTS: tuple[str, ...] = get_args(StartName)
NegativesName = Literal["auto", "exact", "mixed", "sampled"]
NEGATIVES: tuple[str, ...] = get_args(NegativesName)

#: Up to so many cells (V_row V_col) `auto` is exact on a CPU: 8,192 ids a side. An epoch there takes a fifth of a
#: second; at 16,000 ids mixed is as good for less.
EXACT_CELLS_CPU = 1 << 26
#: The same on an accelerator, which multiplies a thousand times faster: a million ids a side.
EXACT_CELLS_ACCELERATOR = 1 << 40
#: Up to so many cells two exact epochs are best on held-out pairs, beyond them three: 23,170 ids a side.
TWO_EPOCHS_CELLS = 1 << 29


class Course(NamedTuple):
    """The settings that depend on the table and the device, decided; see `Sgns`."""

    negatives: NegativesName
    epochs: int
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Sgns:
    """Settings of skip-gram with negative sampling; `fit` trains.

    Attributes:
        dim: D, width of a vector.
        epochs: how often the table is gone through; None takes 3 where the exact way meets more than 2 ** 29 cells,
            else 2.
        learning_rate: falls linearly to 0 over all epochs; None takes 0.2 for Adagrad on tiles, and word2vec's 0.025
            for sampled negatives.
        inertia: of Adagrad, in counts: an id with fewer moves less than by its own gradients alone.
        negatives: `exact`, `mixed` or `sampled`, see above; `auto` is exact up to 2 ** 26 cells on a CPU and 2 ** 40
            on an accelerator or on shards, and mixed beyond. Shards are exact only.
        k: negatives for one pair, in expectation.
        noise_exponent: negatives are drawn by (column count) ** this; below 1 rare ones get more.
        start: `spectral` begins at a factorisation of log PMI and needs few epochs, `random` near 0.
        damping: of the spectral start, in counts: the log PMI of a center with this many is halved.
        tile: largest edge of a tile, T, a power of two; small vocabularies get smaller tiles.
        held_out: share of the pair mass, in [0, 0.5], that is not trained on but watched: its loss is measured after
            each epoch, and the best epoch's vectors are returned.
        patience: stop once the held-out loss has not fallen for so many epochs; None runs them all.
        seed: the same table and seed give the same bytes on the same machine.
        device: `auto` takes an accelerator where jax has one.
        precision: of the factors of the matrix products, whose sums are float32 in any case: `float32`, `bfloat16`, or
            `auto`, which is bfloat16 on an accelerator that multiplies it well.
        shards: how many devices hold the table, each a part; `auto` takes all there are. The same number gives the
            same bytes. With several, negatives are exact, and the spectral start is made on the CPU, which has more
            memory.
    """

    dim: int = 64
    epochs: int | None = None
    learning_rate: float | None = None
    inertia: float = 50.0
    negatives: NegativesName = "auto"
    k: int = 5
    noise_exponent: float = 0.75
    start: StartName = "spectral"
    damping: float = 200.0
    tile: int = 512
    held_out: float = 0.0
    patience: int | None = None
    seed: int = 0
    device: Place = "auto"
    precision: PrecisionChoice = "auto"
    shards: ShardsChoice = 1

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("epochs", 1), ("k", 1), ("tile", 8), ("seed", 0), ("patience", 1)):
            if getattr(self, name) is not None or name not in ("epochs", "patience"):
                check_integer(self, name, least)
        check_setting(self, "tile", self.tile.bit_count() == 1, "a power of two")
        if self.learning_rate is not None:
            check_setting(self, "learning_rate", 0 < self.learning_rate < math.inf, "above 0")
        check_setting(self, "inertia", 0 <= self.inertia < math.inf, "at least 0")
        check_setting(self, "negatives", self.negatives in NEGATIVES, f"one of {NEGATIVES}")
        check_setting(self, "noise_exponent", 0 <= self.noise_exponent <= 1, "in [0, 1]")
        check_setting(self, "damping", 0 <= self.damping < math.inf, "at least 0")
        check_setting(self, "held_out", 0 <= self.held_out <= 0.5, "in [0, 0.5]")
        if self.patience is not None:
            check_setting(self, "patience", self.held_out > 0, "None where nothing is held out")
        check_setting(self, "start", self.start in STARTS, f"one of {STARTS}")
        check_setting(self, "device", self.device in PLACES, f"one of {PLACES}")
        check_setting(self, "precision", self.precision in PRECISIONS, f"one of {PRECISIONS}")
        if self.shards != "auto":
            check_integer(self, "shards", 1)
        if self.shards != 1:
            check_setting(self, "negatives", self.negatives in ("auto", "exact"), "exact or auto with several shards")

    def course(self, shape: tuple[int, int], platform: str) -> Course:
        """What these settings come to for a (V_row, V_col) table on a `jax.Device.platform`.

        >>> Sgns().course((100_000, 100_000), "cpu")
        Course(negatives='mixed', epochs=2, learning_rate=0.2)
        """
        cells = shape[0] * shape[1]
        negatives = self.negatives
        if negatives == "auto":
            most = EXACT_CELLS_CPU if platform == "cpu" else EXACT_CELLS_ACCELERATOR
            negatives = "exact" if cells <= most or self.shards != 1 else "mixed"
        epochs = 3 if negatives == "exact" and cells > TWO_EPOCHS_CELLS else 2
        rate = 0.025 if negatives == "sampled" else 0.2
        return Course(negatives, self.epochs or epochs, self.learning_rate or rate)

    def fit(
        self,
        table: PairTable,
        *,
        init: Sequence[EmbeddingTable] | None = None,
        checkpoint: Path | None = None,
        progress: ReportProgress | None = None,
    ) -> TrainResult:
        """Train on `table`: centers and contexts as (V_row, D) and (V_col, D) float32, always finite.

        An id without a pair keeps the vector that it started with. The loss is the objective negated, a mean over
        the pair mass, each tile measured just before it is trained on; of mixed and sampled negatives an estimate,
        right on average.

        With `init`, known keys begin at the earlier vectors, and new ones are folded into their space.
        `checkpoint` and `progress` are as in `records.Trainer`; without `progress`, a terminal shows a bar.

        With `held_out`, `metrics` has `held_out_loss` and `best_epoch`, and `extras` has `held_out_losses`,
        (epochs,) float64, in the unit of the training loss.

        Beside the table, memory peaks below 60 bytes a pair and 32 D bytes an id, plus 20 MB for
        tiles (measured: 42 and 35 bytes a pair at 2 and 7 million pairs, D = 64). Sampled negatives take below 40
        bytes an occurrence of a pair.

        Raises:
            InvalidPairTable: the table is empty, too small, or has impossible ids or counts.
            InvalidInit: `init` has another entity or width than the table and `dim`.
            TrainingDiverged: the loss or a vector is no longer finite.
            OSError: the checkpoint cannot be written.
            CannotShard: one table in several processes, with a `checkpoint` or `patience`.
            ValueError: there is no such device, or fewer than `shards`.
        """
        from embedding_assets.trainers.sgns_fit import fit  # loads JAX: only who trains pays for it

        with in_terminal(self.epochs) as shown:
            return fit(self, table, init, checkpoint, progress or shown)
