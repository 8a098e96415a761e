"""Skip-gram on random walks over a graph, without walking: a table of edges in, two tables of vectors out.

DeepWalk (Perozzi et al. 2014) writes walks down as sentences and hands them to word2vec. What word2vec then counts has
an expectation that follows from the graph (Qiu et al. 2018), and a table of counts is all that `Sgns` needs.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from embedding_assets.records import EmbeddingTable, PairTable, ReportProgress, TrainResult
from embedding_assets.trainers.checks import check_integer, check_setting
from embedding_assets.trainers.sgns import Course, Sgns

#: Up to so many cells `auto` is exact, 65,536 ids a side: walks visit ids far more evenly than texts do, and what mixed
#: negatives save on the rare they lose on the frequent (42,000 users: 34 s mixed, 24 s exact, equally good).
EXACT_CELLS = 1 << 32


@dataclass(frozen=True, kw_only=True)
class WalkSgns(Sgns):
    """Settings of skip-gram on expected walks, besides those of `Sgns`; `fit` trains.

    Attributes:
        reach: a context lies at most this many steps after its center, and counts (reach - steps + 1) / reach.
        length: ids in a walk; the first is where it starts.
        walks: how many start at each source. Graphs whose edges go both ways need twice DeepWalk's number, which counts
            contexts before a center too.
        smallest: expected counts below this are left out, and with them the longer ways that begin so.
    """

    reach: int = 5
    length: int = 40
    walks: int = 8
    smallest: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("reach", 1), ("length", 2), ("walks", 1)):
            check_integer(self, name, least)
        check_setting(self, "reach", self.reach < self.length, f"below length, {self.length}")
        check_setting(self, "smallest", 0 <= self.smallest < math.inf, "at least 0")

    def course(self, shape: tuple[int, int], platform: str) -> Course:
        """As for `Sgns`, but exact up to 2 ** 32 cells on a CPU too.

        >>> WalkSgns().course((40_000, 40_000), "cpu")
        Course(negatives='exact', epochs=2, learning_rate=0.2)
        """
        chosen = super().course(shape, platform)
        few = self.negatives == "auto" and shape[0] * shape[1] <= EXACT_CELLS
        return chosen._replace(negatives="exact") if few else chosen

    def fit(
        self,
        table: PairTable,
        *,
        init: Sequence[EmbeddingTable] | None = None,
        checkpoint: Path | None = None,
        progress: ReportProgress | None = None,
    ) -> TrainResult:
        """Train on walks over the edges of `table`: (V_row, D) sources and (V_col, D) destinations, float32.

        A row is who an edge leaves, a column whom it reaches, an id with the same key on both sides is one place to
        walk through, and an edge is taken as often as its count says. A walk ends where no edge leaves. All else is as
        for `Sgns.fit`; `metrics` has `walk_seconds` and `walk_pairs` too.

        Raises:
            InvalidPairTable: the table is empty, too small, or has impossible ids or counts.
            TrainerError: as for `Sgns.fit`.
        """
        from embedding_assets.trainers.walks import expected_walks  # loads scipy: only who trains pays for it

        began = time.perf_counter()
        pairs = expected_walks(table, reach=self.reach, length=self.length, walks=self.walks, smallest=self.smallest)
        walked = time.perf_counter() - began
        result = super().fit(pairs, init=init, checkpoint=checkpoint, progress=progress)
        metrics = {**result.metrics, "walk_seconds": walked, "walk_pairs": float(len(pairs))}
        return replace(result, seconds=result.seconds + walked, metrics=metrics)
