"""The Dagster layer over temporary homes: open one, run a week, look at what happened."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from embedding_assets.definitions import build_definitions
from embedding_assets.embeddings import all_specs
from embedding_assets.sources.schema import shift_week
from embedding_assets.sources.synthetic import SyntheticTwitter
from embedding_assets.spec import EmbeddingSpec
from registry import Store, Upstream, open_registry
from resources.lake_files import LakeFiles

README = (Path(__file__).parents[1] / "README.md").read_text()
FIRST = "2026-01-05"
SMALL = SyntheticTwitter(users=300, tweets_per_week=800, first_week=FIRST)

#: Every event as a line on the console is a tenth of a run's time.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

#: Dagster's own config resources call a property that Dagster deprecates.
RUNS_DAGSTER = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")


def week(index: int) -> str:
    """Monday of the week `index` weeks after `FIRST`."""
    return shift_week(FIRST, index)


def weeks(first: int, last: int) -> list[str]:
    """Mondays of the weeks `first` to `last`, both included, none before week 0."""
    return [week(index) for index in range(max(first, 0), last + 1)]


@dataclass(frozen=True)
class Project:
    """Definitions over one home, and an instance that its runs are recorded in."""

    home: Path
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    @classmethod
    def open(cls, home: Path, environ: Mapping[str, str] | None = None, **build: Any) -> "Project":
        definitions = build_definitions({"EMBEDDINGS_HOME": str(home), **(environ or {})}, **build)
        return cls(home, definitions, dg.DagsterInstance.ephemeral())

    @property
    def lake(self) -> LakeFiles:
        return LakeFiles(self.home / "lake")

    @property
    def store(self) -> Store:
        return open_registry(self.home / "registry")

    def run(self, monday: str, *assets: str) -> dg.ExecuteInProcessResult:
        """The weekly job of one week, or the part of it that makes `assets`; it may fail."""
        return self.definitions.resolve_job_def("weekly").execute_in_process(
            partition_key=monday,
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[key(asset) for asset in assets] or None,
            run_config=QUIET,
        )


@dataclass(frozen=True)
class Pipeline:
    """A project with its first weeks made, and the run of each."""

    project: Project
    runs: dict[str, dg.ExecuteInProcessResult]


def readme_blocks(language: str) -> list[str]:
    """The README's fenced blocks of one language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [text for fence, text in found if fence == language]


def read_in_readme() -> list[EmbeddingSpec]:
    """Embeddings that the README's commands and Python read: its demo goes on from the weeks that are made here."""
    said = "\n".join(readme_blocks("bash") + readme_blocks("python"))
    return [spec for spec in all_specs() if re.search(rf"\b\w+/{spec.name}\b", said)]


def again(home: Path) -> Project:
    """The shared project's definitions over another home, such as a copy of its own."""
    return Project.open(home, source=SMALL, specs=read_in_readme())


@cache
def pipeline(home: Path, count: int = 6) -> Pipeline:
    """The first weeks of the small synthetic Twitter; made once per test session, so leave it as it is."""
    project = again(home)
    runs = {monday: project.run(monday) for monday in weeks(0, count - 1)}
    for monday, run in runs.items():
        assert run.success, f"{monday}: {failures(run)}"
    return Pipeline(project, runs)


def key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(asset.split("/"))


def failures(run: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Step -> what it failed with, causes included."""
    found = {}
    for event in run.all_events:
        if event.is_step_failure:
            lines, error = [], event.step_failure_data.error
            while error:
                lines.append(error.message)
                error = error.cause
            found[event.step_key] = "".join(lines)
    return found


def retried(run: dg.ExecuteInProcessResult) -> list[str]:
    """Steps that were tried again."""
    return [event.step_key for event in run.all_events if event.is_step_restarted]


def metadata(run: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Plain values of the metadata that `asset` was materialised with."""
    [event] = [event for event in run.get_asset_materialization_events() if event.asset_key == key(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def data_version(run: dg.ExecuteInProcessResult, asset: str) -> str:
    [event] = [event for event in run.get_asset_materialization_events() if event.asset_key == key(asset)]
    return event.materialization.tags["dagster/data_version"]


def checks(run: dg.ExecuteInProcessResult, asset: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Check's name -> its evaluation, of one asset."""
    return {one.check_name: one for one in run.get_asset_check_evaluations() if one.asset_key == key(asset)}


def walk(lineage: Upstream) -> Iterator[Upstream]:
    """The node itself, then everything below it."""
    yield lineage
    for upstream in lineage.upstream:
        yield from walk(upstream)


def weeks_of(lineage: Upstream, asset: str) -> list[str]:
    """Sorted weeks of `asset` that a lineage reaches."""
    return sorted({str(node.partition) for node in walk(lineage) if node.asset == asset})
