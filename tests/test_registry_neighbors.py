"""The nearest keys of a question, exact and by Annoy, and the plan that chooses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from registry_samples import D, N, make_draft, make_keys, make_vectors

from registry import open_registry
from registry.errors import InvalidQuery, UnknownKey
from registry.search import forest
from registry.search.neighbors import Way, choose
from registry.search.query import Query
from registry.search.scan import Vectors

METRICS = ["cosine", "dot", "euclidean"]
MANY = 700


def plain_score(query, vector, metric):
    """The metric's definition, one pair at a time; larger is closer."""
    query, vector = query.astype(float), vector.astype(float)
    if metric == "dot":
        return sum(a * b for a, b in zip(query, vector, strict=True))
    if metric == "cosine":
        norms = np.linalg.norm(query) * np.linalg.norm(vector)
        return query @ vector / norms if norms else 0.0
    return -np.sqrt(((query - vector) ** 2).sum())


def plain_neighbors(vectors, query, k, metric, without=None):
    """Row numbers and scores of the k best, by sorting all."""
    scored = [(-plain_score(query, vector, metric), row) for row, vector in enumerate(vectors) if row != without]
    best = sorted(scored)[:k]
    return [row for _, row in best], [-score for score, _ in best]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_registry(tmp_path_factory.mktemp("read"))
    for metric in METRICS:
        store.publish(make_draft(name=metric, metric=metric))
        many = {"keys": make_keys(MANY), "vectors": make_vectors(MANY)}
        store.publish(make_draft(name=f"many_{metric}", metric=metric, **many))
    return store


@pytest.fixture
def version(store):
    return store["word/cosine"]


