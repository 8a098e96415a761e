"""Benchmark results beside the versions they judge; a result once recorded stays."""

import math
import re
from collections.abc import Callable

from registry import layout
from registry.errors import InvalidScore
from registry.layout import Place
from registry.logs.catalog import Catalog
from registry.logs.documents import Record, dump, now
from registry.logs.resolve import readable
from registry.reader import Version
from registry.records import Score, VersionInfo


def record_score(catalog: Catalog, version: Version | VersionInfo, score: Score, created_by: str | None) -> None:
    """Append one result to the score log of the version's embedding; see `Store.add_score`.

    Raises:
        InvalidScore: a number is not finite, value and `undefined` contradict each other, or the version
            is of another registry.
        Erased: the version was replaced: its successor would not see the score; or Retired.
    """
    _check(score)
    place = Place(version.entity, version.name)
    attempt = (version.info if isinstance(version, Version) else version).attempt
    if readable(catalog, place, version.number).attempt != attempt:
        raise InvalidScore(
            f"{version.reference} is of another registry than {catalog.root}; score the one that is here"
        )
    identity = {
        "version": version.number,
        "created_by": created_by,
        "task": score.task,
        "metric": score.metric,
    }
    record = {**identity, "score": score, "created_at": now()}
    catalog.log(place.scores).append(
        lambda _: record,
        lambda other: created_by is not None and all(other[name] == identity[name] for name in identity),
    )


def redact_scores(catalog: Catalog, place: Place, doomed: Callable[[Record], bool], reason: str) -> int:
    """Remove entries of an embedding's score log, and leave one that says which; returns how many.

    Args:
        catalog: the registry.
        place: the embedding.
        doomed: whether an entry has to go.
        reason: recorded.
    """
    log = catalog.log(place.scores)
    numbers = [entry["number"] for entry in log.entries() if "redacted" not in entry and doomed(entry)]
    if numbers:  # first said, then done: a gap in the log is damage, unless a later entry owns up to it
        note = {"version": None, "redacted": numbers, "reason": reason, "at": now()}
        log.append(lambda _: note, lambda _: False)
    for number in numbers:
        catalog.storage.remove(f"{place.scores}/{layout.numbered(number)}")
    return len(numbers)


def is_task(score: Score, task: str) -> bool:
    """Whether a score is of `task`, named by its id `user_topic.v1` or, for every protocol, by `user_topic`.

    >>> is_task(Score(task="user_topic.v1", metric="auc", value=0.8, rows_used=9), "user_topic")
    True
    """
    return task in (score.task, re.sub(r"\.v[0-9]+\Z", "", score.task))


def _check(score: Score) -> None:
    what = f"score {score.task!r:.80} {score.metric!r:.80}"
    if not score.task or not score.metric:
        raise InvalidScore(f"{what} needs a task and a metric")
    for name in ("value", "low", "high", "floor"):
        number = getattr(score, name)
        if number is not None and not math.isfinite(number):
            raise InvalidScore(f"{what} has {name} {number}; give None, and the reason in 'undefined'")
    if (score.value is None) != (score.undefined is not None):
        raise InvalidScore(f"{what} has value {score.value} and undefined {score.undefined!r}; give exactly one")
    try:
        dump(score)
    except (TypeError, ValueError) as error:
        raise InvalidScore(f"{what} cannot be written as JSON: {error}") from error
