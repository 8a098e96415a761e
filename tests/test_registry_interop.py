import importlib
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from registry_samples import D, N, make_draft, make_keys, make_vectors

from registry import open_registry
from registry.compose import interop
from registry.errors import InvalidQuery, MissingExtra
from registry.records import ComposerSpec

COUNTS = pa.table({"count": np.arange(1, N + 1), "label": [f"l{i % 3}" for i in range(N)]})
MEAN = make_vectors().mean(0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_registry(tmp_path_factory.mktemp("interop"))


@pytest.fixture(scope="module")
def version(store):
    return store.publish(make_draft(attributes=COUNTS))


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="the extra 'pandas' is not installed")


@pytest.fixture
def polars():
    return pytest.importorskip("polars", reason="the extra 'polars' is not installed")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="the extra 'torch' is not installed")


@pytest.fixture
def jnp():
    pytest.importorskip("flax", reason="the extra 'flax' is not installed")
    return importlib.import_module("jax.numpy")


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras", reason="the extra 'keras' is not installed")


def file_bytes(store, version):
    folder = Path(store.root) / version.entity / version.name / "versions" / version.info.attempt
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("count", [3, 50])
def test_rows_are_the_ids_of_every_layer(version, count):
    keys = (["key7", "nokey", "key3"] * count)[:count]
    known = [7, -1, 3] * count
    np.testing.assert_array_equal(version.rows(keys), known[:count])
    np.testing.assert_array_equal(version.rows(keys, unknown=N), [row if row >= 0 else N for row in known[:count]])
    assert version.rows("key7").tolist() == [7]


def test_pandas_shares_the_mapped_vectors(version, pandas):
    frame = version.to_pandas()
    assert frame.index.name == "key"
    assert list(frame.index) == make_keys().to_pylist()
    assert list(frame.columns) == [*range(D), "count", "label"]
    np.testing.assert_array_equal(frame[list(range(D))].to_numpy(), make_vectors())
    assert frame["count"].tolist() == list(range(1, N + 1))
    assert frame.loc["key7", "label"] == "l1"
    assert np.shares_memory(frame[0].to_numpy(), version.numpy())


def test_polars_has_an_array_column(version, polars):
    frame = version.to_polars()
    assert frame.schema["vector"] == polars.Array(polars.Float32, D)
    assert frame.columns == ["key", "vector", "count", "label"]
    np.testing.assert_array_equal(frame["vector"].to_numpy(), make_vectors())
    assert frame.filter(polars.col("count") == 8)["key"].to_list() == ["key7"]


def test_a_duckdb_view_answers_sql_over_vectors_and_attributes(version):
    with duckdb.connect() as connection:
        words = version.duckdb(connection, "words")
        assert words.columns == ["key", "vector", "count", "label"]
        rows = connection.sql(
            "select key, vector from words where label = 'l1' and count > 30 order by count"
        ).fetchall()
        expected = [row for row in range(30, N) if row % 3 == 1]
        assert [key for key, _ in rows] == [make_keys()[row].as_py() for row in expected]
        np.testing.assert_array_equal(np.float32([vector for _, vector in rows]), make_vectors()[expected])
        similar = connection.sql(
            "select b.key from words a, words b where a.key = 'key3' and b.key != 'key3'"
            " order by array_cosine_similarity(a.vector, b.vector) desc limit 4"
        ).fetchall()
        assert [key for (key,) in similar] == version.neighbors("key3", k=4).keys[0]


def test_gensim_finds_the_same_neighbors_and_writes_nothing(store, version):
    pytest.importorskip("gensim", reason="the extra 'gensim' is not installed")
    before = file_bytes(store, version)
    vectors = version.to_gensim()
    assert vectors.index_to_key == make_keys().to_pylist()
    similar = vectors.most_similar("key3", topn=4)
    answer = version.neighbors("key3", k=4)
    assert [key for key, _ in similar] == answer.keys[0]
    np.testing.assert_allclose([score for _, score in similar], answer.scores[0], rtol=1e-5)
    np.testing.assert_array_equal(vectors.get_vector("key7"), make_vectors()[7])
    vectors.unit_normalize_all()
    np.testing.assert_allclose(np.linalg.norm(vectors.vectors, axis=1), 1, rtol=1e-5)
    vectors.add_vectors(["new"], np.ones((1, D), np.float32))
    assert vectors["new"].tolist() == [1.0] * D
    assert file_bytes(store, version) == before


IDS = np.array([[3, 7, 11], [0, N - 1, 3]])


