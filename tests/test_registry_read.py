import numpy as np
import pyarrow as pa
import pytest
from registry_samples import D, N, make_draft, make_keys, make_vectors

from registry import Score, open_registry
from registry.errors import InvalidQuery, InvalidScore, UnknownKey


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_registry(tmp_path_factory.mktemp("read"))
    store.publish(make_draft(name="cosine"))
    return store


@pytest.fixture
def version(store):
    return store["word/cosine"]


@pytest.mark.parametrize("count", [1, 29, 30, 500])  # the scalar and the vectorised path
def test_lookup_returns_the_vectors_in_the_order_of_the_keys(version, rng, count):
    rows = rng.integers(0, N, count)
    keys = [make_keys()[int(row)].as_py() for row in rows]
    expected = make_vectors()[rows]
    for form in (keys, tuple(keys), pa.array(keys), pa.chunked_array([keys]), np.array(keys)):
        found = version.lookup(form)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_lookup_of_one_key_is_one_row(version):
    np.testing.assert_array_equal(version.lookup("key3"), make_vectors()[3:4])
    np.testing.assert_array_equal(version.lookup("木key0"), make_vectors()[:1])
    assert version.lookup([]).shape == (0, D)


@pytest.mark.parametrize("repeat", [1, 20])
def test_missing_keys_follow_the_policy(version, repeat):
    keys = ["key3", "nokey", "", "key7"] * repeat
    known, rows = [True, False, False, True] * repeat, [3, 7] * repeat
    with pytest.raises(UnknownKey, match=f"{2 * repeat} of {4 * repeat} keys .* word/cosine@v1: ''"):
        version.lookup(keys)
    zero = version.lookup(keys, missing="zero")
    mean = version.lookup(keys, missing="mean")
    vectors, found = version.lookup(keys, missing="mask")
    assert found.tolist() == known
    for result in (zero, mean, vectors):
        np.testing.assert_array_equal(result[known], make_vectors()[rows])
    assert not zero[~found].any()
    assert not vectors[~found].any()
    np.testing.assert_allclose(mean[~found], np.tile(make_vectors().mean(0), (2 * repeat, 1)), rtol=1e-5)


def test_lookup_does_not_lend_out_the_table(version):
    version.lookup("key3")[:] = 0
    np.testing.assert_array_equal(version.lookup("key3"), make_vectors()[3:4])


def test_the_table_is_mapped_read_only_and_aligned(version):
    table = version.numpy()
    assert table.ctypes.data % 4096 == 0
    assert np.shares_memory(table, version.numpy())
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 0


@pytest.mark.parametrize("keys", [[1, 2], np.array([1.5]), [None], ["a", None], 7, ["\ud800"], [b"a\xff"]])
def test_keys_that_are_no_text_are_refused(version, keys):
    with pytest.raises(InvalidQuery, match=r"keys? .*"):
        version.lookup(keys)


def test_a_policy_that_does_not_exist_is_refused(version):
    with pytest.raises(InvalidQuery, match="missing is 'ignore'"):
        version.lookup(["key3"], missing="ignore")


def test_membership_is_by_key(version):
    assert "key3" in version
    assert "nokey" not in version
    assert 3 not in version


def test_scores_are_kept_once_per_run_and_the_newest_is_read(tmp_path):
    store = open_registry(tmp_path)
    first, second = store.publish(make_draft()), store.publish(make_draft())
    score = Score(task="stability.v1", metric="overlap", value=0.5, rows_used=9, seed=3)
    undefined = Score(
        task="topic.v1", metric="roc_auc", value=None, undefined="one class", rows_used=4,
        details={"weeks": (1, 4), "share": np.float64(0.25)},
    )  # fmt: skip
    store.add_score(first, score, created_by="run-1")
    store.add_score(first, undefined, created_by="run-1")
    store.add_score(first, score, created_by="run-1")
    store.add_score(second.info, score, created_by="run-1")
    assert len(list((tmp_path / "word/word/scores").iterdir())) == 3
    newer = Score(task="stability.v1", metric="overlap", value=0.75, low=0.7, rows_used=9)
    store.add_score(first, newer, created_by="run-2")
    read, left = open_registry(tmp_path)["word/word@v1"].scores()
    assert read == newer
    assert (left.undefined, left.details) == ("one class", {"weeks": [1, 4], "share": 0.25})
    assert second.scores() == [score]
    assert store.verify().scores == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": float("nan")}, "value nan"),
        ({"high": float("inf")}, "high inf"),
        ({"value": None}, "value None and undefined None"),
        ({"undefined": "why"}, "value 0.5 and undefined 'why'"),
        ({"task": ""}, "needs a task"),
        ({"details": {"x": object()}}, "cannot be written as JSON"),
    ],
)
def test_a_score_that_contradicts_itself_is_refused(version, store, changes, message):
    facts = {"task": "t.v1", "metric": "m", "value": 0.5, "rows_used": 1} | changes
    with pytest.raises(InvalidScore, match=message):
        store.add_score(version, Score(**facts))
    assert version.scores() == []


def test_representations_say_what_it_is(store, version):
    assert repr(version) == "<Version word/cosine@v1 week 2026-01-05: 37 x 5, cosine>"
    assert repr(store).startswith(f"<Store {store.root}: ")
