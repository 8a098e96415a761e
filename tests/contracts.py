"""What every trainer must do, written once: a trainer's test subclasses this and names its settings.

    class TestSgnsContract(TrainerContract):
        trainer = Sgns(dim=16)

The tables are planted: ids of one community are counted together often, others seldom.
"""

import dataclasses
import functools
import hashlib
import math
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

import numpy as np
import pyarrow as pa
import pytest

from embedding_assets.records import EmbeddingTable, PairTable, Progress, Trainer, TrainResult, Vocabulary
from embedding_assets.trainers.errors import InvalidInit, InvalidPairTable, TrainerError

COMMUNITIES = 4


def planted_table(rows: int = 60, columns: int | None = None, *, seed: int = 0) -> PairTable:
    """Counts where id i belongs to community i % 4; square and symmetric unless `columns` is given."""
    rng = np.random.default_rng(seed)
    shape = (rows, columns or rows)
    row, col = (np.arange(n) % COMMUNITIES for n in shape)
    dense = rng.poisson(np.where(row[:, None] == col[None, :], 12.0, 1.0)).astype(np.float32)
    if columns is None:
        dense = dense + dense.T
    row_ids, col_ids = np.nonzero(dense)
    row_vocabulary = vocabulary("word", dense.sum(axis=1))
    return PairTable(
        rows=row_vocabulary,
        columns=row_vocabulary if columns is None else vocabulary("site", dense.sum(axis=0)),
        row_ids=row_ids.astype(np.int32),
        col_ids=col_ids.astype(np.int32),
        counts=dense[row_ids, col_ids],
    )


