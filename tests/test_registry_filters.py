"""`where=` and `exclude=`: which keys may be answers, and that a filter can do nothing else."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from registry_samples import D, N, make_draft, make_keys, make_vectors

from registry import open_registry
from registry.cli import main
from registry.errors import InvalidEmbedding, InvalidQuery, UnknownKey
from registry.search import neighbors
from registry.search.filters import matching_rows
from registry.search.scan import Vectors, scan

METRICS = ["cosine", "dot", "euclidean"]
MANY = 900
COUNTS = np.random.default_rng(3).permutation(MANY)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_registry(tmp_path_factory.mktemp("filters"))
    names = pa.array([None if count % 5 == 0 else f"it's {count % 4}" for count in COUNTS])
    attributes = pa.table({"count": COUNTS, "Kind": names, "row": -COUNTS, 'a "b"': COUNTS / 2})
    for metric in METRICS:
        facts = {"keys": make_keys(MANY), "vectors": make_vectors(MANY), "attributes": attributes}
        store.publish(make_draft(name=metric, metric=metric, **facts))
    return store


@pytest.fixture
def version(store):
    return store["word/cosine"]


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("count < 100", COUNTS < 100),
        ("count % 2 = 0 and not count > 500", (COUNTS % 2 == 0) & (COUNTS <= 500)),
        ("kind = 'it''s 1'", (COUNTS % 4 == 1) & (COUNTS % 5 > 0)),
        ("Kind is null", COUNTS % 5 == 0),
        ("Kind <> 'x'", COUNTS % 5 > 0),  # neither true nor false where it is NULL
        ("row = -7", COUNTS == 7),
        ('"a ""b""" < 3', COUNTS < 6),
        ("key in ('key3', 'nokey')", np.arange(MANY) == 3),
        ("true -- and false", np.full(MANY, True)),
    ],
)
def test_a_filter_keeps_the_rows_for_which_it_is_true(version, where, matches):
    np.testing.assert_array_equal(matching_rows(version.attributes(), where), np.flatnonzero(matches))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("plan", ["exact", "annoy"])
@pytest.mark.parametrize("limit", [20, 100, 880])
def test_filtered_neighbors_are_the_true_ones_at_any_selectivity(store, metric, plan, limit):
    version = store[f"word/{metric}"]
    rows = np.flatnonzero(limit > COUNTS)
    asked = np.arange(0, MANY, 9)
    keys = np.array(version.keys().to_pylist())
    answer = version.neighbors(keys[asked], k=8, where=f"count < {limit}", plan=plan)
    subset = Vectors(version.numpy()[rows])
    own = np.array([np.flatnonzero(rows == row)[0] if row in rows else -1 for row in asked])
    truth, scores = scan(subset, version.numpy()[asked], 8, metric, own)
    found = np.array(answer.keys)
    assert np.isin(found, keys[rows]).all()
    assert (found != keys[asked][:, None]).all()
    if plan == "exact":
        np.testing.assert_array_equal(found, keys[rows[truth]])
        np.testing.assert_array_equal(answer.scores, scores)
    else:
        hits = [len(set(a) & set(b)) for a, b in zip(found, keys[rows[truth]], strict=True)]
        assert np.mean(hits) / 8 >= 0.95
    assert f", {limit} of 900 match" in answer.plan


def test_the_plan_says_how_many_had_to_be_scanned(version):
    answer = version.neighbors(make_vectors(7), k=15, where="count < 16", plan="annoy", recall=0.1)
    assert answer.plan.endswith("16 of 900 match") or answer.plan.endswith(" of 7 exact")
    assert answer.keys == version.neighbors(make_vectors(7), k=15, where="count < 16", plan="exact").keys


def test_a_large_filtered_set_is_asked_of_the_index(store, monkeypatch):
    monkeypatch.setattr(neighbors, "EXACT_BELOW", 100)
    monkeypatch.setitem(neighbors._COST, "annoy", 0)
    version = store["word/cosine"]
    assert version.neighbors("key3", k=3, where="count < 100").plan.startswith("annoy(search_k=")
    assert version.neighbors("key3", k=3, where="count < 99").plan == "exact, 99 of 900 match"


def test_excluded_keys_are_no_answers(version):
    near = version.neighbors("key3", k=9).keys[0]
    left_out = [near[0], near[4], near[0]]
    expected = [key for key in near if key not in left_out]
    assert version.neighbors("key3", k=7, exclude=left_out).keys[0] == expected
    assert version.neighbors("key3", k=7, exclude=left_out, where="count >= 0").keys[0] == expected
    assert version.neighbors("key3", k=1, exclude=near[0]).keys[0] == [near[1]]
    with pytest.raises(UnknownKey, match="'nokey'"):
        version.neighbors("key3", exclude=["nokey"])


