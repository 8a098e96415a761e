"""An embedding declared in YAML, through Dagster's component loader."""

import importlib

import pytest
from dagster_helpers import FIRST, RUNS_DAGSTER, SMALL, Project

from embedding_assets.component import component_specs, every_spec
from embedding_assets.embeddings import all_specs
from embedding_assets.spec import SpecError

YAML = """
type: embedding_assets.component.AffinityEmbedding

attributes:
  name: click
  entity: user
  destination: ad
  about: A source is a user, a destination an ad, a weight the clicks of the one on the other.
  inputs:
    clicks: raw/ad_clicks
  query: |
    SELECT user_id AS source, ad_id AS destination, count(*) AS weight
    FROM clicks
    GROUP BY ALL
  trainer:
    svd: {dim: 16, weights: log}
  weeks: 2
  prune: {min_count: 2, subsample: null}
"""


@pytest.fixture
def defs(tmp_path, monkeypatch):
    """A package with one component in it, and its `defs.yaml`."""
    package = f"defs_of_{tmp_path.name}"  # modules stay loaded: each test needs a name of its own
    folder = tmp_path / package
    (folder / "click").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "click" / "defs.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(package), folder / "click" / "defs.yaml"


@RUNS_DAGSTER
def test_a_yaml_file_is_an_embedding_with_tables_versions_and_scores(defs, tmp_path):
    specs = component_specs(defs[0])
    project = Project.open(tmp_path / "home", source=SMALL, specs=specs)
    assert project.run(FIRST).success
    users, ads = (project.store[f"{entity}/click"] for entity in ("user", "ad"))
    assert users.space == ads.space
    assert users.dim == 16
    assert "SELECT user_id" in users.manifest.training["stages"]["click/affinities"]["sql"]


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("weights: log", "wieghts: log", "'click': trainer.svd has no setting 'wieghts'; did you mean weights?"),
        ("min_count: 2", "min_cuont: 2", "'click': prune has no setting 'min_cuont'; did you mean min_count"),
        ("svd:", "sdv:", "'click': trainer must be one of als, sgns, svd with its settings"),
        ("weeks: 2", "weeks: 0", "'click': Window.weeks must be a whole number of at least 1, got 0"),
        ("raw/ad_clicks", "ad_clicks", "'click': Input.asset must look like"),
    ],
)
def test_a_wrong_value_names_the_component_and_the_field(defs, written, instead, said):
    package, file = defs
    file.write_text(YAML.replace(written, instead))
    with pytest.raises(SpecError, match=said.replace("?", r"\?")):
        component_specs(package)


@RUNS_DAGSTER
def test_a_query_that_fails_is_said_to_be_the_components(defs, tmp_path):
    package, file = defs
    file.write_text(YAML.replace("ad_id AS destination", "ad AS destination"))
    project = Project.open(tmp_path / "home", source=SMALL, specs=component_specs(package))
    run = project.run(FIRST, "raw/ad_clicks", "click/affinities")
    [failed] = run.get_step_failure_events()
    assert "the query of a component failed" in str(failed.step_failure_data.error)


def test_the_files_and_the_components_are_one_list():
    assert [spec.name for spec in every_spec()][: len(all_specs())] == [spec.name for spec in all_specs()]
