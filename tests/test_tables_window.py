"""Weeks summed, pruned and thinned, against a few lines of plain Python."""

import math
from collections import Counter
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from embedding_assets.tables.engine import connect
from embedding_assets.tables.errors import EmptyWindow, IdCollision, TableError, WeekMismatch
from embedding_assets.tables.pairs import PAIRS, count_pairs
from embedding_assets.tables.vocabulary import VOCABULARY, count_vocabulary
from embedding_assets.tables.window import Prune, Side, sum_window

WEEKS = ["2026-01-05", "2026-01-12", "2026-01-26"]  # one week is left out: ages 3, 2 and 0


@pytest.fixture
def con():
    with closing(connect(threads=1)) as connection:
        yield connection


def make_weeks(rng, con):
    """Lists, pair tables and vocabularies of three weeks of random text."""
    lists = {week: [[f"w{i % 30}" for i in rng.zipf(1.4, size=rng.integers(9))] for _ in range(70)] for week in WEEKS}
    corpora = {
        week: pa.table(
            {
                "conversation_id": [str(i) for i in range(len(rows))],
                "words": pa.array(rows, pa.list_(pa.string())),
            }
        )
        for week, rows in lists.items()
    }
    pairs = {week: count_pairs(con, corpus) for week, corpus in corpora.items()}
    return lists, pairs, {week: count_vocabulary(con, corpus) for week, corpus in corpora.items()}


def loop_window(lists, prune):
    """(keys, {(row, col): count}) of a one-entity window of 5."""
    ages = {"2026-01-05": 3, "2026-01-12": 2, "2026-01-26": 0}
    words, pairs = Counter(), Counter()
    for week, rows in lists.items():
        weight = prune.decay ** ages[week]
        for row in rows:
            for i, center in enumerate(row):
                words[center] += weight
                for j, context in enumerate(row):
                    if i != j and abs(i - j) <= 5:
                        pairs[center, context] += weight
    kept = sorted((key for key in words if words[key] >= prune.min_count), key=lambda key: (-words[key], key))
    kept = kept[: prune.max_vocabulary]
    total = sum(words[key] for key in kept)

    def keep(key):
        if prune.subsample is None:
            return 1.0
        ratio = prune.subsample / (words[key] / total)
        return min(1.0, math.sqrt(ratio) + ratio)

    enough = {
        (a, b): n * keep(a) * keep(b)
        for (a, b), n in pairs.items()
        if a in kept and b in kept and n >= prune.min_pair_count
    }
    kept = [key for key in kept if any(key in pair for pair in enough)]
    place = {key: i for i, key in enumerate(kept)}
    counts = {(place[a], place[b]): n for (a, b), n in enough.items()}
    return kept, [words[key] for key in kept], counts


@pytest.mark.parametrize(
    "prune",
    [
        Prune(min_count=0, subsample=None),
        Prune(min_count=8, subsample=None, min_pair_count=3),
        Prune(min_count=4, max_vocabulary=7, subsample=None),
        Prune(min_count=2, subsample=0.02),
        Prune(min_count=3, subsample=0.05, decay=0.5, min_pair_count=2),
    ],
)
def test_window_matches_a_plain_sum(con, rng, prune):
    lists, pairs, vocabulary = make_weeks(rng, con)
    table = sum_window(con, pairs, Side(entity="word", weeks=vocabulary), prune=prune)
    keys, occurrences, counts = loop_window(lists, prune)
    assert table.rows is table.columns
    assert (table.rows.entity, table.rows.keys.to_pylist()) == ("word", keys)
    np.testing.assert_allclose(table.rows.counts, occurrences, rtol=1e-12)
    assert list(zip(table.row_ids.tolist(), table.col_ids.tolist(), strict=True)) == sorted(counts)
    np.testing.assert_allclose(table.counts, [counts[place] for place in sorted(counts)], rtol=1e-6)
    assert (table.row_ids.dtype, table.col_ids.dtype, table.counts.dtype) == (np.int32, np.int32, np.float32)


def test_window_is_symmetric_to_the_bit(con, rng):
    _, pairs, vocabulary = make_weeks(rng, con)
    table = sum_window(con, pairs, Side(entity="word", weeks=vocabulary), prune=Prune(subsample=0.01, decay=0.7))
    dense = np.zeros(table.shape, dtype=np.float32)
    dense[table.row_ids, table.col_ids] = table.counts
    np.testing.assert_array_equal(dense, dense.T)


