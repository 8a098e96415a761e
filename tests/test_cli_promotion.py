import json

import numpy as np
import pytest
from click.testing import CliRunner
from registry_samples import N, make_draft, make_keys, make_vectors

from registry import Score, open_registry
from registry.cli import main


@pytest.fixture
def store(tmp_path):
    store = open_registry(tmp_path / "registry")
    for value in (0.8, 0.7, 0.75):
        version = store.publish(make_draft(space=f"run-{value}"))
        store.add_score(version, Score(task="topic.v1", metric="auc", value=value, rows_used=9))
    store.publish(make_draft(keys=make_keys().slice(30), vectors=make_vectors(N - 30)))
    return store


@pytest.fixture
def run(store):
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ["--root", store.root, *arguments])
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def run_json(run):
    return lambda *arguments: json.loads(run(*arguments, "--json").stdout)


def test_promote_moves_the_alias_and_says_so(run, run_json, store):
    assert run("promote", "word/word@v1", "production", "--expect", "none").stdout == (
        "no gates were asked\nword/word@production is v1 (was not set)\n"
    )
    move = run_json(
        "promote", "word/word@v2", "production", "--expect", "v1", "--gate", "max-shrink:0.1", "--gate", "finite"
    )
    assert (move["version"], move["previous"], move["action"]) == (2, 1, "promote")
    assert [gate["name"] for gate in move["gates"]] == ["MaxShrink(share=0.1)", "Finite()"]
    assert store["word/word@production"].number == 2
    assert run_json("show", "word/word@production")["aliases"] == ["production"]


def test_a_refusal_is_one_line_with_every_gate_and_code_1(run, store):
    run("promote", "word/word@v1", "production")
    gates = ["--gate", "no-regression:topic:0.05", "--gate", "min-score:topic:0.5", "--gate", "min-coverage:0.9"]
    result = run("promote", "word/word@v2", "production", *gates, code=1)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "refused by 1 of 3 gates" in result.stderr
    assert "REFUSED NoRegression(task='topic', bound=0.05, metric=None): topic.v1 auc fell by 0.1" in result.stderr
    assert "passed MinCoverage(share=0.9, weight=None)" in result.stderr
    assert store["word/word@production"].number == 1
    assert "needs a reason" in run("promote", "word/word@v2", "production", *gates, "--force", code=1).stderr
    text = run("promote", "word/word@v2", "production", *gates, "--force", "--reason", "v1 leaks").stdout
    assert text.endswith("word/word@production is v2 (was v1, forced)\n")
    assert store.history("word/word", "production")[-1].forced


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["word/word@v1", "production", "--expect", "v3"], "was expected at v3, but it is not set"),
        (["word/word@v1", "production", "--expect", "3"], "write 'v11'"),
        (["word/word@v1", "latest"], "is not allowed"),
        (["word/word@v1", "production", "--gate", "shrink"], "no-regression:TASK[:BOUND][:METRIC]"),
        (["word/word@v9", "production"], "no v9"),
    ],
)
def test_what_cannot_be_promoted_is_told(run, store, arguments, message):
    assert message in run("promote", *arguments, code=1).stderr
    assert store.aliases("word/word") == {}


def test_rollback_history_and_aliases(run, run_json):
    for number in (1, 2):
        run("promote", f"word/word@v{number}", "production", "--reason", f"because {number}")
    run("promote", "word/word@v3", "canary")
    assert run("rollback", "word/word", "production", "--expect", "v2").stdout == (
        "word/word@production is v1 (was v2)\n"
    )
    moves = run_json("history", "word/word", "production")
    assert [(move["action"], move["version"], move["reason"]) for move in moves] == [
        ("promote", 1, "because 1"),
        ("promote", 2, "because 2"),
        ("rollback", 1, None),
    ]
    lines = run("history", "word/word", "production").stdout.splitlines()
    assert len(lines) == 4
    assert lines[3].split()[:2] == ["word/word@v1", "rollback"]
    found = run_json("aliases", "word/word")
    assert {alias: move["version"] for alias, move in found.items()} == {"canary": 3, "production": 1}
    assert run("aliases", "word/word").stdout.splitlines()[1].split()[:2] == ["canary", "word/word@v3"]
    assert "no earlier version" in run("rollback", "word/word", "production", code=1).stderr
    assert "did you mean production" in run("history", "word/word", "prodution", code=1).stderr


def test_compare_and_leaderboard(run, run_json):
    rows = run_json("compare", "word/word@*", "--task", "topic")
    assert [(row["embedding"], row["value"], row["best"]) for row in rows] == [
        ("word/word@v1", 0.8, True),
        ("word/word@v3", 0.75, False),
        ("word/word@v2", 0.7, False),
    ]
    lines = run("compare", "word/word@*").stdout.splitlines()
    assert lines[1].split() == ["topic.v1", "auc", "word/word@v1", "0.8000", "*", "9"]
    board = run("leaderboard", "word/word@v1", "word/word@v2").stdout.splitlines()
    assert board[0].split() == ["task", "word/word@v1", "word/word@v2"]
    assert board[2].split() == ["topic.v1", "auc", "0.800", "*", "0.700"]
    assert len(run_json("leaderboard", "word/word@v1", "word/word@v2")) == 2
    assert "none of them has a score yet" in run("compare", "word/word").stdout
    assert "did you mean topic.v1" in run("compare", "word/word@v1", "--task", "topik", code=1).stderr


def test_diff_needs_an_alignment_between_spaces(run, run_json, store):
    assert "pass align='procrustes'" in run("diff", "word/word@v1", "word/word@v2", code=1).stderr
    document = run_json("diff", "word/word@v1", "word/word@v2", "--align", "procrustes", "--sample", "5", "-k", "3")
    assert document["summary"] == {
        **store.diff("word/word@v1", "word/word@v2", align="procrustes").summary,
        "k": 3,
        "neighbors_of": 5,
    }
    np.testing.assert_allclose(document["summary"]["cosine_mean"], 1, atol=1e-6)
    assert len(document["neighbors"]) == 5
    text = run("diff", "word/word@v1", "word/word@v3", "--align", "procrustes", "--most", "2").stdout
    assert "neighbors_kept" in text
    assert len(text.splitlines()) == len(document["summary"]) + 3
