"""Published versions with planted topics, and short ways to judge them."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from benchmarks.runner import discover, find, run_task
from benchmarks.task import Evaluation
from registry import open_registry
from registry.judging.align import unit_rows
from registry.records import Draft

TOPICS, PER_TOPIC, DIM, MOVED = 8, 40, 24, 12
WORDS = [f"{lang}{at}" for at in range(TOPICS * PER_TOPIC // 2) for lang in ("en", "ru")]
TOPIC_OF = np.arange(len(WORDS)) // PER_TOPIC
TOPIC_LIST = tuple(TOPIC_OF.tolist())
MOVED_AT = datetime(2026, 1, 12, tzinfo=UTC)
TASKS = discover()


def planted(topics, rng, noise=0.12):
    """Vectors around one direction a topic, and noise of their own."""
    centers = unit_rows(np.random.default_rng(5).normal(size=(TOPICS, DIM)))
    return (centers[topics] + noise * rng.normal(size=(len(topics), DIM))).astype(np.float32)


class World:
    """A registry in a temporary folder and short ways to publish into it and to judge."""

    def __init__(self, root):
        self.store = open_registry(root)
        self.names = 0

    def publish(self, vectors, *, keys=WORDS, week="2026-02-02", window=4, counts=None, **draft):
        self.names += 1
        fields = {"entity": "word", "name": f"world{self.names}", "space": f"space{self.names}", **draft}
        return self.store.publish(
            Draft(
                keys=pa.array(keys, pa.string()),
                vectors=np.ascontiguousarray(vectors, np.float32),
                week=week,
                window_weeks=window,
                attributes=None if counts is None else pa.table({"count": pa.array(counts, pa.float64())}),
                **fields,
            )
        )


def judge(task: str, version, *, seed=0, **given) -> dict:
    """Scores of one task by metric."""
    evaluation = Evaluation(version=version, week=version.week, seed=seed, **given)
    return {score.metric: score for score in run_task(find(TASKS, task), evaluation)}


def word_labels(words=tuple(WORDS), topics=TOPIC_LIST):
    langs = [word[:2] for word in words]
    return pa.table({"word": list(words), "topic": [f"t{topic}" for topic in topics], "lang": langs})


def move_labels(rows, at=MOVED_AT):
    names = [WORDS[row] for row in rows]
    moved_at = pa.array([at] * len(rows), pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "word": names,
            "from_topic": ["a"] * len(rows),
            "to_topic": ["b"] * len(rows),
            "moved_at": moved_at,
        }
    )


def shuffled(vectors, seed=9):
    return vectors[np.random.default_rng(seed).permutation(len(vectors))]


COMMUNITIES, PER_COMMUNITY, ACCOUNTS = 6, 60, 15
USERS = [f"u{at}" for at in range(COMMUNITIES * PER_COMMUNITY)]
COMMUNITY = np.arange(len(USERS)) % COMMUNITIES


def user_vectors(seed=1, noise=0.05, width=DIM):
    """One direction a community, and noise of each user's own."""
    centers = unit_rows(np.random.default_rng(7).normal(size=(COMMUNITIES, width)))
    return (centers[COMMUNITY] + noise * np.random.default_rng(seed).normal(size=(len(USERS), width))).astype(
        np.float32
    )


def topic_labels(users=tuple(USERS), topics=None):
    """Every user cares for the topic of their community."""
    topics = COMMUNITY.tolist() if topics is None else list(topics)
    return pa.table({"user_id": list(users), "topic": [f"t{topic}" for topic in topics]})


def metadata_labels(**attributes):
    """Attribute -> a value for each user; None leaves the user out."""
    rows = [(user, name, str(value)) for name, of in attributes.items() for user, value in zip(USERS, of, strict=True)]
    rows = [row for row in rows if row[2] != "None"]
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(("user_id", "attribute", "value"))})


def follow_table(edges, weeks):
    """Label table `follows`: (src, dst) pairs and the week of each."""
    return pa.table({"src": [a for a, _ in edges], "dst": [b for _, b in edges], "week": list(weeks)})


def planted_follows(seed=0, each=6):
    """(U, A) bool: every user follows `each` of the accounts of their community."""
    rng = np.random.default_rng(seed)
    followed = np.zeros((len(USERS), COMMUNITIES * ACCOUNTS), bool)
    for user, community in enumerate(COMMUNITY):
        followed[user, community * ACCOUNTS + rng.choice(ACCOUNTS, each, replace=False)] = True
    return followed


def edges_of(followed):
    """[(user, account)] of a (U, A) bool."""
    return [(USERS[user], f"a{account}") for user, account in zip(*np.nonzero(followed), strict=True)]
