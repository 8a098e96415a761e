"""Two weeks of everything: each embedding in the package is made, published, verified and judged."""

import pytest
from dagster_helpers import RUNS_DAGSTER, SMALL, Pipeline, Project, checks, failures, weeks

from embedding_assets.embeddings import all_specs

pytestmark = RUNS_DAGSTER

SPECS = {spec.name: spec for spec in all_specs()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Pipeline:
    project = Project.open(tmp_path_factory.mktemp("every"), source=SMALL)
    runs = {monday: project.run(monday) for monday in weeks(0, 1)}
    assert {monday: failures(run) for monday, run in runs.items()} == {monday: {} for monday in runs}
    return Pipeline(project, runs)


@pytest.mark.parametrize("name", SPECS)
def test_it_publishes_a_version_of_each_entity_every_week(made, name):
    for published in SPECS[name].published:
        assert [info.week for info in made.project.store.versions(published)] == weeks(0, 1), published


@pytest.mark.parametrize("name", SPECS)
def test_its_versions_verify_and_its_window_had_pairs(made, name):
    for monday, run in made.runs.items():
        found = checks(run, f"{name}/embedding")
        assert found["version_verifies"].passed, monday
        assert found["window_has_pairs"].passed, monday


@pytest.mark.parametrize("name", SPECS)
def test_its_second_week_has_a_score_that_says_something(made, name):
    latest = [made.project.store[f"{published}@latest"] for published in SPECS[name].published]
    scores = [score for version in latest for score in version.scores()]
    assert any(score.value is not None for score in scores), {score.task: score.undefined for score in scores}