@pytest.mark.parametrize("asked", METRICS)
@pytest.mark.parametrize("name", ["cosine", "many_dot"])
def test_exact_neighbors_equal_a_plain_sort(store, name, asked):
    version = store[f"word/{name}"]
    vectors, keys = version.numpy(), version.keys().to_pylist()
    rows = [0, 17, len(version) - 1, 17]
    answer = version.neighbors([keys[row] for row in rows], k=6, metric=asked)
    assert answer.plan == "exact"
    assert answer.scores.shape == (4, 6)
    for row, found, scores in zip(rows, answer.keys, answer.scores, strict=True):
        expected, values = plain_neighbors(vectors, vectors[row], 6, asked, without=row)
        assert found == [keys[i] for i in expected]
        np.testing.assert_allclose(scores, values, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_of_vectors_exclude_nothing(store, rng, metric):
    version = store[f"word/{metric}"]
    queries = rng.normal(size=(67, D)).astype(np.float32)  # more than one block
    answer = version.neighbors(queries, k=3)
    keys = version.keys().to_pylist()
    for query, found in zip(queries, answer.keys, strict=True):
        expected, _ = plain_neighbors(version.numpy(), query, 3, metric)
        assert found == [keys[i] for i in expected]
    one = version.neighbors(queries[5], k=3)
    assert one.keys == answer.keys[5:6]


def test_the_query_key_itself_is_left_out_unless_asked_for(version):
    assert "key3" not in version.neighbors("key3", k=N - 1).keys[0]
    answer = version.neighbors("key3", k=N, exclude_self=False)
    assert answer.keys[0][0] == "key3"
    assert answer.scores[0, 0] == pytest.approx(1)


def test_all_rows_are_found_in_order_when_all_are_asked_for(store):
    version = store["word/many_euclidean"]
    answer = version.neighbors("key3", k=MANY - 1)
    assert len(set(answer.keys[0])) == MANY - 1
    assert (np.diff(answer.scores[0]) <= 0).all()


def test_ties_go_to_the_earlier_key(store):
    ones = np.ones((N, D), np.float32)
    version = store.publish(make_draft(name="ties", vectors=ones))
    assert version.neighbors(ones[0], k=4).keys == [make_keys().to_pylist()[:4]]


def test_a_zero_vector_has_cosine_zero_with_everything(store):
    vectors = make_vectors()
    vectors[4] = 0
    version = store.publish(make_draft(name="zero", vectors=vectors))
    assert not version.neighbors(make_keys()[4].as_py(), k=3).scores.any()
    assert np.isfinite(version.neighbors("key3", k=N - 1).scores).all()


def test_vectors_of_any_length_that_float32_holds_keep_their_directions(store):
    vectors = make_vectors()
    scales = 10.0 ** np.linspace(-30, 17, N)
    scaled = (vectors * scales[:, None]).astype(np.float32)
    version = store.publish(make_draft(name="scaled", vectors=scaled))
    plain = store["word/cosine"].neighbors(["key3", "key7"], k=N - 1)
    answer = version.neighbors(["key3", "key7"], k=N - 1)
    assert answer.keys == plain.keys
    np.testing.assert_allclose(answer.scores, plain.scores, atol=1e-6)


def test_near_duplicates_are_told_apart_in_float64(store, rng):
    base = rng.normal(size=(1, D)) * 100
    vectors = (base + rng.normal(size=(N, D)) * 1e-2).astype(np.float32)
    version = store.publish(make_draft(name="near", vectors=vectors, metric="euclidean"))
    answer = version.neighbors("key3", k=5)
    expected, values = plain_neighbors(vectors, vectors[3], 5, "euclidean", without=3)
    assert answer.keys[0] == [make_keys()[i].as_py() for i in expected]
    np.testing.assert_allclose(answer.scores[0], values, rtol=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_annoy_reaches_the_recall_that_was_asked_for(store, metric):
    version = store[f"word/many_{metric}"]
    rows = list(range(0, MANY, 7))
    keys = [version.keys()[row].as_py() for row in rows]
    exact = version.neighbors(keys, k=10, plan="exact")
    answer = version.neighbors(keys, k=10, plan="annoy", recall=0.95)
    assert answer.plan.startswith("annoy(search_k=")
    found = [len(set(a) & set(b)) for a, b in zip(answer.keys, exact.keys, strict=True)]
    assert np.mean(found) / 10 >= 0.93
    for key, names in zip(keys, answer.keys, strict=True):
        assert key not in names
        assert len(set(names)) == 10


@pytest.mark.parametrize("metric", METRICS)
def test_annoy_scores_are_the_exact_ones(store, metric):
    version = store[f"word/many_{metric}"]
    answer = version.neighbors("key3", k=5, plan="annoy")
    exact = version.neighbors("key3", k=MANY - 1)
    known = dict(zip(exact.keys[0], exact.scores[0], strict=True))
    np.testing.assert_array_equal(answer.scores[0], [known[key] for key in answer.keys[0]])


def test_annoy_falls_back_to_a_scan_where_it_finds_too_few(store):
    version = store["word/many_cosine"]
    answer = version.neighbors("key3", k=MANY - 1, plan="annoy", recall=0.1)
    assert answer.plan.endswith("1 of 1 exact") or len(set(answer.keys[0])) == MANY - 1
    assert answer.keys == version.neighbors("key3", k=MANY - 1).keys


def test_the_calibration_is_rising_and_stored(version):
    calibration = version.manifest.index.calibration
    assert [search_k for search_k, _ in calibration] == sorted(k for k, _ in calibration)
    assert calibration[-1][1] >= 0.99


ANNOY = ((100, 0.5), (800, 0.9), (3200, 0.97))
GRAPH = ((16, 0.93), (64, 0.97), (256, 0.999))


@pytest.mark.parametrize(
    ("count", "queries", "k", "changes", "expected"),
    [
        (1_000_000, 1, 10, {}, 3200),
        (1_000_000, 64, 10, {}, 3200),
        (1_000_000, 1, 10, {"recall": 0.6}, 800),
        (1_000_000, 1, 25, {"recall": 0.3}, 250),  # more neighbours lie in more leaves
        (1_000_000, 1, 1, {"recall": 0.3}, 100),
        (1_000_000, 1, 10, {"recall": 0.9}, 3200),  # seen .9, but a margin is kept
        (1_000_000, 1, 10, {"recall": 0.97}, None),  # never reached at publish
        (1_000_000, 1, 10, {"recall": 1.0}, None),
        (1_000_000, 1, 10, {"plan": "exact"}, None),
        (49_999, 1, 10, {"recall": 0.3}, None),
        (49_999, 1, 10, {"recall": 0.3, "plan": "annoy"}, 100),
        (50_000, 1, 10, {}, 3200),
        (50_000, 64, 10, {"metric": "cosine"}, 3200),
        (50_000, 64, 20, {}, None),  # a batch scans cheaper than it searches
    ],
)
def test_the_plan_is_the_cheapest_that_reaches_the_recall(count, queries, k, changes, expected):
    way = choose(question(queries, k, changes), Vectors(np.empty((count, 0))), {"annoy": ANNOY})
    assert way == (None if expected is None else Way("annoy", expected))


def question(queries, k, changes):
    facts = {"metric": "cosine", "vectors": np.ones((queries, D)), "own": np.full(queries, -1), "k": k}
    return Query(**(facts | changes))


@pytest.mark.parametrize(
    ("matching", "changes", "expected"),
    [
        (1_000_000, {}, Way("hnsw", 64)),
        (1_000_000, {"plan": "annoy"}, Way("annoy", 3200)),
        (1_000_000, {"recall": 0.99}, Way("hnsw", 256)),
        (500_000, {}, Way("hnsw", 128)),  # every second candidate cannot be an answer
        (500_000, {"plan": "annoy"}, Way("annoy", 6400)),
        (60_000, {}, Way("hnsw", 1069)),
        (49_999, {}, None),  # few that match are scanned
    ],
)
def test_the_plan_weighs_all_indexes_and_the_filter(matching, changes, expected):
    vectors = Vectors(np.empty((1_000_000, 0)), np.arange(matching))
    assert choose(question(1, 10, changes), vectors, {"annoy": ANNOY, "hnsw": GRAPH}) == expected


def test_an_index_that_cannot_promise_is_not_forced():
    vectors = Vectors(np.empty((1000, 0)))
    with pytest.raises(InvalidQuery, match=r"recall 0.9925 .* seen to reach 0.970; use plan='auto'"):
        choose(question(1, 10, {"plan": "annoy", "recall": 0.99}), vectors, {"annoy": ANNOY})


def test_dot_products_are_never_asked_of_annoy_itself(store):
    info = store["word/many_dot"].manifest.index
    assert (info.space, info.width) == ("angular", D + 1)
    lengths = np.linalg.norm(forest.indexed(make_vectors(MANY), info), axis=1)
    np.testing.assert_allclose(lengths, info.radius, rtol=1e-5)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"queries": np.full(D, np.nan, np.float32)}, "query vector 0 holds NaN"),
        ({"queries": np.ones((2, D)) * [[1], [np.inf]]}, "query vector 1 holds NaN"),
        ({"queries": np.full(D, 1e300)}, "too large for float32"),
        ({"queries": np.full(D, 1e30)}, "too large for float32"),
        ({"queries": np.ones(D + 1)}, r"shape \(1, 6\); this version needs \(Q, 5\)"),
        ({"queries": np.ones((2, 3, D))}, r"shape \(2, 3, 5\)"),
        ({"queries": "key3", "k": 0}, "k is 0"),
        ({"queries": "key3", "k": -1}, "k is -1"),
        ({"queries": "key3", "k": 2.0}, "k is 2.0"),
        ({"queries": "key3", "k": True}, "k is True"),
        ({"queries": "key3", "k": N}, "k is 37, this version has n = 36 vectors besides"),
        ({"queries": np.ones(D), "k": N + 1}, "n = 37 vectors;"),
        ({"queries": "key3", "metric": "manhattan"}, "metric 'manhattan'"),
        ({"queries": "key3", "recall": 0.0}, "recall is 0.0"),
        ({"queries": "key3", "recall": float("nan")}, "recall is nan"),
        ({"queries": "key3", "plan": "magic"}, "plan 'magic'"),
        ({"queries": "key3", "plan": "annoy", "metric": "dot"}, "cannot promise recall 0.9625 of metric 'dot'"),
        ({"queries": [1.0, 2.0]}, "keys are text"),
    ],
)
def test_a_question_without_an_answer_is_refused(version, question, message):
    with pytest.raises(InvalidQuery, match=message):
        version.neighbors(question.pop("queries"), **question)


