"""What the README says, done: its commands, its Python, its example embedding, its tables."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest

from embedding_assets.backfill import main as backfill
from embedding_assets.definitions import build_definitions
from embedding_assets.embeddings import load_spec
from embedding_assets.sources.files import FileSource
from embedding_assets.sources.schema import TABLES
from registry import open_registry
from registry.cli import main as cli

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
BIN = Path(sys.executable).parent


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


def commands(prefix):
    lines = [line for text in blocks("bash") for line in text.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith(prefix)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder in which the demo has run, small, twice; and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data/dagster").mkdir(parents=True)
    (folder / "data/dagster/dagster.yaml").write_text((REPO / "dagster.yaml").read_text())
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("EMBEDDINGS_")},
        "DAGSTER_HOME": str(folder / "data/dagster"),
        "EMBEDDINGS_USERS": "500",
        "EMBEDDINGS_TWEETS_PER_WEEK": "2000",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    runs = [run([sys.executable, "-m", "embedding_assets.demo"], folder, environ) for _ in range(2)]
    return folder, environ, runs


def run(command, folder, environ):
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_demo_prints_what_the_readme_shows(demo):
    shown = next(text for text in blocks("") if "neighbours, first and last week" in text)
    headings = re.findall(r"─ (.+?) ─", shown)
    assert len(headings) == 4
    for heading in headings:
        assert heading in demo[2][0]
    for task in ("stability.v1", "topic_purity.v1", "moved_words.v1", "word/word"):
        assert task in shown
        assert task in demo[2][0]


def test_a_second_demo_only_prints(demo):
    assert "8 weeks materialised" in demo[2][0]
    assert "everything is there already" in demo[2][1]
    assert len(open_registry(demo[0] / "data/registry").versions("word/word")) == 8


def test_the_moved_words_are_found(demo):
    words = open_registry(demo[0] / "data/registry")["word/word@latest"]
    scores = {(score.task, score.metric): score.value for score in words.scores()}
    assert scores["moved_words.v1", "roc_auc"] > 0.95
    assert scores["topic_purity.v1", "same_topic"] > 0.7


@pytest.fixture(scope="module")
def read(demo):
    """What the Python of the README prints: its blocks in order, as one session."""
    folder, environ, _ = demo
    session = "\n".join(text for text in blocks("python") if "SPEC = " not in text)
    return run([sys.executable, "-W", "error", "-c", session], folder, environ)


def test_the_python_reader_runs(read):
    assert "word/word@v8 2026-02-23" in read
    assert "word/pairs" in read


def test_the_command_lines_run(demo, read):
    folder, environ, _ = demo
    for line in commands("embeddings "):  # in the order of the page: some undo what others did
        assert run(shlex.split(line), folder, environ).strip(), line


def test_the_example_embedding_is_one_file(tmp_path):
    file = tmp_path / "tag.py"
    file.write_text(next(text for text in blocks("python") if "SPEC = " in text))
    definitions = build_definitions(
        {"EMBEDDINGS_HOME": str(tmp_path / "data"), "EMBEDDINGS_TWEETS_PER_WEEK": "3000"},
        specs=[load_spec(file, "tag")],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        weekly = definitions.resolve_job_def("weekly")
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        assert weekly.execute_in_process(partition_key="2026-01-05", instance=instance, run_config=quiet).success
    tags = open_registry(tmp_path / "data/registry")["hashtag/tag@latest"]
    assert tags.dim == 16
    assert len(tags.neighbors(tags.keys()[0].as_py(), k=3).keys[0]) == 3


def test_the_source_toml_opens(tmp_path):
    (tmp_path / "tweets").mkdir()
    (tmp_path / "source.toml").write_text(blocks("toml")[0].replace("*.parquet", "*.csv").replace(".parquet", ".csv"))
    (tmp_path / "tweets/a.csv").write_text(
        "tweet_id,user_id,created_at,text,language\n1,a,2026-01-05T10:00:00Z,hello there,en\n2,b,never,hello,en\n"
    )
    (tmp_path / "friends.csv").write_text("a,b\nx,y\n")
    (tmp_path / "users.csv").write_text("user_id,country\na,nz\n")
    source = FileSource.open(tmp_path / "source.toml", cache=tmp_path / "cache")
    week = source.read("tweets", "2026-01-05")
    assert (week.rows_in, week.rows.num_rows, week.quarantined.num_rows) == (2, 1, 1)
    assert source.read("follows", "2026-01-05").rows.num_rows == 2
    assert source.read("user_metadata", "2026-01-05").rows["value"].to_pylist() == ["nz"]


def test_every_command_target_and_variable_is_documented():
    for command in cli.commands:
        assert f"embeddings {command}" in README, command
    targets = re.findall(r"^([a-z]+):.*##", (REPO / "Makefile").read_text(), re.MULTILINE)
    assert {"setup", "demo", "dev", "test", "speed", "clean"} <= set(targets)
    for target in re.findall(r"\bmake ([a-z]+)", README):
        assert target in targets, target
    code = "".join(
        path.read_text() for folder in ("embedding_assets", "registry") for path in (REPO / folder).rglob("*.py")
    )
    assert set(re.findall(r"EMBEDDINGS_[A-Z_]+", code)) == set(
        re.findall(r"^\| `(EMBEDDINGS_[A-Z_]+)`", README, re.MULTILINE)
    )


def test_the_event_tables_are_those_of_the_schema():
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+_?\w*, .*) \|$", README, re.MULTILINE))
    for table, schema in TABLES.items():
        columns = [f"*{column.name}*" if column.nullable else column.name for column in schema]
        assert rows[table] == ", ".join(columns)


def test_the_backfill_command_knows_its_options(capsys):
    line = next(line for line in commands(".venv/bin/python -m embedding_assets.backfill"))
    options = re.findall(r"--\w+", line)
    with pytest.raises(SystemExit, match="0"):
        backfill(["--help"])
    shown = capsys.readouterr().out
    assert options
    assert all(option in shown for option in options)


def test_the_pictures_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (REPO / picture).stat().st_size > 10_000


def test_the_configuration_of_the_package_matches_the_house():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["embedding_assets", "resources", "benchmarks", "registry"]