def test_a_query_key_that_does_not_match_can_still_ask(version):
    answer = version.neighbors(["key3", "key7"], k=2, where="key in ('key3', 'key11', 'key15')")
    assert "key3" not in answer.keys[0]
    assert set(answer.keys[1]) < {"key3", "key11", "key15"}


def test_one_filter_after_another_is_not_confused(version):
    few, many = "count < 20", "count < 200"
    for where in (few, many, few, few):
        limit = 20 if where == few else 200
        assert version.neighbors("key3", k=2, where=where).plan == f"exact, {limit} of 900 match"
    assert version.neighbors("key3", k=2).plan == "exact"


@pytest.mark.parametrize(
    ("k", "where", "message"),
    [
        (3, "count < 2", "k is 3, where= and exclude= leave n = 2 vectors; ask for at most that"),
        (1, "false", "leave n = 0 vectors;"),
        (1, "count > null", "leave n = 0 vectors;"),
        (1, "key = 'key3'", "leave n = 0 vectors besides the query's own"),
    ],
)
def test_fewer_that_match_than_k_is_an_error_and_no_padding(version, k, where, message):
    with pytest.raises(InvalidQuery, match=message):
        version.neighbors("key3", k=k, where=where)


@pytest.mark.parametrize(
    "where",
    [
        "", " ", "count >", "nope = 1", "count", "Kind", "sum(count) > 3", "row_number() over () > 5", "count = 'x'",
        "true; drop table x", "true; select 1", "count = 1) or (true", "true) union (select true", "true limit 3",
        "true order by count", "key in (select key from secret)", "key in (select * from read_csv('/etc/passwd'))",
        "key in (select content from read_text('/etc/passwd'))", "key in (select file from glob('/*'))",
        "getenv('HOME') = '/root'", "key in (select * from '/etc/passwd')", "\0", "\ud800", 7, True, b"true", ["true"],
    ],
    ids=ascii,
)  # fmt: skip
def test_anything_but_a_condition_on_the_attributes_is_refused(version, where):
    secret = pa.table({"key": ["key3"]})  # in reach of DuckDB's Python replacements, if they were on
    with pytest.raises(InvalidQuery, match="where"):
        version.neighbors("key3", k=1, where=where)
    assert secret.num_rows == 1


def test_a_version_without_attributes_is_filtered_by_its_keys(tmp_path):
    version = open_registry(tmp_path).publish(make_draft())
    answer = version.neighbors("key3", k=3, where="key like 'key1%'")
    assert answer.plan == f"exact, {sum(key.as_py().startswith('key1') for key in make_keys())} of {N} match"
    assert all(key.startswith("key1") for key in answer.keys[0])
    assert answer.scores.shape == (1, 3)
    assert version.neighbors(np.ones(D), k=1, where="key = 'key3'").keys == [["key3"]]


def test_the_command_line_filters_too(store, version):
    question = ["neighbors", "word/cosine", "key3", "-k", "2", "--where", "count < 50", "--plan", "exact", "--json"]
    expected = version.neighbors("key3", k=3, where="count < 50").keys[0]
    said = CliRunner().invoke(main, ["--root", store.root, *question, "--exclude", expected[1]])
    document = json.loads(said.stdout)
    assert [row["neighbor"] for row in document["neighbors"]] == [expected[0], expected[2]]
    assert document["plan"] == "exact, 49 of 900 match"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("count", "is BIGINT; write one condition"),
        ("1", "is INTEGER; write one condition"),
        ("count < 3, true", "is BOOLEAN, BOOLEAN; write one condition"),
        ("row_ < 3", 'column "row_" not found'),  # the name of our own row numbers here
        ("count < (select 10)", "has a subquery"),
        ("exists(select * from duckdb_tables())", "has a subquery"),
        ("random() < 0.5", "uses random, which may be another value"),
        ("current_setting('memory_limit') <> ''", "uses current_setting"),
        ("current_date > '2026-01-05'", "uses current_date"),
    ],
)
def test_a_filter_is_one_condition_on_the_columns(version, where, message):
    with pytest.raises(InvalidQuery, match=message):
        matching_rows(version.attributes(), where)


@pytest.mark.parametrize("names", [("count", "Count"), ("KEY",), ("Vector",)])
def test_attributes_that_sql_cannot_tell_apart_are_refused(store, names):
    attributes = pa.table({name: np.arange(N) for name in names})
    with pytest.raises(InvalidEmbedding, match="differ in more than case"):
        store.publish(make_draft(name="twins", attributes=attributes))


def test_threads_with_two_filters_get_their_own_answers(version):
    queries = np.ones((1, D), np.float32)
    limits = (20, 800)
    alone = {limit: version.neighbors(queries, k=9, where=f"count < {limit}").keys for limit in limits}

    def ask(limit):
        return [version.neighbors(queries, k=9, where=f"count < {limit}").keys == alone[limit] for _ in range(20)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            assert all(map(all, pool.map(ask, limits)))
    finally:
        sys.setswitchinterval(before)
