"""Table 1: the paper's rows first, the newest versions, the best in bold, earlier versions where they were judged."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from benchmarks.leaderboard import FIRST, leaderboard_png, table_one
from benchmarks.runner import discover
from registry import open_registry
from registry.judging.compare import Leaderboard
from registry.records import Draft, Score

TASKS = discover()
WEEKS = ("2026-01-05", "2026-01-12")


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path)


def publish(store, name, week=WEEKS[1]):
    entity, _, product = name.partition("/")
    vectors = np.eye(3, dtype=np.float32)
    keys = pa.array(["a", "b", "c"])
    return store.publish(Draft(entity=entity, name=product, keys=keys, vectors=vectors, space=week, week=week))


def record(store, version, task, metric, value, **given):
    given = {
        "floor": 0.5,
        **({"undefined": "no labels"} if value is None else {"low": value - 0.1, "high": value + 0.1}),
        **given,
    }
    store.add_score(version, Score(task=task, metric=metric, value=value, rows_used=10, **given))


def filled(store):
    for name, value in (("user/consumer_producer", 0.81), ("user/tfw_browser", 0.62)):
        version = publish(store, name)
        for task, metric in (
            ("user_topic.v1", "roc_auc"),
            ("user_metadata.v1", "roc_auc"),
            ("follow_jaccard.v1", "spearman_cosine"),
        ):
            record(store, version, task, metric, value)
        record(store, version, "follow_jaccard.v1", "spearman_dot", 0.99)
        record(store, version, "stability.v1", "neighbors_kept", 0.7)
    word = publish(store, "word/word")
    record(store, word, "word_similarity.v1", "spearman_wordsim353", 0.3)
    record(store, word, "word_similarity.v1", "spearman_simlex999", None)


def cells(board):
    return {(row["task"], row["metric"], row["embedding"]): row for row in board.table.to_pylist()}


def test_rows_are_headlines_in_the_papers_order_and_columns_embeddings(store):
    filled(store)
    board = table_one(store, TASKS)
    assert isinstance(board, Leaderboard)
    assert board.embeddings == ("consumer_producer", "tfw_browser", "word")
    rows = list(dict.fromkeys(zip(board.table["task"].to_pylist(), board.table["metric"].to_pylist(), strict=True)))
    assert rows[:3] == [(FIRST[0], "roc_auc"), (FIRST[1], "roc_auc"), (FIRST[2], "spearman_cosine")]
    assert rows[3:] == [("Word Similarity", "spearman_simlex999"), ("Word Similarity", "spearman_wordsim353")]
    found = cells(board)
    assert found[FIRST[0], "roc_auc", "consumer_producer"]["best"]
    assert not found[FIRST[0], "roc_auc", "tfw_browser"]["best"]


def test_markdown_has_bold_intervals_floors_and_reasons(store):
    filled(store)
    text = table_one(store, TASKS).to_markdown()
    assert "| User Topic Prediction roc_auc | **0.810** [0.710, 0.910] floor 0.500 | 0.620 [0.520, 0.720]" in text
    assert "[1] no labels" in text
    assert "stability" not in text


def test_the_newest_version_counts_and_the_one_before_where_a_task_looks_ahead(store):
    before, now = (publish(store, "user/consumer_producer", week) for week in WEEKS)
    for version, value in ((before, 0.9), (now, 0.6)):
        record(store, version, "user_topic.v1", "roc_auc", value)
    record(store, before, "link_prediction.v1", "roc_auc_matched", 0.7)
    found = cells(table_one(store, TASKS))
    assert found[FIRST[0], "roc_auc", "consumer_producer"]["value"] == 0.6
    assert found["Link Prediction", "roc_auc_matched", "consumer_producer"]["value"] == 0.7


def test_entities_with_the_same_score_have_a_row_each(store):
    for entity in ("user", "tweet"):
        record(store, publish(store, f"{entity}/user_tweet"), "cold_start.v1", "recall_at_10", 0.4)
    assert list(cells(table_one(store, TASKS))) == [
        ("Cold Start (tweet)", "recall_at_10", "user_tweet"),
        ("Cold Start (user)", "recall_at_10", "user_tweet"),
    ]


def test_named_embeddings_alone_and_none_at_all(store):
    assert table_one(store, TASKS).to_markdown().startswith("| task |")
    filled(store)
    assert table_one(store, TASKS, ["user/tfw_browser"]).embeddings == ("tfw_browser",)


def test_picture_is_a_small_png_that_grows_with_rows_and_repeats(store):
    empty = leaderboard_png(table_one(store, TASKS))
    filled(store)
    board = table_one(store, TASKS)
    first = leaderboard_png(board)
    assert first == leaderboard_png(board)
    with Image.open(io.BytesIO(first)) as image, Image.open(io.BytesIO(empty)) as blank:
        assert image.format == "PNG"
        assert image.size[0] > blank.size[0]
    assert len(first) < 60_000
