"""A truncated SVD of an affinity graph: a table of (source, destination, weight) in, two tables of vectors out.

The weighted table A is nearly U S V^T, with U for sources (rows) and V for destinations (columns); the share of ||A||^2
that this leaves is the energy lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from embedding_assets.records import EmbeddingTable, PairTable, ReportProgress, TrainResult
from embedding_assets.trainers.checks import PLACES, Place, ShardsChoice, check_integer, check_setting
from embedding_assets.trainers.progress import in_terminal

WeightName = Literal["raw", "log", "tfidf", "ppmi"]
WEIGHTS: tuple[str, ...] = get_args(WeightName)
NormalizeName = Literal["none", "degree"]
NORMALIZATIONS: tuple[str, ...] = get_args(NormalizeName)
SpreadName = Literal["half", "sources", "destinations"]
SPREADS: tuple[str, ...] = get_args(SpreadName)


@dataclass(frozen=True, kw_only=True)
class Svd:
    """Settings of a randomized truncated SVD; `fit` trains.

    Attributes:
        dim: D, width of a vector.
        weights: what is factored: `raw` counts, `log` of 1 + count, `tfidf` with sources as documents, or `ppmi`.
        normalize: `degree` divides each weight by the roots of its row's and its column's sum; `none` does not.
        spread: who carries the singular values: `half` gives U sqrt(S) and V sqrt(S), `sources` U S and V,
            `destinations` U and V S. The product of the two sides is the same.
        rounds: how often the subspace is turned towards the largest components; each costs two sparse products.
        oversampling: columns of the subspace beyond D; more lose less energy in as many rounds.
        seed: the same table and seed give the same bytes on the same machine.
        device: `auto` takes an accelerator where jax has one.
        shards: how many devices hold the table, each a part of the longer side's ids with all their weights; `auto`
            takes all there are. The same number gives the same bytes where jax sees as many devices, and any number
            the same vectors up to rounding.
    """

    dim: int = 64
    weights: WeightName = "ppmi"
    normalize: NormalizeName = "none"
    spread: SpreadName = "half"
    rounds: int = 2
    oversampling: int = 32
    seed: int = 0
    device: Place = "auto"
    shards: ShardsChoice = 1

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("rounds", 1), ("oversampling", 0), ("seed", 0)):
            check_integer(self, name, least)
        for name, known in (
            ("weights", WEIGHTS),
            ("normalize", NORMALIZATIONS),
            ("spread", SPREADS),
            ("device", PLACES),
        ):
            check_setting(self, name, getattr(self, name) in known, f"one of {known}")
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
        """Factor `table`: sources and destinations as (V_row, D) and (V_col, D) float32, always finite.

        An id without weight gets a vector of zeros. A table of lower rank than D, or with fewer than D ids on a side,
        has columns of zeros at the end. The sign of a component is free; the largest entry of its shorter side is
        made positive.

        The loss is the share of energy outside the subspace, D + `oversampling` columns wide, after each round, in
        [0, 1]; `metrics["lost_energy"]` is the share that the D columns of the result leave, and
        `extras["singular_values"]` is (D,) float32, falling.

        With `init`, the subspace begins at the earlier vectors of the side with fewer ids, and needs fewer rounds.
        `checkpoint` and `progress` are as in `records.Trainer`; without `progress`, a terminal shows a bar.

        Beside the table, memory peaks below 24 bytes an edge and, with W = D + `oversampling`, 4.5 W bytes an id of the
        longer side and 20 W of the shorter (measured: 432 MB for 10 million edges between 250,000 and 50,000 ids at
        D = 64, 3.6 times the table). With shards, a device needs its share of the edges and of the longer side, and the
        whole shorter side; this process still needs the table.

        Raises:
            InvalidPairTable: the table is empty, too small, has impossible ids or counts, or all its weights are 0.
            InvalidInit: `init` has another entity or width than the table and `dim`.
            TrainingDiverged: a singular value does not fit float32.
            OSError: the checkpoint cannot be written.
            CannotShard: one table in several processes, with a `checkpoint`.
            ValueError: there is no such device, or fewer than `shards`.
        """
        from embedding_assets.trainers.svd_fit import fit  # loads JAX: only who trains pays for it

        with in_terminal(self.rounds) as shown:
            return fit(self, table, init, checkpoint, progress or shown)
