"""What a week's report says: the lake and the registry in, plain facts out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.drift.figures import AGES, overlap_png, staleness_png
from embedding_assets.promotion import served_now
from embedding_assets.records import Week
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.tables.overlap import KINDS
from registry import Score, Upstream, Version
from resources.lake import Lake

OVERLAP, STALENESS = "drift/token_overlap", "drift/staleness"


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """One score of the week's version, beside that of the week before.

    Attributes:
        reference: the version that was judged; of tasks that ask about the future, the one of the week before.
        score: of it.
        before: value of the version one week earlier; None where it has none.
    """

    reference: str
    score: Score
    before: float | None


@dataclass(frozen=True, kw_only=True)
class EmbeddingWeek:
    """What happened to one embedding in the week.

    Attributes:
        name: the embedding's.
        versions: published in the week; empty where none was.
        served: registry name -> reference of what `production` names now; None where nothing.
        gates: rows of the asset `production`; None where it was not made.
        scores: of the versions.
        inputs: reference -> asset -> weeks that the version was made from, down to the raw ones.
    """

    name: str
    versions: Sequence[Version]
    served: Mapping[str, str | None]
    gates: Sequence[Mapping[str, Any]] | None
    scores: Sequence[ScoreLine]
    inputs: Mapping[str, Mapping[str, list[str]]]

    @property
    def refused(self) -> list[Mapping[str, Any]]:
        """The gates that held a version back."""
        return [row for row in self.gates or () if not row["passed"]]

    @property
    def state(self) -> str:
        """In a word or two, for the overview."""
        if not self.versions:
            return "no version"
        if self.gates is None:
            return "not judged"
        return "held back" if self.refused else "promoted"


@dataclass(frozen=True, kw_only=True)
class Report:
    """A week.

    Attributes:
        week: its Monday.
        source: where the events come from.
        embeddings: in the order of their names.
        overlap: rows of `drift/token_overlap` at the ages of the paper; empty where it was not made.
        staleness: an embedding's metric each: the rows of `drift/staleness` of its newest and its oldest version.
        pictures: title -> PNG.
    """

    week: Week
    source: str
    embeddings: Sequence[EmbeddingWeek]
    overlap: Sequence[Mapping[str, Any]]
    staleness: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def states(self) -> list[str]:
        """How many embeddings are in which state, such as `3 promoted`."""
        return [f"{count} {state}" for state, count in Counter(one.state for one in self.embeddings).items()]


def report_of(lake: Lake, specs: Sequence[EmbeddingSpec], source: str, week: Week) -> Report:
    """Everything that the lake and the registry know about `week`."""
    overlap, staleness = (_rows(lake, asset, week) for asset in (OVERLAP, STALENESS))
    pictures = {}
    if overlap:
        pictures["What is kept of the most frequent tokens, by kind and age"] = overlap_png(overlap, KINDS, week)
    for spec in specs:
        if own := [row for row in staleness if row["embedding"] == spec.name]:
            oldest = min(row["trained_week"] for row in own)
            title = f"{spec.name}: versions of every age on this week"
            pictures[title] = staleness_png(own, title, oldest)
    return Report(
        week=week,
        source=source,
        embeddings=[_embedding(lake, spec, week) for spec in sorted(specs, key=lambda spec: spec.name)],
        overlap=[row for row in overlap if row["weeks_back"] in AGES],
        staleness=youngest_and_oldest(staleness),
        pictures=pictures,
    )


def youngest_and_oldest(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """For each embedding and metric, the row of the newest and of the oldest version, in the order of the rows."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["embedding"], row["metric"]].append(row)
    by_age = [sorted(same, key=lambda row: row["age"]) for same in found.values()]
    return [(same[0], same[-1]) for same in by_age]


def _rows(lake: Lake, asset: str, week: Week) -> list[dict[str, Any]]:
    return lake.files.read(asset, week).to_pylist() if lake.files.exists(asset, week) else []


def _embedding(lake: Lake, spec: EmbeddingSpec, week: Week) -> EmbeddingWeek:
    asset, production = f"{spec.name}/embedding", f"{spec.name}/production"
    versions = lake.versions(asset, week)
    before = lake.versions(asset, shift_week(week, -1))
    store = lake.store
    return EmbeddingWeek(
        name=spec.name,
        versions=versions,
        served={name: served_now(store, name) for name in spec.published},
        gates=_rows(lake, production, week) if lake.files.exists(production, week) else None,
        scores=[line for version in versions for line in _scores(version, before)],
        inputs={version.reference: weeks_read(version.lineage()) for version in versions},
    )


def _scores(version: Version, before: Sequence[Version]) -> Iterator[ScoreLine]:
    earlier = {(one.entity, one.name): one for one in before}.get((version.entity, version.name))
    known = {(score.task, score.metric): score.value for score in earlier.scores()} if earlier else {}
    for score in version.scores():
        yield ScoreLine(reference=version.reference, score=score, before=known.get((score.task, score.metric)))


def weeks_read(lineage: Upstream | None) -> dict[str, list[str]]:
    """Asset -> weeks of it, with their data versions, that lie below a version; raw tables first."""
    found: dict[str, set[str]] = defaultdict(set)
    wanted = list(lineage.upstream) if lineage else []
    while wanted:
        node = wanted.pop()
        found[node.asset].add(f"{node.partition} ({node.data_version})")
        wanted += node.upstream
    ordered = sorted(found, key=lambda asset: (not asset.startswith("raw/"), asset))
    return {asset: sorted(found[asset]) for asset in ordered}


def newest_week(lake: Lake, specs: Sequence[EmbeddingSpec]) -> Week | None:
    """The newest week in which any of the embeddings was made."""
    return max((week for spec in specs for week in lake.files.partitions(f"{spec.name}/embedding")), default=None)
