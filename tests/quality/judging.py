"""What every row has in common: vectors made by a spec's own stages, and the probes of the protocol."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.probe import probe
from embedding_assets.drafts import centered
from embedding_assets.records import EmbeddingTable, PairTable, Trainer
from embedding_assets.sources.files import FileSource
from embedding_assets.sources.schema import Source
from embedding_assets.spec import EmbeddingSpec
from tests.stage_runs import Stages

#: How far below the best off-the-shelf figure a figure may lie.
TOLERANCE = 0.005


class Row(NamedTuple):
    """One figure beside a peer's.

    Attributes:
        row: its name.
        ours: our figure.
        peer: of the best off-the-shelf library; None where there is none.
        bar: what ours must reach, or for a ratio of times must stay below; None where it is only reported.
        holds: whether it does; None without a bar.
    """

    row: str
    ours: float
    peer: float | None = None
    bar: float | None = None
    holds: bool | None = None

    def line(self) -> str:
        """For people."""
        numbers = "".join(f"{'' if n is None else f'{n:.3f}':>8}" for n in (self.ours, self.peer, self.bar))
        return f"{self.row:<44}{numbers}{'   MISSED' if self.holds is False else ''}"


def at_least(row: str, ours: float, peer: float, tolerance: float = TOLERANCE) -> Row:
    """A row whose bar is the peer's figure less the tolerance."""
    bar = round(peer - tolerance, 4)
    return Row(row, round(ours, 4), peer, bar, ours >= bar)


def raw(source: Source, table: str) -> pa.Table:
    """A raw table in the source's only week."""
    return source.read(table, source.first_week).rows


def open_graph(toml: Path, folder: str) -> FileSource:
    """A graph without times: everything lies in one week; parsed text would go to `folder`."""
    return FileSource.open(toml, cache=Path(folder))


def trained_on(toml: Path, spec: EmbeddingSpec, replaced: Mapping[str, pa.Table] | None = None) -> PairTable:
    """What `spec` is trained on where the source is `toml`; `replaced` are assets to take instead of made ones."""
    with TemporaryDirectory() as folder:
        source = open_graph(toml, folder)
        week = source.first_week
        given = {(asset, week): table for asset, table in (replaced or {}).items()}
        return Stages(source=source, specs=(spec,), replaced=given).window(spec, week)


def published(table: EmbeddingTable, metric: str, users: int) -> np.ndarray:
    """(users, D) float32, row u the vector of user `u` as a version holds it; 0 for a user without one."""
    vectors = centered(table.vectors)[0] if metric == "cosine" else table.vectors
    found = np.zeros((users, vectors.shape[1]), np.float32)
    found[table.vocabulary.keys.cast(pa.int64()).to_numpy()] = vectors
    return found


def vectors_of(table: PairTable, spec: EmbeddingSpec, trainer: Trainer, users: int) -> np.ndarray:
    """The sources' vectors of `spec` as `trainer` finds them in `table`, one row a user."""
    return published(trainer.fit(table).tables[0], spec.metric, users)


def read_off(vectors: np.ndarray, positive: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """ROC-AUC, mean and standard deviation over folds (and labels); arguments as for `probe`."""
    auc = probe(vectors.astype(np.float64), positive, fold).auc
    return float(auc.mean()), float(auc.std())
