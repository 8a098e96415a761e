"""The demo's own logic, over a home that is made already: what is current, and what it shows."""

import re
import shutil
from dataclasses import replace

import pytest
from dagster_helpers import RUNS_DAGSTER, SMALL, Project, again, pipeline, week, weeks
from rich.console import Console

from embedding_assets.demo import failures, is_current, show
from embedding_assets.embeddings import all_specs

pytestmark = RUNS_DAGSTER

LAST = 5


@pytest.fixture
def project(tmp_path_factory) -> Project:
    return pipeline(tmp_path_factory.getbasetemp() / "pipeline").project


def test_weeks_that_are_made_are_current_and_others_not(project):
    made = [monday for monday in weeks(0, LAST + 1) if is_current(project.definitions, project.lake, monday)]
    assert made == weeks(0, LAST)


def test_a_week_made_by_other_settings_is_not_current(project, tmp_path):
    [word] = [spec for spec in all_specs() if spec.name == "word"]
    other = replace(word, trainer=replace(word.trainer, dim=word.trainer.dim + 1))
    changed = Project.open(tmp_path, source=SMALL, specs=[other])
    assert not is_current(changed.definitions, project.lake, week(LAST))


def test_what_is_missing_in_one_asset_is_missing(project, tmp_path):
    shutil.copytree(project.home, tmp_path / "home")
    copied = again(tmp_path / "home")
    shutil.rmtree(copied.lake.path("word/scores", week(LAST)).parent)
    current = [monday for monday in weeks(0, LAST) if is_current(copied.definitions, copied.lake, monday)]
    assert current == weeks(0, LAST - 1)


def test_the_closing_show_names_scores_words_versions_and_what_next(project):
    console = Console(record=True, width=160, highlight=False)
    show(console, project.store, SMALL, weeks(0, LAST))
    said = console.export_text()
    scores, neighbors, listing, after = re.split(r"─+ [A-Za-z0-9:, ]+ ─+", said)[1:]
    assert re.search(r"Word Topic Purity.* \.\d{3}", scores)
    assert re.search(rf"word +{week(0)} +{week(LAST)}", neighbors)
    assert "(moved)" in neighbors
    assert re.search(rf"word/word +{LAST + 1} +v{LAST + 1} +{week(LAST)} ", listing)
    assert "make dev" in after
    assert f'open_registry("{project.store.root}")' in after.replace("\n", "")


def test_a_failed_run_is_told_by_its_cause(project, tmp_path):
    empty = again(tmp_path)
    said = failures(empty.run(week(1), "word/corpus"))
    assert said.startswith("word__corpus: ")
    assert f"word/phrases has no partition {week(1)}; it has none" in said
