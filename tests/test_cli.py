import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from registry_samples import LINEAGE, D, N, make_draft, make_keys, make_vectors
from rich.console import Console

from registry import Score, Upstream, layout, open_registry
from registry.cli import main
from registry.features.sets import FeatureDraft
from registry.gates import MaxShrink
from registry.show.terminal import lineage_of

# Arguments with which each command has an answer; HOLD is the id of the fixture's pin.
COMMANDS = {
    "aliases": ["word/word"],
    "compare": ["*/*@latest"],
    "compose": ["word/word", "key3=2", "key7"],
    "diff": ["word/word@v1", "word/word@v2"],
    "export": ["word/word", "PATH", "--overwrite"],
    "erase": ["word", "key3", "--reason", "asked to"],
    "features": ["user", "u1"],
    "gc": [],
    "history": ["word/word", "production"],
    "holds": ["word/word"],
    "leaderboard": ["*/*@latest"],
    "pin": ["word/word@v1", "--reason", "a paper"],
    "promote": ["word/word@v2", "canary"],
    "release": ["word/word", "HOLD"],
    "retain": ["word/word", "--last", "1"],
    "rollback": ["word/word", "production"],
    "list": [],
    "show": ["word/word"],
    "versions": ["word/word"],
    "lookup": ["word/word", "key3"],
    "neighbors": ["word/word", "key3"],
    "lineage": ["word/word"],
    "scores": ["word/word"],
    "verify": [],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    store = open_registry(root)
    store.publish(make_draft(week="2026-01-12", created_by="run-2", lineage=LINEAGE, trainer={"dim": D}))
    store.publish(make_draft(created_by="run-1"))
    keys = pa.array(["[red]bold[/]", "esc\x1b[31m", "long" * 60, *make_keys().to_pylist()[3:]])
    store.publish(make_draft(entity="user", name="follow", keys=keys, week=None))
    activity = pa.table({"user": ["u1", "u2"], "tweets": [3, 4]})
    store.publish_features(FeatureDraft(entity="user", kind="derived", name="activity", table=activity, key="user"))
    store.promote("word/word@v2", "production", reason="the first")
    store.promote("word/word@v1", "production", gates=[MaxShrink()], expect="v2")
    store.pin("word/word@v2", reason="training set of May")
    first = store["word/word@v1"]
    store.add_score(first, Score(task="stability.v1", metric="overlap", value=0.25, low=0.2, rows_used=9))
    store.add_score(first, Score(task="topic.v1", metric="roc_auc", value=None, undefined="one class", rows_used=3))
    return root


@pytest.fixture
def run(root):
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ["--root", str(root), *arguments])
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def run_json(run):
    return lambda *arguments, code=0: json.loads(run(*arguments, "--json", code=code).stdout)


def test_list_names_every_embedding_with_its_newest_version(run, run_json, root):
    user, word = run_json("list")
    assert word == {
        "embedding": "word/word",
        "versions": 2,
        "latest": "word/word@v1",
        "week": "2026-01-12",
        "keys": N,
        "dim": D,
        "metric": "cosine",
        "aliases": ["production v1"],
        "published": open_registry(root)["word/word@v1"].info.published_at,
    }
    assert user["week"] is None
    assert [row["embedding"] for row in run_json("list", "word")] == ["word/word"]
    text = run("list").stdout
    assert "word/word@v1" in text
    assert "production v1" in text
    assert "user/follow@v1" in text


def test_an_empty_registry_lists_nothing_and_says_so(tmp_path):
    runner = CliRunner()
    result = runner.invoke(main, ["--root", str(tmp_path / "none"), "list"])
    assert (result.exit_code, result.stdout) == (0, f"nothing is published in {tmp_path / 'none'} yet\n")
    assert json.loads(runner.invoke(main, ["--root", str(tmp_path / "none"), "list", "--json"]).stdout) == []


def test_show_gives_all_facts(run, run_json):
    facts = run_json("show", "word/word")
    assert facts["reference"] == "word/word@v1"
    assert facts["aliases"] == ["production"]
    assert facts["trainer"] == {"dim": D}
    assert set(facts["files"]) == set(layout.FILES)
    assert [score["value"] for score in facts["scores"]] == [0.25, None]
    text = run("show", "word/word@2026-01-05").stdout
    assert "word/word@v2" in text
    assert "no scores yet" in text


