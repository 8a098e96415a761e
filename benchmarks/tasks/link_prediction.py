"""Link prediction: does last week's version know whom its users follow, or what they like, this week?

The version of the week before is asked about links that are new this week; its scores are its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks import statistics
from benchmarks.links import Ends, Links, Nearness
from benchmarks.neighborhoods import CELLS, sample_rows
from benchmarks.task import Evaluation, Task, Undefined
from benchmarks.tasks.cold_start import is_composed
from registry.reader import Version
from registry.records import Score

ID = "link_prediction.v1"
METRICS = ("roc_auc", "roc_auc_matched", "recall_at_10")
#: Which label table links a user with a target of an entity, and its two columns.
LINKS = {"user": ("follows", ("src", "dst")), "producer": ("recent_engagements", ("user_id", "producer_id"))}


class Question(NamedTuple):
    """Which version has the targets, and where the links are written down."""

    targets: str
    label: str
    columns: tuple[str, str]


def question(evaluation: Evaluation) -> Question | None:
    """What the version can be asked, by what was trained together with it; None where nothing links them.

    A user is linked to producers by engaging with them. Two sides of users are sources and destinations of
    follows; one table of users that was trained on itself is both.
    """
    version = evaluation.version
    window = version.manifest.training.get("window") or {}
    for name, other in sorted(evaluation.together.items()):
        if other.entity == "producer":
            return Question(name, *LINKS["producer"])
        if other.entity == "user" and window.get("column_name") == other.name != version.name:
            return None if is_composed(version) else Question(name, *LINKS["user"])
    if window and window.get("columns") is None and not is_composed(version):
        return Question(f"{version.entity}/{version.name}", *LINKS["user"])
    return None


@dataclass(frozen=True, kw_only=True)
class LinkPrediction:
    """How far above other targets last week's vectors put the ones that a user links to for the first time.

    Attributes:
        k: of the recall.
        queries: sources sampled for the recall; wrong answers are all targets that are not linked.
        min_links: new links between known ends that a value needs.
    """

    k: int = 10
    queries: int = 1000
    min_links: int = 30

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """`roc_auc` against random targets, `roc_auc_matched` against as popular ones, `recall_at_10` among all."""
        asked = question(evaluation)
        if asked is None or asked.label not in evaluation.labels:
            raise Undefined(f"needs what is not there: label table {asked.label if asked else 'of links'}")
        judged, targets = _last_week(evaluation, asked.targets)
        ends = Ends(judged.keys(), targets.keys())
        links = Links.of(evaluation.labels[asked.label], asked.columns, evaluation.week, ends)
        left_out = links.known_already + links.unknown
        if len(links.source) < self.min_links:
            raise Undefined(
                f"{len(links.source)} new links of {evaluation.week} have a vector at both ends in {judged.reference}, "
                f"needs {self.min_links}",
                rows_used=len(links.source),
                rows_left_out=left_out,
            )
        common = {
            "rows_left_out": left_out,
            "seed": evaluation.seed,
            "details": {
                "protocol": "vectors of the week before, links that are new this week",
                "judged": judged.reference,
                "targets": targets.reference,
                "week": evaluation.week,
                "known_already": links.known_already,
                "unknown": links.unknown,
                "labels": evaluation.lineage(asked.label),
            },
        }
        return self._scores(links, Nearness.by(judged.numpy(), targets.numpy(), judged.metric), common)

    def _scores(self, links: Links, near: Nearness, common: Mapping[str, Any]) -> list[Score]:
        rng = np.random.default_rng(common["seed"])
        ways = {
            "found": near,
            "shuffled": near.shuffled(rng),
            "popularity": Nearness.of_popularity(links.popularity, len(near.sources)),
        }
        anyone, as_popular = links.wrong(np.arange(links.targets), rng), links.wrong(links.target, rng)
        sources = np.unique(links.source)
        sources = sources[sample_rows(len(sources), self.queries, common["seed"])]
        return [
            _auc_score("roc_auc", links, anyone, ways, common),
            _auc_score("roc_auc_matched", links, as_popular, ways, common),
            self._recall_score(links, sources, ways, common),
        ]

    def _recall_score(
        self, links: Links, sources: np.ndarray, ways: Mapping[str, Nearness], common: Mapping[str, Any]
    ) -> Score:
        shares = {name: self.recall(links, sources, way) for name, way in ways.items()}
        found = shares.pop("found")
        value = statistics.estimate(partial(statistics.mean, found), len(found), seed=common["seed"])
        floors = {name: float(share.mean()) for name, share in shares.items()}
        return _score("recall_at_10", value, floors, len(found), common)

    def recall(self, links: Links, sources: np.ndarray, near: Nearness) -> np.ndarray:
        """(Q,) share of each source's new links among its k best targets, of the k where there are more."""
        hits = np.empty(len(sources))
        step = max(1, CELLS // links.targets)
        for start in range(0, len(sources), step):
            rows = sources[start : start + step]
            scores = near.to_all(rows).astype(np.float64)
            for at, (source, taken) in enumerate(zip(rows, links.known_of(rows), strict=True)):
                new = links.target[links.source == source]
                kept = scores[at, new]
                scores[at, taken] = -np.inf
                scores[at, new] = kept
                # a tie at the border counts as lost: equal scores tell nothing apart
                better = (scores[at] >= kept[:, None]).sum(axis=1)
                hits[start + at] = (better <= self.k).sum() / min(self.k, len(new))
        return hits


def _last_week(evaluation: Evaluation, targets: str) -> tuple[Version, Version]:
    """The version to judge and the one with its targets, both of the week before.

    Raises:
        Undefined: one is missing, or was trained on the week that it would be asked about.
    """
    judged, other = evaluation.history[1], evaluation.earlier.get(1, {}).get(targets)
    if other is None:
        raise Undefined(f"needs what is not there: version of {targets} of the week before {evaluation.week}")
    for version in (judged, other):
        if version.week is None or version.week >= evaluation.week:
            raise Undefined(
                f"{version.reference} was trained on data of {version.week}, so the links of {evaluation.week} "
                "are not new to it"
            )
    return judged, other


def _auc_score(
    metric: str, links: Links, wrong: np.ndarray, ways: Mapping[str, Nearness], common: Mapping[str, Any]
) -> Score:
    """ROC-AUC of new links against one wrong target each; the interval is over sources, whose links go together."""
    kept = wrong >= 0
    source, target, other = links.source[kept], links.target[kept], wrong[kept]
    if not kept.any():
        raise Undefined("every source is linked to every target; there is no wrong answer")
    sides = {name: statistics.placements(way.of(source, target), way.of(source, other)) for name, way in ways.items()}
    above, below = sides.pop("found")
    value = float(above.mean())
    pull = np.bincount(source, above + below - 2 * value) / len(source)
    floors = {name: float(hits.mean()) for name, (hits, _) in sides.items()}
    return _score(metric, statistics.normal_interval(value, pull, lowest=0.0, highest=1.0), floors, len(source), common)


def _score(
    metric: str, value: statistics.Estimate, floors: Mapping[str, float], used: int, common: Mapping[str, Any]
) -> Score:
    return Score(
        task=ID,
        metric=metric,
        **vars(value),
        floor=max(floors.values()),
        rows_used=used,
        **{**common, "details": {**common["details"], "floors": dict(floors)}},
    )


TASK = Task(
    id=ID,
    entity="user",
    score=LinkPrediction(),
    title="Link Prediction",
    headline="roc_auc_matched",
    applies=lambda evaluation: question(evaluation) is not None,
    metrics=METRICS,
    uses_labels=tuple(label for label, _ in LINKS.values()),
    needs_history=1,
    judges=1,
    about="Whether last week's vectors put this week's new follows, or likes, above other targets.",
)
