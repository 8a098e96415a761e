import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_samples import D, N, make_draft, make_keys, make_vectors

from registry import open_registry
from registry.compose.composer import composer_document, read_composer
from registry.errors import Corrupt, InvalidEmbedding, InvalidQuery, SpaceMismatch, UnknownKey
from registry.logs.documents import dump
from registry.records import Composed, ComposerSpec

COUNTS = pa.table({"count": np.arange(1, N + 1), "boost": np.linspace(0, 2, N), "label": ["x"] * N})
BAGS = [{"key3": 2.0, "key7": 1.0}, {"nokey": 3.0, "key11": 1.0}, {}, {"nokey": 1.0}, {"key3": 0.0, "gone": 0.0}]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_registry(tmp_path_factory.mktemp("composer"))


@pytest.fixture(scope="module")
def version(store):
    return store.publish(make_draft(attributes=COUNTS))


def row_of(key):
    keys = make_keys().to_pylist()
    return keys.index(key) if key in keys else -1


def loop_compose(bags, spec, vectors, factors=None):
    """The definition, one entry at a time in Python floats: vectors and coverage."""
    factors = [1.0] * len(vectors) if factors is None else list(factors)
    composed, coverage = [], []
    for bag in bags:
        total, given_weight, found_weight, vector = 0.0, 0.0, 0.0, np.zeros(vectors.shape[1])
        for key, weight in bag.items():
            row = row_of(key)
            given_weight += weight
            if row >= 0:
                found_weight += weight
                total += weight * factors[row]
                vector += weight * factors[row] * vectors[row].astype(float)
            elif spec.missing in ("zero", "mean"):
                factor = weight * sum(factors) / len(factors)
                total += factor
                vector += factor * vectors.astype(float).mean(0) * (spec.missing == "mean")
        if spec.combine == "mean" and total:
            vector /= total
        if spec.normalize == "l2" and vector.any():
            vector /= math.sqrt(vector @ vector)
        composed.append(vector)
        coverage.append(found_weight / given_weight if given_weight else 0.0)
    return np.array(composed), np.array(coverage)