def test_an_unknown_query_key_is_an_unknown_key(version):
    with pytest.raises(UnknownKey, match="'nokey'"):
        version.neighbors(["key3", "nokey"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_version_of_one_key_has_no_neighbors(store, metric):
    one = {"keys": make_keys(1), "vectors": make_vectors(1)}
    version = store.publish(make_draft(name=f"one_{metric}", metric=metric, **one))
    with pytest.raises(InvalidQuery, match="n = 0 vectors besides"):
        version.neighbors("木key0", k=1)
    assert version.neighbors(make_vectors(1), k=1).keys == [["木key0"]]


QUESTIONS = arrays.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.int64]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=D + 1) | st.tuples(st.integers(0, 4), st.just(D)),
)


@settings(deadline=None, max_examples=60)
@given(QUESTIONS, st.integers(-1, N + 2), st.sampled_from(METRICS), st.sampled_from(["auto", "exact", "annoy"]))
def test_any_array_gets_k_different_finite_answers_or_a_typed_error(store, queries, k, metric, plan):
    version = store[f"word/{metric}"]
    try:
        answer = version.neighbors(queries, k, plan=plan)
    except InvalidQuery:
        with np.errstate(over="ignore"):
            squares = np.square(queries.astype(np.float32)).sum()
        assert queries.shape[-1:] != (D,) or queries.ndim > 2 or not 1 <= k <= N or not np.isfinite(squares)
        return
    assert answer.scores.shape == (len(np.atleast_2d(queries)), k)
    assert np.isfinite(answer.scores).all()
    assert all(len(set(keys)) == k for keys in answer.keys)