def test_window_is_the_same_bytes_with_more_threads_and_from_disk(rng, tmp_path):
    with closing(connect(threads=1)) as con:
        _, pairs, vocabulary = make_weeks(rng, con)
        expected = sum_window(con, pairs, Side(entity="word", weeks=vocabulary), prune=Prune(decay=0.9))
    for name, tables in (("pairs", pairs), ("vocabulary", vocabulary)):
        for week, table in tables.items():
            (tmp_path / name / week).mkdir(parents=True)
            pq.write_table(table, tmp_path / name / week / "part.parquet", row_group_size=100)
    stored = {name: {week: ds.dataset(tmp_path / name / week) for week in WEEKS} for name in ("pairs", "vocabulary")}
    with closing(connect(threads=2)) as con:
        side = Side(entity="word", weeks=stored["vocabulary"])
        again = sum_window(con, stored["pairs"], side, prune=Prune(decay=0.9))
    assert again.rows.keys.equals(expected.rows.keys)
    for name in ("row_ids", "col_ids", "counts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(expected, name))


def make_vocabulary(**counts):
    n = len(counts)
    return pa.table(
        {
            "key": list(counts),
            "id": [ord(key[0]) for key in counts],
            "count": list(counts.values()),
            "conversations": [1] * n,
        },
        schema=VOCABULARY,
    )


def test_rows_and_columns_may_be_different_entities(con):
    pairs = pa.table(
        {"row_id": [ord("u"), ord("u"), ord("v")], "col_id": [ord("x"), ord("y"), ord("x")], "count": [3, 1, 5]},
        schema=PAIRS,
    )
    table = sum_window(
        con,
        {"2026-01-05": pairs},
        Side(entity="user", weeks={"2026-01-05": make_vocabulary(u=4, v=5, w=1)}),
        Side(entity="site", weeks={"2026-01-05": make_vocabulary(x=8, y=1)}),
        prune=Prune(min_count=1, subsample=None),
    )
    assert (table.rows.entity, table.columns.entity, table.shape) == ("user", "site", (2, 2))  # w has no pair
    assert table.rows.keys.to_pylist() == ["v", "u"]
    cells = zip(table.row_ids.tolist(), table.col_ids.tolist(), table.counts.tolist(), strict=True)
    assert list(cells) == [(0, 0, 5.0), (1, 0, 3.0), (1, 1, 1.0)]


def test_ties_are_ordered_by_key(con):
    side = Side(entity="word", weeks={"2026-01-05": make_vocabulary(c=2, a=2, b=3)})
    ids = [ord(key) for key in "abc"]
    pairs = pa.table({"row_id": ids * 3, "col_id": np.repeat(ids, 3), "count": [1] * 9}, schema=PAIRS)
    table = sum_window(con, {"2026-01-05": pairs}, side, prune=Prune(min_count=1, max_vocabulary=2))
    assert table.rows.keys.to_pylist() == ["b", "a"]


@pytest.mark.parametrize("vocabulary", [VOCABULARY.empty_table(), make_vocabulary(a=1, b=2)])
def test_a_window_in_which_nothing_is_kept_has_no_pairs(con, vocabulary):
    pairs = pa.table({"row_id": [97], "col_id": [98], "count": [9]}, schema=PAIRS)
    for week_pairs in (pairs, PAIRS.empty_table()):
        table = sum_window(
            con,
            {"2026-01-05": week_pairs},
            Side(entity="word", weeks={"2026-01-05": vocabulary}),
            prune=Prune(min_count=5),
        )
        assert (len(table), table.shape) == (0, (0, 0))
        assert (table.counts.dtype, table.rows.counts.dtype) == (np.float32, np.float64)


def test_no_weeks_are_refused(con):
    with pytest.raises(EmptyWindow, match="at least one week"):
        sum_window(con, {}, Side(entity="word", weeks={}), prune=Prune())


def test_a_week_without_vocabulary_is_named(con):
    side = Side(entity="word", weeks={"2026-01-05": VOCABULARY.empty_table()})
    pairs = {"2026-01-05": PAIRS.empty_table(), "2026-01-12": PAIRS.empty_table()}
    with pytest.raises(WeekMismatch, match="2026-01-12") as raised:
        sum_window(con, pairs, side, prune=Prune())
    assert isinstance(raised.value, TableError)


def test_two_weeks_that_give_one_id_to_two_keys_are_refused(con):
    weeks = {"2026-01-05": make_vocabulary(apple=3), "2026-01-12": make_vocabulary(avocado=1)}
    pairs = dict.fromkeys(weeks, PAIRS.empty_table())
    with pytest.raises(IdCollision, match="'apple' and 'avocado'"):
        sum_window(con, pairs, Side(entity="word", weeks=weeks), prune=Prune())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_count", -1),
        ("min_count", math.nan),
        ("min_pair_count", -0.5),
        ("max_vocabulary", 0),
        ("subsample", 0.0),
        ("subsample", math.inf),
        ("decay", 0.0),
        ("decay", 1.5),
        ("max_row_sum", 0.0),
        ("max_column_sum", math.inf),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"Prune\.{field} .*{value}"):
        Prune(**{field: value})


def test_a_loud_row_and_a_hub_are_scaled_down_to_their_caps(con, rng):
    _, pairs, vocabularies = make_weeks(rng, con)
    side = Side(entity="word", weeks=vocabularies)
    whole = sum_window(con, pairs, side, prune=Prune(min_count=0, subsample=None))
    cap = float(np.median(np.bincount(whole.row_ids, whole.counts)))
    capped = sum_window(con, pairs, side, prune=Prune(min_count=0, subsample=None, max_row_sum=cap))
    sums, before = (np.bincount(table.row_ids, table.counts) for table in (capped, whole))
    np.testing.assert_allclose(sums, np.minimum(before, cap), rtol=1e-5)
    both = sum_window(con, pairs, side, prune=Prune(min_count=0, subsample=None, max_row_sum=cap, max_column_sum=cap))
    dense = np.zeros(both.shape, np.float32)
    dense[both.row_ids, both.col_ids] = both.counts
    np.testing.assert_array_equal(dense, dense.T)


def test_pairs_that_are_held_out_are_missing_in_both_directions_and_in_every_week(con, rng):
    _, pairs, vocabularies = make_weeks(rng, con)
    prune = Prune(min_count=0, subsample=None)

    def kept(weeks, share):
        side = Side(entity="word", weeks={week: vocabularies[week] for week in weeks})
        table = sum_window(con, {week: pairs[week] for week in weeks}, side, prune=prune, hold_out=share)
        names = table.rows.keys.to_pylist()
        return {(names[row], names[column]) for row, column in zip(table.row_ids, table.col_ids, strict=True)}

    whole, some = kept(WEEKS, 0.0), kept(WEEKS, 0.3)
    assert some < whole
    assert 0.5 < len(some) / len(whole) < 0.85
    assert some == {(second, first) for first, second in some}
    assert kept(WEEKS[:1], 0.3) == kept(WEEKS[:1], 0.0) & some
