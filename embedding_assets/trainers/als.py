"""Alternating least squares on counted pairs: a table of counts in, two of vectors out.

Implicit feedback (Hu, Koren and Volinsky, 2008): every cell counts, an unseen pair as a weak 0,

    sum over all ij of c_ij (p_ij - x_i . y_j)^2  +  regularization (sum_i |x_i|^2 + sum_j |y_j|^2)

with p = 1 and c = 1 + alpha n_ij for a seen pair, p = 0 and c = 1 for all others.

Explicit feedback (Zhou et al., 2008): only seen pairs count, and the penalty grows with their number,

    sum over seen ij of c_ij (n_ij - x_i . y_j)^2  +  regularization (sum_i m_i |x_i|^2 + sum_j m_j |y_j|^2)

with c = 1 + alpha n_ij again (alpha 0 weighs all alike) and m the number of pairs of an id.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from embedding_assets.records import EmbeddingTable, PairTable, ReportProgress, TrainResult
from embedding_assets.trainers.checks import PLACES, Place, ShardsChoice, check_integer, check_setting
from embedding_assets.trainers.progress import in_terminal

Feedback = Literal["implicit", "explicit"]
FEEDBACKS: tuple[str, ...] = get_args(Feedback)
StartName = Literal["spectral", "random"]
STARTS: tuple[str, ...] = get_args(StartName)
Solver = Literal["exact", "cg"]
SolverChoice = Literal["auto", "exact", "cg"]
SOLVERS: tuple[str, ...] = get_args(SolverChoice)


@dataclass(frozen=True, kw_only=True)
class Als:
    """Settings of alternating least squares; `fit` trains.

    Attributes:
        dim: D, width of a vector.
        epochs: how often each side is solved; the rows last.
        regularization: of the squared length of the vectors, above 0.
        alpha: what one count adds to the weight of a pair; above 0 for implicit feedback.
        solver: `exact` solves every row's normal equations, `cg` takes three steps of conjugate gradients from the
            vectors of the epoch before; `auto` is `cg` for implicit feedback, where a step goes far however the
            vectors lie, and `exact` for explicit.
        feedback: whether a count says how sure a pair is (`implicit`), or is itself what the product of the two
            vectors should be (`explicit`).
        start: `spectral` begins at a truncated SVD of the counts and needs few epochs, `random` at random vectors.
        seed: the same table and seed give the same bytes on the same machine.
        device: `auto` takes an accelerator where jax has one.
        shards: how many devices hold the table, each a part; `auto` takes all there are. The same number gives the
            same bytes, and another one the same vectors but for rounding. With several, the spectral start is made on
            the CPU, which has more memory.
    """

    dim: int = 64
    epochs: int = 15
    regularization: float = 0.01
    alpha: float = 1.0
    solver: SolverChoice = "auto"
    feedback: Feedback = "implicit"
    start: StartName = "spectral"
    seed: int = 0
    device: Place = "auto"
    shards: ShardsChoice = 1

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("epochs", 1), ("seed", 0)):
            check_integer(self, name, least)
        check_setting(self, "regularization", 0 < self.regularization < math.inf, "above 0")
        check_setting(self, "solver", self.solver in SOLVERS, f"one of {SOLVERS}")
        check_setting(self, "start", self.start in STARTS, f"one of {STARTS}")
        check_setting(self, "feedback", self.feedback in FEEDBACKS, f"one of {FEEDBACKS}")
        check_setting(self, "alpha", 0 <= self.alpha < math.inf, "at least 0")
        if self.feedback == "implicit":
            check_setting(self, "alpha", self.alpha > 0, "above 0 for implicit feedback")
        check_setting(self, "device", self.device in PLACES, f"one of {PLACES}")
        if self.shards != "auto":
            check_integer(self, "shards", 1)

    def fit(
        self,
        table: PairTable,
        *,
        init: Sequence[EmbeddingTable] | None = None,
        checkpoint: Path | None = None,
        progress: ReportProgress | None = None,
    ) -> TrainResult:
        """Train on `table`: centers and contexts as (V_row, D) and (V_col, D) float32, always finite.

        An epoch solves the contexts from the centers, then the centers from the contexts: with `exact`, the centers
        are what `fold_in` gives for their rows. An id without a pair has the vector 0. The loss is the objective
        after the epoch, divided by the number of pairs.

        With `init`, known keys begin at the earlier vectors and new ones at 0, so that they are first solved from
        known ones; where no center is known, all begin as without it. `checkpoint` and `progress` are as in
        `records.Trainer`; without `progress`, a terminal shows a bar.

        Beside the table, memory peaks below 120 bytes a pair and 32 D bytes an id, plus 200 MB for chunks of pairs and
        600 MB while a program is compiled (measured: 918 MB at 4 million pairs, 320,000 ids and D = 64, without it).
        Of several devices each has its part of the pairs and vectors, and room for all vectors of the larger side.

        Raises:
            InvalidPairTable: the table is empty, too small, or has impossible ids or counts.
            InvalidInit: `init` has another entity or width than the table and `dim`.
            TrainingDiverged: the loss or a vector is no longer finite.
            OSError: the checkpoint cannot be written.
            CannotShard: one table in several processes, with a `checkpoint`.
            ValueError: there is no such device, or fewer than `shards`.
        """
        from embedding_assets.trainers.als_fit import fit  # loads JAX: only who trains pays for it

        with in_terminal(self.epochs) as shown:
            return fit(self, table, init, checkpoint, progress or shown)

    def fold_in(self, table: PairTable, contexts: EmbeddingTable) -> EmbeddingTable:
        """Vectors of new entities beside fixed contexts: each row's own least squares, solved exactly on one device.

        Args:
            table: counts of the new entities (rows, one or more) with known contexts (columns).
            contexts: all contexts of a fit with these settings; implicit feedback needs also those that no row has.

        Returns:
            The vocabulary of the rows with (V_row, D) float32; 0 for an entity without a pair.

        Raises:
            InvalidPairTable: the table is empty, has impossible ids or counts, or a column that `contexts` lacks.
            InvalidInit: `contexts` has another entity or width than the columns and `dim`.
            TrainingDiverged: a vector is not finite.
            ValueError: there is no such device.
        """
        from embedding_assets.trainers.als_fit import fold_in  # loads JAX

        return fold_in(self, table, contexts)
