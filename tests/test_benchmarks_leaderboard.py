"""The board as a table, as markdown and as text."""

import numpy as np
import pyarrow as pa

from benchmarks.leaderboard import SCHEMA, latest_scores, leaderboard, to_markdown, to_text
from registry import open_registry
from registry.records import Draft, Score


def score(task, metric, value, **fields):
    return Score(task=task, metric=metric, value=value, rows_used=9, **fields)


BOARD = leaderboard(
    {
        "word/word@v8": [
            score("stability.v1", "kept", 0.1),
            score("stability.v1", "kept", 0.41, low=0.38, high=0.44, floor=0.003),
            score("topic.v1", "purity", 0.7),
            score("moved.v1", "auc", None, undefined="no word moved | yet"),
        ],
        "user/likes@v3": [
            score("stability.v1", "kept", 0.52),
            score("moved.v1", "auc", None, undefined="no word moved | yet"),
            score("moved.v1", "recall", None, undefined="too few"),
        ],
    }
)


def test_rows_are_tasks_and_metrics_and_a_later_score_replaces_an_earlier():
    assert BOARD.schema == SCHEMA
    rows = [(row["task"], row["metric"], row["embedding"], row["value"], row["best"]) for row in BOARD.to_pylist()]
    assert rows == [
        ("moved.v1", "auc", "word/word@v8", None, False),
        ("moved.v1", "auc", "user/likes@v3", None, False),
        ("moved.v1", "recall", "user/likes@v3", None, False),
        ("stability.v1", "kept", "word/word@v8", 0.41, False),
        ("stability.v1", "kept", "user/likes@v3", 0.52, True),
        ("topic.v1", "purity", "word/word@v8", 0.7, False),  # alone: nothing to be better than
    ]


def test_markdown_has_bold_best_interval_floor_dash_and_one_footnote_a_reason():
    assert to_markdown(BOARD) == (
        "| task | word/word@v8 | user/likes@v3 |\n"
        "| --- | --- | --- |\n"
        "| moved.v1 auc | – [1] | – [1] |\n"
        "| moved.v1 recall |  | – [2] |\n"
        "| stability.v1 kept | 0.410 [0.380, 0.440] floor 0.003 | **0.520** |\n"
        "| topic.v1 purity | 0.700 |  |\n"
        "\n[1] no word moved | yet\n"
        "\n[2] too few\n"
    )


def test_text_columns_line_up():
    lines = to_text(BOARD).splitlines()
    starts = {line.index(part) for line, part in [(lines[0], "user/"), (lines[2], "– [1]"), (lines[4], "0.520 *")]}
    assert lines[2].count("– [1]") == 2
    assert lines[0].index("user/") == lines[4].index("0.520 *")
    assert lines[0].index("word/") == lines[2].index("– [1]") == min(starts)
    assert lines[-1] == "[2] too few"


def test_ties_are_both_best_and_an_empty_board_is_a_table():
    tied = leaderboard({"a": [score("t", "m", 0.5)], "b": [score("t", "m", 0.5)]})
    assert tied.column("best").to_pylist() == [True, True]
    empty = leaderboard({})
    assert empty.schema == SCHEMA
    assert isinstance(empty, pa.Table)
    assert to_markdown(empty) == "| task |\n| --- |\n"
    assert to_text(empty) == "task\n----\n"


def test_pipes_in_names_do_not_break_the_markdown_table():
    board = leaderboard({"a|b": [score("t", "m", 0.5)]})
    assert to_markdown(board).splitlines()[0] == "| task | a\\|b |"


def test_latest_scores_reads_the_newest_version_of_each_embedding(tmp_path, rng):
    store = open_registry(tmp_path)
    keys = pa.array([f"w{at}" for at in range(40)])
    for name, week, value in [
        ("a", "2026-01-05", 0.1),
        ("a", "2026-01-12", 0.2),
        ("b", "2026-01-05", 0.3),
    ]:
        vectors = rng.normal(size=(40, 3)).astype(np.float32)
        version = store.publish(Draft(entity="word", name=name, keys=keys, vectors=vectors, week=week, space=name))
        store.add_score(version, score("t.v1", "m", value))
    found = latest_scores(store)
    assert {reference: scores[0].value for reference, scores in found.items()} == {
        "word/a@v2": 0.2,
        "word/b@v1": 0.3,
    }
    assert latest_scores(store, "user") == {}
    assert leaderboard(found).column("best").to_pylist() == [False, True]
