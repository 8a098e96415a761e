"""Figure 2: whose relations changed, beyond what another seed changes."""

import numpy as np
import pyarrow as pa
import pytest
from benchmark_world import TOPIC_OF, WORDS, planted

from benchmarks.drift.figures import similarity_png
from benchmarks.drift.relations import (
    CHANGES,
    NOISE,
    Looking,
    changed,
    pair_noise,
    seed_noise,
    similarities,
    telling_pairs,
)
from benchmarks.task import Undefined
from registry.judging.align import unit_rows

KEYS = pa.array(WORDS, pa.string())
MOVED = np.arange(3, len(WORDS), 61)
LOOKING = Looking(k=25)


def turned(vectors, rng):
    """The same vectors in another coordinate system, as a retrain gives them."""
    return (vectors @ np.linalg.qr(rng.normal(size=(vectors.shape[1],) * 2))[0]).astype(np.float32)


@pytest.fixture(scope="module")
def noise():
    return seed_noise(
        (KEYS, planted(TOPIC_OF, np.random.default_rng(1))),
        (KEYS, planted(TOPIC_OF, np.random.default_rng(2))),
        LOOKING,
    )


@pytest.fixture(scope="module")
def moved(world):
    """A later version in which `MOVED` have gone to the next topic, in a space of its own."""
    topics = TOPIC_OF.copy()
    topics[MOVED] = (topics[MOVED] + 1) % (TOPIC_OF.max() + 1)
    rng = np.random.default_rng(3)
    return world.publish(turned(planted(topics, rng), rng), week="2026-03-02")


def test_two_equal_trainings_have_no_noise():
    vectors = planted(TOPIC_OF, np.random.default_rng(1))
    table = seed_noise((KEYS, vectors), (KEYS, turned(vectors, np.random.default_rng(4))), LOOKING)
    assert table.schema == NOISE
    np.testing.assert_allclose(table["kept"], 1.0)
    np.testing.assert_allclose(table["cosine"], 1.0, atol=1e-5)
    np.testing.assert_allclose(table["similarity_noise"], 0.0, atol=1e-5)


def test_noise_matches_a_plain_loop(noise):
    first, second = (unit_rows(planted(TOPIC_OF, np.random.default_rng(seed))) for seed in (1, 2))
    for at in (0, 57, len(WORDS) - 1):
        near = [np.argsort(-(unit @ unit[at]), kind="stable")[1 : LOOKING.k + 1] for unit in (first, second)]
        kept = len(set(near[0].tolist()) & set(near[1].tolist())) / LOOKING.k
        differences = [first[at] @ first[other] - second[at] @ second[other] for other in near[0]]
        row = noise.slice(at, 1).to_pylist()[0]
        assert row["key"] == WORDS[at]
        assert row["kept"] == pytest.approx(kept)
        assert row["similarity_noise"] == pytest.approx(np.sqrt(np.mean(np.square(differences)) / 2), rel=1e-4)


@pytest.mark.parametrize("with_noise", [True, False])
def test_moved_words_come_first(plain, moved, noise, with_noise):
    changes = changed(plain, moved, noise if with_noise else None, LOOKING)
    assert changes.schema == CHANGES
    assert set(changes["key"].to_pylist()[: len(MOVED)]) == {WORDS[at] for at in MOVED}
    assert len(changes) == len(WORDS)


def test_who_moved_is_beyond_noise_and_names_whom_it_lost_and_gained(plain, moved, noise):
    rows = {row["key"]: row for row in changed(plain, moved, noise, LOOKING).to_pylist()}
    topic = dict(zip(WORDS, TOPIC_OF.tolist(), strict=True))
    for at in MOVED:
        row = rows[WORDS[at]]
        assert row["beyond_noise"]
        assert {topic[near] for near in row["lost"]} == {topic[WORDS[at]]}
        assert topic[WORDS[at]] not in {topic[near] for near in row["gained"] if WORDS.index(near) not in MOVED}
        assert row["cosine"] < row["floor_cosine"] - 0.3
    steady = [row["beyond_noise"] for key, row in rows.items() if WORDS.index(key) not in MOVED]
    assert np.mean(steady) < 0.05


