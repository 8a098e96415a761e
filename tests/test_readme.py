"""What the README says, done: its commands, its Python, its example embedding, its tables."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster_helpers import README, RUNS_DAGSTER, SMALL, pipeline, read_in_readme, readme_blocks

from embedding_assets.commands.backfill import backfill
from embedding_assets.definitions import build_definitions
from embedding_assets.demo import main as run_demo
from embedding_assets.embeddings import all_specs, load_spec
from embedding_assets.sources.files import FileSource
from embedding_assets.sources.schema import TABLES
from registry import open_registry
from registry.cli import main as cli

pytestmark = RUNS_DAGSTER

REPO = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
MADE = [spec.name for spec in read_in_readme()]


def commands(prefix):
    lines = [line for text in readme_blocks("bash") for line in text.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith(prefix)]


@dataclass(frozen=True)
class Demo:
    """A folder in which the demo has made the last weeks of those that it needs, and what it printed."""

    folder: Path
    environ: dict[str, str]
    said: str

    @property
    def store(self):
        return open_registry(self.folder / "data/registry")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo as a process; it goes on from the first weeks, which other tests look at too."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(pipeline(tmp_path_factory.getbasetemp() / "pipeline").project.home, folder / "data")
    (folder / "data/dagster").mkdir()
    shutil.copy(REPO / "dagster.yaml", folder / "data/dagster")
    environ = {
        "DAGSTER_HOME": str(folder / "data/dagster"),
        "EMBEDDINGS_USERS": str(SMALL.users),
        "EMBEDDINGS_TWEETS_PER_WEEK": str(SMALL.tweets_per_week),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    return Demo(folder, environ, run([sys.executable, "-m", "embedding_assets.demo", *MADE], folder, environ))


@pytest.fixture
def inside(demo, monkeypatch):
    """As in the demo's folder and with its variables, in this process."""
    monkeypatch.chdir(demo.folder)
    for name, value in demo.environ.items():
        monkeypatch.setenv(name, value)


def run(command, folder, environ):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDDINGS_")}
    done = subprocess.run(command, cwd=folder, env=inherited | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_demo_prints_what_the_readme_shows(demo):
    shown = next(text for text in readme_blocks("") if "neighbours, first and last week" in text)
    headings = re.findall(r"─ (.+?) ─", shown)
    assert len(headings) == 4
    for heading in headings:
        assert heading in demo.said
    for name in ("Word Topic Purity", "word/word"):
        assert name in shown
        assert name in demo.said


def test_the_demo_makes_what_is_missing(demo):
    assert "2 weeks materialised" in demo.said
    weeks_made = [info.week for info in demo.store.versions("word/word")]
    assert (len(weeks_made), weeks_made) == (8, sorted(set(weeks_made)))


def test_a_second_demo_only_prints(demo, inside, capsys):
    run_demo(MADE)
    assert "everything is there already" in capsys.readouterr().out


def test_the_moved_words_are_found(demo):
    scores = {(score.task, score.metric): score.value for score in demo.store["word/word@latest"].scores()}
    assert scores["moved_words.v1", "roc_auc"] > 0.95
    assert scores["topic_purity.v1", "same_topic"] > 0.7


@pytest.mark.slow
def test_the_whole_demo_makes_every_embedding_from_nothing(tmp_path):
    (tmp_path / "data/dagster").mkdir(parents=True)
    shutil.copy(REPO / "dagster.yaml", tmp_path / "data/dagster")
    said = run([sys.executable, "-m", "embedding_assets.demo"], tmp_path, {"DAGSTER_HOME": f"{tmp_path}/data/dagster"})
    assert "8 weeks materialised" in said
    store = open_registry(tmp_path / "data/registry")
    made = {name: len(store.versions(name)) for name in store.names()}
    assert made == {published: 8 for spec in all_specs() for published in spec.published}


@pytest.fixture(scope="module")
def read(demo):
    """What the Python of the README prints: its blocks in order, as one session."""
    session = "\n".join(text for text in readme_blocks("python") if "SPEC = " not in text)
    return run([sys.executable, "-W", "error", "-c", session], demo.folder, demo.environ)


def test_the_python_reader_runs(read):
    assert "word/word@v8 2026-02-23" in read
    assert "word/pairs" in read


def test_the_command_is_installed(demo):
    line = commands("embeddings ")[0]
    assert run(shlex.split(line), demo.folder, demo.environ).strip()


def test_the_command_lines_run(read, inside):
    for line in commands("embeddings "):  # in the order of the page: some undo what others did
        done = CliRunner().invoke(cli, shlex.split(line)[1:])
        assert done.exit_code == 0, f"{line}: {done.output} {done.exception!r}"
        assert done.output.strip(), line


def test_the_example_embedding_is_one_file(tmp_path):
    file = tmp_path / "site.py"
    file.write_text(next(text for text in readme_blocks("python") if "SPEC = " in text))
    definitions = build_definitions(
        {"EMBEDDINGS_HOME": str(tmp_path / "data"), "EMBEDDINGS_TWEETS_PER_WEEK": "3000"},
        specs=[load_spec(file, "site")],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        weekly = definitions.resolve_job_def("weekly")
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        assert weekly.execute_in_process(partition_key="2026-01-05", instance=instance, run_config=quiet).success
    sites = open_registry(tmp_path / "data/registry")["site/site@latest"]
    assert sites.dim == 16
    assert len(sites.neighbors(sites.keys()[0].as_py(), k=3).keys[0]) == 3


def test_the_source_toml_opens(tmp_path):
    (tmp_path / "tweets").mkdir()
    (tmp_path / "source.toml").write_text(
        readme_blocks("toml")[0].replace("*.parquet", "*.csv").replace(".parquet", ".csv")
    )
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


def test_the_backfill_command_knows_its_options():
    line = next(line for line in commands("embeddings backfill"))
    options = re.findall(r"--[\w-]+", line)
    assert options
    assert set(options) <= {name for parameter in backfill.params for name in parameter.opts}


def test_the_pictures_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (REPO / picture).stat().st_size > 10_000


def test_the_configuration_of_the_package_matches_the_house():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["embedding_assets", "resources", "benchmarks", "registry"]
