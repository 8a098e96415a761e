"""The optional graph (`Draft(graph=True)`, extra `hnsw`): same answers as a scan, or a typed error."""

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from registry_samples import D, make_draft, make_keys, make_vectors

from registry import layout, open_registry
from registry.errors import Corrupt, InvalidQuery, MissingExtra
from registry.search import neighbors
from registry.search.graph import Graph

pytest.importorskip("usearch", reason="the extra hnsw is not installed")
METRICS = ["cosine", "dot", "euclidean"]
MANY = 600


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_registry(tmp_path_factory.mktemp("graph"))
    for metric in METRICS:
        facts = {"keys": make_keys(MANY), "vectors": make_vectors(MANY), "metric": metric}
        store.publish(make_draft(name=metric, graph=True, **facts))
    store.publish(make_draft(name="plain"))
    return store


@pytest.mark.parametrize("metric", METRICS)
def test_the_graph_reaches_the_recall_with_exact_scores(store, metric):
    version = store[f"word/{metric}"]
    keys = version.keys().to_pylist()[::5]
    answer = version.neighbors(keys, k=10, plan="hnsw")
    exact = version.neighbors(keys, k=MANY - 1, plan="exact")
    assert answer.plan.startswith("hnsw(expansion=")
    hits = [len(set(a) & set(b[:10])) for a, b in zip(answer.keys, exact.keys, strict=True)]
    assert np.mean(hits) / 10 >= 0.95
    for key, found, scores, names, values in zip(
        keys, answer.keys, answer.scores, exact.keys, exact.scores, strict=True
    ):
        assert key not in found
        true = dict(zip(names, values, strict=True))
        np.testing.assert_array_equal(scores, [true[name] for name in found])


def test_one_query_and_a_batch_give_the_same(store, rng):
    version = store["word/cosine"]
    queries = rng.normal(size=(3, D)).astype(np.float32)
    batch = version.neighbors(queries, k=4, plan="hnsw")
    for query, keys in zip(queries, batch.keys, strict=True):
        assert version.neighbors(query, k=4, plan="hnsw").keys == [keys]


def test_more_neighbors_than_the_graph_holds_candidates_are_completed(store):
    version = store["word/cosine"]
    answer = version.neighbors("key3", k=MANY - 1, plan="hnsw", recall=0.5)
    assert answer.keys == version.neighbors("key3", k=MANY - 1).keys


def test_a_filter_holds_for_the_graph(store):
    version = store["word/dot"]
    where = "key like '%1'"
    answer = version.neighbors(["key3", "key7"], k=5, plan="hnsw", where=where)
    assert answer.keys == version.neighbors(["key3", "key7"], k=5, plan="exact", where=where).keys


def test_the_plan_takes_the_graph_where_there_is_one(store, monkeypatch):
    monkeypatch.setattr(neighbors, "EXACT_BELOW", 10)
    monkeypatch.setitem(neighbors._COST, "hnsw", 0)
    assert store["word/cosine"].neighbors("key3").plan.startswith("hnsw(")
    assert not store["word/plain"].neighbors("key3").plan.startswith("hnsw(")
    assert store["word/cosine"].neighbors("key3", metric="dot").plan == "exact"  # the graph knows its own metric


def test_a_version_without_a_graph_says_so(store):
    with pytest.raises(InvalidQuery, match=r"without a graph.*Draft\(graph=True\)"):
        store["word/plain"].neighbors("key3", plan="hnsw")


def test_without_the_extra_a_forced_graph_is_a_typed_error_and_auto_does_without(store, monkeypatch):
    hide_usearch(monkeypatch)
    monkeypatch.setattr(neighbors, "EXACT_BELOW", 10)
    version = open_registry(store.root)["word/cosine"]
    with pytest.raises(MissingExtra, match=r"embedding-assets\[hnsw\]"):
        version.neighbors("key3", plan="hnsw")
    assert not version.neighbors("key3").plan.startswith("hnsw(")
    with pytest.raises(MissingExtra, match=r"embedding-assets\[hnsw\]"):
        store.publish(make_draft(name="new", graph=True))
    assert "word/new" not in store


def hide_usearch(monkeypatch):
    """As if it were not installed, for `import` and for `find_spec`."""
    for name in [name for name in sys.modules if name.split(".")[0] == "usearch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)


def test_the_same_vectors_give_the_same_graph(store, tmp_path):
    facts = {"keys": make_keys(MANY), "vectors": make_vectors(MANY)}
    again = open_registry(tmp_path).publish(make_draft(name="cosine", graph=True, **facts))
    assert again.manifest.files[layout.GRAPH] == store["word/cosine"].manifest.files[layout.GRAPH]
    assert again.manifest.graph == store["word/cosine"].manifest.graph
    assert again.manifest.graph.calibration[-1][1] >= 0.99


@pytest.mark.parametrize("change", ["width", "vectors", "count", "text", "empty"])
def test_a_graph_of_something_else_is_never_asked(store, tmp_path, change):
    version = store["word/cosine"]
    vectors, info = version._vectors, version.manifest.index
    path = version._files.open(layout.GRAPH)
    if change == "width":
        info = replace(info, width=D + 1)
    if change in ("vectors", "count"):
        vectors = type(vectors)(make_vectors(MANY + (change == "count"), seed=9))
    if change in ("text", "empty"):
        path = tmp_path / layout.GRAPH
        path.write_text("no graph" * 40 if change == "text" else "")
    with pytest.raises(Corrupt, match=layout.GRAPH):
        Graph(path, vectors, info)


def test_a_graph_file_is_verified_before_it_is_mapped(tmp_path):
    store = open_registry(tmp_path)
    version = store.publish(make_draft(graph=True))
    path = next(tmp_path.glob(f"*/*/versions/*/{layout.GRAPH}"))
    data = bytearray(path.read_bytes())
    assert hashlib.sha256(data).hexdigest() == version.manifest.files[layout.GRAPH].sha256
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Corrupt, match=r"index\.hnsw was altered"):
        open_registry(tmp_path)["word/word"].neighbors("key3", plan="hnsw")
    assert not store.verify().ok
