"""Cold start and analogies: planted answers are found, shuffled vectors find none, bad files are refused."""

import numpy as np
import pytest
from benchmark_world import DIM, USERS, judge, shuffled, user_vectors

from benchmarks.task import InvalidTaskFile
from registry.judging.align import unit_rows

COMPOSED = {"composed": {"of": "word", "bags": "x/bags"}}


def cold(world, trained, composed, *, keys=USERS, earlier=None):
    """Scores of a composed version beside the trained one of the same run."""
    twin = world.publish(trained, keys=USERS, entity="user", space="run")
    judged = world.publish(composed, keys=keys, entity="user", space="run", training=COMPOSED)
    words = world.publish(trained[:5], keys=USERS[:5], entity="word", space="run")
    together = {"user/a_composed": judged, "user/trained": twin, "word/trained": words}
    return judge("cold_start.v1", judged, together=together, earlier=earlier or {})


def test_a_composed_vector_that_is_the_trained_one_finds_all_its_neighbours(world, rng):
    vectors = rng.normal(size=(len(USERS), DIM))
    scores = cold(world, vectors, vectors * rng.gamma(2.0, size=(len(USERS), 1)))
    assert scores["recall_at_10"].value == 1.0
    assert "no version of the week before" in scores["recall_at_10_new"].undefined
    noisy = cold(world, vectors, vectors + 0.5 * rng.normal(size=vectors.shape))["recall_at_10"]
    assert 0.3 < noisy.value < 0.9
    assert noisy.low < noisy.value < noisy.high


def test_shuffled_composed_vectors_are_at_the_floor(world, rng):
    vectors = rng.normal(size=(len(USERS), DIM))
    score = cold(world, vectors, shuffled(vectors))["recall_at_10"]
    assert score.floor == pytest.approx(10 / (len(USERS) - 1))
    assert score.low <= score.floor <= score.high


def test_recall_equals_brute_force_among_keys_that_have_both(world, rng):
    trained, composed = rng.normal(size=(2, len(USERS), DIM))
    composed += trained
    score = cold(world, trained, composed[::3], keys=USERS[::3])["recall_at_10"]
    one, other = unit_rows(trained[::3]).astype(float), unit_rows(composed[::3]).astype(float)
    sets = []
    for queries in (one, other):
        near = queries @ one.T - 9 * np.eye(len(one))
        sets.append([set(np.argsort(-row)[:10].tolist()) for row in near])
    assert score.value == pytest.approx(np.mean([len(a & b) / 10 for a, b in zip(*sets, strict=True)]))
    assert score.rows_used == len(one)


def test_users_whom_last_week_had_not_seen_have_a_value_of_their_own(world, rng):
    vectors = rng.normal(size=(len(USERS), DIM))
    composed = np.concatenate([vectors[:300], shuffled(vectors[300:])])
    before = world.publish(vectors[:300], keys=USERS[:300], entity="user", week="2026-01-26")
    scores = cold(world, vectors, composed, earlier={1: {"user/trained": before}})
    assert scores["recall_at_10_new"].rows_used == 60
    assert scores["recall_at_10_new"].value < 0.15 < 0.7 < scores["recall_at_10"].value
    same = world.publish(vectors, keys=USERS, entity="user", week="2026-01-26")
    few = cold(world, vectors, composed, earlier={1: {"user/trained": same}})["recall_at_10_new"]
    assert f"needs at least 10 keys that {same.reference} lacks, there are 0" in few.undefined


def test_trained_versions_and_those_without_a_twin_have_no_score(world, rng):
    vectors = user_vectors()
    trained = world.publish(vectors, keys=USERS, entity="user")
    assert judge("cold_start.v1", trained, together={"user/x": trained}) == {}
    alone = world.publish(vectors, keys=USERS, entity="user", training=COMPOSED)
    assert judge("cold_start.v1", alone, together={"user/x": alone}) == {}


def test_few_shared_keys_and_equal_vectors_are_undefined(world):
    vectors = user_vectors()
    few = cold(world, vectors, vectors[:11], keys=USERS[:11])
    assert "composed and trained, there are 11" in few["recall_at_10"].undefined
    flat = cold(world, vectors, np.ones_like(vectors))
    assert "all composed vectors point the same way" in flat["recall_at_10"].undefined


CAPITALS, WIDE = 30, 128  # so wide that two countries are nearly at right angles
PLACES = [f"{kind}{at}" for at in range(CAPITALS) for kind in ("country", "city", "land")]


@pytest.fixture(scope="module")
def places(world):
    """A city is its country and one direction that all cities share; nearest to a country is another word for it."""
    rng = np.random.default_rng(2)
    countries, city, *noise = (rng.normal(size=shape) for shape in ((CAPITALS, WIDE), WIDE, *[(CAPITALS, WIDE)] * 2))
    vectors = np.stack([countries, countries + 2.5 * city + 0.1 * noise[0], countries + 0.3 * noise[1]], axis=1)
    return world.publish(vectors.reshape(-1, WIDE), keys=PLACES)


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "capitals.txt"
    lines = [f"Country{a} City{a} Country{b} City{b}" for a in range(12) for b in range(12) if a != b]
    unknown = ["country1 city1 country2 atlantis"] * 4
    path.write_text("\n".join([": capital of", *lines[:100], *unknown, "", "# a comment", ": and more", *lines[100:]]))
    return path


def analogy(version, *paths):
    return judge("analogy.v1", version, files={f"analogy/{path.stem}": path for path in paths})


def test_planted_analogies_are_answered_above_what_is_merely_near(places, questions):
    score = analogy(places, questions)["accuracy_capitals"]
    assert score.value > 0.95
    assert score.floor < 0.3
    assert (score.rows_used, score.rows_left_out) == (132, 4)
    assert {name: of["asked"] for name, of in score.details["by_section"].items()} == {
        "capital of": 100,
        "and more": 32,
    }


def test_shuffled_vectors_answer_nothing(world, places, questions):
    score = analogy(world.publish(shuffled(places.numpy()), keys=PLACES), questions)["accuracy_capitals"]
    assert score.value < 0.1
    assert score.low <= score.floor + 0.05


def test_too_few_known_questions_are_undefined_and_no_file_is_said(places, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("country1 city1 country2 city2\na b c d\n")
    assert "1 of 2 questions in few.txt" in analogy(places, few)["accuracy_few"].undefined
    empty = tmp_path / "empty.txt"
    empty.write_text(": nothing\n")
    assert "0 of 0 questions in empty.txt" in analogy(places, empty)["accuracy_empty"].undefined
    assert "no file of analogy questions" in analogy(places)["accuracy"].undefined


@pytest.mark.parametrize("line", [b"three words only", b"a b c d e", b"a b c \xff"])
def test_malformed_question_names_file_and_line(places, tmp_path, line):
    path = tmp_path / "bad.txt"
    path.write_bytes(b": section\na b c d\n" + line + b"\n")
    with pytest.raises(InvalidTaskFile, match=r"bad\.txt:3: expected"):
        analogy(places, path)


def test_real_questions_are_read_whole(real_data, places):
    score = analogy(places, real_data / "wordsim" / "questions-words.txt")["accuracy_questions-words"]
    assert score.rows_left_out == 19_544
