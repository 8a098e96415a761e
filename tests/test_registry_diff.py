import numpy as np
import pyarrow as pa
import pytest
from registry_samples import make_draft

from registry import open_registry
from registry.errors import InvalidQuery, SpaceMismatch
from registry.judging.align import nearest_rotation, rotate_onto
from registry.judging.diff import Neighborhoods
from registry.search import finder

N, D, ADDED, GONE = 60, 7, 4, 3
KEYS = [f"w{at}" for at in range(N)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def publish(store):
    def make(keys, vectors, **changes):
        return store.publish(make_draft(keys=pa.array(keys), vectors=vectors.astype(np.float32), **changes))

    return make


@pytest.fixture(scope="module")
def turned():
    """Vectors, the same turned (and mirrored), and the rotation."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(N, D)) * rng.uniform(0.5, 2, size=(N, 1))
    turn, _ = np.linalg.qr(rng.normal(size=(D, D)))
    turn[:, 0] *= -np.sign(np.linalg.det(turn))  # a mirrored axis: determinant -1
    return vectors, vectors @ turn, turn


def test_a_turned_copy_has_not_moved(store, publish, turned):
    vectors, copy, _ = turned
    before, after = publish(KEYS, vectors, space="a"), publish(KEYS, copy, space="b")
    found = store.diff(before, after, align="procrustes")
    np.testing.assert_allclose(found.movement["cosine"], 1, atol=1e-6)
    np.testing.assert_allclose(found.movement["euclidean"], 0, atol=1e-5)
    assert found.neighbors["kept"].to_pylist() == [1.0] * N
    assert (found.summary["added"], found.summary["gone"], found.summary["neighbors_kept"]) == (0, 0, 1.0)


def test_keys_that_came_and_went_and_the_one_that_moved(store, publish, turned):
    vectors, copy, _ = turned
    moved = copy.copy()
    moved[20] = -copy[20]
    order = np.random.default_rng(1).permutation(N)[: N - GONE]
    order = np.append(order[order != 20], 20)
    gone = sorted(set(range(N)) - set(order.tolist()))
    new = np.random.default_rng(2).normal(size=(ADDED, D))
    names = [f"new{at}" for at in range(ADDED)]
    before = publish(KEYS, vectors, space="a")
    after = publish([*names, *(KEYS[at] for at in order)], np.vstack([new, moved[order]]), space="b")
    found = store.diff(before.reference, after.reference, align="procrustes")
    assert found.added.to_pylist() == names
    assert found.gone.to_pylist() == [KEYS[at] for at in gone]
    assert found.movement["key"].to_pylist() == [KEYS[at] for at in order]
    row = found.most_moved(1).to_pylist()[0]
    assert row["key"] == "w20"
    assert row["cosine"] < -0.9
    # The plain loop, with the rotation of the unit vectors of the shared keys
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    best = rotate_onto(unit(vectors[order]), unit(moved[order]))
    for at, cosine, distance in zip(order, found.movement["cosine"], found.movement["euclidean"], strict=True):
        old, now = vectors[at] @ best, moved[at]
        assert cosine.as_py() == pytest.approx(old @ now / np.linalg.norm(old) / np.linalg.norm(now), abs=1e-5)
        assert distance.as_py() == pytest.approx(np.linalg.norm(old - now), abs=1e-4)
    summary = found.summary
    assert summary["shared"] == len(order)
    assert summary["cosine_median"] == pytest.approx(np.median(found.movement["cosine"]))
    assert summary["neighbors_kept"] == pytest.approx(np.mean(found.neighbors["kept"].to_pylist()))


def test_neighbors_gained_and_lost_agree_with_the_search(store, publish, turned):
    vectors, copy, _ = turned
    before = publish(KEYS, vectors)
    noisy = publish(KEYS[::-1], (copy + np.random.default_rng(4).normal(size=copy.shape))[::-1], space="b")
    found = store.diff(before, noisy, align="procrustes", around=Neighborhoods(sample=None, k=5))
    assert found.neighbors.num_rows == N
    for row in found.neighbors.to_pylist():
        then, now = before.neighbors(row["key"], 5).keys[0], noisy.neighbors(row["key"], 5).keys[0]
        assert row["gained"] == [name for name in now if name not in then]
        assert row["lost"] == [name for name in then if name not in now]
        assert row["kept"] == pytest.approx(len(set(then) & set(now)) / 5)
    assert 0 < found.summary["neighbors_kept"] < 1


def test_a_sample_is_seeded_and_without_repeats(store, publish, turned):
    before, after = publish(KEYS, turned[0]), publish(KEYS, turned[0])
    drawn = [
        store.diff(before, after, around=Neighborhoods(sample=11, seed=seed)).neighbors["key"].to_pylist()
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 11
    none = store.diff(before, after, around=Neighborhoods(sample=0))
    assert none.neighbors.num_rows == 0
    assert none.summary["neighbors_kept"] is None


def test_two_spaces_without_alignment_are_refused(store, publish, turned):
    before, after = publish(KEYS, turned[0], space="run-1"), publish(KEYS, turned[1], space="run-2")
    with pytest.raises(SpaceMismatch, match=r"space 'run-1', .* in 'run-2'.*pass align='procrustes'"):
        store.diff(before, after)
    same = publish(KEYS, turned[0] * 2, space="run-1")
    found = store.diff(before, same)
    np.testing.assert_allclose(found.movement["cosine"], 1, atol=1e-6)
    np.testing.assert_allclose(found.movement["euclidean"], np.linalg.norm(turned[0], axis=1), rtol=1e-5)


def test_what_no_rotation_aligns_is_refused(store, publish, turned):
    before = publish(KEYS, turned[0], space="a")
    with pytest.raises(SpaceMismatch, match=r"7 dimensions, .* 6; no rotation"):
        store.diff(before, publish(KEYS, turned[0][:, :6], space="b"), align="procrustes")
    others = [*KEYS[: D - 1], *(f"x{at}" for at in range(N))]
    few = publish(others, np.random.default_rng(5).normal(size=(len(others), D)), space="b")
    with pytest.raises(SpaceMismatch, match="share 6 keys; to align 7 dimensions"):
        store.diff(before, few, align="procrustes")
    with pytest.raises(InvalidQuery, match="align is 'cca'"):
        store.diff(before, before, align="cca")


def test_no_shared_key_zero_vectors_and_one_key_are_defined(store, publish, turned):
    before = publish(KEYS, turned[0])
    strangers = publish([f"x{at}" for at in range(N)], turned[0])
    found = store.diff(before, strangers)
    assert (found.movement.num_rows, found.neighbors.num_rows) == (0, 0)
    assert (found.summary["added"], found.summary["gone"], found.summary["cosine_mean"]) == (N, N, None)
    assert "added: 60" in str(found)
    zero = turned[0].copy()
    zero[4] = 0
    found = store.diff(before, publish(KEYS, zero))
    assert found.movement["cosine"][4].as_py() is None
    assert found.movement["cosine"].null_count == 1
    assert found.most_moved(N)["cosine"].to_pylist()[-1] is None
    alone = publish(["w1"], turned[0][1:2])
    assert store.diff(alone, alone).neighbors.num_rows == 0
    assert store.diff(before, alone).k == 0


@pytest.mark.parametrize("settings", [{"k": 0}, {"sample": -1}])
def test_bad_samples_are_refused(settings):
    with pytest.raises(InvalidQuery, match=next(iter(settings))):
        Neighborhoods(**settings)


def test_blocks_of_rows_give_what_one_block_gives(store, publish, turned, monkeypatch):
    before, after = publish(KEYS, turned[0], space="a"), publish(KEYS[7:], turned[1][7:], space="b")
    whole = store.diff(before, after, align="procrustes")
    monkeypatch.setattr("registry.judging.diff._ROW_BLOCK", 13)
    monkeypatch.setattr("registry.judging.diff._QUERY_BLOCK", 11)
    parts = store.diff(before, after, align="procrustes")
    np.testing.assert_allclose(whole.movement["cosine"], parts.movement["cosine"], atol=1e-6)
    assert whole.neighbors.equals(parts.neighbors)


def test_the_nearest_rotation_is_orthogonal_and_the_best(turned, rng):
    vectors, copy, turn = turned
    noisy = copy + 0.1 * rng.normal(size=copy.shape)
    found = nearest_rotation(vectors.T @ noisy)
    np.testing.assert_allclose(found @ found.T, np.eye(D), atol=1e-12)
    best = np.linalg.norm(vectors @ found - noisy)
    for _ in range(50):
        other, _ = np.linalg.qr(found + 0.05 * rng.normal(size=(D, D)))
        other *= np.sign(np.diag(found.T @ other))  # QR leaves the signs open
        assert np.linalg.norm(vectors @ other - noisy) >= best
    assert best <= np.linalg.norm(vectors @ turn - noisy)


def test_neighbors_are_compared_exactly(store, publish, turned, monkeypatch):
    plans, search = [], finder.search
    monkeypatch.setattr(finder, "search", lambda query, *rest: plans.append(query.plan) or search(query, *rest))
    one = publish(KEYS, turned[0])
    store.diff(one, one)
    assert set(plans) == {"exact"}