@pytest.mark.parametrize("combine", ["mean", "sum"])
@pytest.mark.parametrize("missing", ["skip", "zero", "mean"])
@pytest.mark.parametrize("normalize", ["none", "l2"])
@pytest.mark.parametrize("weighting", ["none", "column", "idf"])
def test_every_spec_composes_as_its_definition_says(version, combine, missing, normalize, weighting):
    column = "boost" if weighting == "column" else "count"
    spec = ComposerSpec(combine=combine, missing=missing, normalize=normalize, weighting=weighting, column=column)
    counts = COUNTS["count"].to_numpy()
    factors = {"none": None, "column": COUNTS["boost"].to_numpy(), "idf": np.log(counts.sum() / counts)}[weighting]
    vectors, coverage = loop_compose(BAGS, spec, make_vectors(), factors)
    composed = version.composer(spec).compose(BAGS)
    assert (composed.vectors.dtype, composed.vectors.shape) == (np.float32, (len(BAGS), D))
    np.testing.assert_allclose(composed.vectors, vectors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(composed.coverage, coverage, rtol=1e-6)
    assert composed.unknown == ("nokey",)
    assert (composed.space, composed.reference) == (version.space, version.reference)


def test_the_default_is_the_weighted_mean_of_what_is_known(version):
    vectors = make_vectors()
    composed = version.compose(BAGS)
    np.testing.assert_allclose(composed.vectors[0], (2 * vectors[3] + vectors[7]) / 3, rtol=1e-6)
    np.testing.assert_array_equal(composed.vectors[1], vectors[11])
    np.testing.assert_allclose(composed.coverage, [1, 0.25, 0, 0, 0])
    assert not composed.vectors[2:].any()


def test_one_dict_is_one_bag_and_no_bags_give_no_rows(version):
    assert version.compose({"key3": 1}).vectors.shape == (1, D)
    assert version.compose([]).vectors.shape == (0, D)


@pytest.mark.parametrize(
    ("bags", "weights"),
    [
        ([["key3", "key7"], [], ["key11"]], None),
        ((("key3", "key7"), (), ("key11",)), None),
        (iter([np.array(["key3", "key7"]), np.array([], str), ["key11"]]), [[1, 1], [], [1]]),
        (pa.array([["key3", "key7"], None, ["key11"]]), None),
        (pa.array([["key3", "key7"], [], ["key11"]], pa.large_list(pa.large_string())), None),
        (pa.chunked_array([[["key3", "key7"]], [[], ["key11"]]]), pa.chunked_array([[[2.0, 2.0], [], [5.0]]])),
        (pa.array([["no"], ["key3", "key7"], [], ["key11"]])[1:], pa.array([[9], [1, 1], [], [1]])[1:]),
        (
            pa.array([["key3", "key7"], [], ["key11"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
            [[0.5, 0.5], [], [1]],
        ),
    ],
)
def test_bags_come_as_lists_of_tokens_and_as_arrow_columns(version, bags, weights):
    vectors = make_vectors()
    expected = [(vectors[3] + vectors[7]) / 2, np.zeros(D), vectors[11]]
    np.testing.assert_allclose(version.compose(bags, weights).vectors, expected, rtol=1e-6)


def test_a_repeated_token_counts_twice(version):
    twice = version.compose([["key3", "key3", "key7"]])
    np.testing.assert_allclose(twice.vectors, version.compose([{"key3": 2, "key7": 1}]).vectors, rtol=1e-6)


@pytest.mark.parametrize(
    ("bags", "weights", "message"),
    [
        ([{"key3": 1.0}, {"key7": -1.0}], None, "bag 1: the weight of key 'key7' is -1.0"),
        ([{"key3": float("nan")}], None, "bag 0: the weight of key 'key3' is nan"),
        ([{"key3": float("inf")}], None, "bag 0: the weight of key 'key3' is inf"),
        ([{}, {"key3": "2"}], None, "bag 1: the weight of key 'key3' is '2'"),
        ([{"key3": None}], None, "bag 0: the weight of key 'key3' is None"),
        ([{"key3": 1e308, "key7": 1e308}], None, "bag 0: the sum of its weights is infinite"),
        ([{"key3": 1}, {7: 1.0}], None, "bag 1: key 7 is int"),
        ([["key3"], ["key3", None]], None, "bag 1: key None"),
        (["key3"], None, "bag 0 is str 'key3'"),
        ("key3", None, "bags are str 'key3'"),
        (7, None, "bags are int 7"),
        ([{"key3": 1.0}, ["key3"]], None, "bag 1 is list"),
        ([["key3"], {"key3": 1.0}], None, "bag 1 is dict"),
        ([{"key3": 1.0}], [[1.0]], "weights stand in the dicts"),
        ([["key3"], ["key3", "key7"]], [[1.0], [1.0]], "bag 1 has 2 keys but 1 weights"),
        ([["key3"]], [[1.0], [1.0]], "1 bags but weights for 2"),
        ([["key3"], ["key7"]], [[1.0], [None]], "bag 1: the weight of key 'key7' is null"),
        ([["key3"]], [["x"]], "give one list of numbers per bag"),
        ([["key3"]], 3, "give one list of numbers per bag"),
        (pa.array(["key3"]), None, "Arrow array of string"),
    ],
)  # fmt: skip
def test_a_bag_without_a_meaning_is_refused(version, bags, weights, message):
    with pytest.raises(InvalidQuery, match=message):
        version.compose(bags, weights)


def test_a_sum_too_long_for_float32_is_refused(version):
    with pytest.raises(InvalidQuery, match="bag 1: its vector is too long"):
        version.composer(ComposerSpec(combine="sum")).compose([{"key3": 1}, {"key3": 1e300}])


def test_missing_raise_names_bag_and_key_but_not_for_a_zero_weight(version):
    with pytest.raises(UnknownKey, match="bag 1: key 'nokey' has no vector in word/word@v1"):
        version.compose(BAGS, missing="raise")
    assert version.compose(BAGS[-1:], missing="raise").coverage[0] == 0
    with pytest.raises(InvalidQuery, match="missing is 'mask'; use one of skip"):
        version.compose(BAGS, missing="mask")


weights = st.one_of(st.just(0.0), st.floats(1e-12, 1e12))
keys = st.sampled_from([*make_keys().to_pylist(), "nokey", "木", "", "a b"])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(bags=st.lists(st.dictionaries(keys, weights, max_size=6), max_size=7))
def test_any_bags_compose_as_the_loop_does(version, bags):
    vectors, coverage = loop_compose(bags, ComposerSpec(), make_vectors())
    composed = version.compose(bags)
    np.testing.assert_allclose(composed.vectors, vectors.reshape(-1, D), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(composed.coverage, coverage, rtol=1e-5)


def test_a_version_keeps_the_composer_that_it_was_published_with(store, tmp_path):
    spec = ComposerSpec(weighting="idf", normalize="l2", missing="zero")
    published = store.publish(make_draft(name="weighted", attributes=COUNTS, composer=spec))
    read = open_registry(store.root)["word/weighted"]
    assert read.composer().spec == spec
    np.testing.assert_array_equal(read.compose(BAGS).vectors, published.composer(spec).compose(BAGS).vectors)
    assert read.compose([{"key3": 1, "no": 1}], missing="skip").vectors @ make_vectors()[3] > 0


@pytest.mark.parametrize(
    ("spec", "attributes", "message"),
    [
        ({"weighting": "idf"}, None, "needs the attribute 'count'; there is none"),
        ({"weighting": "column", "column": "no"}, COUNTS, "needs the attribute 'no'; there is count, boost, label"),
        ({"weighting": "idf", "column": "boost"}, COUNTS, "'boost' of row 0 is 0.0"),
        ({"weighting": "column", "column": "label"}, COUNTS, "'label' is string"),
        ({"weighting": "column"}, pa.table({"count": [None, *range(N - 1)]}), "'count' of row 0 is nan"),
        ({"weighting": "column"}, pa.table({"count": [*range(N - 1), -1]}), f"'count' of row {N - 1} is -1.0"),
    ],
)  # fmt: skip
def test_a_composer_that_cannot_work_is_not_published(store, spec, attributes, message):
    with pytest.raises(InvalidEmbedding, match=f"composer: .*{message}"):
        store.publish(make_draft(name="refused", attributes=attributes, composer=ComposerSpec(**spec)))
    assert "word/refused" not in store


def test_a_composer_of_another_table_is_corrupt(version, tmp_path):
    store = open_registry(tmp_path)
    folder = tmp_path / "word/word/versions" / store.publish(make_draft()).info.attempt
    manifest = store["word/word"].manifest
    document = (folder / "composer.json").read_bytes()
    assert read_composer(document, "x", D, manifest.files["table.safetensors"]) == ComposerSpec()
    with pytest.raises(Corrupt, match="belongs to the table"):
        read_composer(document, "x", D, version.manifest.files["keys.idx"])
    changed = composer_document(ComposerSpec(), D, manifest.files["table.safetensors"])
    changed["spec"]["combine"] = "max"
    with pytest.raises(Corrupt, match="'max'"):
        read_composer(dump(changed), "x", D, manifest.files["table.safetensors"])


def test_composed_vectors_find_neighbors_in_their_own_space_only(store, version):
    same = store.publish(make_draft(entity="user", name="same", vectors=make_vectors(seed=5)))
    other = store.publish(make_draft(entity="user", name="other", space="run-2:centers"))
    composed = version.compose(BAGS[:2])
    expected = same.neighbors(composed.vectors, k=4)
    assert same.neighbors(composed, k=4).keys == expected.keys
    assert version.neighbors(version.compose([{"key3": 2}]), k=1).keys == [["key3"]]
    with pytest.raises(SpaceMismatch, match=r"word/word@v1 composes .* 'run-1:centers', user/other@v1 is of 'run-2"):
        other.neighbors(composed, k=4)
    with pytest.raises(InvalidQuery, match="bag 2 has no key that word/word@v1 knows"):
        same.neighbors(version.compose(BAGS), k=4)


def test_flat_bags_are_the_weighted_rows(version):
    flat = version.composer(ComposerSpec(missing="mean")).flatten(BAGS)
    table = np.vstack([make_vectors(), make_vectors().mean(0)])
    summed = [
        sum((w * table[row] for w, row in zip(flat.weights[a:b], flat.rows[a:b], strict=True)), np.zeros(D))
        for a, b in zip(flat.starts, flat.starts[1:], strict=False)
    ]
    np.testing.assert_allclose(version.compose(BAGS, missing="mean").vectors, summed, rtol=1e-5, atol=1e-6)
    assert isinstance(version.compose(BAGS), Composed)