def test_no_question_has_no_answer(version):
    for nothing in ([], np.empty((0, D))):
        answer = version.neighbors(nothing, k=3)
        assert (answer.keys, answer.scores.shape) == ([], (0, 3))


@pytest.mark.parametrize("length", [1e-44, 1e-39, 1e-30, 1e-20])
@pytest.mark.parametrize("count", [12, 400])
def test_a_tiny_vector_has_a_direction_too(store, count, length):
    vectors = make_vectors(count)
    vectors[5] = [0, length, 0, 0, 0]
    version = store.publish(make_draft(name="tiny", keys=make_keys(count), vectors=vectors))
    queries = np.array([[0, 1, 0, 0, 0], [0, 1e-42, 0, 0, 0]], np.float32)
    for query, answer in zip(queries, version.neighbors(queries, k=9).keys, strict=True):
        rows, _ = plain_neighbors(version.numpy(), query, 9, "cosine")
        assert rows[0] == 5
        assert answer == [make_keys(count)[row].as_py() for row in rows]


def test_dot_products_that_underflow_are_ranked(store):
    vectors = make_vectors(MANY) * np.float32(1e-25)
    version = store.publish(make_draft(name="faint", metric="dot", keys=make_keys(MANY), vectors=vectors))
    answer = version.neighbors(vectors[:2], k=6)
    for query, keys in zip(vectors[:2], answer.keys, strict=True):
        rows, _ = plain_neighbors(vectors, query, 6, "dot")
        assert keys == [make_keys(MANY)[row].as_py() for row in rows]


def test_only_a_scan_promises_every_neighbor():
    vectors = Vectors(np.ones((60_000, 2), np.float32))
    facts = {"vectors": vectors.values[:1], "own": np.array([-1]), "k": 10, "metric": "cosine"}
    calibrations = {"annoy": ((100, 1.0),)}
    assert choose(Query(**facts, recall=0.99), vectors, calibrations) == Way("annoy", 100)
    assert choose(Query(**facts, recall=1.0), vectors, calibrations) is None


def test_the_effort_stays_what_annoy_can_take():
    vectors = Vectors(np.ones((60_000, 2), np.float32), among=np.arange(1))
    facts = {"vectors": vectors.values[:1], "own": np.array([-1]), "k": 60_000, "metric": "cosine"}
    way = choose(Query(**facts, plan="annoy"), vectors, {"annoy": ((240_000, 1.0),)})
    assert way == Way("annoy", 1_200_000)
