"""Triples become the table that trainers take."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from embedding_assets.tables.affinity import affinity_table
from embedding_assets.tables.errors import InvalidTriples


def test_equal_pairs_are_summed_like_a_plain_loop(rng):
    sources, destinations = (rng.choice(list(letters), 300).tolist() for letters in ("abcde", "uvwxyz"))
    weights = rng.integers(1, 9, 300)
    expected = Counter()
    for source, destination, weight in zip(sources, destinations, weights.tolist(), strict=True):
        expected[source, destination] += weight
    table = affinity_table(sources, destinations, weights, rows="user", columns="ad")
    rows, columns = table.rows.keys.to_pylist(), table.columns.keys.to_pylist()
    found = zip(table.row_ids, table.col_ids, table.counts, strict=True)
    assert {(rows[i], columns[j]): n for i, j, n in found} == expected
    assert (rows[0], columns[0]) == (sources[0], destinations[0])
    np.testing.assert_allclose(
        table.rows.counts, [sum(n for (s, _), n in expected.items() if s == row) for row in rows]
    )
    assert (table.rows.entity, table.columns.entity) == ("user", "ad")


def test_arrow_in_chunks_and_nothing_at_all():
    chunked = pa.chunked_array([["a"], ["b", "a"]])
    table = affinity_table(chunked, chunked, rows="user", columns="user")
    assert table.counts.tolist() == [2.0, 1.0]
    assert len(affinity_table([], [], rows="user", columns="ad")) == 0


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        ((["a"], ["x", "y"], None), "differ in length"),
        ((["a", None], ["x", "y"], None), "1 of 2 keys are null; the first in row 1"),
        ((["a", "b"], ["x", "y"], [1.0, 0.0]), r"weights\[1\] is 0.0"),
        ((["a", "b"], ["x", "y"], [np.nan, 1.0]), r"weights\[0\] is nan"),
    ],
)
def test_wrong_triples_are_refused(triples, message):
    with pytest.raises(InvalidTriples, match=message):
        affinity_table(*triples, rows="user", columns="ad")
