"""Moved words: found where planted, at chance where shuffled, else undefined with the reason."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from benchmark_world import (
    DIM,
    MOVED,
    MOVED_AT,
    TASKS,
    TOPIC_OF,
    TOPICS,
    WORDS,
    judge,
    move_labels,
    planted,
    shuffled,
    word_labels,
)

from benchmarks.runner import applicable, run_tasks
from benchmarks.task import Evaluation

MOVED_ROWS = np.arange(0, len(WORDS), len(WORDS) // MOVED)[:MOVED]


def moved_labels(at=MOVED_AT, rows=MOVED_ROWS):
    return {"truth_words": word_labels(), "truth_moved_words": move_labels(rows, at)}


@pytest.fixture(scope="module")
def earlier(world):
    return world.publish(planted(TOPIC_OF, np.random.default_rng(11)), week="2026-01-05")


@pytest.fixture(scope="module")
def later(world):
    """Drawn afresh four weeks on, with the moved words in another topic."""
    topics = TOPIC_OF.copy()
    topics[MOVED_ROWS] = (topics[MOVED_ROWS] + 3) % TOPICS
    return world.publish(planted(topics, np.random.default_rng(12)), week="2026-02-02")


def test_moved_words_are_found_as_those_that_changed_most(earlier, later):
    scores = judge("moved_words.v1", later, history={4: earlier}, labels=moved_labels())
    auc, recall = scores["roc_auc"], scores["recall_at_moved"]
    assert auc.value > 0.98
    assert recall.value > 0.9
    assert auc.floor == pytest.approx(0.5, abs=0.08)
    assert recall.floor < 0.2
    assert auc.low > auc.floor
    top = auc.details["top_changed"][:MOVED]
    assert sum(entry["moved"] for entry in top) >= 0.9 * MOVED
    assert auc.rows_used == len(WORDS)


def test_moved_words_are_at_chance_on_shuffled_vectors(world, earlier, later):
    version = world.publish(shuffled(later.numpy()), week="2026-02-02")
    scores = judge("moved_words.v1", version, history={4: earlier}, labels=moved_labels())
    assert scores["roc_auc"].value == pytest.approx(0.5, abs=0.2)
    assert scores["recall_at_moved"].value < 0.35


@pytest.mark.parametrize("moved_at", ["2025-12-29", "2026-01-19"])
def test_moves_inside_a_window_are_undefined_and_name_the_week_to_ask(earlier, later, moved_at):
    at = datetime.fromisoformat(moved_at).replace(tzinfo=UTC)
    scores = judge("moved_words.v1", later, history={4: earlier}, labels=moved_labels(at))
    week = {"2025-12-29": "2026-01-19", "2026-01-19": "2026-02-09"}[moved_at]
    for score in scores.values():
        assert score.value is None
        assert f"for the moves at {moved_at} ask the version of {week}" in score.undefined


def test_windows_of_one_week_leave_several_weeks_to_ask(world):
    first = world.publish(planted(TOPIC_OF, np.random.default_rng(1)), week="2026-01-05", window=1)
    last = world.publish(planted(TOPIC_OF, np.random.default_rng(2)), week="2026-02-02", window=1)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    score = judge("moved_words.v1", last, history={4: first}, labels=moved_labels(at))["roc_auc"]
    assert "2026-03-02 or 2026-03-09 or 2026-03-16 or 2026-03-23" in score.undefined
    for inside in (datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)):
        found = judge("moved_words.v1", last, history={4: first}, labels=moved_labels(inside))["roc_auc"]
        assert found.value is not None


def test_windows_longer_than_the_distance_can_never_be_asked(world):
    first = world.publish(planted(TOPIC_OF, np.random.default_rng(1)), week="2026-01-05", window=6)
    last = world.publish(planted(TOPIC_OF, np.random.default_rng(2)), week="2026-02-02", window=6)
    score = judge("moved_words.v1", last, history={4: first}, labels=moved_labels())["roc_auc"]
    assert "too long in every week" in score.undefined


def test_moved_words_leave_out_words_that_moved_at_another_time(earlier, later):
    moves = pa.concat_tables([move_labels(MOVED_ROWS), move_labels([1, 2, 3], datetime(2026, 1, 19, tzinfo=UTC))])
    labels = {"truth_words": word_labels(), "truth_moved_words": moves}
    score = judge("moved_words.v1", later, history={4: earlier}, labels=labels)["roc_auc"]
    assert score.rows_used == len(WORDS) - 3
    assert (score.details["moved"], score.details["moved_at_other_times"]) == (MOVED, 3)
    assert score.details["moved_at"] == ["2026-01-12"]


def test_moved_words_without_an_answer_say_why(world, earlier, later):
    def reason(version=later, **labels):
        given = {**moved_labels(), **labels}
        return judge("moved_words.v1", version, history={4: earlier}, labels=given)["roc_auc"].undefined

    assert "at least 2 moved words that both versions have, there are 1" in reason(
        truth_moved_words=move_labels(MOVED_ROWS[:1])
    )
    assert "no word moves at all" in reason(truth_moved_words=move_labels([]))
    assert "none to compare with" in reason(truth_words=word_labels([], []))
    assert "point the same way" in reason(world.publish(np.ones((len(WORDS), DIM))))
    same = world.publish(earlier.numpy())
    assert f"all {len(WORDS)} words changed by 0" in reason(same)
    undated = world.publish(later.numpy(), week="2026-02-02", window=None)
    assert "does not say which weeks" in reason(undated)


def test_scores_of_every_task_can_be_recorded_and_read_back(world, earlier, later, tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{a}\t{b}\t{at}\n" for at, (a, b) in enumerate(pairwise(WORDS))))
    questions = tmp_path / "questions.txt"
    questions.write_text("".join(" ".join(WORDS[at : at + 4]) + "\n" for at in range(0, 80, 4)))
    evaluation = Evaluation(
        version=later,
        history={1: earlier, 4: earlier},
        labels=moved_labels(),
        files={"word_similarity/pairs": pairs, "analogy/questions": questions},
        week="2026-02-02",
    )
    scores = run_tasks(applicable(TASKS, "word"), evaluation)
    for score in scores:
        world.store.add_score(later, score)
    recorded = {(score.task, score.metric): score for score in later.scores()}
    assert len(recorded) == len(scores) == 8
    for score in scores:
        assert score.value is not None
        assert recorded[score.task, score.metric] == score
