"""R24: degenerate or leaking benchmarks are refused with the reason, or what they cannot use is counted."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from benchmark_world import COMMUNITY, USERS, World, follow_table, judge, metadata_labels, topic_labels, user_vectors

from registry import Version
from registry.records import Score

WEEKS = ("2026-01-26", "2026-02-02")


def _user(world: World, vectors: np.ndarray, keys: list[str], **given: object) -> Version:
    return world.publish(vectors, keys=keys, entity="user", **given)


def single_class(world: World) -> str | None:
    """Every user has the same attribute and the same topic."""
    version = _user(world, user_vectors(), USERS)
    labels = {
        "user_metadata": metadata_labels(plan=["free"] * len(USERS)),
        "user_topics": topic_labels(topics=[0] * len(USERS)),
    }
    return _refused(judge("user_metadata.v1", version, labels=labels), "has 1 classes") or _refused(
        judge("user_topic.v1", version, labels=labels), "no topic has 20 users with it and 20 without"
    )


def constant_features(world: World) -> str | None:
    """All users have the same vector."""
    version = _user(world, np.ones((len(USERS), 8)), USERS)
    return _refused(judge("user_topic.v1", version, labels={"user_topics": topic_labels()}), "are the same")


def half_missing(world: World) -> str | None:
    """Every other user has no vector: the rest is judged, and the gap is counted."""
    version = _user(world, user_vectors()[::2], USERS[::2])
    score = judge("user_topic.v1", version, labels={"user_topics": topic_labels()})["roc_auc"]
    counted = (score.rows_used, score.rows_left_out) == (len(USERS) // 2, len(USERS) // 2)
    return None if counted and score.value is not None else f"half missing was not counted: {score}"


def train_test_overlap(world: World) -> str | None:
    """The version that is asked to foretell a week was trained on it; and all of its links were known before."""
    users, accounts = user_vectors(), user_vectors(seed=3)
    edges = [(USERS[at], f"p{at}") for at in range(100)]

    def asked(week: str, weeks: list[str]) -> dict[str, Score]:
        source = _user(world, users, USERS, week=week, training={"window": {"columns": "x/y"}})
        target = world.publish(accounts, keys=[f"p{at}" for at in range(len(USERS))], entity="producer", week=week)
        together = {"user/linked": source, "producer/linked": target}
        now = _user(world, users, USERS, week=WEEKS[1])
        links = follow_table(edges * len(weeks), np.repeat(weeks, len(edges)).tolist())
        links = links.rename_columns(["user_id", "producer_id", "week"])
        given = {"history": {1: source}, "together": together, "earlier": {1: together}}
        return judge("link_prediction.v1", now, labels={"recent_engagements": links}, **given)

    return _refused(asked(WEEKS[1], [WEEKS[1]]), "are not new to it") or _refused(
        asked(WEEKS[0], list(WEEKS)), "were known before"
    )


def empty_weeks(world: World) -> str | None:
    """A week without a single label."""
    version = _user(world, user_vectors(), USERS)
    strings = [("user_id", pa.string()), ("topic", pa.string())]
    follows = follow_table([("a", "b")], [WEEKS[0]]).slice(0, 0)
    return _refused(
        judge("user_topic.v1", version, labels={"user_topics": pa.schema(strings).empty_table()}),
        "among the 0 labelled",
    ) or _refused(judge("follow_jaccard.v1", version, labels={"follows": follows}), "0 pairs of the 0 users")


def unknown_users(world: World) -> str | None:
    """Labels of users that the version never heard of: none of them, and then a few among others."""
    version = _user(world, user_vectors(), USERS)
    strangers = topic_labels(users=tuple(f"x{at}" for at in range(50)), topics=COMMUNITY[:50].tolist())
    alone = judge("user_topic.v1", version, labels={"user_topics": strangers})
    mixed = judge("user_topic.v1", version, labels={"user_topics": pa.concat_tables([strangers, topic_labels()])})
    score = mixed["roc_auc"]
    counted = score.value is not None and score.rows_left_out == 50
    return _refused(alone, "among the 0 labelled users") or (
        None if counted else f"50 strangers were not counted: {score}"
    )


def _refused(scores: dict[str, Score], reason: str) -> str | None:
    """What is wrong where not every score is without a value for that reason."""
    wrong = [score for score in scores.values() if score.value is not None or reason not in str(score.undefined)]
    return f"not refused for {reason!r}: {wrong or 'no score at all'}" if wrong or not scores else None


CASES: tuple[Callable[[World], str | None], ...] = (
    single_class,
    constant_features,
    half_missing,
    train_test_overlap,
    empty_weeks,
    unknown_users,
)


def degenerate_benchmarks(times: int) -> tuple[int, list[str]]:
    """Each case once; all of them again where `times` is more."""
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        world = World(Path(folder))
        tried = [CASES[at % len(CASES)] for at in range(times)]
        return times, [f"{case.__name__}: {problem}" for case in tried if (problem := case(world))]


DRILLS = {"R24": (degenerate_benchmarks, len(CASES))}
