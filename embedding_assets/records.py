"""What flows between the stages: a table of counted pairs goes in, tables of vectors come out.

Sizes used throughout: V vocabulary size, N counted pairs, D width of a vector.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa  # trainers run without it: a vocabulary's keys are looked at only to find earlier vectors

#: Monday (UTC) on which a week begins, as `YYYY-MM-DD`; the key of every weekly partition.
Week = str


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """Entity ids in table order, with how often each was seen.

    Attributes:
        entity: the entity type, such as `word`.
        keys: (V,) string; id of row i.
        counts: (V,) float64, occurrences in the window; at least 0.
    """

    entity: str
    keys: "pa.StringArray"
    counts: np.ndarray

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.counts):
            raise ValueError(f"vocabulary of {self.entity!r} has {len(self.keys)} keys but {len(self.counts)} counts")

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairTable:
    """Aggregated co-occurrence counts of centers (rows) and contexts (columns).

    Each (row, column) appears at most once. A one-entity table holds both directions, so it equals its
    transpose and `rows` is `columns`.

    Attributes:
        rows: vocabulary of the centers, V_row ids.
        columns: vocabulary of the contexts, V_col ids.
        row_ids: (N,) int32, index into `rows`.
        col_ids: (N,) int32, index into `columns`.
        counts: (N,) float32, weighted number of co-occurrences, positive.
    """

    rows: Vocabulary
    columns: Vocabulary
    row_ids: np.ndarray
    col_ids: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        sizes = {
            "row_ids": len(self.row_ids),
            "col_ids": len(self.col_ids),
            "counts": len(self.counts),
        }
        if len(set(sizes.values())) != 1:
            raise ValueError(f"PairTable columns differ in length: {sizes}")

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def shape(self) -> tuple[int, int]:
        """(V_row, V_col)."""
        return len(self.rows), len(self.columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingTable:
    """One side of a training run: ids and their vectors.

    Attributes:
        vocabulary: V entity ids with their counts.
        vectors: (V, D) float32, row i is the vector of id i.
    """

    vocabulary: Vocabulary
    vectors: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainResult:
    """What a trainer returns.

    Attributes:
        tables: one table per side: centers, then contexts.
        loss_curve: mean training loss after each epoch, in the trainer's own unit.
        seconds: wall time of `fit`, compilation included.
        compile_seconds: the part of `seconds` spent compiling.
        device: such as `cpu:0` or `cuda:0 NVIDIA H200`.
        metrics: further numbers worth keeping, such as the held-out objective.
        extras: further arrays worth keeping, such as the singular values; published beside the vectors.
    """

    tables: tuple[EmbeddingTable, ...]
    loss_curve: tuple[float, ...]
    seconds: float
    compile_seconds: float
    device: str
    metrics: dict[str, float] = field(default_factory=dict)
    extras: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report from a running trainer: `epoch` of `epochs` done, `loss` as in `TrainResult.loss_curve`."""

    epoch: int
    epochs: int
    loss: float
    seconds: float


ReportProgress = Callable[[Progress], None]


class Trainer(Protocol):
    """A frozen dataclass of settings that turns a pair table into vectors."""

    @property
    def seed(self) -> int:
        """The same table and seed give the same bytes on the same machine."""
        ...

    def fit(
        self,
        table: PairTable,
        *,
        init: Sequence[EmbeddingTable] | None = None,
        checkpoint: Path | None = None,
        progress: ReportProgress | None = None,
    ) -> TrainResult:
        """Train on `table`.

        Args:
            table: what is trained on.
            init: vectors of an earlier run, centers then contexts; their keys that are still there begin from
                these (a warm start), new ones as without it.
            checkpoint: a file that the state is written to after each epoch, atomically, and that a fit of the same
                code, settings, table and `init`, on the same kind of device, goes on from, to the same bytes; removed
                once the fit is done.
            progress: called once an epoch.
        """
        ...