def random_table(rng: np.random.Generator, rows: int, columns: int, pairs: int) -> PairTable:
    """Counts of 1 to 8 at random places, without structure."""
    cells = np.sort(rng.choice(rows * columns, pairs, replace=False))
    return PairTable(
        rows=vocabulary("word", np.ones(rows)),
        columns=vocabulary("site", np.ones(columns)),
        row_ids=(cells // columns).astype(np.int32),
        col_ids=(cells % columns).astype(np.int32),
        counts=rng.integers(1, 9, pairs).astype(np.float32),
    )


def vocabulary(entity: str, counts: np.ndarray) -> Vocabulary:
    keys = pa.array([f"{entity}{i}" for i in range(len(counts))], pa.string())
    return Vocabulary(entity=entity, keys=keys, counts=counts.astype(np.float64))


def neighbors_in_community(vectors: np.ndarray) -> float:
    """Share of ids whose nearest other id, by cosine, is of their own community."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    community = np.arange(len(vectors)) % COMMUNITIES
    return float((community[cosines.argmax(axis=1)] == community).mean())


@functools.cache
def trained(trainer: Trainer) -> TrainResult:
    """On the planted table, once for all tests that only look at the result."""
    return trainer.fit(planted_table())


def refusal(trainer: Trainer, **more: Any) -> str:
    """Type and message of the error that a fit ends with."""
    try:
        trainer.fit(planted_table(), **more)
    except TrainerError as error:
        return f"{type(error).__name__}: {error}"
    return "not refused"


def digest(result: TrainResult) -> str:
    """Of all bytes of all tables."""
    hashed = hashlib.sha256()
    for table in result.tables:
        hashed.update(np.ascontiguousarray(table.vectors).tobytes())
    return hashed.hexdigest()


def _with(field: str, at: int, value: float) -> PairTable:
    """The planted table with one entry of one field replaced."""
    table = planted_table()
    changed = getattr(table, field).copy()
    changed[at] = value
    return dataclasses.replace(table, **{field: changed})


def _cut(rows: int, columns: int, pairs: int) -> PairTable:
    one = planted_table()
    return PairTable(
        rows=vocabulary("word", np.ones(rows)),
        columns=vocabulary("site", np.ones(columns)),
        row_ids=one.row_ids[:pairs] * 0,
        col_ids=one.col_ids[:pairs] * 0,
        counts=one.counts[:pairs],
    )


def _twice() -> PairTable:
    table = planted_table()
    doubled = {
        name: np.concatenate([getattr(table, name), getattr(table, name)[3:5]])
        for name in ("row_ids", "col_ids", "counts")
    }
    return dataclasses.replace(table, **doubled)


#: Each bad table with what its error must say.
BAD_TABLES = {
    "empty": (lambda: _cut(5, 5, 0), "no pairs"),
    "no entity": (lambda: _cut(0, 5, 0), r"PairTable\.rows holds 0 'word'"),
    "one entity": (lambda: _cut(1, 5, 1), r"PairTable\.rows holds 1 'word'"),
    "one column": (lambda: _cut(5, 1, 1), r"PairTable\.columns holds 1 'site'"),
    "zero count": (lambda: _with("counts", 7, 0.0), r"PairTable\.counts\[7\] is 0\.0"),
    "negative count": (lambda: _with("counts", 7, -2.0), r"PairTable\.counts\[7\] is -2\.0"),
    "nan count": (lambda: _with("counts", 7, math.nan), r"PairTable\.counts\[7\] is nan"),
    "infinite count": (lambda: _with("counts", 7, math.inf), r"PairTable\.counts\[7\] is inf"),
    "negative id": (lambda: _with("row_ids", 3, -1), r"PairTable\.row_ids\[3\] is -1"),
    "id too large": (lambda: _with("col_ids", 3, 60), r"PairTable\.col_ids\[3\] is 60"),
    "repeated pair": (_twice, r"row_ids=0, col_ids=\d+ more than once \(2 repeats\)"),
}


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """Raised by `interrupt`, as if the process had been stopped between two epochs."""


def interrupt(report: Progress) -> NoReturn:
    raise Interrupted(report.epoch)


def fit_with_interruptions(trainer: Trainer, checkpoint: Path, **more: Any) -> tuple[TrainResult, list[int]]:
    """A fit that is stopped after every epoch and goes on in another call, and the epochs after which it was."""
    stopped: list[int] = []
    while True:
        try:
            return trainer.fit(planted_table(), checkpoint=checkpoint, progress=interrupt, **more), stopped
        except Interrupted as error:
            stopped.append(error.args[0])
            assert stopped == list(range(1, len(stopped) + 1)), "an epoch was lost, or run twice"


def earlier_tables(result: TrainResult) -> tuple[EmbeddingTable, ...]:
    """What an earlier week may have left: every other key of today's, in another order, and one that is gone."""

    def earlier(table: EmbeddingTable) -> EmbeddingTable:
        old = table.vocabulary
        order = np.arange(len(old))[::-2]
        keys = pa.concat_arrays([old.keys.take(pa.array(order)), pa.array(["gone"])])
        vectors = np.concatenate([table.vectors[order], np.ones_like(table.vectors[:1])])
        counts = np.append(old.counts[order], 9.0)
        return EmbeddingTable(vocabulary=Vocabulary(entity=old.entity, keys=keys, counts=counts), vectors=vectors)

    return tuple(earlier(table) for table in result.tables)


def _narrowed(table: EmbeddingTable) -> EmbeddingTable:
    return dataclasses.replace(table, vectors=table.vectors[:, :-1])


def _of_sites(table: EmbeddingTable) -> EmbeddingTable:
    return dataclasses.replace(table, vocabulary=dataclasses.replace(table.vocabulary, entity="site"))


def _broken(table: EmbeddingTable) -> EmbeddingTable:
    vectors = table.vectors.copy()
    vectors[4, 2] = math.nan
    return dataclasses.replace(table, vectors=vectors)


#: What is done to the tables of a run, with what the error must say when a fit is to begin from them.
BAD_INITS = {
    "too narrow": (
        lambda sides: (sides[0], _narrowed(sides[1])),
        r"init\[1\] has vectors of shape \(60, \d+\).*dim is \d+",
    ),
    "other entity": (lambda sides: (_of_sites(sides[0]), sides[1]), r"init\[0\] holds vectors of 'site'.*are 'word'"),
    "one side": (lambda sides: sides[:1], "init holds 1 tables; give 2"),
    "not finite": (lambda sides: (_broken(sides[0]), sides[1]), r"1 of 60 vectors of init\[0\] are not finite"),
}


class TrainerContract:
    """Subclass, and set `trainer` to settings that suit a table of 60 ids."""

    trainer: ClassVar[Trainer]

    @pytest.fixture
    def result(self) -> TrainResult:
        return trained(self.trainer)

    def test_it_finds_the_planted_communities(self, result: TrainResult) -> None:
        assert neighbors_in_community(result.tables[0].vectors) >= 0.95

    def test_it_returns_one_finite_float32_table_a_side(self, result: TrainResult) -> None:
        centers, contexts = result.tables
        assert centers.vocabulary.keys == contexts.vocabulary.keys
        for table in result.tables:
            assert table.vectors.dtype == np.float32
            assert table.vectors.shape == (60, centers.vectors.shape[1])
            assert np.isfinite(table.vectors).all()

    def test_it_says_what_it_cost(self, result: TrainResult) -> None:
        assert 0 <= result.compile_seconds < result.seconds
        assert result.device.split(":")[0] in {"cpu", "gpu", "cuda"}
        assert all(math.isfinite(value) for value in result.metrics.values())

    def test_loss_falls(self, result: TrainResult) -> None:
        assert all(math.isfinite(loss) for loss in result.loss_curve)
        assert result.loss_curve[-1] < result.loss_curve[0]

    def test_progress_is_told_each_epoch(self) -> None:
        reports: list[Progress] = []
        result = self.trainer.fit(planted_table(), progress=reports.append)
        assert tuple(report.loss for report in reports) == result.loss_curve
        assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))
        assert {report.epochs for report in reports} == {len(reports)}
        assert all(0 < report.seconds <= result.seconds for report in reports)

    def test_rectangular_table_places_both_sides_in_one_space(self) -> None:
        centers, contexts = self.trainer.fit(planted_table(45, 70)).tables
        assert (len(centers.vectors), len(contexts.vectors)) == (45, 70)
        assert contexts.vocabulary.entity == "site"
        best = (centers.vectors @ contexts.vectors.T).argmax(axis=1)
        assert (best % COMMUNITIES == np.arange(45) % COMMUNITIES).mean() >= 0.95

    def test_same_seed_same_bytes(self, result: TrainResult) -> None:
        assert digest(self.trainer.fit(planted_table())) == digest(result)

    def test_another_seed_gives_other_vectors(self, result: TrainResult) -> None:
        other: Any = dataclasses.replace(cast("Any", self.trainer), seed=self.trainer.seed + 1)
        assert digest(other.fit(planted_table())) != digest(result)

    def test_order_of_the_pairs_does_not_matter(self, result: TrainResult, rng) -> None:
        table = planted_table()
        order = rng.permutation(len(table))
        shuffled = dataclasses.replace(
            table,
            row_ids=table.row_ids[order],
            col_ids=table.col_ids[order],
            counts=table.counts[order],
        )
        assert digest(self.trainer.fit(shuffled)) == digest(result)

    @pytest.mark.parametrize("case", BAD_TABLES)
    def test_bad_table_is_refused_by_field_and_value(self, case: str) -> None:
        make, message = BAD_TABLES[case]
        with pytest.raises(InvalidPairTable, match=message):
            self.trainer.fit(make())

    def test_fit_interrupted_after_every_epoch_gives_the_same_bytes(self, result: TrainResult, tmp_path: Path) -> None:
        resumed, stopped = fit_with_interruptions(self.trainer, tmp_path / "deep" / "state")
        assert len(stopped) == len(result.loss_curve)
        assert resumed.loss_curve == result.loss_curve
        assert digest(resumed) == digest(result)
        assert not list((tmp_path / "deep").iterdir()), "a finished fit leaves its checkpoint behind"

    def test_checkpoint_of_another_seed_is_not_gone_on_from(self, result: TrainResult, tmp_path: Path) -> None:
        other: Any = dataclasses.replace(cast("Any", self.trainer), seed=self.trainer.seed + 1)
        with pytest.raises(Interrupted):
            other.fit(planted_table(), checkpoint=tmp_path / "state", progress=interrupt)
        assert digest(self.trainer.fit(planted_table(), checkpoint=tmp_path / "state")) == digest(result)

    def test_warm_start_begins_below_the_cold_one(self, result: TrainResult) -> None:
        warm = self.trainer.fit(planted_table(), init=result.tables)
        assert warm.loss_curve[0] < result.loss_curve[0]
        assert neighbors_in_community(warm.tables[0].vectors) >= 0.95

    def test_warm_start_with_new_keys_is_checkpointed_too(self, result: TrainResult, tmp_path: Path) -> None:
        init = earlier_tables(result)
        warm = self.trainer.fit(planted_table(), init=init)
        assert neighbors_in_community(warm.tables[0].vectors) >= 0.95
        assert digest(warm) != digest(result)
        assert digest(fit_with_interruptions(self.trainer, tmp_path / "state", init=init)[0]) == digest(warm)

    def test_warm_start_without_a_known_key_is_a_cold_one(self, result: TrainResult) -> None:
        none_known = tuple(
            EmbeddingTable(
                vocabulary=Vocabulary(entity=side.vocabulary.entity, keys=pa.array(["gone"]), counts=np.ones(1)),
                vectors=side.vectors[:1],
            )
            for side in result.tables
        )
        assert digest(self.trainer.fit(planted_table(), init=none_known)) == digest(result)

    @pytest.mark.parametrize("case", BAD_INITS)
    def test_bad_init_is_refused_by_table_and_value(self, case: str, result: TrainResult) -> None:
        spoil, message = BAD_INITS[case]
        with pytest.raises(InvalidInit, match=message):
            self.trainer.fit(planted_table(), init=spoil(result.tables))
