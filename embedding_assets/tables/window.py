"""Sums the weekly tables of a window into the one table that a trainer takes, pruned."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from embedding_assets.records import PairTable, Vocabulary, Week
from embedding_assets.tables.engine import Relation, query, union_weighted
from embedding_assets.tables.errors import EmptyWindow, WeekMismatch
from embedding_assets.tables.hold_out import is_held_out
from embedding_assets.tables.vocabulary import refuse_collisions

#: Weights are whole multiples of 2^-24: sums of such numbers are exact in a double, in whatever order
#: threads add them, up to 2^29 occurrences of one pair; and a weight of 1 stays exactly 1.
_STEPS = 2**24
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a window: an entity type and how often each of its keys occurred, week by week.

    Attributes:
        entity: such as `word`.
        weeks: week -> table or dataset with `key`, `id` and `count`, as `count_vocabulary` makes it.
    """

    entity: str
    weeks: Mapping[Week, Relation]


@dataclass(frozen=True, kw_only=True)
class Prune:
    """What a window keeps of its summed weeks.

    Attributes:
        min_count: a key is kept from this many (decayed) occurrences on.
        max_vocabulary: at most so many keys a side, the most frequent; None for no limit.
        subsample: word2vec's threshold t: keys above this share of all occurrences are thinned out; None
            thins nothing.
        min_pair_count: a pair is kept from this (decayed) count on, before thinning.
        decay: weight of a week relative to the week after it, in (0, 1].
        max_row_sum: a row whose pairs weigh more together is scaled down to this, so that no bot owns the result.
        max_column_sum: the same for columns: hubs.
    """

    min_count: float = 5
    max_vocabulary: int | None = None
    subsample: float | None = 1e-3
    min_pair_count: float = 0
    decay: float = 1.0
    max_row_sum: float | None = None
    max_column_sum: float | None = None

    def __post_init__(self) -> None:
        if self.max_vocabulary is not None and self.max_vocabulary < 1:
            raise ValueError(f"Prune.max_vocabulary must be at least 1, got {self.max_vocabulary}")
        if self.subsample is not None and not 0 < self.subsample < float("inf"):
            raise ValueError(f"Prune.subsample must be positive or None, got {self.subsample}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"Prune.decay must lie in (0, 1], got {self.decay}")
        for name in ("max_row_sum", "max_column_sum"):
            cap = getattr(self, name)
            if cap is not None and not 0 < cap < float("inf"):
                raise ValueError(f"Prune.{name} must be positive or None, got {cap}")
        for name in ("min_count", "min_pair_count"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Prune.{name} must be at least 0, got {getattr(self, name)}")


def sum_window(
    con: duckdb.DuckDBPyConnection,
    pairs: Mapping[Week, Relation],
    rows: Side,
    columns: Side | None = None,
    *,
    prune: Prune,
    hold_out: float = 0.0,
) -> PairTable:
    """The exact sum of several weeks of counted pairs, pruned and with dense ids.

    Frequent keys are thinned by the expectation of word2vec's subsampling: where word2vec drops an occurrence
    with probability 1 - keep, a pair's count is multiplied by keep(row) keep(column), keep = min(1, sqrt(t/f)
    + t/f), f the key's share of the window's kept occurrences. Nothing is drawn, so the result is exact and
    repeatable, and weekly tables stay whole and additive whatever the threshold. (Unlike word2vec, words do
    not move closer together where one between them was dropped.)

    Args:
        con: where the queries run; give it a spill folder for windows larger than its memory limit.
        pairs: week -> `row_id`, `col_id`, `count` (int64). Datasets are streamed, not loaded.
        rows: the entity of `row_id`.
        columns: the entity of `col_id`; None where both sides are one entity.
        prune: what to keep.
        hold_out: share of the pairs that is left out; see `is_held_out`.

    Returns:
        Pairs sorted by (row, column); ids ordered by falling count, then by key, of those keys that have a pair.
        It may have none.

    Raises:
        EmptyWindow: no weeks.
        WeekMismatch: pairs and vocabularies cover different weeks.
        IdCollision: two keys of the window share an id.
    """
    weights = _weights(pairs, prune.decay)
    row_side = _kept(con, rows, weights, prune)
    column_side = row_side if columns is None else _kept(con, columns, weights, prune)
    with union_weighted(con, "weekly_pairs", pairs, weights):
        relations = {
            "window_rows": _thinned(row_side, prune.subsample),
            "window_columns": _thinned(column_side, prune.subsample),
        }
        summed = query(con, "window_pairs", relations, min_pair_count=prune.min_pair_count)
    row_ids, col_ids = summed["row_id"].to_numpy(), summed["col_id"].to_numpy()
    if hold_out:
        ids = row_side["id"].to_numpy()[row_ids], column_side["id"].to_numpy()[col_ids]
        kept = ~is_held_out(*ids, share=hold_out)
        summed, row_ids, col_ids = summed.filter(pa.array(kept)), row_ids[kept], col_ids[kept]
    counts = summed["count"].to_numpy()
    scale = _scale(row_ids, counts, prune.max_row_sum) * _scale(col_ids, counts, prune.max_column_sum)
    row_vocabulary, row_ids = _met(_vocabulary(rows.entity, row_side), row_ids)
    if columns is None:  # the table equals its transpose: the same keys have pairs on both sides
        column_vocabulary, col_ids = row_vocabulary, _met(_vocabulary(rows.entity, row_side), col_ids)[1]
    else:
        column_vocabulary, col_ids = _met(_vocabulary(columns.entity, column_side), col_ids)
    return PairTable(
        rows=row_vocabulary,
        columns=column_vocabulary,
        row_ids=row_ids,
        col_ids=col_ids,
        counts=(counts * scale).astype(np.float32),
    )


def _met(vocabulary: Vocabulary, ids: np.ndarray) -> tuple[Vocabulary, np.ndarray]:
    """The keys that have a pair, and the ids among these: nothing can be learnt of a key without one."""
    used = np.zeros(len(vocabulary), bool)
    used[ids] = True
    places = (np.cumsum(used) - 1).astype(np.int32)
    keys = vocabulary.keys.filter(pa.array(used))
    return Vocabulary(entity=vocabulary.entity, keys=keys, counts=vocabulary.counts[used]), places[ids]


def _scale(ids: np.ndarray, counts: np.ndarray, cap: float | None) -> np.ndarray:
    """(N,) float64 in (0, 1]: what each pair is multiplied by, so that no id's pairs weigh more than `cap`."""
    if cap is None or not len(ids):
        return np.ones(len(ids))
    sums = np.bincount(ids, counts)
    return (cap / np.maximum(sums, cap))[ids]


def _weights(pairs: Mapping[Week, Relation], decay: float) -> dict[Week, float]:
    """Each week's weight: `decay` to the power of its age in weeks, rounded to a multiple of 2^-24."""
    if not pairs:
        raise EmptyWindow("a window needs at least one week of pairs, got none")
    newest = max(date.fromisoformat(week) for week in pairs)
    ages = {week: (newest - date.fromisoformat(week)).days // 7 for week in sorted(pairs)}
    return {week: round(decay**age * _STEPS) / _STEPS for week, age in ages.items()}


def _kept(con: duckdb.DuckDBPyConnection, side: Side, weights: Mapping[Week, float], prune: Prune) -> pa.Table:
    """(V rows) position, key, id and count of the keys that the window keeps."""
    if set(side.weeks) != set(weights):
        raise WeekMismatch(
            f"pairs cover the weeks {', '.join(sorted(weights))}, the vocabulary of "
            f"{side.entity!r} covers {', '.join(sorted(side.weeks)) or 'none'}; "
            "both must be made of the same weeks"
        )
    limit = _NO_LIMIT if prune.max_vocabulary is None else prune.max_vocabulary
    with union_weighted(con, "vocabulary", side.weeks, weights):
        refuse_collisions(con)
        return query(con, "window_vocabulary", {}, min_count=prune.min_count, max_vocabulary=limit)


def _thinned(side: pa.Table, subsample: float | None) -> pa.Table:
    """`side` as (position, id, keep); keep in (0, 1] is the share of occurrences that stays."""
    counts = side["count"].to_numpy()
    keep = np.ones(len(counts))
    if subsample is not None and counts.sum() > 0:
        with np.errstate(divide="ignore"):  # a key that never occurred keeps all of nothing
            ratio = subsample * counts.sum() / counts
        keep = np.minimum(1.0, np.sqrt(ratio) + ratio)
    return side.select(["position", "id"]).append_column("keep", pa.array(keep))


def _vocabulary(entity: str, side: pa.Table) -> Vocabulary:
    return Vocabulary(entity=entity, keys=side["key"].combine_chunks(), counts=side["count"].to_numpy())
