"""Scores side by side: as a table, as text, as markdown, as HTML."""

import pyarrow as pa
import pytest
from registry_samples import make_draft

from registry import Score, open_registry
from registry.errors import NotFound, UnknownEmbedding, UnknownTask
from registry.judging.compare import SCHEMA, Leaderboard, score_table


def score(task, metric, value, **fields):
    return Score(task=task, metric=metric, value=value, rows_used=9, **fields)


BOARD = Leaderboard.of(
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
    assert BOARD.table.schema == SCHEMA
    rows = [
        (row["task"], row["metric"], row["embedding"], row["value"], row["best"]) for row in BOARD.table.to_pylist()
    ]
    assert rows == [
        ("moved.v1", "auc", "word/word@v8", None, False),
        ("moved.v1", "auc", "user/likes@v3", None, False),
        ("moved.v1", "recall", "user/likes@v3", None, False),
        ("stability.v1", "kept", "word/word@v8", 0.41, False),
        ("stability.v1", "kept", "user/likes@v3", 0.52, True),
        ("topic.v1", "purity", "word/word@v8", 0.7, False),  # alone: nothing to be better than
    ]


def test_markdown_has_bold_best_interval_floor_dash_and_one_footnote_a_reason():
    assert BOARD.to_markdown() == (
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
    lines = str(BOARD).splitlines()
    starts = {line.index(part) for line, part in [(lines[0], "user/"), (lines[2], "– [1]"), (lines[4], "0.520 *")]}
    assert lines[2].count("– [1]") == 2
    assert lines[0].index("user/") == lines[4].index("0.520 *")
    assert lines[0].index("word/") == lines[2].index("– [1]") == min(starts)
    assert lines[-1] == "[2] too few"


def test_html_is_escaped():
    board = Leaderboard.of({"a": [score("<script>", "m", None, undefined="<b>")]})
    assert "<script>" not in board._repr_html_()
    assert "<td>&lt;script&gt; m</td>" in board._repr_html_()
    assert "<p>[1] &lt;b&gt;</p>" in board._repr_html_()


def test_ties_are_both_best_and_an_empty_board_is_a_table():
    tied = score_table({"a": [score("t", "m", 0.5)], "b": [score("t", "m", 0.5)]})
    assert tied.column("best").to_pylist() == [True, True]
    empty = Leaderboard.of({})
    assert empty.table.schema == SCHEMA
    assert isinstance(empty.table, pa.Table)
    assert empty.to_markdown() == "| task |\n| --- |\n"
    assert str(empty) == "task\n----"


def test_pipes_in_names_do_not_break_the_markdown_table():
    board = Leaderboard.of({"a|b": [score("t", "m", 0.5)]})
    assert board.to_markdown().splitlines()[0] == "| task | a\\|b |"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_registry(tmp_path_factory.mktemp("registry"))
    for name, values in [("a", (0.1, 0.2)), ("b", (0.3,)), ("c", (None,))]:
        for value in values:
            version = store.publish(make_draft(name=name))
            reason = "one class" if value is None else None
            store.add_score(version, score("topic.v1", "auc", value, undefined=reason))
    store.add_score(store["word/a"], score("topic.v2", "auc", 0.9))
    store.add_score(store["word/b"], score("stability.v1", "kept", 0.4, low=0.3, high=0.5, floor=0.1))
    store.publish(make_draft(entity="user", name="plain"))
    store.promote("word/a@v1", "production")
    return store


def rows_of(table, *columns):
    return [tuple(row[column] for column in columns) for row in table.to_pylist()]


def test_compare_lists_the_best_first_and_what_has_no_value_last(store):
    table = store.compare("word/*@latest", task="topic.v1")
    assert table.schema == SCHEMA
    assert rows_of(table, "embedding", "value", "best", "undefined") == [
        ("word/b@v1", 0.3, True, None),
        ("word/a@v2", 0.2, False, None),
        ("word/c@v1", None, False, "one class"),
    ]


def test_a_task_without_its_protocol_means_all_of_them(store):
    assert rows_of(store.compare("word/a", task="topic"), "task", "value") == [("topic.v1", 0.2), ("topic.v2", 0.9)]


def test_any_selector_and_several_patterns_may_be_compared(store):
    assert rows_of(store.compare("*/*@production"), "embedding", "value") == [("word/a@v1", 0.1)]
    assert rows_of(store.compare("word/a@*", "topic.v1"), "embedding") == [("word/a@v2",), ("word/a@v1",)]
    assert len(store.compare(["word/a@v1", "word/a@v1", "word/b"])) == 3
    assert store.compare("user/plain").num_rows == 0


def test_an_unknown_task_or_embedding_is_told_from_one_without_scores(store):
    with pytest.raises(UnknownTask, match=r"no score of task 'topik'.*did you mean topic.v2, topic.v1\?"):
        store.compare("word/*", task="topik")
    with pytest.raises(UnknownTask, match="no score of task 'topic' on user/plain@v1; their tasks: none yet"):
        store.compare("user/*", task="topic")
    with pytest.raises(UnknownEmbedding):
        store.compare("tag/*")
    assert issubclass(UnknownTask, NotFound)


def test_the_leaderboard_takes_the_newest_version_of_each_embedding(store):
    text = str(store.leaderboard())
    header, _, *rows = text.splitlines()
    assert header.split() == ["task", "word/a@v2", "word/b@v1", "word/c@v1"]
    assert [row.split()[0] for row in rows[:3]] == ["stability.v1", "topic.v1", "topic.v2"]
    assert "0.400 [0.300, 0.500] floor 0.100" in rows[0]
    assert "0.300 *" in rows[1]
    assert str(store.leaderboard("word/*@latest", "stability")).count("\n") == 2