def test_versions_are_listed_in_order(run, run_json):
    rows = run_json("versions", "word/word")
    assert [(row["reference"], row["week"], row["created_by"], row["aliases"]) for row in rows] == [
        ("word/word@v1", "2026-01-12", "run-2", ["production"]),
        ("word/word@v2", "2026-01-05", "run-1", []),
    ]
    lines = run("versions", "word/word").stdout.splitlines()
    assert ["production" in line for line in lines] == [False, True, False]


def test_lookup_prints_numbers_that_round_trip(run, run_json):
    document = run_json("lookup", "word/word", "key3", "nokey", "--missing", "mask")
    assert [row["found"] for row in document["rows"]] == [True, False]
    np.testing.assert_array_equal(np.float32(document["rows"][0]["vector"]), make_vectors()[3])
    assert document["rows"][1]["vector"] == [0.0] * D
    mean = run_json("lookup", "word/word", "nokey", "--missing", "mean")["rows"][0]["vector"]
    np.testing.assert_allclose(mean, make_vectors().mean(0), rtol=1e-5)
    assert f"{make_vectors()[3, 0]:.6g}" in run("lookup", "word/word", "key3").stdout


def test_neighbors_agree_with_the_library(run, run_json, root):
    expected = open_registry(root)["word/word"].neighbors(["key3", "key7"], k=4, metric="dot")
    document = run_json("neighbors", "word/word", "key3", "key7", "-k", "4", "--metric", "dot")
    assert (document["metric"], document["plan"]) == ("dot", "exact")
    assert [row["neighbor"] for row in document["neighbors"]] == [*expected.keys[0], *expected.keys[1]]
    np.testing.assert_allclose([row["score"] for row in document["neighbors"]], expected.scores.ravel())
    assert [row["rank"] for row in document["neighbors"]] == [1, 2, 3, 4] * 2
    lines = run("neighbors", "word/word", "key3", "key7", "-k", "4").stdout.splitlines()
    assert len(lines) == 1 + 8 + 1
    assert lines[-1] == "word/word@v1, cosine, exact"


def test_lineage_is_a_tree_down_to_raw_partitions(run, run_json):
    tree = run("lineage", "word/word").stdout.splitlines()
    assert tree[0] == "word/word@v1"
    assert tree[1] == "└── word/pairs partition=2026-01-05 data=d1 run=run-1"
    assert tree[2] == "    ├── raw/tweets partition=2025-12-29 data=d2"
    lineage = run_json("lineage", "word/word")["lineage"]
    assert [node["partition"] for node in lineage["upstream"]] == ["2025-12-29", "2026-01-05"]
    assert "no lineage was recorded" in run("lineage", "word/word@v2").stdout
    assert run_json("lineage", "word/word@v2")["lineage"] is None


def test_lineage_unfolds_a_partition_once():
    raw = Upstream(asset="raw/tweets", partition="2026-01-05", data_version="d3")
    tokens = Upstream(asset="text/tokens", partition="2026-01-05", data_version="d2", upstream=(raw,))
    top = Upstream(asset="word/corpus", partition="2026-01-05", data_version="d1", upstream=(tokens, tokens))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(lineage_of("word/word@v1", top))
    shown = console.export_text()
    assert shown.count("text/tokens") == 2
    assert shown.count("(see above)") == shown.count("raw/tweets") == 1


def test_scores_say_why_one_is_undefined(run, run_json):
    assert run_json("scores", "word/word")["scores"][1]["undefined"] == "one class"
    lines = run("scores", "word/word").stdout.splitlines()
    assert lines[1].split() == ["stability.v1", "overlap", "0.2500", "0.2000", "9", "0"]
    assert lines[2].endswith("one class")
    assert run("scores", "word/word@v2").stdout == "word/word@v2 has no scores yet\n"


def test_verify_reports_damage_and_exits_with_one(run, run_json, tmp_path):
    assert run_json("verify")["ok"] is True
    assert run("verify").stdout.endswith(": all whole\n")
    assert run_json("verify", "word/word@v2")["versions"] == 1
    version = open_registry(tmp_path).publish(make_draft())
    (tmp_path / f"word/word/versions/{version.info.attempt}/keys.idx").write_bytes(b"")
    result = CliRunner().invoke(main, ["--root", str(tmp_path), "verify"])
    assert result.exit_code == 1
    assert "keys.idx has 0 bytes" in result.stdout
    assert result.stdout.endswith(": 1 damaged\n")


