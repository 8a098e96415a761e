"""Drift as asset checks: each number that a spec watches, held against its bounds as soon as it is there."""

import re
from collections.abc import Collection
from typing import NamedTuple

import dagster as dg

from embedding_assets.partitions import asset_key
from embedding_assets.records import Week
from embedding_assets.spec import EmbeddingSpec, Watch
from resources.notifier import Notice, Notifier


class Watched(NamedTuple):
    """What a watch saw in a week.

    Attributes:
        value: the number; None where the asset has not got it.
        holds: whether it lies within the bounds; a number that is not there is not taken for drift.
        why: one sentence.
    """

    value: float | None
    holds: bool
    why: str


def look(instance: dg.DagsterInstance, watch: Watch, week: Week) -> Watched:
    """The watched number of `week`, from the newest materialisation of its asset."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset_key(watch.asset), asset_partitions=[week]), limit=1
    ).records
    found = records[0].asset_materialization if records else None
    value = found.metadata.get(watch.number) if found else None
    if value is None or not isinstance(value.value, int | float):
        return Watched(None, holds=True, why=f"{watch.asset} has no {watch.number!r} in {week}")
    bounds = [
        f"{name} {bound:g}" for name, bound in (("at least", watch.least), ("at most", watch.most)) if bound is not None
    ]
    said = f"{watch.number} is {value.value:.3g} in {week}, {' and '.join(bounds)} is asked"
    return Watched(float(value.value), holds=watch.holds(value.value), why=said)


def watch_checks(spec: EmbeddingSpec, made: Collection[str]) -> list[dg.AssetChecksDefinition]:
    """Checks that warn of drift, one a watch, each on the asset that it watches.

    Args:
        spec: the embedding.
        made: keys of the assets that there are; a source may lack what another is watched by.
    """
    return [_check(spec, watch) for watch in spec.watches if watch.asset in made]


def _check(spec: EmbeddingSpec, watch: Watch) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key(watch.asset), name=check_name(spec, watch), description=f"{spec.name} has not drifted"
    )
    def check(context: dg.AssetCheckExecutionContext, notifier: Notifier) -> dg.AssetCheckResult:
        week = context.partition_key
        seen = look(context.instance, watch, week)
        if not seen.holds:
            notifier.tell(Notice(kind="drift", subject=f"{spec.name} {week}", text=seen.why))
        return dg.AssetCheckResult(
            passed=seen.holds,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={} if seen.value is None else {"value": seen.value},
            description=seen.why,
        )

    return check


def check_name(spec: EmbeddingSpec, watch: Watch) -> str:
    """Such as `word_word_kept_4w`."""
    return re.sub(r"\W+", "_", f"{spec.name}_{watch.number}")
