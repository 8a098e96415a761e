import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from embedding_assets.records import Vocabulary
from embedding_assets.tables.composed import compose_bags, sum_bags
from embedding_assets.tables.errors import EmptyWindow

FEATURES = Vocabulary(entity="word", keys=pa.array(["jax", "gpu", "the"]), counts=np.array([2.0, 2.0, 96.0]))
VECTORS = np.array([[1, 0], [0, 1], [-1, -1]], np.float32)


def bags(*rows):
    keys, features, weights = zip(*rows, strict=True)
    return pa.table({"key": list(keys), "feature": list(features), "weight": list(map(float, weights))})


def test_bags_of_several_weeks_are_added_up():
    first, second = bags(("b", "jax", 1), ("a", "gpu", 2)), bags(("b", "jax", 3), ("b", "the", 1))
    summed = sum_bags({"2026-01-12": ds.dataset(second), "2026-01-05": ds.dataset(first)})
    assert summed.to_pylist() == [
        {"key": "a", "feature": "gpu", "weight": 2.0},
        {"key": "b", "feature": "jax", "weight": 4.0},
        {"key": "b", "feature": "the", "weight": 1.0},
    ]
    with pytest.raises(EmptyWindow, match="at least one week"):
        sum_bags({})


def test_an_affinity_graph_is_bags_of_destinations():
    graph = pa.table({"source": ["a", "a"], "destination": ["jax", "gpu"], "row_id": [1, 1], "count": [2.0, 1.0]})
    assert sum_bags({"2026-01-05": ds.dataset(graph)}).to_pydict() == {
        "key": ["a", "a"],
        "feature": ["gpu", "jax"],
        "weight": [1.0, 2.0],
    }


def test_a_key_is_the_weighted_mean_of_what_is_known_of_its_bag():
    table = compose_bags(bags(("a", "jax", 3), ("a", "gpu", 1), ("a", "new", 4), ("b", "new", 1)), FEATURES, VECTORS)
    assert table.keys.to_pylist() == ["a"]  # nothing of b is known
    np.testing.assert_allclose(table.vectors, [[0.75, 0.25]])
    assert table.weights.tolist() == [4.0]
    assert table.coverage.tolist() == [0.5]


def test_idf_makes_frequent_features_count_less():
    [plain] = compose_bags(bags(("a", "jax", 1), ("a", "the", 1)), FEATURES, VECTORS).vectors
    [weighed] = compose_bags(bags(("a", "jax", 1), ("a", "the", 1)), FEATURES, VECTORS, idf=True).vectors
    share = np.log(100 / 2) / (np.log(100 / 2) + np.log(100 / 96))
    np.testing.assert_allclose(plain, [0, -0.5])
    np.testing.assert_allclose(weighed, [share - (1 - share), -(1 - share)], rtol=1e-6)
