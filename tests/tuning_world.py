"""Weeks to tune on: the tables that a search reads, and a start that is bad on purpose."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from dagster_helpers import SMALL, Project, failures, weeks

from embedding_assets.embeddings import all_specs
from embedding_assets.search_space import Choice, Range
from embedding_assets.trainers.sgns import Sgns

LAST = 5
[WORD] = [spec for spec in all_specs() if spec.name == "word"]
#: From random vectors, one short step.
BAD = replace(
    WORD, tasks=("topic_purity.v1", "stability.v1"), trainer=Sgns(dim=16, start="random", epochs=1, learning_rate=0.01)
)
SPACE = {"epochs": Range(1, 4), "learning_rate": Range(0.01, 0.5, log=True), "start": Choice(("random", "spectral"))}
TRUTH = {"metric": "topic_purity.v1/same_topic"}
READ = ["raw/tweets", "raw/truth_words", "text/tokens", *WORD.assets]


@cache
def tables_only(home: Path) -> Project:
    """The weeks 0 to `LAST` of what a search for `word` reads; made once, so leave it as it is."""
    project = Project.open(home, source=SMALL, specs=[WORD])
    for monday in weeks(0, LAST):
        run = project.run(monday, *READ)
        assert run.success, f"{monday}: {failures(run)}"
    return project
