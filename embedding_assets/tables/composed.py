"""Vectors for keys that were not trained: each is the weighted mean of the vectors of what its bag holds."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from embedding_assets.records import Vocabulary, Week
from embedding_assets.tables.errors import EmptyWindow

BAG, AFFINITY = ["key", "feature", "weight"], ["source", "destination", "count"]


class ComposedTable(NamedTuple):
    """Q keys with their vectors.

    Attributes:
        keys: (Q,) string, in their order.
        vectors: (Q, D) float32.
        weights: (Q,) float64, the weight of the features that have a vector.
        coverage: (Q,) float64 in (0, 1], their share of the bag's weight.
    """

    keys: pa.StringArray
    vectors: np.ndarray
    weights: np.ndarray
    coverage: np.ndarray


def sum_bags(weeks: Mapping[Week, ds.Dataset]) -> pa.Table:
    """The bags of several weeks added up: `key`, `feature`, `weight` (double), sorted by key and feature.

    Args:
        weeks: week -> `key` (string), `feature` (string), `weight`; or an affinity graph, whose sources are the
            keys: `source`, `destination`, `count`.

    Raises:
        EmptyWindow: no weeks.
    """
    if not weeks:
        raise EmptyWindow("bags of a window need at least one week, got none")
    tables = [_bags(weeks[week]) for week in sorted(weeks)]
    # One thread: a sum of doubles depends on the order of its terms.
    summed = pa.concat_tables(tables).group_by(["key", "feature"], use_threads=False).aggregate([("weight", "sum")])
    ordered = summed.sort_by([("key", "ascending"), ("feature", "ascending")])
    return ordered.select(["key", "feature", "weight_sum"]).rename_columns(["key", "feature", "weight"])


def _bags(week: ds.Dataset) -> pa.Table:
    columns = AFFINITY if set(AFFINITY) <= set(week.schema.names) else BAG
    bags = week.to_table(columns=columns).rename_columns(BAG)
    return bags.set_column(2, "weight", bags["weight"].cast(pa.float64()))


def compose_bags(bags: pa.Table, features: Vocabulary, vectors: np.ndarray, *, idf: bool = False) -> ComposedTable:
    """The weighted mean of each bag's vectors; a key none of whose features has one is left out.

    Args:
        bags: as `sum_bags` makes them.
        features: V features with their counts.
        vectors: (V, D) float32.
        idf: weigh a feature by log(all counts / its count) besides, as the registry's composer does.
    """
    from scipy import sparse  # slow to import, and the code server need not

    places = pc.call_function("index_in", [bags["feature"]], pc.SetLookupOptions(value_set=features.keys))
    column = np.asarray(places.fill_null(-1), np.int64)
    is_known = column >= 0
    encoded = bags["key"].combine_chunks().dictionary_encode()
    bag, column = np.asarray(encoded.indices, np.int64), column[is_known]
    weight = bags["weight"].to_numpy().astype(np.float64)
    total = np.bincount(bag, weight, len(encoded.dictionary))
    matrix = sparse.csr_array((weight[is_known], (bag[is_known], column)), shape=(len(total), len(features)))
    covered = matrix.sum(axis=1)
    if idf:
        matrix = matrix @ sparse.diags_array(np.log(features.counts.sum() / features.counts))
    share = matrix.sum(axis=1)
    kept = np.flatnonzero(share > 0)
    composed = (matrix @ vectors.astype(np.float64))[kept] / share[kept, None]
    return ComposedTable(
        keys=encoded.dictionary.take(pa.array(kept)),
        vectors=composed.astype(np.float32),
        weights=covered[kept],
        coverage=covered[kept] / total[kept],
    )