def test_flax_embeds_ids(version, jnp):
    layer = version.flax()
    assert (layer.num_embeddings, layer.features) == (N, D)
    np.testing.assert_array_equal(layer(jnp.asarray(IDS)), make_vectors()[IDS])
    assert np.isnan(layer(jnp.asarray([N]))).all()
    for unknown, row in (("zero", np.zeros(D)), ("mean", MEAN)):
        layer = version.flax(unknown=unknown)
        embedded = layer(jnp.asarray(version.rows(["key3", "nokey"], unknown=N)))
        np.testing.assert_allclose(embedded, [make_vectors()[3], row], rtol=1e-5, atol=1e-6)


def test_keras_embeds_ids(version, keras):
    layer = version.keras()
    np.testing.assert_array_equal(layer(IDS), make_vectors()[IDS])
    assert layer.trainable_weights == []
    assert len(version.keras(freeze=False).trainable_weights) == 1
    embedded = version.keras(unknown="mean")(version.rows(["nokey", "key7"], unknown=N))
    np.testing.assert_allclose(embedded, [MEAN, make_vectors()[7]], rtol=1e-5, atol=1e-6)


def test_torch_embeds_ids_without_a_copy(store, version, torch):
    before = file_bytes(store, version)
    layer = version.torch()
    np.testing.assert_array_equal(layer(torch.from_numpy(IDS)).numpy(), make_vectors()[IDS])
    assert not layer.weight.requires_grad
    trained = version.torch(freeze=False)
    trained(torch.from_numpy(IDS)).sum().backward()
    torch.optim.SGD(trained.parameters(), lr=1.0).step()
    np.testing.assert_allclose(trained.weight[3].detach().numpy(), make_vectors()[3] - 2, rtol=1e-5)
    np.testing.assert_array_equal(layer.weight.numpy(), make_vectors())
    assert file_bytes(store, version) == before
    embedded = version.torch(unknown="mean")(torch.from_numpy(version.rows(["nokey", "key7"], unknown=N)))
    np.testing.assert_allclose(embedded.numpy(), [MEAN, make_vectors()[7]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("missing", ["skip", "zero", "mean"])
def test_a_torch_bag_composes_as_the_composer_does(version, torch, missing):
    bags = [{"key3": 2.0, "key7": 1.0}, {"nokey": 3.0, "key11": 1.0}, {}, {"nokey": 1.0}]
    composer = version.composer(ComposerSpec(missing=missing))
    flat = composer.flatten(bags)
    bag = version.torch_bag(unknown="mean" if missing == "mean" else None)
    rows, starts, weights = (torch.from_numpy(part) for part in (flat.rows, flat.starts, flat.weights))
    vectors = bag(rows, starts, per_sample_weights=weights).detach().numpy()
    np.testing.assert_allclose(vectors, composer.compose(bags).vectors, rtol=1e-5, atol=1e-6)


def test_jax_and_arrow_share_the_mapped_vectors(version):
    vectors = version.numpy()
    assert np.shares_memory(version.table()["vector"].chunk(0).flatten().to_numpy(), vectors)
    assert not vectors.flags.writeable


@pytest.mark.parametrize(
    ("method", "module", "extra"),
    [
        ("to_pandas", "pandas", "pandas"),
        ("to_polars", "polars", "polars"),
        ("to_gensim", "gensim.models", "gensim"),
        ("flax", "flax.nnx", "flax"),
        ("torch", "torch", "torch"),
        ("torch_bag", "torch", "torch"),
        ("keras", "keras.layers", "keras"),
    ],
)
def test_a_library_that_is_not_installed_names_its_extra(version, monkeypatch, method, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{module} is needed .* pip install 'embedding-assets\[{extra}\]'"):
        getattr(version, method)()


def test_keras_without_a_backend_says_how_to_choose_one(version, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras.layers", None)
    with pytest.raises(MissingExtra, match="or set KERAS_BACKEND to an installed one such as jax"):
        version.keras()


def test_an_unknown_row_of_another_kind_is_refused(version):
    pytest.importorskip("flax", reason="the extra 'flax' is not installed")
    with pytest.raises(InvalidQuery, match="unknown is 'nan'; use 'zero', 'mean' or None"):
        version.flax(unknown="nan")


def test_what_composing_needs_is_computed_once(store, monkeypatch):
    spec = ComposerSpec(weighting="idf", missing="mean")
    version = store.publish(make_draft(name="once", attributes=COUNTS, composer=spec))
    weighed, weigh = [], interop.key_weights
    monkeypatch.setattr(interop, "key_weights", lambda *given: weighed.append(given[0]) or weigh(*given))
    for missing in (None, "skip", "mean", "skip", None):
        version.compose([["key3", "nokey"]], missing=missing)
    assert weighed == [spec, replace(spec, missing="skip")]
