"""Discovery, choice by entity, and what happens to a task that cannot run or breaks."""

import importlib
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.runner import applicable, discover, find, run_tasks
from benchmarks.task import Evaluation, InvalidTask, Task, Undefined, UnknownTask
from registry import open_registry
from registry.records import Draft, Score


@pytest.fixture
def evaluation(tmp_path, rng):
    version = open_registry(tmp_path).publish(
        Draft(
            entity="word",
            name="tiny",
            keys=pa.array(["a", "b", "c"]),
            vectors=rng.normal(size=(3, 2)).astype(np.float32),
            space="s",
        )
    )
    return Evaluation(version=version, week="2026-01-05", seed=3)


def task(score, **fields):
    return Task(**{"id": "probe.v1", "entity": None, "about": "A probe.", "score": score, **fields})


def test_discovers_every_task_in_name_order():
    tasks = discover()
    assert list(tasks) == [
        "analogy.v1",
        "cold_start.v1",
        "follow_jaccard.v1",
        "hashtag_purity.v1",
        "link_prediction.v1",
        "moved_words.v1",
        "stability.v1",
        "topic_purity.v1",
        "user_metadata.v1",
        "user_topic.v1",
        "word_similarity.v1",
    ]
    assert all(key == found.id and found.about.endswith(".") for key, found in tasks.items())


def test_discovery_loads_neither_scikit_learn_nor_scipy_stats_nor_matplotlib():
    code = """
        import sys
        import benchmarks.plots, registry.judging.compare
        from benchmarks.runner import discover
        assert len(discover()) >= 4
        heavy = {"sklearn", "scipy.stats", "matplotlib", "jax", "dagster"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def write_package(root, name, **modules):
    """A real package of task files, imported from a temporary folder."""
    folder = root / name
    folder.mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / f"{module}.py").write_text(text)
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(root))


TASK_FILE = """
from benchmarks.task import Task
TASK = Task(id="same.v1", entity=None, score=lambda evaluation: [], about="A task.")
"""


def test_two_files_with_one_id_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = write_package(tmp_path, "twice_tasks", first=TASK_FILE, second=TASK_FILE)
    with pytest.raises(InvalidTask, match=r"twice_tasks\.second has the task id 'same.v1'"):
        discover(package)


def test_file_without_a_task_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = write_package(tmp_path, "empty_tasks", nothing="")
    with pytest.raises(InvalidTask, match=r"empty_tasks\.nothing has no TASK"):
        discover(package)


def test_unknown_task_lists_close_matches():
    with pytest.raises(UnknownTask, match=r"no benchmark task 'stabilty.v1'; did you mean stability.v1"):
        find(discover(), "stabilty.v1")
    with pytest.raises(UnknownTask, match=r"known: analogy.v1, cold_start.v1"):
        find(discover(), "zzz")


def test_applicable_takes_tasks_of_the_entity_and_of_any():
    assert [found.id for found in applicable(discover(), "hashtag")] == [
        "cold_start.v1",
        "hashtag_purity.v1",
        "stability.v1",
    ]
    assert len(applicable(discover(), "word")) == 6


def test_a_task_that_lacks_something_gets_an_undefined_score_a_metric_with_the_reason(evaluation):
    def never(_):
        raise AssertionError("must not run")

    lacking = task(
        never,
        metrics=("a", "b"),
        needs_labels=("truth_words",),
        needs_files=("pairs",),
        needs_history=4,
    )
    scores = run_tasks([lacking], evaluation)
    assert [(score.task, score.metric, score.value) for score in scores] == [
        ("probe.v1", "a", None),
        ("probe.v1", "b", None),
    ]
    for part in ("label table truth_words", "file pairs", "4 week(s) before 2026-01-05"):
        assert part in str(scores[0].undefined)


def test_every_discovered_task_answers_an_evaluation_that_has_nothing(evaluation):
    scores = run_tasks(discover().values(), evaluation)
    assert {score.task for score in scores} == {task.id for task in discover().values() if task.applies(evaluation)}
    assert all(score.value is None and score.undefined for score in scores)


def test_undefined_inside_a_protocol_becomes_a_score_and_the_next_task_still_runs(evaluation):
    def degenerate(_):
        raise Undefined("one class only", rows_used=5, rows_left_out=2)

    after = Score(task="after.v1", metric="m", value=1.0, rows_used=1)
    scores = run_tasks([task(degenerate), task(lambda _: [after], id="after.v1")], evaluation)
    assert (scores[0].undefined, scores[0].rows_used, scores[0].rows_left_out) == (
        "one class only",
        5,
        2,
    )
    assert scores[0].seed == 3
    assert scores[1] is after


def test_an_exception_inside_a_task_is_not_swallowed_and_names_task_and_version(evaluation):
    def broken(_):
        raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError, match="oops") as caught:
        run_tasks([task(broken)], evaluation)
    assert caught.value.__notes__ == [f"in benchmark task probe.v1 on {evaluation.version.reference}"]


def test_a_task_that_does_not_apply_gives_no_score_at_all(evaluation):
    def never(_):
        raise AssertionError("must not run")

    assert run_tasks([task(never, applies=lambda given: given.week == "2026-01-12")], evaluation) == []


def test_files_of_a_task_are_those_under_its_name(tmp_path):
    files = {"analogy/b": tmp_path / "1", "analogy/a": tmp_path / "2", "word_similarity/a": tmp_path / "3"}
    evaluation = Evaluation(version=None, files=files)
    assert list(evaluation.files_of("analogy").items()) == [("a", tmp_path / "2"), ("b", tmp_path / "1")]


def test_label_lineage_changes_with_the_content_and_not_with_how_it_lies_in_memory():
    def lineage(table):
        return Evaluation(version=None, labels={"user_topics": table}).lineage("user_topics")

    table = pa.table({"user_id": ["a", "b", "c"], "topic": ["x", "y", "x"]})
    assert lineage(table)["rows"] == 3
    assert lineage(table) == lineage(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert lineage(table) != lineage(table.slice(1))
    assert lineage(table)["sha256"] != lineage(table.take([0, 2, 1]))["sha256"]