def test_a_second_seed_alone_is_not_sold_as_drift(world, plain, noise):
    rng = np.random.default_rng(7)
    again = world.publish(turned(planted(TOPIC_OF, rng), rng))
    changes = changed(plain, again, noise, LOOKING)
    assert np.mean(changes["beyond_noise"].to_numpy(zero_copy_only=False)) < 0.05
    assert abs(np.mean(changes["change"].to_numpy())) < 0.05


def test_another_width_is_compared_by_neighbours_alone(world, plain, noise):
    wider = np.hstack([plain.numpy(), np.zeros((len(plain), 5), np.float32)])
    changes = changed(plain, world.publish(wider), noise, LOOKING)
    np.testing.assert_allclose(changes["kept"], 1.0)
    assert changes["cosine"].null_count == len(WORDS)


def test_another_vocabulary_is_refused_in_words(world, plain):
    other = world.publish(plain.numpy(), keys=[f"other {word}" for word in WORDS])
    with pytest.raises(Undefined, match="at least 27 frequent keys that both versions have, there are 0"):
        changed(plain, other, None, LOOKING)


def test_only_the_most_frequent_are_looked_at(plain, moved):
    assert len(changed(plain, moved, None, Looking(k=25, frequent=100))) == 100


def test_a_key_without_a_floor_gets_the_median(plain, moved, noise):
    changes = changed(plain, moved, noise.slice(1), LOOKING)
    [row] = [row for row in changes.to_pylist() if row["key"] == WORDS[0]]
    assert row["floor_kept"] == np.median(noise.slice(1)["kept"].to_numpy())


def test_similarity_over_time_and_its_gaps(plain, moved):
    pairs = [(WORDS[0], WORDS[1]), (WORDS[0], "unheard of")]
    rows = similarities({"2026-03-02": moved, "2026-02-02": plain}, pairs).to_pylist()
    assert [row["week"] for row in rows] == ["2026-02-02"] * 2 + ["2026-03-02"] * 2
    unit = unit_rows(plain.numpy())
    assert rows[0]["cosine"] == pytest.approx(float(unit[0] @ unit[1]), abs=1e-6)
    assert [row["cosine"] is None for row in rows] == [False, True, False, True]
    assert similarities({}, pairs).num_rows == 0


def test_the_noise_of_a_pair_is_that_of_its_keys(noise):
    values = dict(zip(noise["key"].to_pylist(), noise["similarity_noise"].to_pylist(), strict=True))
    pairs = [(WORDS[0], WORDS[1]), (WORDS[0], "new"), ("new", "newer")]
    both = np.sqrt((values[WORDS[0]] ** 2 + values[WORDS[1]] ** 2) / 2)
    assert pair_noise(noise, pairs) == [pytest.approx(both), pytest.approx(values[WORDS[0]]), None]
    assert pair_noise(None, pairs) == [None] * 3


def test_telling_pairs_are_what_was_lost_and_gained(plain, moved):
    changes = changed(plain, moved, None, LOOKING)
    first = changes.slice(0, 1).to_pylist()[0]
    assert telling_pairs(changes, 1) == [(first["key"], first["lost"][0]), (first["key"], first["gained"][0])]


def test_the_picture_draws_any_key():
    rows = [
        {"week": week, "first": first, "second": "b", "cosine": cosine}
        for week, cosine in (("2026-01-05", 0.1), ("2026-01-12", None))
        for first in ("$cash$", "_hidden", "🏥", "врач")
    ]
    assert similarity_png(rows, {("$cash$", "b"): 0.1}, "over time").startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [{"k": 0}, {"frequent": 0}, {"named": -1}, {"noise_quantile": 1.5}])
def test_wrong_settings_say_no(wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}.*{next(iter(wrong.values()))}"):
        Looking(**wrong)