def test_keys_are_neither_markup_nor_terminal_commands_nor_cut(run):
    text = run("lookup", "user/follow", "[red]bold[/]", "esc\x1b[31m", "long" * 60).stdout
    assert "[red]bold[/]" in text
    assert "\x1b" not in text
    assert "esc\\x1b[31m" in text
    assert "long" * 60 in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "word/wrod"], 1, "did you mean word/word?"),
        (["show", "word"], 1, "is not a reference"),
        (["neighbors", "word/word", "nokey"], 1, "'nokey'"),
        (["neighbors", "word/word", "key3", "-k", "0"], 1, "k is 0"),
        (["lookup", "word/word@v7", "x"], 1, "no v7; it has v1 to v2"),
        (["list", "../x"], 1, "not allowed"),
        (["show", "a\nb"], 1, "is not a reference"),
        (["lookup", "word/word"], 2, "KEYS"),
        (["neighbors", "word/word", "key3", "--metric", "l1"], 2, "'l1'"),
        (["neighbors", "word/word", "key3", "-k", "many"], 2, "'many'"),
        (["publish"], 2, "publish"),
    ],
)
def test_errors_go_to_stderr_with_a_code(run, arguments, code, message):
    result = run(*arguments, code=code)
    assert result.stdout == ""
    assert message in result.stderr
    if code == 1:
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("Error: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(run, command):
    text = run(command, "--help").stdout
    assert f"Example: embeddings {command}" in text
    assert "--json" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_answers_in_text_and_as_one_json_document(root, tmp_path, command):
    (hold,) = open_registry(root).holds("word/word")
    known = {"HOLD": hold.id, "PATH": str(tmp_path / "words.parquet")}
    arguments = [known.get(argument, argument) for argument in COMMANDS[command]]
    printed = []
    for options in ([], ["--json"]):
        copy = shutil.copytree(root, tmp_path / f"copy{len(printed)}")  # some commands write
        result = CliRunner().invoke(main, ["--root", str(copy), command, *arguments, *options])
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        printed.append(result.stdout)
    assert printed[0].strip()
    assert json.loads(printed[1])


def test_every_command_is_covered_here():
    """Those that need Dagster are run where their weeks are."""
    assert set(main.commands) | {"leaderboard"} == set(COMMANDS)


def test_help_lists_what_other_packages_declare_with_a_line_about_it_and_imports_none_of_it():
    command = [Path(sys.executable).with_name("embeddings"), "--help"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"})
    for name in ("backfill", "drift", "leaderboard", "report", "tune"):
        [line] = [line for line in listed.stdout.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 4, line
    looked = "import sys; from registry.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True).stdout.split()
    assert "dagster" not in modules


def test_the_root_comes_from_the_environment(root, tmp_path):
    (tmp_path / "registry").symlink_to(root)
    command = [Path(sys.executable).with_name("embeddings"), "list"]
    environment = os.environ | {"EMBEDDINGS_HOME": str(tmp_path), "COLUMNS": "20"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "word/word@v1" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


@pytest.fixture
def run_in(tmp_path):
    """A registry with features that JSON has no form for, and a file that is in the way of a folder."""
    table = pa.table({"user": ["u1"], "share": [float("nan")], "bits": [b"12"]})
    open_registry(tmp_path).publish_features(
        FeatureDraft(entity="user", kind="raw", name="odd", table=table, key="user")
    )
    open_registry(tmp_path).publish(make_draft())
    return lambda *arguments: CliRunner().invoke(main, ["--root", str(tmp_path), *arguments])


def test_features_that_json_has_no_form_for_are_printed(run_in):
    shown = run_in("features", "user", "u1", "--json").stdout
    assert json.loads(shown) == [{"user": "u1", "raw.odd.share": None, "raw.odd.bits": "3132"}]
    assert "3132" in run_in("features", "user", "u1").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["gc", "--older-than-hours", "nan"],
        ["gc", "--older-than-hours", "1e12"],
        ["pin", "word/word", "--reason", "x", "--days", "1e12"],
        ["export", "word/word", "/", "--format", "parquet", "--overwrite"],
    ],
)
def test_values_that_mean_nothing_are_refused_in_one_line(run_in, arguments):
    result = run_in(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_a_failing_disk_is_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    result = CliRunner().invoke(main, ["--root", str(tmp_path / "file"), "list"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
